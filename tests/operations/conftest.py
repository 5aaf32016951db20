"""Logs of cases in both databases, and desks on them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from contracts.registry import decode
from services.kernel.clock import SystemClock
from services.kernel.event_store import EventStore
from services.kernel.migrations import migrate
from services.kernel.operations import Desk
from services.kernel.stores import open_store
from services.stack.postgres import PostgresCluster

MIGRATIONS = Path(__file__).parents[2] / "services/cases/migrations"


@pytest.fixture(params=["sqlite", "postgres"])
async def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of cases."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'cases.db'}"
    if request.param == "postgres":
        cluster: PostgresCluster = request.getfixturevalue("postgres")
        name = f"operations_{abs(hash(request.node.nodeid)) % 10**9}"
        cluster.create_database(name)
        url = cluster.url(name)
    await asyncio.to_thread(migrate, url, MIGRATIONS)
    return url


@pytest.fixture
async def new_desk(database_url: str) -> AsyncIterator[Callable[[], Desk]]:
    """Makes desks, each on a store of its own, as other processes have; they are closed after the test."""
    stores: list[EventStore] = []

    def make() -> Desk:
        stores.append(open_store(database_url, decode, readers=1))
        return Desk(stores[-1], "cases", SystemClock())

    yield make
    for store in stores:
        await store.close()


@pytest.fixture
def desk(new_desk: Callable[[], Desk]) -> Desk:
    """A desk."""
    return new_desk()
