"""One shop for all tests of this folder: playing it takes seconds."""

import asyncio
from collections.abc import Iterator

import pytest

from services.kernel import log_reader
from tests.finance.sample.shops import Played, a_season, played


@pytest.fixture(scope="package", autouse=True)
def without_lingering() -> Iterator[None]:
    """Readers handle what is there at once: whoever waits for them after every few events waits three times as long
    otherwise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_reader, "LINGER_SECONDS", 0.005)
        yield


@pytest.fixture(scope="package")
def season(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """Two months of a shop, with a fault of each kind planted."""
    return asyncio.run(played(tmp_path_factory.mktemp("season"), a_season(), 1, books=True))
