"""What somebody at work on an operation awaits after each page: it heeds who pauses or cancels, and tells how far."""

import asyncio
import time
from collections import deque
from contextlib import suppress
from types import TracebackType
from typing import Final

import structlog

from services.kernel.event_store import StoreError
from services.kernel.long_work import CalledOff
from services.kernel.naming import stream_of_operation
from services.kernel.operations.desk import LEASE_SECONDS, Desk, Ticket
from services.kernel.operations.operation import folded

#: How often it is looked whether somebody paused, resumed or cancelled the operation, in seconds.
LOOK_SECONDS: Final = 0.5
#: How often progress is written down at most, in seconds.
NOTE_SECONDS: Final = 1.0
#: How often the lease is prolonged, in seconds.
RENEW_SECONDS: Final = LEASE_SECONDS / 4
#: The time over which the rate is measured, in seconds.
RATE_SECONDS: Final = 10.0

log = structlog.get_logger(__name__)


class Watch:
    """A `Tell` for whoever is at work on an operation, while the block runs. After the block somebody else may take the
    operation up."""

    def __init__(self, desk: Desk, ticket: Ticket) -> None:
        self._desk = desk
        self._ticket = ticket
        self._look_at = self._note_at = 0.0
        self._version = 0
        self._state = "running"
        self._lost = False
        self._lately: deque[tuple[float, int]] = deque()
        self._told = (0, 0)
        self._keeping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Watch":
        self._lost = not await self._desk.hold(self._ticket)
        self._keeping = asyncio.create_task(self._keep(), name=f"operation:{self._ticket.operation}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._keeping:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])
        with suppress(StoreError, TimeoutError):
            if self._told[1]:
                await self._note(time.monotonic())
            await self._desk.let_go(self._ticket)

    async def __call__(self, done: int, total: int) -> None:
        """So much is done. Waits while the operation is paused; raises `CalledOff` where it was cancelled, or another
        process is at work on it."""
        self._told = (done, total)
        now = time.monotonic()
        if now >= self._look_at:
            await self.heed()
            now = time.monotonic()
        self._lately.append((now, done))
        if now >= self._note_at:
            await self._note(now)

    async def heed(self) -> None:
        """Do as was said of the operation: wait while it is paused; raises `CalledOff`."""
        await self._look()
        if self._state == "paused":
            await self._note(time.monotonic())
            while self._state == "paused":
                await asyncio.sleep(LOOK_SECONDS)
                await self._look()
            self._lately.clear()  # a pause says nothing of the rate
        if self._state != "running":
            raise CalledOff(self._state)

    async def _look(self) -> None:
        if self._lost:
            raise CalledOff("another process is at work on it")
        head = await self._desk.store.head(stream_of_operation(self._ticket.operation))
        if head is not None and head.version != self._version:
            records = await self._desk.store.read_stream(head.stream)
            self._version, self._state = records[-1].version, folded(self._desk.service, records).state
        self._look_at = time.monotonic() + LOOK_SECONDS

    async def _note(self, now: float) -> None:
        while self._lately and self._lately[0][0] < now - RATE_SECONDS:
            self._lately.popleft()
        await self._desk.note(self._ticket.operation, *self._told, self._rate())
        self._note_at = now + NOTE_SECONDS

    def _rate(self) -> float:
        if len(self._lately) < 2:
            return 0.0
        (began, before), (ended, after) = self._lately[0], self._lately[-1]
        return max(0.0, (after - before) / (ended - began)) if ended > began else 0.0

    async def _keep(self) -> None:
        """Prolong the lease. A database that is away for a moment is no reason to stop: the work will notice."""
        while not self._lost:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                self._lost = not await self._desk.hold(self._ticket)
            except (StoreError, TimeoutError) as error:
                log.warning("lease_not_prolonged", operation=self._ticket.operation, error=str(error))
