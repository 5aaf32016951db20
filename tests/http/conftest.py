"""The server that the tests of a module share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.http.server import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running server; each test makes orders of its own."""
    running = Server(tmp_path_factory.mktemp("server"))
    yield running
    running.close()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Server]:
    """A server of one test alone."""
    running = Server(tmp_path)
    yield running
    running.close()
