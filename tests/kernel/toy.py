"""A tiny service for tests of the kernel: it hears of amounts and counts them. The kernel knows none of it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from contracts.event import CaseEvent, Event
from services.kernel.actor import Actor
from services.kernel.decider import Command, CommandSpec, Context, Events, Fact, File
from services.kernel.files import Origin
from services.kernel.log import NewRecord
from services.kernel.migrations import migrate
from services.kernel.refusal import Refusal

NOON = datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=8)))
MIGRATIONS = Path(__file__).parents[2] / "services" / "cases" / "migrations"
AGENT = Actor("agent", "小李")
BY_AGENT = Origin(AGENT, "correlation", "cause")


class Added(CaseEvent, frozen=True, kw_only=True, tag="toy.added"):
    """Something was added elsewhere."""

    amount: int


class Mentioned(CaseEvent, frozen=True, kw_only=True, tag="toy.mentioned"):
    """Something that nobody here listens to."""


class Counted(CaseEvent, frozen=True, kw_only=True, tag="tally.counted"):
    """The effect of what was added, or of a command."""

    amount: int


class Booked(CaseEvent, frozen=True, kw_only=True, tag="tally.booked"):
    """The ledger's copy of a large amount, in the one stream that all files share."""

    amount: int


_DECODERS = {
    str(event.__struct_config__.tag): msgspec.json.Decoder(event) for event in (Added, Mentioned, Counted, Booked)
}


def decode(type: str, schema: int, data: bytes) -> Any:
    """Knows the toy events only."""
    return _DECODERS[type].decode(data)


def url_of(path: Path) -> str:
    """A migrated database; blocks."""
    url = f"sqlite+aiosqlite:///{path}"
    migrate(url, MIGRATIONS)
    return url


class Tally:
    """What one stream counted; `LEDGER` is the stream of the large amounts of all."""

    def __init__(self, stream: str, domain: "TallyDomain") -> None:
        self.stream = stream
        self.heard: list[int] = []
        self.counted: list[int] = []
        self.booked: list[int] = []
        self._domain = domain

    def evolve(self, fact: Fact) -> None:
        if isinstance(fact.event, Added):
            if fact.event.amount in self._domain.unfoldable:
                raise RuntimeError("this amount cannot be folded")
            self.heard.append(fact.event.amount)
        elif isinstance(fact.event, Counted):
            self.counted.append(fact.event.amount)
        elif isinstance(fact.event, Booked):
            self.booked.append(fact.event.amount)


LEDGER = "ledger"
LARGE = 1_000


class Count(Command, frozen=True, kw_only=True):
    """Count an amount; `times` it is counted, one event each."""

    amount: Annotated[int, Meta(ge=0, le=100_000)]
    times: Annotated[int, Meta(ge=0, le=100)] = 1


def _count(file: Tally, case_id: str, body: Count, _: Context) -> Events:
    if body.amount == 13:
        raise Refusal("unlucky", amount=body.amount, counted=len(file.counted))
    return [Counted(case_id=case_id, amount=body.amount)] * body.times


class TallyDomain:
    """Counts what it hears. `poison` amounts cannot be reacted to, `unfoldable` ones not even be folded."""

    source = "tally"
    policy_version = "toy-1"
    learns: Collection[str] = {"toy.added"}
    hears: Collection[str] = {"toy.added"}
    commands: Mapping[str, CommandSpec[Tally]] = {"count": CommandSpec(Count, frozenset({"agent"}), _count)}

    def __init__(self, *, poison: Collection[int] = (), unfoldable: Collection[int] = ()) -> None:
        self.poison = set(poison)
        self.unfoldable = set(unfoldable)

    def new_file(self, stream: str) -> Tally:
        return Tally(stream, self)

    def check_known(self, file: Tally, case_id: str, command: str, body: Mapping[str, Any]) -> None:
        if case_id == "unknown-1":
            raise Refusal("unknown_case", case_id=case_id)

    def react(self, file: Tally, fact: Fact, context: Context) -> Sequence[Event]:
        event = fact.event
        if not isinstance(event, Added):
            return []
        if event.amount in self.poison:
            raise RuntimeError("this amount is poison")
        return [Counted(case_id=event.case_id, amount=event.amount)]

    def needs(self, file: Tally, case_ids: Collection[str]) -> Sequence[str]:
        return (LEDGER,) if any(amount >= LARGE for amount in file.counted) else ()

    def follow_ups(
        self, file: Tally, others: Mapping[str, File], case_ids: Collection[str], context: Context
    ) -> Sequence[Event]:
        """Large amounts are booked, one at a time, as long as one is missing in the ledger."""
        ledger = others.get(LEDGER)
        if not isinstance(ledger, Tally):
            return []
        missing = [amount for amount in file.counted if amount >= LARGE and amount not in ledger.booked]
        return [Booked(case_id=f"{file.stream}-1", amount=amount) for amount in missing[:1]]

    def stream_of(self, event: Event, stream: str) -> str:
        return LEDGER if isinstance(event, Booked) else stream

    def home_of(self, event: Event, stream: str) -> str:
        return stream


def toy_record(id: str, event: Event, *, sequence: int = 0, source: str = "toy") -> NewRecord:
    """An event as the toy service records it."""
    return NewRecord(
        id=id,
        type=str(event.__struct_config__.tag),
        schema=1,
        source=source,
        subject=event.subject,
        time=NOON,
        actor="agent/小李",
        correlation_id="c",
        causation_id="",
        policy="toy-1",
        traceparent="",
        event=event,
        data=msgspec.json.encode(event),
        sequence=sequence,
    )
