"""Rows of discrepancies."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec

from services.finance.domain.books import Books
from services.finance.domain.discrepancies import Discrepancy
from services.kernel.views import Row, utc

DISCREPANCIES: Final = (
    "discrepancy",
    "kind",
    "channel",
    "day",
    "expected_fen",  # bigint
    "found_fen",  # bigint
    "state",
    "owner",
    "run",
    "order_id",
    "case_id",
    "rows",
    "events",
    "found_at",
    "closed_at",
    "correction",
)

TABLES: Mapping[str, Sequence[str]] = {"discrepancy_view": DISCREPANCIES}
KEYS: Mapping[str, int] = {"discrepancy_view": 1}


def rows(file: Books, subjects: Collection[str]) -> Mapping[str, Sequence[Row]]:
    """The discrepancies among these subjects of the books."""
    known = file.discrepancies.all
    return {"discrepancy_view": [_row(known[name]) for name in subjects if name in known]}


def _row(one: Discrepancy) -> Row:
    event = one.event
    return {
        "discrepancy": event.discrepancy,
        "kind": event.kind,
        "channel": event.channel,
        "day": event.day,
        "expected_fen": event.expected_fen,
        "found_fen": event.found_fen,
        "state": "open" if one.closed_at is None else "closed",
        "owner": one.owner,
        "run": event.run,
        "order_id": event.order_id,
        "case_id": event.case_id,
        "rows": msgspec.json.encode(event.rows).decode(),
        "events": msgspec.json.encode(event.events).decode(),
        "found_at": utc(one.found_at),
        "closed_at": utc(one.closed_at) if one.closed_at else "",
        "correction": one.correction,
    }
