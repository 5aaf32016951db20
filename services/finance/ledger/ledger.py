"""The ledger from end to end: order by order through the three logs, in memory that stays flat."""

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass

from contracts.events.cases import CaseOpened
from services.finance.ledger.identities import TEXTS, Break, Event, breaks_of
from services.finance.ledger.postings import Misposted, OrderBook, Posting, postings_of
from services.histories import History, Logs, named_orders
from services.kernel.event_store import CorruptRecord
from services.kernel.log import Record
from services.kernel.long_work import Tell, told_nobody


@dataclass(frozen=True)
class OrderLedger:
    """What one order with these cases posted, in the order of time, and everything about it that does not hold."""

    order_id: str
    cases: Sequence[str]
    postings: Sequence[Posting]
    breaks: Sequence[Break]


async def orders(
    logs: Logs, external: Collection[str], tell: Tell = told_nobody, order_id: str = ""
) -> AsyncIterator[OrderLedger]:
    """The postings of every order, by name, or of one.

    `tell` is awaited with the records of cases gone through and in all. Raises `Refusal` `unknown_order`;
    `StoreUnavailable`; what `tell` raises.
    """
    async for named in named_orders(logs, order_id, tell):
        try:
            history = await named.history()
        except CorruptRecord as corrupt:
            yield OrderLedger(named.order_id, (), (), [_unreadable(named.order_id, corrupt)])
        else:
            yield posted(history, external)


def posted(history: History, external: Collection[str]) -> OrderLedger:
    """What an order's history posts, and what of it does not hold."""
    postings: list[Posting] = []
    breaks: list[Break] = []
    for source, records in (
        ("cases", history.cases),
        ("refunds", history.refunds),
        ("liability", history.liability),
    ):
        book = OrderBook(external)
        for record in records:
            if record.source == source:
                try:
                    postings += postings_of(record, book)
                except Misposted as wrong:
                    breaks.append(_misposted(history.order_id, record, wrong))
            book.evolve(record.event)
    postings.sort(key=lambda posting: posting.time)  # a sort keeps the order of a log where times are the same
    breaks += breaks_of(history, postings, external)
    opened = [record.event.case_id for record in history.cases if isinstance(record.event, CaseOpened)]
    return OrderLedger(history.order_id, opened, postings, breaks)


def _misposted(order_id: str, record: Record, wrong: Misposted) -> Break:
    text = TEXTS["misposted"]
    event = Event(record.source, record.type, record.id)
    return Break("misposted", order_id, record.subject, text.zh, f"{text.en} ({wrong})", 0, wrong.excess_fen, [event])


def _unreadable(order_id: str, corrupt: CorruptRecord) -> Break:
    text = TEXTS["unreadable"]
    where = Event("", corrupt.reason, f"{corrupt.stream}#{corrupt.version}")
    return Break("unreadable", order_id, "", text.zh, text.en, 0, 0, [where])
