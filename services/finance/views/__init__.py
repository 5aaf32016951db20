"""The read tables of finance, subject by subject."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain

from services.finance.domain.books import Books
from services.finance.domain.order import OrderBooks
from services.finance.views import (
    bills,
    case_facts,
    corrections,
    discrepancies,
    insurance,
    ledger,
    mappings,
    periods,
    runs,
)
from services.kernel.views import EventViews, Row

_OF_CASES = (case_facts, insurance)
_OF_BOOKS = (mappings, bills, runs, discrepancies, corrections, periods)


def _owners() -> Iterator[tuple[str, str]]:
    yield from ledger.OWNERS.items()
    for subject in _OF_CASES:
        yield from ((table, "case_id") for table in subject.TABLES)
    for subject in _OF_BOOKS:
        yield from ((table, columns[0]) for table, columns in subject.TABLES.items())


class FinanceViews(EventViews[OrderBooks | Books]):
    """Rows of finance."""

    tables: Mapping[str, Sequence[str]] = dict(
        chain.from_iterable(one.TABLES.items() for one in (ledger, *_OF_CASES, *_OF_BOOKS))
    )
    keys: Mapping[str, int] = dict(chain.from_iterable(one.KEYS.items() for one in (ledger, *_OF_CASES, *_OF_BOOKS)))
    owners: Mapping[str, str] = dict(_owners())

    def rows(self, file: OrderBooks | Books, subjects: Collection[str]) -> Mapping[str, Sequence[Row]]:
        """The rows of these cases, or of these subjects of the books."""
        found: dict[str, Sequence[Row]] = dict(ledger.rows(file, subjects))
        for one in _OF_BOOKS if isinstance(file, Books) else _OF_CASES:
            found |= one.rows(file, subjects)
        return found

    def event_rows(self, file: OrderBooks | Books, positions: Mapping[str, int]) -> Mapping[str, Sequence[Row]]:
        """What these events posted."""
        return ledger.event_rows(file, positions)
