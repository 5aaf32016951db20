"""What a played shop lost, as finance tells it by group, against the ledger that is made of the logs alone."""

from collections import Counter
from collections.abc import AsyncIterator

import pytest

from contracts.registry import decode
from services.finance.statements.losses import GROUPINGS, Asked, loss_cases, losses
from services.finance.statements.months import Months, months_of
from services.finance.statements.scope import AsAt
from services.kernel.event_store import EventStore
from services.kernel.settings import load_settings
from services.kernel.shop_time import shop_month
from services.kernel.stores import open_store
from tests.finance.sample.shops import Played


@pytest.fixture
async def books(season: Played) -> AsyncIterator[EventStore]:
    """The database of finance, whose months are closed."""
    settings = load_settings({}, data_dir=season.folder)
    store = open_store(settings.database_of("finance"), decode, read_only=True)
    yield store
    await store.close()


async def _span(season: Played, books: EventStore) -> tuple[Months, AsAt]:
    as_at = AsAt(await books.head_position(), season.year.ends)
    first, last = str(season.year.months[0]), shop_month(season.year.ends)
    return await months_of(books, first, last, as_at), as_at


@pytest.mark.parametrize("by", GROUPINGS)
async def test_losses_are_those_of_the_logs(season: Played, books: EventStore, by: str) -> None:
    """Charged, in suspense and recovered: whatever they are grouped by, with every case behind every bar."""
    held: Counter[str] = Counter()
    for posting in (posting for one in season.ledger for posting in one.postings):
        if posting.account != "recoverable" or posting.memo == "recovered":
            held[posting.account] += posting.amount_fen
    months, as_at = await _span(season, books)
    found = await losses(books, months, as_at, Asked(by, {}))
    assert found.total.charged_fen == held["losses"] > 0
    assert found.total.suspense_fen == held["suspense"] > 0
    assert found.total.recovered_fen == -held["recoverable"] > 0
    for row in found.rows:
        page = await loss_cases(books, months, as_at, Asked(by, {}), row.key, 500, None)
        assert sum(one.loss_fen for one in page.items) == row.loss_fen
        assert len(page.items) == row.cases
    if by == "party":
        borne = Counter(posting.party for one in season.ledger for posting in one.postings)
        assert {row.key for row in found.rows} <= {*borne}
