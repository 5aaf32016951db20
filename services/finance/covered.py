"""Which channels a month was not reconciled with: those that bills ever came from, day by day."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

from services.finance.statements.scope import days_of
from services.kernel.event_store import Reads

_EARLIEST: Final = "1970-01"
_LATEST: Final = "9998-12"


async def not_reconciled(reads: Reads, month: str) -> Sequence[str]:
    """Payment channels with bills, of which a day of the month is in no reconciliation."""
    if not _EARLIEST <= month <= _LATEST:  # nothing ever moved then
        return []
    first, last = days_of(month)
    known = await reads.query("SELECT DISTINCT channel FROM bill_view WHERE channel NOT LIKE '%/%' ORDER BY channel")
    runs = await reads.query(
        "SELECT channel, first_day, last_day FROM run_view WHERE first_day <= ? AND last_day >= ? ORDER BY first_day",
        [last.isoformat(), first.isoformat()],
    )
    spans: dict[str, list[tuple[str, str]]] = {row["channel"]: [] for row in known}
    for run in runs:
        spans.setdefault(run["channel"], []).append((run["first_day"], run["last_day"]))
    return [row["channel"] for row in known if not _covers(first, last, spans[row["channel"]])]


def _covers(first: date, last: date, spans: Sequence[tuple[str, str]]) -> bool:
    """Whether spans of days, by their first, leave out no day between these."""
    wanted = first
    for begins, ends in spans:
        if date.fromisoformat(begins) <= wanted:
            wanted = max(wanted, date.fromisoformat(ends) + timedelta(days=1))
    return wanted > last
