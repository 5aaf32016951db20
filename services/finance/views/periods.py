"""Rows of closed months."""

from collections.abc import Collection, Mapping, Sequence

from services.finance.domain.books import Books
from services.finance.domain.periods import Closed
from services.kernel.views import Row, utc

PERIODS = (
    "month",
    "position",  # bigint
    "closed_at",
    "closed_by",
    "root",
    "report",
    "postings",  # bigint
    "late",  # bigint
)

TABLES: Mapping[str, Sequence[str]] = {"period_view": PERIODS}
KEYS: Mapping[str, int] = {"period_view": 1}


def rows(file: Books, subjects: Collection[str]) -> Mapping[str, Sequence[Row]]:
    """The rows of the closed months among these subjects."""
    closed = file.periods.closed
    return {"period_view": [_row(closed[subject]) for subject in subjects if subject in closed]}


def _row(closed: Closed) -> Row:
    event = closed.event
    return {
        "month": event.month,
        "position": event.position,
        "closed_at": utc(closed.at),
        "closed_by": closed.by,
        "root": event.root,
        "report": event.report,
        "postings": event.postings,
        "late": event.late,
    }
