"""What is suspicious in the books and in the stored bills by themselves, whatever any channel says."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from services.finance.reconciliation_reading import Inputs
from services.finance.reconciling.items import day_of, ordinal
from services.finance.reconciling.outcome import Found, Kind, discrepancy_id
from services.finance.reconciling.scope import Scope
from services.kernel.event_store import Reads

#: Days within which the shop promises to solve a case: by then somebody has said why it came to that.
_SOLVED_DAYS: Final = 3
#: Events of one case that are named.
_NAMED: Final = 50


async def suspicions(reads: Reads, inputs: Inputs) -> Sequence[Found]:
    """Of all days up to the run's last: freight insurance that was not deducted, losses that nobody bears,
    and bills whose stored rows are not what the bill came to."""
    scope = inputs.scope
    return [
        *await _insurance(reads, scope.last_day),
        *await _unassigned(reads, scope, inputs.position),
        *await _footers(reads, scope.channel, inputs.bills),
    ]


async def _insurance(reads: Reads, last_day: str) -> Sequence[Found]:
    rows = await reads.query(
        "SELECT case_id, order_id, difference, day, expected_fen, found_fen, events FROM insurance_view"
        " WHERE difference <> '' AND day <= ? ORDER BY day, case_id",
        [last_day],
    )
    return [_insured(row, msgspec.json.decode(row["events"], type=tuple[str, ...])) for row in rows]


def _insured(row: dict[str, Any], events: tuple[str, ...]) -> Found:
    return Found(
        discrepancy=discrepancy_id(row["difference"], [row["case_id"], *events]),
        kind=row["difference"],
        channel="",
        day=row["day"],
        expected_fen=row["expected_fen"],
        found_fen=row["found_fen"],
        order_id=row["order_id"],
        case_id=row["case_id"],
        events=events,
    )


async def _unassigned(reads: Reads, scope: Scope, position: int) -> Sequence[Found]:
    """Losses that nobody bears: of a case that is closed, or longer than a case may take to be solved."""
    waited = day_of(ordinal(scope.books_day) - _SOLVED_DAYS) if scope.books_day else ""
    rows = await reads.query(
        "SELECT p.case_id AS case_id, min(p.order_id) AS order_id, min(p.day) AS day,"
        " CAST(sum(p.amount_fen) AS BIGINT) AS fen, min(c.solution_seconds) AS solved_after FROM postings p"
        " LEFT JOIN case_fact_view c ON c.case_id = p.case_id WHERE p.account = 'suspense' AND p.position <= ?"
        " GROUP BY p.case_id HAVING sum(p.amount_fen) <> 0 AND min(p.day) <= ? ORDER BY p.case_id",
        [position, scope.last_day],
    )
    late = [row for row in rows if row["solved_after"] is not None or row["day"] <= waited]
    return [await _unborne(reads, row) for row in late]


async def _unborne(reads: Reads, row: dict[str, Any]) -> Found:
    events = await reads.query(
        "SELECT DISTINCT position, event_id FROM postings WHERE case_id = ? AND account = 'suspense'"
        " ORDER BY position LIMIT ?",
        [row["case_id"], _NAMED],
    )
    return Found(
        discrepancy=discrepancy_id(Kind.LIABILITY_UNASSIGNED, [row["case_id"]]),
        kind=Kind.LIABILITY_UNASSIGNED,
        channel="",
        day=row["day"],
        expected_fen=0,
        found_fen=row["fen"],
        order_id=row["order_id"],
        case_id=row["case_id"],
        events=tuple(one["event_id"] for one in events),
    )


async def _footers(reads: Reads, channel: str, bills: Iterable[str]) -> Sequence[Found]:
    """What each bill came to when it was taken in, as its footer said, beside what is stored of it."""
    found = []
    for bill in bills:
        [said] = await reads.query("SELECT * FROM bill_view WHERE bill = ?", [bill])
        [stored] = await reads.query(
            "SELECT count(*) AS rows_stored,"
            " CAST(coalesce(sum(amount_fen), 0) AS BIGINT) AS fen FROM bill_row WHERE bill = ?",
            [bill],
        )
        own_rows, says_fen = said["row_count"] - said["known_rows"], said["in_fen"] - said["out_fen"]
        differs = stored["rows_stored"] != own_rows or (not said["known_rows"] and stored["fen"] != says_fen)
        if differs:
            found.append(_footer(channel, said, says_fen, stored["fen"]))
    return found


def _footer(channel: str, said: dict[str, Any], says_fen: int, stored_fen: int) -> Found:
    return Found(
        discrepancy=discrepancy_id(Kind.BILL_FOOTER_WRONG, [said["bill"]]),
        kind=Kind.BILL_FOOTER_WRONG,
        channel=channel,
        day=said["first_day"],
        expected_fen=says_fen,
        found_fen=stored_fen,
        rows=(),
    )
