"""What accounts held, what moved in them and what they hold, added up by the database."""

from collections.abc import Mapping, Sequence
from typing import Any

from services.finance.periods import Condition
from services.finance.statements.scope import Scope
from services.kernel.event_store import Reads

Row = Mapping[str, Any]


async def balances(
    reads: Reads,
    scope: Scope,
    where: Condition,
    keys: Sequence[str],
    memos: Sequence[str],
    having: str = "1 = 1",
) -> Sequence[Row]:
    """A row for each value of `keys` (columns of postings): `opening`, what moved by memo, `closing`, in fen, and the
    day `since` which there is something.

    `having` may speak of `moved` (1 where something moved in the scope) and `closing`. Where `case_id` is a key, what
    is known of the case stands beside: `problem` and `cause`, empty where nothing is.
    """
    names = ", ".join(keys)
    moves = "".join(
        f", CAST(SUM(CASE WHEN moved = 1 AND memo = '{memo}' THEN amount_fen ELSE 0 END) AS bigint) AS {memo}"
        for memo in memos
    )
    sums = f"""
        SELECT {names}, MAX(moved) AS moved, MIN(day) AS since,
          CAST(SUM(amount_fen) AS bigint) AS closing,
          CAST(SUM(CASE WHEN moved = 0 THEN amount_fen ELSE 0 END) AS bigint) AS opening{moves}
        FROM (
          SELECT {", ".join(f"p.{key}" for key in keys)}, p.memo, p.day, p.amount_fen,
            CASE WHEN {scope.within.sql} THEN 1 ELSE 0 END AS moved
          FROM postings p WHERE {where.sql} AND {scope.by_end.sql}
        ) AS entry
        GROUP BY {names}"""
    facts, join = "", ""
    if "case_id" in keys:
        facts = ", COALESCE(f.problem, '') AS problem, COALESCE(f.cause, '') AS cause"
        join = " LEFT JOIN case_fact_view f ON f.case_id = b.case_id"
    order = ", ".join(f"b.{key}" for key in keys)
    sql = f"SELECT b.*{facts} FROM ({sums}) AS b{join} WHERE {having} ORDER BY {order}"
    return await reads.query(sql, [*scope.within.params, *where.params, *scope.by_end.params])


async def listed(
    reads: Reads, scope: Scope, where: Condition, keys: Sequence[str], memos: Sequence[str]
) -> tuple[Sequence[Row], Row]:
    """The rows that a statement lists, and what all rows sum to: of a month, what moved in it or is left at its end; of
    all time, what is left."""
    if scope.month:
        rows = await balances(reads, scope, where, keys, memos, "closing <> 0 OR moved = 1")
        return rows, _sum(rows, memos)  # the others held nothing when the month began
    rows = await balances(reads, scope, where, keys, memos, "closing <> 0")
    return rows, _sum(await balances(reads, scope, where, ["account"], memos), memos)


def _sum(rows: Sequence[Row], memos: Sequence[str]) -> Row:
    return {name: sum(row[name] for row in rows) for name in ("opening", "closing", *memos)}
