"""Histories whose books are kept: the data folders of shops, as if a power cut had ended them."""

import asyncio
import shutil
from pathlib import Path

import pytest

from services.scenarios.format import load_scenario
from services.scenarios.instance import EmbeddedInstance
from services.scenarios.runner import play
from tests.whatif.conftest import history
from tests.whatif.watched import watched

__all__ = ["history"]

LIBRARY = Path(__file__).parents[3] / "services/scenarios/library"


def played(name: str, folder: Path) -> Path:
    """The data folder of the shop in which a scenario of the library was played."""

    async def keep(instance: EmbeddedInstance) -> None:
        shutil.copytree(instance._settings.data_dir, folder)

    file = LIBRARY / f"{name}.yaml"
    result = asyncio.run(play(load_scenario(file), watched(keep), str(file)))
    assert result.ok, [difference.en for difference in result.differences]
    return folder


@pytest.fixture(scope="package")
def reassigned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A loss that went from party to party, and claims that were collected."""
    return played("47-liability-reassigned", tmp_path_factory.mktemp("reassigned") / "data")


@pytest.fixture(scope="package")
def exchanged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A return, an exchange and its deposit, with payouts of several kinds."""
    return played("43-freight-before-deposit", tmp_path_factory.mktemp("exchanged") / "data")
