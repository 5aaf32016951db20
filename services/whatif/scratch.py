"""The scratch space: the rules of one service at work on one order, in memory, as the kernel has them at work."""

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, Self

from contracts.event import CaseEvent, Event, type_of
from services.kernel.actor import SYSTEM, Actor
from services.kernel.decider import Context, Domain, Events, F
from services.kernel.log import Record

#: Follow-ups of follow-ups: more than any order needs, so that a faulty rule stops.
ROUNDS_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Happened:
    """A fact in the scratch space. `sequence` is its place among what its service decided, 0 where it happened here
    only."""

    event: Event
    time: datetime
    actor: str
    id: str
    source: str
    sequence: int = 0

    @classmethod
    def of(cls, record: Record, event: Event) -> Self:
        """What history recorded, saying what it says under the rules in question."""
        return cls(event, record.time, record.actor, record.id, record.source, record.sequence)


class Recorded:
    """What a service decided by itself, in the order in which it did: so that the same decision, taken again, is known
    as the one that was recorded, with its id and its time."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._left: dict[tuple[str, ...], deque[Record]] = defaultdict(deque)
        for record in records:
            self._left[_subject(record.event)].append(record)

    def take(self, event: Event) -> Record | None:
        """The next record of such a decision, if there is one left."""
        left = self._left.get(_subject(event))
        return left.popleft() if left else None


#: What a decision is about, besides its case; the figures do not count, they are what may differ.
_ABOUT: Final = ("refund", "return_id", "payout", "kind")


def _subject(event: Event) -> tuple[str, ...]:
    return type_of(event), event.subject, *(str(getattr(event, name, "")) for name in _ABOUT)


class Scratch(Generic[F]):
    """One order's file of one service. What it decides is kept here in order and nowhere else."""

    def __init__(self, domain: Domain[F], stream: str, recorded: Recorded | None = None) -> None:
        self.file = domain.new_file(stream)
        self.decided: list[Happened] = []
        self._domain = domain
        self._stream = stream
        self._recorded = recorded or Recorded()

    def hear(self, fact: Happened, now: datetime) -> None:
        """Let follow what follows from another service's event."""
        if type_of(fact.event) in self._domain.learns:
            self.file.evolve(fact)
        self._settle(fact, self._domain.react(self.file, fact, self._context(now)), now)

    def take(self, fact: Happened) -> None:
        """Keep what a person or a provider decided in this service, and let follow what follows from it."""
        self._keep(fact)
        self._settle(fact, (), fact.time)

    def _settle(self, fact: Happened, events: Events, now: datetime) -> None:
        touched = {fact.event.case_id} if isinstance(fact.event, CaseEvent) else set()
        self._decide(events, touched, now)
        for _ in range(ROUNDS_MAX):
            events = self._domain.follow_ups(self.file, {}, touched, self._context(now))
            if not events:
                return
            self._decide(events, touched, now)
        raise RuntimeError(f"{self._domain.source}: follow-ups of {self._stream} do not come to an end")

    def _decide(self, events: Events, touched: set[str], now: datetime) -> None:
        for event in events:
            self._keep(self._named(event, now))
            touched.add(event.subject)

    def _keep(self, fact: Happened) -> None:
        self.file.evolve(fact)
        self.decided.append(fact)

    def _named(self, event: Event, now: datetime) -> Happened:
        record = self._recorded.take(event)
        if record is not None:
            return Happened.of(record, event)
        name = f"what-if:{self._domain.source}:{self._stream}:{len(self.decided)}"
        return Happened(event, now, str(Actor(SYSTEM, self._domain.source)), name, self._domain.source)

    def _context(self, now: datetime) -> Context:
        return Context(now=now, actor=Actor(SYSTEM, self._domain.source))
