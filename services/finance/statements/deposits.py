"""Deposits: what is held of each, what came in and where it went."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from services.finance.periods import Condition
from services.finance.statements.ageing import Ageing, OpenItem, age_of, ageing_of
from services.finance.statements.balance import listed
from services.finance.statements.scope import AsAt, Scope
from services.kernel.event_store import Reads

_BALANCE: Final = Condition("p.account = 'deposits_held'", [])
_MEMOS: Final = ("deposit", "deposit_return", "deposit_forfeited", "correction")


class DepositFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What was held, moved and is held, in fen: opening + collected − returned − forfeited + corrected is closing."""

    opening_fen: int
    collected_fen: int
    returned_fen: int
    forfeited_fen: int
    corrected_fen: int
    closing_fen: int


class DepositRow(DepositFigures, frozen=True, kw_only=True):
    """One deposit; `age_days` since it came in, null where nothing of it is held."""

    order_id: str
    case_id: str
    deposit: str
    since: str
    age_days: int | None


class Deposits(msgspec.Struct, frozen=True):
    """Deposits that are held when the month ends, and those that moved in it; of all time, those that are held. The
    total is of all deposits; it is the balance of the account `deposits_held`, which is a credit there."""

    month: str
    as_at: AsAt
    deposits: Sequence[DepositRow]
    total: DepositFigures
    ageing: Ageing


async def deposits(reads: Reads, scope: Scope) -> Deposits:
    """Deposits one by one."""
    rows, total = await listed(reads, scope, _BALANCE, ["order_id", "case_id", "item"], _MEMOS)
    told = [_row(row, scope.last_day) for row in rows]
    held = [OpenItem(one.case_id, one.since, one.closing_fen) for one in told if one.closing_fen]
    figures = DepositFigures(**_figures(total))
    return Deposits(scope.month, scope.as_at, told, figures, ageing_of(held, scope.last_day))


def _row(row: Mapping[str, Any], last_day: str) -> DepositRow:
    return DepositRow(
        **_figures(row),
        order_id=row["order_id"],
        case_id=row["case_id"],
        deposit=row["item"],
        since=row["since"],
        age_days=age_of(row["since"], last_day) if row["closing"] else None,
    )


def _figures(row: Mapping[str, Any]) -> dict[str, int]:
    return {
        "opening_fen": -row["opening"],
        "collected_fen": -row["deposit"],
        "returned_fen": row["deposit_return"],
        "forfeited_fen": row["deposit_forfeited"],
        "corrected_fen": -row["correction"],
        "closing_fen": -row["closing"],
    }
