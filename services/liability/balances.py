"""What each party was charged over all cases, and what was collected from it, added up from the log."""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Final

import msgspec

from contracts.event import Event, type_of
from contracts.events.liability import LossCharged, LossRecorded, LossRecovered, LossReversed
from contracts.registry import decode
from services.kernel.event_store import PAGE_RECORDS, Reads
from services.kernel.history import AsOf, Point
from services.kernel.log import Record
from services.kernel.long_work import Tell, told_nobody

#: Events that move a balance.
_MOVES: Final = frozenset(type_of(event) for event in (LossRecorded, LossCharged, LossReversed, LossRecovered))


class PartyBalance(msgspec.Struct, frozen=True):
    """What a party was charged net of what was taken back from it, and what was collected from it, in fen."""

    party: str
    charged_fen: int
    recovered_fen: int


class Balances(msgspec.Struct, frozen=True):
    """Every party that was ever charged, by name: Σ charged + suspense = net. `since`: when the first of these amounts
    moved, null where none did. `as_of`: of when it is, null for now."""

    net_fen: int
    suspense_fen: int
    parties: Sequence[PartyBalance]
    since: datetime | None
    as_of: AsOf | None


class _Sums:
    """Balances that grow event by event."""

    def __init__(self) -> None:
        self.net_fen = 0
        self.since: datetime | None = None
        self.charged: dict[str, int] = defaultdict(int)
        self.recovered: dict[str, int] = defaultdict(int)

    def add(self, event: Event, time: datetime) -> None:
        self.since = time if self.since is None else min(self.since, time)
        match event:
            case LossRecorded(amount_fen=fen):
                self.net_fen += fen
            case LossCharged(party=party, amount_fen=fen):
                self.charged[party] += fen
            case LossReversed(party=party, amount_fen=fen):
                self.charged[party] -= fen
            case LossRecovered(party=party, amount_fen=fen):
                self.recovered[party] += fen

    def balances(self, as_of: AsOf | None) -> Balances:
        names = sorted({*self.charged, *self.recovered})
        parties = [PartyBalance(name, self.charged.get(name, 0), self.recovered.get(name, 0)) for name in names]
        return Balances(self.net_fen, self.net_fen - sum(self.charged.values()), parties, self.since, as_of)


async def balances(log: Reads, point: Point, tell: Tell = told_nobody) -> Balances:
    """The balances as of a point: the sum of what each case's charges were then.

    It goes through the log order by order, because a time ends each order's file at a place of its own; memory holds
    one page of it. `tell` hears how many records of the log were read; raises what it raises.
    """
    sums, last = _Sums(), AsOf(point.asked, 0, None)
    async for record in _until(point, log, tell):
        if record.position > last.position:
            last = AsOf(point.asked, record.position, record.time)
        if record.type in _MOVES:
            sums.add(decode(record.type, record.schema, record.data), record.time)
    return sums.balances(last if point.asked else None)


async def _until(point: Point, log: Reads, tell: Tell) -> AsyncIterator[Record]:
    """The records that count, one stream after another."""
    total = await log.head_position()
    after, done, ended = ("", 0), 0, ""
    while page := await log.read_by_stream(after, PAGE_RECORDS):
        for record in page:
            if record.stream == ended:
                continue
            if point.holds(record):
                yield record
            else:
                ended = record.stream
        after = (page[-1].stream, page[-1].version)
        done += len(page)
        await tell(done, max(done, total))
