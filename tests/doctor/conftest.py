"""One shop is filled for all tests of this folder; each damages a copy."""

import asyncio
from pathlib import Path

import pytest

from tests.doctor.damage import Books, fill


@pytest.fixture(scope="session")
def _filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("books") / "data"
    asyncio.run(fill(folder))
    return folder


@pytest.fixture
def books(_filled: Path, tmp_path: Path) -> Books:
    """A sound shop at rest, of the test's own."""
    return Books.copied(_filled, tmp_path / "data")
