"""The totals of each day: what the books say of a channel, its transactions, and what moved on the account there."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from services.finance.reconciliation_reading import ours_of
from services.kernel.event_store import Reads

_SUM = "CAST(sum({}) AS BIGINT)"


class DayTotals(msgspec.Struct, frozen=True, kw_only=True):
    """One day, in fen as it moved for the shop; refunds are below zero.

    `books_fen` is what our postings say of after-sales; `matched_rows` of the day's `rows` agree with them.
    `differs_fen`: payments and refunds on the account, less those among the transactions that did not fail: it moved on
    another day, or is a discrepancy. It is 0 where only one of both bills lists anything.
    """

    day: str
    books_fen: int = 0
    rows: int = 0
    matched_rows: int = 0
    trade_payments_fen: int = 0
    trade_refunds_fen: int = 0
    fund_payments_fen: int = 0
    fund_refunds_fen: int = 0
    fund_fees_fen: int = 0
    fund_others_fen: int = 0
    differs_fen: int = 0


async def totals_of(reads: Reads, channel: str, first_day: str, last_day: str) -> Sequence[DayTotals]:
    """The days on which bills list anything, or money of orders that may be of the channel moved in the books."""
    sums = ", ".join(
        f"{_SUM.format(f'CASE WHEN {condition} THEN r.amount_fen ELSE 0 END')} AS {name}"
        for name, condition in _FIGURES.items()
    )
    listed = await reads.query(
        f"SELECT r.day AS day, count(*) AS rows_listed, count(m.rule) AS rows_matched, {sums} FROM bill_row r"
        " LEFT JOIN matched_row m ON m.channel = r.channel AND m.row_key = r.row_key"
        " WHERE r.channel = ? AND r.day >= ? AND r.day <= ?"
        " AND r.bill IN (SELECT bill FROM bill_view WHERE channel = ?) GROUP BY r.day",
        [channel, first_day, last_day, channel],
    )
    ours = ours_of(channel, ())
    posted = await reads.query(
        f"SELECT p.day AS day, {_SUM.format(f'{ours.sign} * p.amount_fen')} AS fen FROM postings p"
        f" WHERE {ours.condition} AND p.day >= ? AND p.day <= ? GROUP BY p.day",
        [*ours.params, first_day, last_day],
    )
    bills, books = {row["day"]: row for row in listed}, {row["day"]: row["fen"] for row in posted}
    return [_totals(day, bills.get(day, {}), books.get(day, 0)) for day in sorted({*bills, *books})]


_TRADE = "r.row_key LIKE '%-trade:%' AND r.status <> 'failed'"
_FUND = "r.row_key NOT LIKE '%-trade:%'"
_FIGURES = {
    "trade_payments_fen": f"{_TRADE} AND r.kind = 'payment'",
    "trade_refunds_fen": f"{_TRADE} AND r.kind = 'refund'",
    "fund_payments_fen": f"{_FUND} AND r.kind = 'payment'",
    "fund_refunds_fen": f"{_FUND} AND r.kind = 'refund'",
    "fund_fees_fen": f"{_FUND} AND r.kind = 'fee'",
    "fund_others_fen": f"{_FUND} AND r.kind IN ('transfer', 'other')",
}


def _totals(day: str, row: Mapping[str, Any], books_fen: int) -> DayTotals:
    figures = {name: row.get(name, 0) for name in _FIGURES}
    trade_fen = figures["trade_payments_fen"] + figures["trade_refunds_fen"]
    fund_fen = figures["fund_payments_fen"] + figures["fund_refunds_fen"]
    return DayTotals(
        day=day,
        books_fen=books_fen,
        rows=row.get("rows_listed", 0),
        matched_rows=row.get("rows_matched", 0),
        differs_fen=fund_fen - trade_fen if trade_fen and fund_fen else 0,
        **figures,
    )
