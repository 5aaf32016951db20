"""Reading the books as a service of finance holds them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from services.finance.domain.books import BOOKS, Books
from services.kernel.service import Service


@asynccontextmanager
async def reading_books(service: Service[Any]) -> AsyncIterator[tuple[Books, int]]:
    """The books and their version, with everything that is committed; they must not be changed, nor used afterwards."""
    async with service.files.reading(BOOKS) as (file, version):
        assert isinstance(file, Books)
        yield file, version
