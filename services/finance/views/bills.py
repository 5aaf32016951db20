"""Rows of bills that were taken in. What they list is no read table: `services/finance/importing.py` writes that."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from services.finance.domain.bills import ImportedBill
from services.finance.domain.books import Books
from services.kernel.views import Row, utc

BILLS: Final = (
    "bill",
    "file_name",
    "kind",
    "channel",
    "merchant",
    "currency",
    "first_day",
    "last_day",
    "row_count",  # bigint
    "known_rows",  # bigint
    "in_fen",  # bigint
    "out_fen",  # bigint
    "fee_fen",  # bigint
    "imported_at",
    "imported_by",
    "mapping",
)

TABLES: Mapping[str, Sequence[str]] = {"bill_view": BILLS}
KEYS: Mapping[str, int] = {"bill_view": 1}
# indexes: bill_by_time (imported_at, bill), bill_by_channel (channel, first_day)


def rows(file: Books, subjects: Collection[str]) -> Mapping[str, Sequence[Row]]:
    """The bills among these subjects of the books."""
    imported = file.bills.imported
    return {"bill_view": [_row(imported[bill]) for bill in subjects if bill in imported]}


def _row(imported: ImportedBill) -> Row:
    event = imported.event
    return {
        "bill": event.bill,
        "file_name": event.file_name,
        "kind": event.kind,
        "channel": event.channel,
        "merchant": event.merchant,
        "currency": event.currency,
        "first_day": event.first_day,
        "last_day": event.last_day,
        "row_count": event.rows,
        "known_rows": event.known_rows,
        "in_fen": event.in_fen,
        "out_fen": event.out_fen,
        "fee_fen": event.fee_fen,
        "imported_at": utc(imported.imported_at),
        "imported_by": imported.imported_by,
        "mapping": event.mapping,
    }
