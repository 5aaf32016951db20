"""Following a log: a consumer reads it in order from where it stood, and wakes when something is added.

On the embedded store a service reads the other's log itself; with a broker between them, only this file has a sibling.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from services.kernel.event_store import CommitSignal, Reads
from services.kernel.log import Record

#: Records handled between two checkpoints.
BATCH_RECORDS = 500
#: How long a reader waits before it looks whether another process wrote to the log, in seconds.
POLL_SECONDS = 0.5
#: Waits between tries of a batch that could not be handled, in seconds; the last one is repeated.
RETRY_SECONDS = (0.05, 0.2, 1.0, 5.0, 15.0)

log = structlog.get_logger(__name__)


class FollowedLog(Reads, Protocol):
    """A log that tells when it grew."""

    committed: CommitSignal


#: Handles records in order and notes, in the same transaction as its effects, that they are handled.
Handler = Callable[[list[Record]], Awaitable[None]]


class LogReader:
    """One consumer of one log. It never passes a record that it could not handle."""

    def __init__(self, name: str, origin: FollowedLog, handle: Handler, *, source: str | None = None) -> None:
        self.name = name
        self.position = 0
        self.stuck = ""
        self._origin = origin
        self._handle = handle
        self._source = source
        self._task: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()

    def start(self, position: int) -> None:
        """Follow the log from behind `position`."""
        self.position = position
        self._task = asyncio.create_task(self._follow(), name=f"reader:{self.name}")

    async def stop(self) -> None:
        """Stop following; what is being handled is abandoned and handled again next time."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def reached(self, position: int) -> None:
        """Wait until everything up to `position` is handled; raises `TimeoutError` after ten seconds."""
        async with asyncio.timeout(10):
            while self.position < position:
                self._moved.clear()
                await self._moved.wait()

    async def rewind(self, position: int = 0) -> None:
        """Read the log again from behind `position`."""
        await self.stop()
        self.start(position)

    async def lag(self) -> int:
        """Positions between this reader and the end of the log."""
        return max(0, await self._origin.head_position() - self.position)

    async def _follow(self) -> None:
        failures = 0
        while True:
            try:
                await self._step()
                failures, self.stuck = 0, ""
            except Exception as error:
                self.stuck = repr(error)
                log.exception("reader_stuck", reader=self.name, position=self.position, failures=failures)
                await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
                failures += 1

    async def _step(self) -> None:
        head = await self._origin.head_position()
        records = await self._origin.read_log(self.position, BATCH_RECORDS, source=self._source)
        if records:
            await self._handle(records)
            self._advance(records[-1].position)
        elif head > self.position:
            self._advance(head)  # the rest is of other sources
        else:
            await self._origin.committed.beyond(self.position, POLL_SECONDS)

    def _advance(self, position: int) -> None:
        self.position = position
        self._moved.set()
