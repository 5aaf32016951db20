"""Suspense: losses that are recorded and that nobody bears yet, case by case, with their age."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from services.finance.periods import Condition
from services.finance.statements.ageing import Ageing, age_of, ageing_of, open_items, open_since
from services.finance.statements.balance import listed
from services.finance.statements.scope import AsAt, Scope
from services.kernel.event_store import Reads

_BALANCE: Final = Condition("p.account = 'suspense'", [])
#: What goes to a party and comes back from it; every other memo is a term of a loss that was recorded.
_ASSIGNED: Final = ("charged", "reversed", "credited")
_MEMOS: Final = (*_ASSIGNED, "correction")


class SuspenseFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What nobody bore, moved and nobody bears, in fen: opening + recorded − assigned + corrected is closing. Assigned:
    charged to parties, less what came back from them."""

    opening_fen: int
    recorded_fen: int
    assigned_fen: int
    corrected_fen: int
    closing_fen: int


class SuspenseRow(SuspenseFigures, frozen=True, kw_only=True):
    """One case; `since` is the oldest day of what nobody bears, null where there is nothing, and `age_days` its age."""

    order_id: str
    case_id: str
    problem: str
    cause: str
    since: str | None
    age_days: int | None


class Suspense(msgspec.Struct, frozen=True):
    """Cases with suspense when the month ends, and those in which it moved; of all time, those that have some. The
    total is of all cases, and the balance of the account `suspense`."""

    month: str
    as_at: AsAt
    cases: Sequence[SuspenseRow]
    total: SuspenseFigures
    ageing: Ageing


async def suspense(reads: Reads, scope: Scope) -> Suspense:
    """Cases one by one."""
    items = await open_items(reads, scope, _BALANCE, "case_id")
    since = open_since(items)
    rows, total = await listed(reads, scope, _BALANCE, ["order_id", "case_id"], _MEMOS)
    told = [_row(row, since.get(row["case_id"]), scope.last_day) for row in rows]
    figures = SuspenseFigures(**_figures(total))
    return Suspense(scope.month, scope.as_at, told, figures, ageing_of(items, scope.last_day))


def _row(row: Mapping[str, Any], since: str | None, last_day: str) -> SuspenseRow:
    return SuspenseRow(
        **_figures(row),
        order_id=row["order_id"],
        case_id=row["case_id"],
        problem=row["problem"],
        cause=row["cause"],
        since=since,
        age_days=None if since is None else age_of(since, last_day),
    )


def _figures(row: Mapping[str, Any]) -> dict[str, int]:
    assigned = -sum(row[memo] for memo in _ASSIGNED)
    return {
        "opening_fen": row["opening"],
        "recorded_fen": row["closing"] - row["opening"] + assigned - row["correction"],
        "assigned_fen": assigned,
        "corrected_fen": row["correction"],
        "closing_fen": row["closing"],
    }
