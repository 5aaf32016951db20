"""The shops that tests of this folder close the books of."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import _logging
from tests.finance.periods.shop import Shop

__all__ = ["_logging"]


@pytest.fixture(scope="package")
def october(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a shop with 5.00 yuan paid in October, to be copied: making one takes longer."""
    folder = tmp_path_factory.mktemp("october") / "data"
    shop = Shop(folder)
    shop.paid(500, "2026-10-05")
    shop.server.close()
    return folder


@pytest.fixture
def shop(october: Path, tmp_path: Path) -> Iterator[Shop]:
    """A shop of one test alone, on 3 November, with 5.00 yuan paid in October."""
    shop = Shop(shutil.copytree(october, tmp_path / "data"))
    yield shop
    shop.server.close()


@pytest.fixture(scope="module")
def shared(october: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Such a shop, whose books no test of a module changes."""
    shop = Shop(shutil.copytree(october, tmp_path_factory.mktemp("shared") / "data"))
    yield shop
    shop.server.close()
