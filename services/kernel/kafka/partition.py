"""One partition that was claimed: its messages are handled, what was left behind in it is tried again."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

import structlog

from services.kernel.appender import Appender
from services.kernel.event_store import Commit, Decode, EventStore, StoreUnavailable
from services.kernel.kafka.message import Message, Unreadable, incoming
from services.kernel.kafka.progress import Batch, PartitionProgress, StreamRetry
from services.kernel.log_reader import Handler
from services.kernel.progress import RETRY_SECONDS

#: Parked streams that are tried again before new messages of their partition are handled.
RETRIES_A_TURN: Final = 20

log = structlog.get_logger(__name__)


class Partition:
    """The work on one partition under one claim.

    A message that does not go on is parked with its stream, and the others pass. Where nothing can be handled, it is
    no message's fault: all of it is tried again, after longer and longer waits. Where trying is of no use, the
    partition is stopped, until somebody moves its checkpoint.
    """

    def __init__(
        self,
        source: str,
        handle: Handler,
        progress: PartitionProgress,
        store: EventStore,
        appender: Appender,
        decode: Decode,
        settled: Callable[[PartitionProgress], None],
    ) -> None:
        """`settled` is called after each commit."""
        self.source = source
        self.progress = progress
        #: Why nothing of it is handled until somebody did something; "" while it is.
        self.alarm = ""
        self._failing = ""
        self._failures = 0
        self._again_at = 0.0
        self._handle_records = handle
        self._store = store
        self._appender = appender
        self._read = partial(incoming, source=source, decode=decode)
        self._settled = settled

    @property
    def flows(self) -> bool:
        """Whether messages are wanted."""
        return not (self.alarm or self.progress.full or time.monotonic() < self._again_at)

    @property
    def stuck(self) -> str:
        """What does not go on, for people."""
        if self.alarm or self._failing:
            return f"{self.progress.name}: {self.alarm or self._failing}"
        return f"{self.progress.stuck}; it waits for them" if self.progress.full else self.progress.stuck

    async def work(self, messages: Sequence[Message]) -> None:
        """Try again what is due, then handle new messages.

        Raises Fenced, and whatever kept all of it from being handled: then it goes on from where `progress` stands.
        """
        for stream in self.progress.due()[:RETRIES_A_TURN]:
            await self._try_again(stream)
        if messages:
            await self._handle(messages)
        self._failing, self._failures = "", 0

    def failed(self, error: Exception) -> None:
        """Nothing of it could be handled: wait before the next try."""
        self._again_at = time.monotonic() + RETRY_SECONDS[min(self._failures, len(RETRY_SECONDS) - 1)]
        self._failures += 1
        if self._failing != repr(error):  # told once, not at every try
            self._failing = repr(error)
            told = None if isinstance(error, StoreUnavailable) else error
            log.error("partition_stuck", **self._named, error=repr(error), exc_info=told)

    def stop(self, reason: str) -> None:
        """Handle nothing more of it until somebody moved its checkpoint."""
        self.alarm = reason
        log.error("partition_stopped", **self._named, reason=reason)

    async def is_moved(self) -> bool:
        """Whether somebody moved its checkpoint. Raises StoreUnavailable."""
        fence = self.progress.fence
        return await self._store.checkpoint(fence.consumer, fence.source) != self.progress.position

    async def _handle(self, messages: Sequence[Message]) -> None:
        progress, batch = self.progress, Batch(messages, self._read)
        handled: Mapping[str, int] = {}
        if batch.unreadable_streams:
            handled = await self._store.inbox(self.source, batch.unreadable_streams)
        if passing := progress.begin(batch, handled):
            await self._handle_records(passing, progress)
        else:
            await self._appender.submit(progress.noted(batch.upto))
        progress.settle()
        self._settled(progress)

    async def _try_again(self, stream: str) -> None:
        """Handle what waits in a parked stream, until it fails again or nothing waits."""
        if not stream:
            await self._try_strays()
            return
        progress, store = self.progress, self._store
        while True:
            page = await progress.parking.page(store, stream)
            handled = (await store.inbox(self.source, [stream])).get(stream, 0)
            retry = StreamRetry(progress, stream, page, handled, self._read)
            if retry.records:
                await self._handle_records(retry.records, retry)
            else:
                await self._appender.submit(retry.noted())
            retry.settle()
            self._settled(progress)
            if retry.over:
                return

    async def _try_strays(self) -> None:
        """Messages that belonged to no stream: what can be read by now belongs to one, and is tried with it."""
        progress = self.progress
        while strays := await progress.parking.called_strays(self._store):
            for row in strays:
                try:
                    statement = progress.parking.join(row.message.offset, self._read(row.message))
                except Unreadable as error:
                    statement = progress.parking.die(row.message.offset, error.cause, error, row.tries + 1)
                    progress.has_dead = True
                await self._appender.submit(Commit(statements=(statement,), fence=progress.fence))
        del progress.parked[""]
        self._settled(progress)

    @property
    def _named(self) -> dict[str, str]:
        """How the log calls it."""
        return {"consumer": self.progress.fence.consumer, "partition": self.progress.name}
