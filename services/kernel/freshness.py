"""How a reader waits for what is on its way to it."""

import asyncio
from typing import Protocol

from services.kernel.event_store import Reads, StoreUnavailable
from services.kernel.log_reader import REACHED_SECONDS

#: How often it is looked how far another process came, in seconds.
LOOK_SECONDS = 0.02


class Freshness(Protocol):
    """Knows how to wait for what is on its way."""

    async def heard(self) -> None:
        """Wait until this service has heard what others have committed by now; raises `TimeoutError`."""

    async def views_caught_up(self) -> None:
        """Wait until the read tables show what follows from everything committed by now; raises `TimeoutError`, or
        `TablesStandStill` where waiting longer is of no use."""


class TablesStandStill(StoreUnavailable):
    """The read tables have not come on at all for as long as anybody waits: their writer stands before an event of this
    order, or nobody is at work on them."""

    def __init__(self, order_id: str) -> None:
        super().__init__(f"the read tables stand still before an event of {order_id}")
        self.order_id = order_id


class WrittenElsewhere:
    """Freshness where another process writes the read tables: its checkpoint tells how far it is.

    That one stays before a file whose rows cannot be written: then nobody's wait ends well until it was mended, and
    `TablesStandStill` says which file it is.
    """

    def __init__(self, store: Reads, consumer: str, source: str) -> None:
        self._store = store
        self._consumer, self._source = consumer, source

    async def heard(self) -> None:
        """Not waited for: what others have committed may not even be published yet, and nobody here could tell."""

    async def views_caught_up(self) -> None:
        head = await self._store.head_position()
        began = at = await self._stands()
        try:
            async with asyncio.timeout(REACHED_SECONDS):
                while at < head:
                    await asyncio.sleep(LOOK_SECONDS)
                    at = await self._stands()
        except TimeoutError:
            if at == began and (records := await self._store.read_log(at, 1, decode=False)):
                raise TablesStandStill(records[0].stream) from None
            raise

    async def _stands(self) -> int:
        return await self._store.checkpoint(self._consumer, self._source)
