"""Bills are taken in one at a time, whichever process they come to: whoever does so has the turn."""

import asyncio
import time
from contextlib import suppress
from typing import Any, Final

from services.kernel.event_store import Commit, Fence, Fenced, Statement, StoreError, StoreUnavailable
from services.kernel.files import new_id
from services.kernel.refusal import Refusal
from services.kernel.service import Service

#: What the turn is called. The lease lets others wait; the claim keeps one that lost it unawares from writing on.
IMPORT: Final = "bill-import"
LEASE_SECONDS: Final = 5.0
RENEW_SECONDS: Final = 1.0
#: How long an import waits for the one before it.
PATIENCE_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.1


class Turn:
    """The right to store rows of bills, until it is given back or lost."""

    def __init__(self, service: Service[Any]) -> None:
        self._service = service
        self._holder = new_id()
        self._held_at = 0.0
        self._fence: Fence | None = None

    async def take(self) -> None:
        """Wait for it; raises `Refusal` where the import before takes too long."""
        give_up = time.monotonic() + PATIENCE_SECONDS
        while not await self._hold():
            if time.monotonic() > give_up:
                raise Refusal("bill_import_running")
            await asyncio.sleep(_LOOK_SECONDS)
        claim = await self._service.store.claim(IMPORT, self._service.name)
        self._fence = Fence(IMPORT, self._service.name, claim.epoch)

    async def keep(self) -> None:
        """Keep it while the work goes on; raises `StoreUnavailable` where it is lost."""
        if time.monotonic() - self._held_at > RENEW_SECONDS and not await self._hold():
            raise StoreUnavailable("another process takes bills in")

    async def write(self, statement: Statement) -> None:
        """Write, as long as nobody else has it; raises `StoreUnavailable`."""
        await self.keep()
        try:
            await self._service.appender.submit(Commit(statements=(statement,), fence=self._fence))
        except Fenced as error:
            raise StoreUnavailable("another process takes bills in") from error

    async def give_back(self) -> None:
        """Let the next one begin."""
        with suppress(StoreError):  # then it runs out by itself
            await self._service.store.let_go(IMPORT, self._holder)

    async def _hold(self) -> bool:
        now = time.monotonic()
        held = await self._service.store.hold(IMPORT, self._holder, LEASE_SECONDS)
        self._held_at = now if held else 0.0
        return held
