"""What people do about messages that did not go on: look at them, have them tried again, or give them up by name.

All of it is done in the service's own database; whoever owns the partition notices within a second.
"""

import time
from typing import Any, Final, NamedTuple

import msgspec

from services.kernel.event_store import (
    Commit,
    DeliveryGap,
    DuplicateDelivery,
    EventStore,
    InboxMark,
    Reads,
    Statement,
)
from services.kernel.kafka import parking
from services.kernel.kafka.message import Unreadable
from services.kernel.kafka.parking import DEAD, DISCARDED, WAITING, ParkedMessage, Place
from services.kernel.kafka.progress import Read

#: Messages that are in memory at a time.
PAGE_MESSAGES: Final = 100
#: Characters of an error that tell it from others: what stands behind them is of one message.
ERROR_BEGINS: Final = 300

_GROUPS = f"""SELECT state, cause, count(*) AS messages, min(parked_at) AS oldest_at FROM parked_messages
WHERE state IN ('{WAITING}', '{DEAD}') GROUP BY state, cause ORDER BY state, cause"""
#: What keeps a stream from going on says which stream: what waits for one before it is all alike.
_ERROR = f"CASE WHEN cause IN ('{parking.GAP}', '{parking.BEHIND}') THEN '' ELSE substr(error, 1, {ERROR_BEGINS}) END"
_ALIKE = f"""SELECT state, cause, source, type, {_ERROR} AS error, count(*) AS messages, min(parked_at) AS oldest_at,
max(parked_at) AS newest_at FROM parked_messages WHERE state IN ('{WAITING}', '{DEAD}')
GROUP BY state, cause, source, type, {_ERROR} ORDER BY state, count(*) DESC, cause, source, type, 5 LIMIT ?"""
_REDRIVE = f"""UPDATE parked_messages SET state = '{WAITING}', tries = 0, due_at = ?, published_at = NULL,
resolved_by = ?, note = ? WHERE consumer = ? AND topic = ? AND partition = ? AND position = ? AND state = '{DEAD}'"""
_DISCARD = f"""UPDATE parked_messages SET state = '{DISCARDED}', due_at = ?, resolved_at = ?, resolved_by = ?, note = ?
WHERE consumer = ? AND topic = ? AND partition = ? AND position = ? AND state IN ('{WAITING}', '{DEAD}')"""


_NEXT = f"""{parking.SELECT} WHERE consumer = ? AND topic = ? AND stream = ? AND sequence = ?
AND state IN ('{WAITING}', '{DEAD}') ORDER BY state DESC, position LIMIT 1"""


class Group(msgspec.Struct, frozen=True):
    """Messages that were left behind for the same reason: how many, since when, and one of them."""

    state: str
    cause: str
    messages: int
    oldest_at: float
    example: ParkedMessage


