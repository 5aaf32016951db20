"""Logs that tests of this folder share."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from services.kernel.event_store import EventStore
from services.kernel.migrations import migrate
from services.kernel.stores import open_store
from services.stack.postgres import PostgresCluster
from tests.transfer import history

NewLog = Callable[..., Awaitable[EventStore]]


@pytest.fixture
async def new_log(tmp_path: Path) -> AsyncIterator[NewLog]:
    """Makes logs, `await new_log("name", events)`, each in a file; they are closed after the test."""
    stores: list[EventStore] = []

    async def make(name: str, events: int = 0) -> EventStore:
        stores.append(await history.log(tmp_path, name, events))
        return stores[-1]

    yield make
    for store in stores:
        await store.close()


@pytest.fixture
async def postgres_log(postgres: PostgresCluster, request: pytest.FixtureRequest) -> AsyncIterator[EventStore]:
    """An empty log in a database of its own."""
    name = f"transfer_{abs(hash(request.node.nodeid)) % 10**9}"
    postgres.create_database(name)
    await asyncio.to_thread(migrate, postgres.url(name), history.MIGRATIONS)
    store = open_store(postgres.url(name), history.decode)
    yield store
    await store.close()
