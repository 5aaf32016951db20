"""Rows of what happened in cases: the case itself, the lines whose refund was settled, the compensation that was paid.

Days are the shop's. Postings find the lines and the compensation of an event by its id, with which their keys begin.
Statements need one index besides the keys: case_fact_view (opened_day).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime

from contracts.events.orders import Line
from services.finance.domain.books import Books
from services.finance.domain.case_facts import CaseFact
from services.finance.domain.order import OrderBooks
from services.kernel.shop_time import shop_day
from services.kernel.views import Row, utc

CASES = (
    "case_id",
    "order_id",
    "opened_at",
    "opened_day",
    "problem",
    "reason",
    "cause",
    "party",
    "skus",
    "first_answer",
    "answer_seconds",  # bigint, null while there was none
    "solution",
    "solution_seconds",  # bigint, null while it is not solved
    "escalated",  # bigint, 0 or 1
    "channel_refund",  # bigint, 0 or 1
    "reopened",  # bigint, how often
    "score",  # bigint, 0 while it is not rated
)
REFUND_LINES = (
    "event_id",
    "line_id",
    "case_id",
    "order_id",
    "sku",
    "units",  # bigint
    "goods_fen",  # bigint
    "deducted_fen",  # bigint
)
COMPENSATIONS = (
    "event_id",
    "case_id",
    "order_id",
    "proposal",
    "kind",
    "agent",
    "amount_fen",  # bigint
)

TABLES: Mapping[str, Sequence[str]] = {
    "case_fact_view": CASES,
    "refund_line_view": REFUND_LINES,
    "compensation_view": COMPENSATIONS,
}
KEYS: Mapping[str, int] = {"case_fact_view": 1, "refund_line_view": 2, "compensation_view": 1}


def rows(file: OrderBooks | Books, subjects: Collection[str]) -> Mapping[str, Sequence[Row]]:
    """The rows of each case that was touched; of all where the order's snapshot is new, which names the articles."""
    if isinstance(file, Books):
        return {}
    lines = {} if file.order is None else {line.line_id: line for line in file.order.lines}
    known = file.facts.cases
    cases = known.values() if file.order_id in subjects else [known[key] for key in subjects if key in known]
    return {
        "case_fact_view": [row for case in cases for row in _case_rows(file.order_id, case, lines)],
        "refund_line_view": [row for case in cases for row in _refund_rows(file.order_id, case, lines)],
        "compensation_view": [row for case in cases for row in _compensation_rows(file.order_id, case)],
    }


def _case_rows(order_id: str, case: CaseFact, lines: Mapping[str, Line]) -> Iterator[Row]:
    """No row before it is heard that the case was opened."""
    if case.opened_at is None:
        return
    yield {
        "case_id": case.case_id,
        "order_id": order_id,
        "opened_at": utc(case.opened_at),
        "opened_day": shop_day(case.opened_at),
        "problem": case.problem,
        "reason": case.reason,
        "cause": case.cause,
        "party": case.party,
        "skus": "|".join(["", *sorted({lines[line].sku for line in case.lines if line in lines}), ""]),
        "first_answer": case.promise("first_answer"),
        "answer_seconds": _seconds(case.opened_at, case.answered_at),
        "solution": case.promise("solution"),
        "solution_seconds": _seconds(case.opened_at, case.solved_at),
        "escalated": int(case.escalated),
        "channel_refund": int(case.channel_refund),
        "reopened": case.reopened,
        "score": case.score,
    }


def _seconds(begun: datetime, ended: datetime | None) -> int | None:
    return None if ended is None else int((ended - begun).total_seconds())


def _refund_rows(order_id: str, case: CaseFact, lines: Mapping[str, Line]) -> Iterator[Row]:
    for event_id, refunded in case.refunded.items():
        for line in refunded:
            yield {
                "event_id": event_id,
                "line_id": line.line_id,
                "case_id": case.case_id,
                "order_id": order_id,
                "sku": lines[line.line_id].sku if line.line_id in lines else "",
                "units": line.units,
                "goods_fen": line.goods_fen,
                "deducted_fen": line.deducted_fen,
            }


def _compensation_rows(order_id: str, case: CaseFact) -> Iterator[Row]:
    for event_id, paid in case.compensated.items():
        yield {
            "event_id": event_id,
            "case_id": case.case_id,
            "order_id": order_id,
            "proposal": paid.proposal,
            "kind": paid.kind,
            "agent": paid.agent,
            "amount_fen": paid.amount_fen,
        }
