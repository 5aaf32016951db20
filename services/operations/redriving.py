"""Dead messages that somebody has tried again, or gives up: which are meant, what becomes of them, and who did it.

Who did it and why is told before anything is done, as an operation in the log of the service that names the messages.
Where a process dies half way, the operation is left interrupted: what it had not done yet is asked for again.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from contracts.policy import Text
from services.kernel.event_store import EventStore, Reads
from services.kernel.kafka import dead_letters
from services.kernel.kafka.dead_letters import Behind, NotNext, Selection
from services.kernel.kafka.parking import WAITING, ParkedMessage
from services.kernel.long_work import CalledOff
from services.kernel.operations import Desk
from services.operations.giving_up import GivenUp
from services.operations.left_behind import MessageOutcome, outcome_of
from services.operations.way_out import way_out_of, ways_out

#: The kinds of operations that tell of it; their option `messages` names the places.
REDRIVE: Final = "redrive"
DISCARD: Final = "discard"
KINDS: Final = (REDRIVE, DISCARD)
#: Messages that one operation names; more make several.
NAMED_MOST: Final = 500


async def dead(
    store: Reads, selection: Selection, most: int | None = None, bodies: bool = True
) -> tuple[list[ParkedMessage], bool]:
    """The dead messages that are meant, in the order of their streams, and whether there are more than `most`. Only who
    tries them needs their `bodies`."""
    found: list[ParkedMessage] = []
    while most is None or len(found) <= most:
        page = await dead_letters.selected(store, selection, Behind.of(found[-1]) if found else None)
        if not page:
            break
        found += page if bodies else [one.without_body() for one in page]
    return found[:most], most is not None and len(found) > most


async def waiting(store: EventStore, service: str, selection: Selection) -> list[Text]:
    """What those wait for that are meant but are not dead."""
    page = await dead_letters.selected(store, msgspec.structs.replace(selection, states=(WAITING,)))
    return await ways_out(store, service, page)


async def redrive(desk: Desk, messages: Sequence[ParkedMessage], by: str, reason: str) -> None:
    """Have messages tried again. Raises StoreError."""

    async def redriven(some: Sequence[ParkedMessage]) -> dict[str, Any]:
        for one in some:
            await dead_letters.redrive(desk.store, one, by, reason)
        return {"redriven": len(some)}

    await _told(desk, REDRIVE, messages, by, reason, redriven)


async def discard(desk: Desk, messages: Sequence[ParkedMessage], by: str, reason: str) -> list[MessageOutcome]:
    """Give messages up in their order; what stands behind another one is refused. Raises StoreError."""
    outcomes: list[MessageOutcome] = []

    async def discarded(some: Sequence[ParkedMessage]) -> dict[str, Any]:
        done = [await _given_up(desk, one, by, reason) for one in some]
        outcomes.extend(done)
        refused = [one.place for one in done if one.outcome == "refused"]
        return {"discarded": len(done) - len(refused), **({"refused": refused} if refused else {})}

    await _told(desk, DISCARD, messages, by, reason, discarded)
    return outcomes


async def would_be_discarded(
    store: EventStore, service: str, messages: Sequence[ParkedMessage]
) -> list[MessageOutcome]:
    """What would become of messages that are given up. Nothing is changed."""
    given_up, outcomes = GivenUp(store, service), []
    for one in messages:
        outcome, why = await given_up.would_be(one)
        outcomes.append(outcome_of(service, one, outcome, why=why))
    return outcomes


async def _told(
    desk: Desk,
    kind: str,
    messages: Sequence[ParkedMessage],
    by: str,
    reason: str,
    act: Callable[[Sequence[ParkedMessage]], Awaitable[dict[str, Any]]],
) -> None:
    """Tell what is to be done about messages, do it, and tell what came of it."""
    for some in _parts(messages):
        operation = await desk.announce(kind, {"messages": [str(one.place) for one in some]}, by, reason)
        outcome = await act(some)
        with suppress(CalledOff):  # by somebody who took it for interrupted; it is done all the same
            await desk.finish(operation, by, outcome)


def _parts(messages: Sequence[ParkedMessage]) -> Iterator[Sequence[ParkedMessage]]:
    for first in range(0, len(messages), NAMED_MOST):
        yield messages[first : first + NAMED_MOST]


async def _given_up(desk: Desk, message: ParkedMessage, by: str, reason: str) -> MessageOutcome:
    try:
        await dead_letters.discard(desk.store, message, by, reason)
    except NotNext:
        why = await way_out_of(desk.store, desk.service, message)
        return outcome_of(desk.service, message, "refused", why=why)
    return outcome_of(desk.service, message, "discarded")
