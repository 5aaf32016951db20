"""Settled refunds: how much was refunded, by problem, cause, article or channel."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, get_args

import msgspec

from services.finance.statements.scope import AsAt, Scope
from services.kernel.event_store import Reads

By = Literal["problem", "cause", "sku", "channel"]
GROUPINGS: Final[tuple[str, ...]] = get_args(By)

#: What a refund is grouped by; problem and cause as they are known now.
_COLUMNS: Final[Mapping[str, str]] = {
    "problem": "COALESCE(f.problem, '')",
    "cause": "COALESCE(f.cause, '')",
    "sku": "COALESCE(l.sku, '')",
    "channel": "COALESCE(o.channel, 'unknown')",
}


class RefundFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What was refunded, in fen: goods − deducted + corrected is refunded. `goods_fen` is what buyers had paid for the
    units, `deducted_fen` compensation that refunds took back. A refund of several articles counts with each."""

    refunds: int
    cases: int
    units: int
    goods_fen: int
    deducted_fen: int
    corrected_fen: int
    refunded_fen: int


class RefundRow(RefundFigures, frozen=True, kw_only=True):
    """A problem, cause, article or channel; `key` is empty where it is not known."""

    key: str


class Refunds(msgspec.Struct, frozen=True):
    """Refunds that were settled in a month, or ever, the most first. Goods and corrections make what was posted on the
    account `sales_returned`."""

    month: str
    as_at: AsAt
    by: str
    rows: Sequence[RefundRow]
    total: RefundFigures


async def refunds(reads: Reads, scope: Scope, by: str) -> Refunds:
    """Refunds grouped by one of `GROUPINGS`."""
    rows = [RefundRow(**row) for row in await _grouped(reads, scope, _COLUMNS[by])]
    totals = await _grouped(reads, scope, "''")
    nothing = dict.fromkeys(RefundFigures.__struct_fields__, 0)
    total = RefundFigures(**{name: (totals[0] if totals else nothing)[name] for name in nothing})
    rows.sort(key=lambda row: (-row.refunded_fen, row.key))
    return Refunds(scope.month, scope.as_at, by, rows, total)


async def _grouped(reads: Reads, scope: Scope, column: str) -> Sequence[dict[str, Any]]:
    """A posting on the account is of one refund, whose lines make its amount, or of a correction, which has none."""
    sql = f"""
        SELECT key, COUNT(DISTINCT refund) AS refunds, COUNT(DISTINCT case_id) AS cases,
          CAST(SUM(units) AS bigint) AS units, CAST(SUM(goods_fen) AS bigint) AS goods_fen,
          CAST(SUM(deducted_fen) AS bigint) AS deducted_fen, CAST(SUM(corrected_fen) AS bigint) AS corrected_fen,
          CAST(SUM(goods_fen - deducted_fen + corrected_fen) AS bigint) AS refunded_fen
        FROM (
          SELECT {column} AS key, l.event_id AS refund, p.case_id, COALESCE(l.units, 0) AS units,
            COALESCE(l.goods_fen, 0) AS goods_fen, COALESCE(l.deducted_fen, 0) AS deducted_fen,
            CASE WHEN l.event_id IS NULL THEN p.amount_fen ELSE 0 END AS corrected_fen
          FROM postings p
            LEFT JOIN refund_line_view l ON l.event_id = p.event_id
            LEFT JOIN case_fact_view f ON f.case_id = p.case_id
            LEFT JOIN order_fact_view o ON o.order_id = p.order_id
          WHERE p.account = 'sales_returned' AND {scope.within.sql}
        ) AS refunded
        GROUP BY key"""
    return await reads.query(sql, scope.within.params)
