"""Rows of saved column mappings."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from services.finance.domain.books import Books
from services.finance.domain.mappings import SavedMapping
from services.kernel.views import Row, utc

MAPPINGS: Final = ("mapping", "content", "saved_at", "saved_by")

TABLES: Mapping[str, Sequence[str]] = {"mapping_view": MAPPINGS}
KEYS: Mapping[str, int] = {"mapping_view": 1}


def rows(file: Books, subjects: Collection[str]) -> Mapping[str, Sequence[Row]]:
    """The mappings among these subjects of the books."""
    saved = file.mappings.saved
    return {"mapping_view": [_row(saved[name]) for name in subjects if name in saved]}


def _row(saved: SavedMapping) -> Row:
    return {
        "mapping": saved.mapping,
        "content": saved.content,
        "saved_at": utc(saved.saved_at),
        "saved_by": saved.saved_by,
    }
