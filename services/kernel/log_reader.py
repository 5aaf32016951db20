"""Following a log: a consumer reads it in order from where it stood, and wakes when something is added.

On the embedded store a service reads the other's log itself; with a broker between them, only this file has a sibling.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

import structlog

from services.kernel.event_store import Claim, CommitSignal, CorruptRecord, Fenced, Reads
from services.kernel.log import Record
from services.kernel.progress import RETRY_SECONDS, LogProgress, Progress

#: Records handled between two checkpoints.
BATCH_RECORDS = 500
#: How long a reader waits before it looks whether another process wrote to the log, in seconds.
POLL_SECONDS = 0.5
#: How long a reader waits when more was added while it was at work, in seconds. Under load many events then share a
#: batch, and so a transaction and a flush, instead of one for every commit and every consumer.
LINGER_SECONDS = 0.05
#: How long a reader waits before it looks whether a log that is away has come, in seconds.
AWAY_SECONDS = 1.0
#: How long somebody waits for a reader to come as far as a position, in seconds.
REACHED_SECONDS = 10.0

log = structlog.get_logger(__name__)


class FollowedLog(Reads, Protocol):
    """A log that tells when it grew."""

    committed: CommitSignal


#: Handles records in order, parks the streams that do not go on, and notes how far it came.
Handler = Callable[[list[Record], Progress], Awaitable[None]]


class LogShrank(Exception):
    """The log ends before what was read of it already: it was replaced, or restored from an older copy."""

    def __init__(self, source: str, position: int, head: int) -> None:
        super().__init__(f"the log of {source} ends at {head}, but was read up to {position}")


class LogReader:
    """One consumer of one log. It never passes a record that was neither handled nor parked."""

    def __init__(
        self,
        name: str,
        source: str,
        origin: FollowedLog,
        handle: Handler,
        *,
        learned_too: bool = False,
        batch_records: int = BATCH_RECORDS,
        decode: bool = True,
    ) -> None:
        """`learned_too`: also what the service of this log learned from others, not only its own events; `decode`:
        False for who needs their bytes only."""
        self.name = name
        self.progress = LogProgress(name, source)
        #: Why nothing at all goes on, for people; "" while it does.
        self.failing = ""
        #: Why the log cannot be read, for people; "" while it can. It may be a service that was never started.
        self.away = ""
        #: Whether another process took over; this one has stopped.
        self.fenced = False
        self.source = source
        self._only = None if learned_too else source
        self._batch_records = batch_records
        self._decode = decode
        self._origin = origin
        self._handle = handle
        self._head = 0
        self._task: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()

    @property
    def position(self) -> int:
        """How far the log was read."""
        return self.progress.position

    @property
    def known_behind(self) -> bool:
        """Whether more was committed by this process than is handled; what others committed, only the log can tell."""
        return self.progress.handled < self._origin.committed.position

    @property
    def epoch(self) -> int:
        """The number of the claim under which this consumer works."""
        return self.progress.fence.epoch if self.progress.fence else 0

    @property
    def stuck(self) -> str:
        """What keeps this consumer from going on, for people."""
        return self.failing or self.progress.stuck

    def start(self, claim: Claim) -> None:
        """Follow the log from behind the claim's position, as its owner."""
        self.progress = LogProgress(self.name, self.source, claim.position, claim.epoch)
        self.failing, self.away, self.fenced = "", "", False
        self._task = asyncio.create_task(self._follow(), name=f"reader:{self.name}")

    async def stop(self) -> None:
        """Stop following; what is being handled is abandoned and handled again next time."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def caught_up(self) -> None:
        """Wait until everything that the log holds by now is read; raises `TimeoutError` as `reached` does."""
        await self.reached(await self._origin.head_position())

    async def reached(self, position: int) -> None:
        """Wait until the log is read up to `position`; raises `TimeoutError` after ten seconds."""
        async with asyncio.timeout(REACHED_SECONDS):
            while self.position < position:
                self._moved.clear()
                await self._moved.wait()

    async def rewind(self) -> None:
        """Read the log again from its beginning."""
        await self.stop()
        self.start(Claim(0, self.epoch))

    async def lag(self) -> int:
        """Positions between what is handled and the end of the log, as far as it can be read."""
        try:
            self._head = await self._origin.head_position()
        except Exception as error:
            self._is_away(error)
        return max(0, self._head - self.progress.handled)

    async def oldest(self) -> Record | None:
        """The first record that is not handled, maybe undecoded; None where there is none, or the log is away."""
        after = self.progress.handled
        try:
            records = self._origin.committed.recent(after, 1, self._only) or await self._origin.read_log(
                after, 1, self._only, decode=False
            )
        except Exception as error:
            self._is_away(error)
            return None
        return records[0] if records else None

    async def _follow(self) -> None:
        failures = 0
        while True:
            try:
                await self._step()
                failures, self.failing = 0, ""
            except Fenced as taken_over:
                self.fenced = True
                log.warning("reader_fenced", reader=self.name, reason=str(taken_over))
                return
            except Exception as error:
                if self.failing != repr(error):  # told once, not at every try
                    self.failing = repr(error)
                    log.exception("reader_stuck", reader=self.name, position=self.position)
                await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
                failures += 1

    async def _step(self) -> None:
        for stream in self.progress.due():
            await self._try_again(stream)
        if self.progress.full:
            await asyncio.sleep(self.progress.pause(POLL_SECONDS))
            return
        committed, head = self._origin.committed, self.position
        records = committed.recent(self.position, self._batch_records, self._only)
        if not records:
            read = partial(self._origin.read_log, self.position, source=self._only)
            try:
                records = await self._page(read)
                if not records:
                    self._head = head = await self._origin.head_position()
                    # Once more, because what came in between is not to be passed.
                    records = await self._page(read) if head > self.position else []
            except Exception as error:
                self._is_away(error)
                await asyncio.sleep(AWAY_SECONDS)
                return
            self._is_back()
        if head < self.position:
            raise LogShrank(self.source, self.position, head)
        if passing := self.progress.passing(records):
            await self._handle(passing, self.progress)
        if records:
            self._advance(records[-1].position)
            if self.position < committed.position and len(records) < self._batch_records:
                await asyncio.sleep(LINGER_SECONDS)
        elif head > self.position:
            self._advance(head)  # the rest is of other sources
        else:
            await committed.beyond(self.position, self.progress.pause(POLL_SECONDS))

    async def _try_again(self, stream: str) -> None:
        """Handle what waits in a parked stream, until it fails again or nothing waits."""
        parked = self.progress.parked[stream]
        after = parked.version - 1
        while records := await self._page(partial(self._origin.read_stream, stream, after)):
            if self.progress.parked[stream] is not parked:  # the page itself cannot be read
                return
            if wanted := [record for record in records if self._is_wanted(record)]:
                await self._handle(wanted, self.progress)
            if self.progress.parked[stream] is not parked:
                return
            after = records[-1].version
        self.progress.release(stream)

    async def _page(self, read: Callable[..., Awaitable[list[Record]]], limit: int = 0) -> list[Record]:
        """The next records. One that cannot be decoded comes alone, as bytes only, and its stream is parked."""
        limit = limit or self._batch_records
        try:
            return await read(limit=limit, decode=self._decode)
        except CorruptRecord as error:
            if limit > 1:
                return await self._page(read, limit // 2)  # what stands before it comes first
            records = await read(limit=1, decode=False)
            if wanted := [record for record in records if self._is_wanted(record)]:
                self.progress.park(wanted, error)
            return records

    def _is_wanted(self, record: Record) -> bool:
        return self._only is None or record.source == self._only

    def _is_away(self, error: Exception) -> None:
        if not self.away:
            log.warning("waiting_for_log", reader=self.name, source=self.source, error=str(error))
        self.away = f"the log of {self.source} cannot be read: {error}"

    def _is_back(self) -> None:
        if self.away:
            log.info("log_is_there", reader=self.name, source=self.source)
        self.away = ""

    def _advance(self, position: int) -> None:
        self.progress.position = position
        self._moved.set()
