"""The histories of orders: an order's stream in every service, order by order, in memory that stays flat."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from contracts.registry import HEARS
from services.kernel.event_store import Head, Reads
from services.kernel.log import Record
from services.kernel.long_work import Tell, told_nobody
from services.kernel.naming import is_order
from services.kernel.refusal import Refusal

#: Orders whose names are read at a time.
ORDERS_AT_ONCE: Final = 200


@dataclass(frozen=True)
class Logs:
    """The logs, to be read."""

    cases: Reads
    refunds: Reads
    liability: Reads


@dataclass(frozen=True)
class History:
    """An order's records in each log. `heard` is up to which event of each other service liability had heard."""

    order_id: str
    cases: Sequence[Record]
    refunds: Sequence[Record]
    liability: Sequence[Record]
    heard: Mapping[str, int]

    def own(self) -> Iterator[Record]:
        """What each service decided, without what it learned."""
        for source, records in (("cases", self.cases), ("refunds", self.refunds), ("liability", self.liability)):
            yield from (record for record in records if record.source == source)

    def is_under_way(self, record: Record) -> bool:
        """Whether liability has not heard of it yet."""
        return record.source in self.heard and record.sequence > self.heard[record.source]


class Named:
    """An order that has a history, to be read when it is wanted."""

    def __init__(self, logs: Logs, order_id: str, heard: Mapping[str, int]) -> None:
        self.order_id = order_id
        self._logs = logs
        self._heard = heard

    async def history(self) -> History:
        """Its records. Who hears is read before whom it hears: so whatever was heard is there.

        Raises `StoreUnavailable`, `CorruptRecord`.
        """
        liability = await self._logs.liability.read_stream(self.order_id)
        refunds = await self._logs.refunds.read_stream(self.order_id)
        cases = await self._logs.cases.read_stream(self.order_id)
        return History(self.order_id, cases, refunds, liability, self._heard)


async def named_orders(logs: Logs, order_id: str = "", tell: Tell = told_nobody) -> AsyncIterator[Named]:
    """Every order by its name, or this one.

    `tell` is awaited with the records of cases gone through and in all. Raises `Refusal` `unknown_order`;
    `StoreUnavailable`; what `tell` raises.
    """
    position, done = await logs.cases.head_position(), 0
    async for heads in _one(logs.cases, order_id) if order_id else _pages(logs.cases):
        heard = await _heard(logs.liability, [head.stream for head in heads])
        for head in heads:
            done += head.version
            if is_order(head.stream):
                upto = {source: marks.get(head.stream, 0) for source, marks in heard.items()}
                yield Named(logs, head.stream, upto)
        await tell(done, done if order_id else max(done, position))


async def _pages(log: Reads) -> AsyncIterator[Sequence[Head]]:
    after = ""
    while heads := await log.streams(after, ORDERS_AT_ONCE):
        yield heads
        after = heads[-1].stream


async def _one(log: Reads, order_id: str) -> AsyncIterator[Sequence[Head]]:
    head = await log.head(order_id) if is_order(order_id) else None
    if head is None:
        raise Refusal("unknown_order", order_id=order_id)
    yield [head]


async def _heard(liability: Reads, streams: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
    """How far liability had heard each source, by stream: asked before its own log is read, so that this has it."""
    return {source: await liability.inbox(source, streams) for source in HEARS["liability"]}
