"""How old the open part of a balance is: each case's charges are settled oldest first, so what is open is the newest.

A balance that is the wrong way round (more was collected than charged) is open too, from the days on which it became
so: the ages of a statement always sum to its closing balance.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from itertools import groupby
from typing import Final, NamedTuple

import msgspec

from services.finance.periods import Condition
from services.finance.statements.scope import Scope
from services.kernel.event_store import Reads

#: The last day of each age but the oldest.
_LIMITS: Final = (30, 60, 90)


class Ageing(msgspec.Struct, frozen=True):
    """What is open by the days since it was charged, in fen."""

    days_0_30_fen: int = 0
    days_31_60_fen: int = 0
    days_61_90_fen: int = 0
    over_90_days_fen: int = 0


class OpenItem(NamedTuple):
    """What of a day's charges is still open; `whose` is the party or the case."""

    whose: str
    day: str
    amount_fen: int


async def open_items(reads: Reads, scope: Scope, where: Condition, whose: str) -> Sequence[OpenItem]:
    """What is open of these accounts when the scope ends, by day and by `whose`: `party` or `case_id`.

    A balance is what its case and party come to; the entries of its sign make it, the newest first.
    """
    sql = f"""
        SELECT {whose} AS whose, day, CAST(SUM(
          CASE WHEN ABS(newest_fen) <= ABS(balance_fen) THEN amount_fen ELSE amount_fen - newest_fen + balance_fen END
        ) AS bigint) AS amount_fen
        FROM (
          SELECT party, case_id, day, amount_fen, balance_fen, SUM(amount_fen) OVER (
            PARTITION BY party, case_id ORDER BY day DESC, position DESC, line DESC ROWS UNBOUNDED PRECEDING
          ) AS newest_fen
          FROM (
            SELECT p.party, p.case_id, p.day, p.position, p.line, p.amount_fen,
              SUM(p.amount_fen) OVER (PARTITION BY p.party, p.case_id) AS balance_fen
            FROM postings p WHERE {where.sql} AND {scope.by_end.sql}
          ) AS entry
          WHERE balance_fen <> 0 AND (amount_fen > 0) = (balance_fen > 0)
        ) AS side
        WHERE ABS(newest_fen - amount_fen) < ABS(balance_fen)
        GROUP BY {whose}, day ORDER BY {whose}, day"""
    rows = await reads.query(sql, [*where.params, *scope.by_end.params])
    return [OpenItem(row["whose"], row["day"], row["amount_fen"]) for row in rows]


def age_of(day: str, last_day: str) -> int:
    """How many days ago a day was; 0 for one that is to come."""
    return max(0, (date.fromisoformat(last_day) - date.fromisoformat(day)).days)


def ageing_of(items: Iterable[OpenItem], last_day: str) -> Ageing:
    """Open items by age."""
    ages = [0] * (len(_LIMITS) + 1)
    for item in items:
        age = age_of(item.day, last_day)
        ages[sum(age > limit for limit in _LIMITS)] += item.amount_fen
    return Ageing(*ages)


def ageing_by(items: Iterable[OpenItem], last_day: str) -> dict[str, Ageing]:
    """The same for each party or case; items come in its order."""
    grouped = groupby(items, key=lambda item: item.whose)
    return {whose: ageing_of(some, last_day) for whose, some in grouped}


def open_since(items: Iterable[OpenItem]) -> dict[str, str]:
    """The oldest day that something of a party or case is open from."""
    since: dict[str, str] = {}
    for item in items:
        since[item.whose] = min(item.day, since.get(item.whose, item.day))
    return since
