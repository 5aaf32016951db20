"""Databases that tests of this folder share."""

from collections.abc import AsyncIterator

import pytest

from services.stack.postgres import PostgresCluster
from tests.kernel.postgres import PostgresDatabase


@pytest.fixture(scope="session")
def _migrated_database(postgres: PostgresCluster) -> PostgresDatabase:
    return PostgresDatabase(postgres, "store")


@pytest.fixture
async def postgres_database(_migrated_database: PostgresDatabase) -> AsyncIterator[PostgresDatabase]:
    """A migrated, empty database; stores that the test opened are closed after it."""
    await _migrated_database.empty()
    yield _migrated_database
    await _migrated_database.close_stores()
