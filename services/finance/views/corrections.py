"""Rows of corrections."""

from collections.abc import Collection, Mapping, Sequence

import msgspec

from services.finance.domain.books import Books
from services.finance.domain.corrections import Correction
from services.kernel.views import Row, utc

CORRECTIONS = (
    "correction",
    "state",
    "reason",
    "proposed_by",
    "proposed_at",
    "decided_by",
    "decided_at",
    "answer",
    "booked_on",
    "amount_fen",  # bigint
    "legs",
    "discrepancies",
)

TABLES: Mapping[str, Sequence[str]] = {"correction_view": CORRECTIONS}
KEYS: Mapping[str, int] = {"correction_view": 1}


def rows(file: Books, subjects: Collection[str]) -> Mapping[str, Sequence[Row]]:
    """The rows of the corrections among these subjects."""
    known = file.corrections.all
    return {"correction_view": [_row(known[subject]) for subject in subjects if subject in known]}


def _row(one: Correction) -> Row:
    return {
        "correction": one.correction,
        "state": one.state,
        "reason": one.reason,
        "proposed_by": one.proposed_by,
        "proposed_at": utc(one.proposed_at),
        "decided_by": one.decided_by,
        "decided_at": utc(one.decided_at) if one.decided_at else "",
        "answer": one.answer,
        "booked_on": one.booked_on,
        "amount_fen": sum(leg.amount_fen for leg in one.legs if leg.amount_fen > 0),
        "legs": msgspec.json.encode(one.legs).decode(),
        "discrepancies": msgspec.json.encode(one.discrepancies).decode(),
    }
