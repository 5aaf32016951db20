"""Recoveries: what parties outside the business owe of the losses that they bear, by age."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from services.finance.periods import Condition
from services.finance.statements.ageing import Ageing, age_of, open_items, open_since
from services.finance.statements.party import BALANCE, PartyFigures, PartyRow, parties
from services.finance.statements.scope import AsAt, Scope
from services.kernel.event_store import Reads


class Recovery(PartyRow, frozen=True, kw_only=True):
    """What a party owes, in fen: `closing_fen`, of so many cases; `open_since` is the oldest day of it, null where
    nothing is open, and `age_days` its age. Below zero, too much was collected."""

    open_cases: int
    open_since: str | None
    age_days: int | None


class Recoveries(msgspec.Struct, frozen=True):
    """What each party outside the business owed when a month began, was charged, paid and owes when it ends, the one
    that owes most first; of all time where `month` is empty. What they owe in all is the ledger's account
    `recoverable`."""

    month: str
    as_at: AsAt
    parties: Sequence[Recovery]
    total: Recovery


async def recoveries(reads: Reads, scope: Scope, external: Collection[str]) -> Recoveries:
    """Those parties whose code is in `external`; nobody else can be claimed from."""
    told = [row for row in (await parties(reads, scope)).parties if row.party.partition("/")[0] in external]
    since = open_since(await open_items(reads, scope, BALANCE, "party"))
    cases = await _open_cases(reads, scope)
    rows = [_recovery(row, cases.get(row.party, 0), since.get(row.party), scope.last_day) for row in told]
    rows.sort(key=lambda row: (-row.closing_fen, row.party))
    oldest = min((row.open_since for row in rows if row.open_since), default=None)
    whole = PartyRow(**_sum(rows, PartyFigures), party="", ageing=Ageing(**_sum((one.ageing for one in rows), Ageing)))
    total = _recovery(whole, sum(row.open_cases for row in rows), oldest, scope.last_day)
    return Recoveries(scope.month, scope.as_at, rows, total)


async def _open_cases(reads: Reads, scope: Scope) -> Mapping[str, int]:
    """How many cases of each party are not settled when the scope ends."""
    where = Condition(f"{BALANCE.sql} AND {scope.by_end.sql}", scope.by_end.params)
    sql = f"""
        SELECT party, COUNT(*) AS cases FROM (
          SELECT p.party, p.case_id FROM postings p WHERE {where.sql}
          GROUP BY p.party, p.case_id HAVING SUM(p.amount_fen) <> 0
        ) AS unsettled GROUP BY party"""
    return {row["party"]: row["cases"] for row in await reads.query(sql, where.params)}


def _recovery(row: PartyRow, cases: int, since: str | None, last_day: str) -> Recovery:
    age_days = None if since is None else age_of(since, last_day)
    return Recovery(**msgspec.structs.asdict(row), open_cases=cases, open_since=since, age_days=age_days)


def _sum(some: Iterable[Any], figures: type[msgspec.Struct]) -> dict[str, int]:
    """Every figure of these, added up."""
    told = list(some)
    return {name: sum(getattr(one, name) for one in told) for name in figures.__struct_fields__}
