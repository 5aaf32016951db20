"""How a reader waits for what is on its way to it."""

import asyncio
from typing import Protocol

from services.kernel.event_store import Reads
from services.kernel.log_reader import REACHED_SECONDS

#: How often it is looked how far another process came, in seconds.
LOOK_SECONDS = 0.02


class Freshness(Protocol):
    """Knows how to wait for what is on its way."""

    async def heard(self) -> None:
        """Wait until this service has heard what others have committed by now; raises `TimeoutError`."""

    async def views_caught_up(self) -> None:
        """Wait until the read tables show what follows from everything committed by now; raises `TimeoutError`."""


class WrittenElsewhere:
    """Freshness where another process writes the read tables: its checkpoint tells how far it is.

    That one stays before a file whose rows cannot be written: then nobody's wait ends well until it was mended.
    """

    def __init__(self, store: Reads, consumer: str, source: str) -> None:
        self._store = store
        self._consumer, self._source = consumer, source

    async def heard(self) -> None:
        """Not waited for: what others have committed may not even be published yet, and nobody here could tell."""

    async def views_caught_up(self) -> None:
        head = await self._store.head_position()
        async with asyncio.timeout(REACHED_SECONDS):
            while await self._store.checkpoint(self._consumer, self._source) < head:  # noqa: ASYNC110 - another process
                await asyncio.sleep(LOOK_SECONDS)
