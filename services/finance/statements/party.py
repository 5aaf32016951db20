"""Statements of parties: what each was charged, what of it was reversed, credited and recovered, and what is open."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from services.finance.ledger.statement import Move
from services.finance.periods import Condition
from services.finance.statements.ageing import Ageing, ageing_by, ageing_of, open_items, open_since
from services.finance.statements.balance import balances
from services.finance.statements.scope import AsAt, Scope
from services.kernel.event_store import Reads

#: What a party outside the business bears is posted twice more, as recoverable and as a claim, which make nothing
#: together.
TWICE: Final = "p.account IN ('recoverable', 'claims') AND p.memo IN ('charged', 'reversed', 'credited')"
#: What makes a party's balance: losses that it bears, less what was recovered of them.
BALANCE: Final = Condition(f"p.account IN ('losses', 'recoverable', 'claims') AND NOT ({TWICE})", [])
_MEMOS: Final = ("charged", "reversed", "credited", "recovered", "correction")

#: Cases and moves that one document tells; its sums hold them all.
MOST: Final = 10_000


class PartyFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What was open, moved and is open, in fen: opening + charged − reversed − credited − recovered + corrected is
    closing. Reversed: others bear it now. Credited: there is less to bear. Below zero, too much was collected."""

    opening_fen: int = 0
    charged_fen: int = 0
    reversed_fen: int = 0
    credited_fen: int = 0
    recovered_fen: int = 0
    corrected_fen: int = 0
    closing_fen: int = 0


class PartyRow(PartyFigures, frozen=True, kw_only=True):
    """A party's figures (`courier/YTO`), and how old what is open is."""

    party: str
    ageing: Ageing


class Parties(msgspec.Struct, frozen=True):
    """Every party's figures in a month, or of all time where `month` is empty, and their sums (`party` is empty)."""

    month: str
    as_at: AsAt
    parties: Sequence[PartyRow]
    total: PartyRow


class PartyCase(PartyFigures, frozen=True, kw_only=True):
    """What a party bears of one case. `open_since`: the oldest day of what is open, null where nothing is."""

    case_id: str
    problem: str
    cause: str
    open_since: str | None


class PartyStatement(msgspec.Struct, frozen=True):
    """A party's statement down to the case and the event. `cases` are those in which something moved, the largest open
    ones first, `moves` the events in order of time, `balance_fen` what the party owed after each. Of both at most
    10 000; `left_out` says how many are not told."""

    month: str
    as_at: AsAt
    total: PartyRow
    cases: Sequence[PartyCase]
    moves: Sequence[Move]
    left_out: int


async def parties(reads: Reads, scope: Scope) -> Parties:
    """Every party that bears something, or did."""
    rows = await balances(reads, scope, BALANCE, ["party"], _MEMOS)
    items = await open_items(reads, scope, BALANCE, "party")
    ages = ageing_by(items, scope.last_day)
    told = [PartyRow(**_figures(row), party=row["party"], ageing=ages.get(row["party"], Ageing())) for row in rows]
    shown = [one for one in told if one.opening_fen or one.closing_fen or _moved(one)]
    total = PartyRow(**_sum(shown), party="", ageing=ageing_of(items, scope.last_day))
    return Parties(scope.month, scope.as_at, shown, total)


async def party_statement(reads: Reads, scope: Scope, party: str) -> PartyStatement:
    """What one party was charged, case by case and event by event."""
    where = Condition(f"{BALANCE.sql} AND p.party = ?", [party])
    items = await open_items(reads, scope, where, "case_id")
    since = open_since(items)
    rows = await balances(reads, scope, where, ["party"], _MEMOS)
    figures = _figures(rows[0]) if rows else {}
    total = PartyRow(**figures, party=party, ageing=ageing_of(items, scope.last_day))
    cases = [
        PartyCase(
            **_figures(row),
            case_id=row["case_id"],
            problem=row["problem"],
            cause=row["cause"],
            open_since=since.get(row["case_id"]),
        )
        for row in await balances(reads, scope, where, ["case_id"], _MEMOS, "moved = 1")
    ]
    cases.sort(key=lambda one: -abs(one.closing_fen))
    moves, count = await _moves(reads, scope, where, total.opening_fen)
    left_out = max(0, len(cases) - MOST) + count - len(moves)
    return PartyStatement(scope.month, scope.as_at, total, cases[:MOST], moves, left_out)


async def _moves(reads: Reads, scope: Scope, where: Condition, opening_fen: int) -> tuple[Sequence[Move], int]:
    """The first moves of the scope, and how many there are."""
    source = f"FROM postings p WHERE {where.sql} AND {scope.within.sql}"
    params = [*where.params, *scope.within.params]
    [counted] = await reads.query(f"SELECT COUNT(*) AS moves {source}", params)
    columns = "p.time, p.case_id, p.type, p.event_id, p.memo, p.amount_fen"
    rows = await reads.query(f"SELECT {columns} {source} ORDER BY p.time, p.position, p.line LIMIT ?", [*params, MOST])
    return moves_of(rows, opening_fen), counted["moves"]


def moves_of(rows: Iterable[Mapping[str, Any]], opening_fen: int) -> list[Move]:
    """Postings as moves, with what is owed after each."""
    balance, moves = opening_fen, []
    for row in rows:
        balance += row["amount_fen"]
        time = datetime.fromisoformat(row["time"])
        moves.append(Move(time, row["case_id"], row["type"], row["event_id"], row["memo"], row["amount_fen"], balance))
    return moves


def _figures(row: Mapping[str, Any]) -> dict[str, int]:
    return {
        "opening_fen": row["opening"],
        "charged_fen": row["charged"],
        "reversed_fen": -row["reversed"],
        "credited_fen": -row["credited"],
        "recovered_fen": -row["recovered"],
        "corrected_fen": row["correction"],
        "closing_fen": row["closing"],
    }


def _moved(one: PartyFigures) -> bool:
    moves = (one.charged_fen, one.reversed_fen, one.credited_fen, one.recovered_fen, one.corrected_fen)
    return any(moves)


def _sum(rows: Iterable[PartyFigures]) -> dict[str, int]:
    told = list(rows)
    return {name: sum(getattr(one, name) for one in told) for name in PartyFigures.__struct_fields__}
