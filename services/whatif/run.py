"""A what-if from end to end: order by order through the three logs, in memory that stays flat."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from contracts.policy import Policy
from services.histories import Logs, named_orders
from services.kernel.long_work import Tell, told_nobody
from services.kernel.naming import order_of
from services.kernel.refusal import Refusal, invalid
from services.whatif.keys import changed_keys
from services.whatif.order import OrderAgain, Rules
from services.whatif.period import period_of
from services.whatif.report import ASSUMED, FACTS, Report
from services.whatif.tally import Tally

#: Cases that differ and are told one by one, unless somebody asks for more.
TOLD_MOST: Final = 20


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
    cannot be and for a case of another order, `unknown_order` and `unknown_case`; `StoreUnavailable`; what `tell`
    raises.
    """
    if question.order and question.case and order_of(question.case) != question.order:
        raise _of_another_order(question.case, question.order)
    period = await period_of(question.begin, question.end, logs.cases, now)
    position = await logs.cases.head_position()
    tally, rules = Tally(question.most), Rules.of(question.policy)
    async for named in named_orders(logs, question.order or order_of(question.case), tell):
        order = OrderAgain(await named.history(), rules, period, now)
        if question.case and question.case not in order.cases.was.cases:
            raise Refusal("unknown_case", case_id=question.case)
        tally.add(order, question.case)
    return _report(question, tally, position)


def _of_another_order(case_id: str, order_id: str) -> Refusal:
    return invalid(
        "case",
        "of_another_order",
        f"售后单 {case_id} 不是订单 {order_id} 的",
        f"case {case_id} is not of order {order_id}",
    )


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
