"""Group commit: what is submitted while a transaction runs shares the next one and its flush to disk."""

import asyncio
from contextvars import Context

from services.kernel.event_store import Commit, CommitFailed, CommitResult, EventStore, StoreUnavailable

BATCH_COMMITS = 512
"""Most commits of one transaction: keeps a transaction, and the wait for it, short."""

QUEUE_COMMITS = 4096
"""Most commits that wait; whoever submits more waits for room."""


class Appender:
    """The only way in which a service writes to its log. Any number of tasks may submit at the same time."""

    def __init__(
        self, store: EventStore, batch_commits: int = BATCH_COMMITS, queue_commits: int = QUEUE_COMMITS
    ) -> None:
        self._store = store
        self._batch_commits = batch_commits
        self._queue: asyncio.Queue[tuple[Commit, asyncio.Future[CommitResult]]] = asyncio.Queue(queue_commits)
        self._worker: asyncio.Task[None] | None = None
        self._submitters = 0
        self._closing = False

    @property
    def waiting(self) -> int:
        """Commits that no transaction has taken yet."""
        return self._queue.qsize()

    async def submit(self, commit: Commit) -> CommitResult:
        """Have a commit written and wait until it is on disk.

        Raises what the store answers for this commit (see `EventStore.commit`), or StoreUnavailable after
        `close`. When the submitter is cancelled, the commit may still be written if a transaction has already
        taken it: who needs to know reads the stream, or submits again with the same idempotency key.
        """
        if self._closing:
            raise StoreUnavailable("the appender is closed")
        if self._worker is None:
            # Not in the context of whoever came first: what is logged there is about nobody in particular.
            self._worker = asyncio.create_task(self._work(), name="appender", context=Context())
        written: asyncio.Future[CommitResult] = asyncio.get_running_loop().create_future()
        self._submitters += 1
        try:
            await self._queue.put((commit, written))
            return await written
        finally:
            self._submitters -= 1

    async def close(self) -> None:
        """Take no more, write everything that was submitted, and stop."""
        self._closing = True
        if self._worker is None:
            return
        while self._submitters or not self._queue.empty():
            await self._queue.join()
            await asyncio.sleep(0)  # those who waited for room, or for their answer, come first
        await self._queue.join()
        self._worker.cancel()
        await asyncio.wait([self._worker])

    async def _work(self) -> None:
        while True:
            batch = [await self._queue.get()]
            while len(batch) < self._batch_commits and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            try:
                await self._write([(commit, written) for commit, written in batch if not written.cancelled()])
            finally:
                for _ in batch:
                    self._queue.task_done()

    async def _write(self, batch: list[tuple[Commit, asyncio.Future[CommitResult]]]) -> None:
        outcomes: list[CommitResult | Exception]
        try:
            outcomes = await self._store.commit([commit for commit, _ in batch])
        except Exception as error:  # a fault of the store itself: nobody may wait for ever
            outcomes = [CommitFailed(repr(error)) for _ in batch]
        for (_, written), outcome in zip(batch, outcomes, strict=True):
            if written.cancelled():
                continue
            if isinstance(outcome, Exception):
                written.set_exception(outcome)
            else:
                written.set_result(outcome)
