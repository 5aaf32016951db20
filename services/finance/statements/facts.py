"""What indicators count: orders, cases, answers, ratings, agents and carriers, added up by the database."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, NamedTuple

from services.finance.periods import Condition
from services.finance.statements.scope import Scope
from services.kernel.event_store import Reads
from services.kernel.shop_time import begin_of
from services.kernel.views import utc

Row = Mapping[str, Any]

#: Parties that are carriers begin like this.
COURIER: Final = "courier/"
#: The promises, and how long keeping them took.
_TIMES: Final = {"first_answer": "answer_seconds", "solution": "solution_seconds"}


class Span(NamedTuple):
    """Days of the shop's, both included; all days up to the last where the first is empty."""

    first: str
    last: str

    @property
    def cases(self) -> Condition:
        """Cases (`f`) that were opened on these days."""
        return Condition("f.opened_day >= ? AND f.opened_day <= ?", [self.first, self.last])

    @property
    def orders(self) -> Condition:
        """Orders (`o`) that were placed on these days; months are there for their index."""
        first = utc(begin_of(self.first)) if self.first else ""
        behind = utc(begin_of(self.last) + timedelta(days=1))
        sql = "o.ordered_month >= ? AND o.ordered_month <= ? AND o.ordered_at >= ? AND o.ordered_at < ?"
        return Condition(sql, [self.first[:7], self.last[:7], first, behind])


async def order_sums(reads: Reads, span: Span) -> Row:
    """`orders` that were placed, and what was `paid` for them."""
    sql = "SELECT COUNT(*) AS orders, CAST(COALESCE(SUM(o.paid_fen), 0) AS bigint) AS paid FROM order_fact_view o"
    [row] = await reads.query(f"{sql} WHERE {span.orders.sql}", span.orders.params)
    return row


async def refund_sums(reads: Reads, scope: Scope) -> Row:
    """`orders` of which something was refunded in the scope, and what was `refunded`, less what was deducted."""
    sql = f"""
        SELECT COUNT(DISTINCT p.order_id) AS orders,
          CAST(COALESCE(
            SUM(CASE WHEN p.account = 'obligations' THEN -p.amount_fen ELSE 0 END), 0) AS bigint) AS refunded
        FROM postings p
        WHERE p.account IN ('sales_returned', 'obligations') AND p.type = 'refund.settled' AND {scope.within.sql}"""
    [row] = await reads.query(sql, scope.within.params)
    return row


async def case_sums(reads: Reads, span: Span) -> Row:
    """Cases that were opened, and how many of them came to what."""
    counted = {
        "escalated": "f.escalated = 1",
        "channel_refunds": "f.channel_refund = 1",
        "reopened": "f.reopened > 0",
        **{f"{name}_{state}": f"f.{name} = '{state}'" for name in _TIMES for state in ("kept", "broken")},
        **{f"score_{score}": f"f.score = {score}" for score in range(1, 6)},
    }
    sums = ", ".join(
        f"CAST(COALESCE(SUM(CASE WHEN {condition} THEN 1 ELSE 0 END), 0) AS bigint) AS {name}"
        for name, condition in counted.items()
    )
    sql = f"SELECT COUNT(*) AS cases, {sums} FROM case_fact_view f WHERE {span.cases.sql}"
    [row] = await reads.query(sql, span.cases.params)
    return row


async def seconds_at(reads: Reads, span: Span, promise: str, percents: Sequence[int]) -> Sequence[int | None]:
    """How many seconds the given parts of the cases (in percent) took at most to be answered or solved; None where no
    case was."""
    column = _TIMES[promise]
    source = f"FROM case_fact_view f WHERE {span.cases.sql} AND f.{column} IS NOT NULL"
    [row] = await reads.query(f"SELECT COUNT(*) AS cases {source}", span.cases.params)
    found: list[int | None] = []
    for percent in percents:
        place = (row["cases"] * percent + 99) // 100 - 1
        sql = f"SELECT f.{column} AS seconds {source} ORDER BY f.{column} LIMIT 1 OFFSET ?"
        rows = await reads.query(sql, [*span.cases.params, max(place, 0)])
        found.append(rows[0]["seconds"] if rows else None)
    return found


async def compensation_by_agent(reads: Reads, scope: Scope) -> Sequence[Row]:
    """What was paid in the scope, by who had proposed it and by kind."""
    sql = f"""
        SELECT COALESCE(c.agent, '') AS agent, COALESCE(c.kind, p.memo) AS kind, COUNT(*) AS payments,
          CAST(SUM(p.amount_fen) AS bigint) AS amount
        FROM postings p LEFT JOIN compensation_view c ON c.event_id = p.event_id
        WHERE p.account IN ('cost.cash', 'cost.price_difference', 'cost.voucher', 'promotion')
          AND p.type = 'compensation.paid' AND {scope.within.sql}
        GROUP BY COALESCE(c.agent, ''), COALESCE(c.kind, p.memo)"""
    return await reads.query(sql, scope.within.params)


async def orders_by_carrier(reads: Reads, span: Span) -> Sequence[Row]:
    """`orders` that a carrier took, and what was `paid` for them."""
    sql = f"""
        SELECT o.carrier, COUNT(*) AS orders, CAST(SUM(o.paid_fen) AS bigint) AS paid
        FROM order_fact_view o WHERE {span.orders.sql} AND o.carrier <> '' GROUP BY o.carrier"""
    return await reads.query(sql, span.orders.params)


async def cases_by_carrier(reads: Reads, span: Span) -> Sequence[Row]:
    """Cases that were opened and whose cause points to a carrier."""
    sql = f"""
        SELECT f.party, COUNT(*) AS cases FROM case_fact_view f
        WHERE {span.cases.sql} AND f.party LIKE 'courier/%' GROUP BY f.party"""
    return await reads.query(sql, span.cases.params)


async def losses_by_carrier(reads: Reads, scope: Scope) -> Sequence[Row]:
    """What carriers were charged in the scope, net of what was taken back, and what was `recovered` from them."""
    sql = f"""
        SELECT p.party,
          CAST(SUM(CASE WHEN p.account = 'losses' THEN p.amount_fen ELSE 0 END) AS bigint) AS charged,
          CAST(SUM(CASE WHEN p.memo = 'recovered' THEN -p.amount_fen ELSE 0 END) AS bigint) AS recovered
        FROM postings p
        WHERE p.account IN ('losses', 'recoverable') AND p.party LIKE 'courier/%' AND {scope.within.sql}
        GROUP BY p.party"""
    return await reads.query(sql, scope.within.params)


async def causes_of_cases(reads: Reads, span: Span) -> Sequence[Row]:
    """`cause` and `skus` of the cases that were opened and are somebody's fault."""
    sql = f"""
        SELECT f.case_id, f.cause, f.skus FROM case_fact_view f
        WHERE {span.cases.sql} AND f.cause <> '' AND f.party <> 'none' ORDER BY f.case_id"""
    return await reads.query(sql, span.cases.params)


async def orders_by_skus(reads: Reads, span: Span) -> Sequence[Row]:
    """`orders` that were placed, by the articles in them."""
    sql = f"SELECT o.skus, COUNT(*) AS orders FROM order_fact_view o WHERE {span.orders.sql} GROUP BY o.skus"
    return await reads.query(sql, span.orders.params)


def named_in(skus: str) -> Iterator[str]:
    """The articles that a column of them names: each between bars."""
    return filter(None, skus.split("|"))
