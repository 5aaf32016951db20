"""A shop whose books are empty."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.finance.statements.shop import SmallShop


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[SmallShop]:
    """A shop in which nothing happened."""
    shop = SmallShop.in_folder(tmp_path)
    yield shop
    await shop.store.close()
