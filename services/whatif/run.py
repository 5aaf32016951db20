"""A what-if from end to end: order by order through the three logs, in memory that stays flat."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from contracts.policy import Policy
from contracts.registry import HEARS
from services.cases.domain.stock import STOCK
from services.kernel.event_store import Head, Reads
from services.kernel.long_work import Tell, told_nobody
from services.kernel.naming import is_operation, order_of
from services.kernel.refusal import Refusal
from services.whatif.keys import changed_keys
from services.whatif.order import History, OrderAgain, Rules
from services.whatif.period import period_of
from services.whatif.report import ASSUMED, FACTS, Report
from services.whatif.tally import Tally

#: Orders whose names are read at a time.
ORDERS_AT_ONCE: Final = 200
#: Cases that differ and are told one by one, unless somebody asks for more.
TOLD_MOST: Final = 20


@dataclass(frozen=True)
class Logs:
    """The logs, to be read."""

    cases: Reads
    refunds: Reads
    liability: Reads


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked: which policy instead of the one in force, for the decisions of which time, of all orders or one.

    `begin` and `end` are positions of the log of cases, days of the shop's or times; empty: all. `most`: how many of
    the cases that differ are told one by one, 0 for all.
    """

    policy: Policy
    in_force: Policy
    begin: str = ""
    end: str = ""
    order: str = ""
    case: str = ""
    most: int = TOLD_MOST


async def what_if(logs: Logs, question: Question, now: datetime, tell: Tell = told_nobody) -> Report:
    """Decide history again under the policy in question. `now` is when promises that nobody kept yet are looked at.

    `tell` is awaited with the records of cases gone through and in all. Raises `Refusal` `invalid` for a period that
    cannot be, `unknown_order` and `unknown_case`; `StoreUnavailable`; what `tell` raises.
    """
    period = await period_of(question.begin, question.end, logs.cases, now)
    position = await logs.cases.head_position()
    tally, rules = Tally(question.most), Rules.of(question.policy)
    order_id = question.order or order_of(question.case)
    done = 0
    async for heads in _named(logs.cases, order_id) if order_id else _orders(logs.cases):
        heard = await _heard(logs.liability, [head.stream for head in heads])
        for head in heads:
            done += head.version
            if head.stream == STOCK or is_operation(head.stream):
                continue
            order = OrderAgain(await _history(logs, head.stream, heard), rules, period, now)
            if question.case and question.case not in order.cases.was.cases:
                raise Refusal("unknown_case", case_id=question.case)
            tally.add(order, question.case)
        await tell(done, done if order_id else max(done, position))
    return _report(question, tally, position)


async def _orders(log: Reads) -> AsyncIterator[Sequence[Head]]:
    after = ""
    while heads := await log.streams(after, ORDERS_AT_ONCE):
        yield heads
        after = heads[-1].stream


async def _named(log: Reads, order_id: str) -> AsyncIterator[Sequence[Head]]:
    head = None if order_id == STOCK or is_operation(order_id) else await log.head(order_id)
    if head is None:
        raise Refusal("unknown_order", order_id=order_id)
    yield [head]


async def _heard(liability: Reads, streams: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
    """How far liability had heard each source, by stream: asked before its own log is read, so that this has it."""
    return {source: await liability.inbox(source, streams) for source in HEARS["liability"]}


async def _history(logs: Logs, order_id: str, heard: Mapping[str, Mapping[str, int]]) -> History:
    """An order's records. Who hears is read before whom it hears: so whatever was heard is there."""
    liability = await logs.liability.read_stream(order_id)
    refunds = await logs.refunds.read_stream(order_id)
    cases = await logs.cases.read_stream(order_id)
    upto = {source: marks.get(order_id, 0) for source, marks in heard.items()}
    return History(order_id, cases, refunds, liability, upto)


def _report(question: Question, tally: Tally, position: int) -> Report:
    return Report(
        policy=question.policy.version,
        in_force=question.in_force.version,
        decided_under=tally.decided_under,
        keys=changed_keys(question.in_force, question.policy),
        begin=question.begin,
        end=question.end,
        position=position,
        orders=tally.orders,
        cases=tally.cases,
        decisions=tally.decisions,
        net=tally.net,
        parties=tally.parties,
        problems=tally.problems,
        months=tally.months,
        payouts=tally.payouts,
        approvals=tally.approvals,
        promises=tally.promises,
        undecided=tally.undecided,
        cases_that_differ=tally.cases_that_differ,
        differ=tally.differ,
        facts=FACTS,
        assumed=ASSUMED,
    )