class Alike(msgspec.Struct, frozen=True):
    """Messages of one type and source that were left behind with the same error: how many, from when to when."""

    state: str
    cause: str
    source: str
    type: str
    error: str
    messages: int
    oldest_at: float
    newest_at: float


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which messages are meant: those that match everything that is given; `error` by how it begins."""

    place: Place | None = None
    cause: str = ""
    source: str = ""
    type: str = ""
    error: str = ""
    stream: str = ""
    states: tuple[str, ...] = (DEAD,)


class Next(msgspec.Struct, frozen=True):
    """What a stream goes on with: a message that was left behind, or one that never came."""

    source: str
    stream: str
    sequence: int
    message: ParkedMessage | None
    """None: it never came."""


class NotNext(Exception):
    """The message cannot be given up yet: others of its stream before it were not handled either."""

    def __init__(self, message: ParkedMessage, handled: int) -> None:
        super().__init__(f"{message.place} is #{message.sequence} of {message.stream}, but only #{handled} is handled")
        self.message, self.handled = message, handled


async def grouped(store: Reads) -> list[Group]:
    """What waits and what is dead, by the reason; the example is the oldest."""
    found = []
    for row in await store.query(_GROUPS):
        example = await selected(store, Selection(cause=row["cause"], states=(row["state"],)), limit=1)
        if example:  # else it was handled in between
            found.append(Group(**row, example=example[0]))
    return found


async def alike(store: Reads, limit: int) -> list[Alike]:
    """What waits and what is dead by source, type and error: the dead ones first, the largest groups first."""
    return [Alike(**row) for row in await store.query(_ALIKE, (limit,))]


class Behind(NamedTuple):
    """A place in the order of `selected`: by stream, number and place."""

    stream: str
    sequence: int
    topic: str
    partition: int
    offset: int

    @classmethod
    def of(cls, message: ParkedMessage) -> "Behind":
        """Behind a message."""
        return cls(message.stream, message.sequence, *message.place)


async def selected(
    store: Reads, selection: Selection, after: Behind | None = None, limit: int = PAGE_MESSAGES
) -> list[ParkedMessage]:
    """Messages that match, by stream and number, behind another one."""
    where = [f"state IN ({', '.join('?' * len(selection.states))})"]
    params: list[Any] = [*selection.states]
    if selection.place:
        where.append("topic = ? AND partition = ? AND position = ?")
        params += selection.place
    for column in ("cause", "source", "type", "stream"):
        if value := getattr(selection, column):
            where.append(f"{column} = ?")
            params.append(value)
    if selection.error:
        where.append(f"substr(error, 1, {ERROR_BEGINS}) = ?")
        params.append(selection.error[:ERROR_BEGINS])
    if after:
        where.append("(stream, sequence, topic, partition, position) > (?, ?, ?, ?, ?)")
        params += after
    sql = f"{parking.SELECT} WHERE {' AND '.join(where)} ORDER BY stream, sequence, topic, partition, position LIMIT ?"
    return [parking.parked_message(row) for row in await store.query(sql, [*params, limit])]


async def found(store: Reads, place: Place) -> ParkedMessage | None:
    """The message that was left behind at a place, whatever became of it."""
    states = (WAITING, DEAD, DISCARDED, parking.REDRIVEN)
    rows = await selected(store, Selection(place=place, states=states), limit=1)
    return rows[0] if rows else None


async def next_of(store: Reads, message: ParkedMessage, handled: int | None = None) -> Next | None:
    """What has to be handled before this message, or is it; None where that is not known, or it was handled already.
    `handled`: the number up to which its stream is handled, if not by the inbox."""
    if not message.stream:
        return None
    if handled is None:
        handled = await handled_of(store, message)
    if message.sequence <= handled:
        return None
    wanted = (message.consumer, message.message.topic, message.stream, handled + 1)
    rows = [parking.parked_message(row) for row in await store.query(_NEXT, wanted)]
    return Next(message.source, message.stream, handled + 1, rows[0] if rows else None)


async def handled_of(store: Reads, message: ParkedMessage) -> int:
    """The number up to which the stream of a message is handled."""
    return (await store.inbox(message.source, [message.stream])).get(message.stream, 0)


def unreadable(message: ParkedMessage, read: Read) -> Unreadable | None:
    """Why a message could not be read by this program; None where it can."""
    try:
        read(message.message)
    except Unreadable as error:
        return error
    return None


async def redrive(store: EventStore, message: ParkedMessage, by: str, reason: str = "") -> bool:
    """Have a dead message tried again, first of its stream; who asked for it and why is kept. False where it is not
    dead any more. Raises StoreError."""
    row = (parking.AT_ONCE, by, reason, message.consumer, *message.place)
    await _written(store, Commit(statements=(Statement(_REDRIVE, [row]),)))
    now = await found(store, message.place)
    return now is None or now.state != DEAD


async def discard(store: EventStore, message: ParkedMessage, by: str, reason: str) -> None:
    """Give a message up: its stream goes on as if it had been handled, and it is kept with who said so and why.

    Raises NotNext, StoreError.
    """
    row = (
        *(parking.AT_ONCE if message.stream else parking.NEVER, time.time(), by, reason),
        *(message.consumer, *message.place),
    )
    statements = (Statement(_DISCARD, [row]),)
    mark = InboxMark(message.source, message.stream, message.sequence)
    try:
        await _written(store, Commit(statements=statements, inbox=(mark,) if message.stream else ()))
    except DuplicateDelivery:  # it was handled by another copy
        await _written(store, Commit(statements=statements))
    except DeliveryGap as gap:
        raise NotNext(message, gap.last) from None


async def _written(store: EventStore, commit: Commit) -> None:
    [outcome] = await store.commit([commit])
    if isinstance(outcome, Exception):
        raise outcome


def outcome(message: ParkedMessage | None) -> str:
    """What became of a message that was to be tried again: `handled`, `dead` once more, `waits` for one before it that
    does not go on, or nothing yet: `trying`."""
    if message is None or message.state in (parking.REDRIVEN, DISCARDED):
        return "handled"
    if message.state == DEAD:
        return "dead"
    tried = message.due_at != parking.AT_ONCE and message.cause in (parking.GAP, parking.BEHIND)
    return "waits" if tried else "trying"
