"""The offices that bills are sent to in this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import _logging
from tests.finance.importing.office import Office

__all__ = ["_logging"]


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """An office of one test alone."""
    office = Office(tmp_path / "data")
    yield office
    office.server.close()


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """An office that takes no bill of all that a module sends to it."""
    office = Office(tmp_path_factory.mktemp("strict") / "data")
    yield office
    office.server.close()
