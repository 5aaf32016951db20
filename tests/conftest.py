"""Servers that tests share: started when the first test asks for one, once per run."""

from collections.abc import Iterator

import pytest

from services.kernel.testing.postgres import PostgresCluster, throwaway_cluster


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresCluster]:
    """A running PostgreSQL server; tests make their own databases in it and leave it running."""
    with throwaway_cluster() as cluster:
        yield cluster
