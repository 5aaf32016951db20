"""What a service does with the events of another: each once, in order per stream, streams side by side."""

import asyncio
from collections import defaultdict
from typing import Any

import msgspec
import structlog

from services.kernel.appender import Appender
from services.kernel.event_store import (
    Commit,
    DeliveryGap,
    DuplicateDelivery,
    EventStore,
    Fence,
    Fenced,
    InboxMark,
    StoreUnavailable,
)
from services.kernel.files import Files
from services.kernel.log import Record
from services.kernel.metrics import EVENTS_HEARD
from services.kernel.progress import Progress

log = structlog.get_logger(__name__)


class Hearing:
    """Hands the events of one source to the files that they concern."""

    def __init__(
        self, source: str, files: Files[Any], store: EventStore, appender: Appender, *, only_learns: bool = False
    ) -> None:
        """`only_learns`: nothing follows from what is heard, so that events of a stream may be kept together."""
        self._source = source
        self._only_learns = only_learns
        self._hears = files.domain.hears
        #: A service that hears itself needs no inbox: what follows derives from the state of its own files.
        self._own = source == files.domain.source
        self._files = files
        self._store = store
        self._appender = appender
        self._heard = EVENTS_HEARD.labels(files.domain.source, source)

    async def __call__(self, records: list[Record], progress: Progress) -> None:
        """Handle a batch, park the streams that do not go on, and note how far it reaches."""
        streams: dict[str, dict[int, Record]] = defaultdict(dict)
        for record in records:
            if not self._own or record.type in self._hears:
                streams[record.stream].setdefault(record.sequence, record)
        handled = {} if self._own else await self._store.inbox(self._source, streams)
        unheard: list[Record] = []
        try:
            async with asyncio.TaskGroup() as tasks:
                for stream, delivered in streams.items():
                    last = handled.get(stream, 0)
                    new = [delivered[sequence] for sequence in sorted(delivered) if sequence > last]
                    if self._is_unheard(new, last):
                        unheard += new  # most streams of most batches: noted all at once, with the checkpoint
                    else:
                        tasks.create_task(self._hear_all(new, last, progress))
        except ExceptionGroup as faults:
            raise faults.exceptions[0] from None
        await self._mark(unheard, progress.noted(records[-1].position))

    def _is_unheard(self, records: list[Record], handled: int) -> bool:
        """Whether nothing is missing before or among these records of a stream, and nobody here listens to any."""
        whole = not records or records[-1].sequence == handled + len(records)
        return whole and not any(record.type in self._hears for record in records)

    async def _hear_all(self, records: list[Record], handled: int, progress: Progress) -> None:
        """Handle new records of one stream: together, if they may be and nothing is wrong with them."""
        whole = records[-1].sequence == handled + len(records)
        if self._only_learns and whole:
            try:
                await self._files.learn(records, progress.fence)
                self._heard.inc(len(records))
                return
            except (StoreUnavailable, Fenced):
                raise
            except Exception as error:  # one by one it is found which of them it is
                log.info("heard_one_by_one", stream=records[0].stream, reason=repr(error))
        await self._hear_in_order(records, handled, progress)

    async def _hear_in_order(self, records: list[Record], handled: int, progress: Progress) -> None:
        """Handle new records of one stream; what does not go on is parked, with all that follows it."""
        last, unheard = handled, list[Record]()
        try:
            for record in records:
                if record.sequence > last + 1 and not self._own:
                    # What came before is whole, and does not wait: so what fills the gap is known as what is missing.
                    await self._mark(unheard, Commit(fence=progress.fence))
                    handled = last
                    raise DeliveryGap(InboxMark(record.source, record.stream, record.sequence), last)
                last = record.sequence
                if record.type not in self._hears:
                    unheard.append(record)
                    continue
                await self._mark(unheard, Commit(fence=progress.fence))
                unheard.clear()
                await self._hear(record, progress.fence)
                handled = last
            await self._mark(unheard, Commit(fence=progress.fence))
        except (StoreUnavailable, Fenced):  # no fault of the stream
            raise
        except Exception as error:
            progress.park([record for record in records if record.sequence > handled], error)

    async def _hear(self, record: Record, fence: Fence | None) -> None:
        try:
            await self._files.hear(record, fence)
            self._heard.inc()
        except DuplicateDelivery:
            return  # another process of this service was quicker

    async def _mark(self, records: list[Record], commit: Commit) -> None:
        """Note as handled what nobody here listens to, but for what another process noted meanwhile."""
        marks = [InboxMark(record.source, record.stream, record.sequence) for record in records]
        while marks or commit.checkpoint or commit.statements:
            try:
                await self._appender.submit(msgspec.structs.replace(commit, inbox=tuple(marks)))
                return
            except DuplicateDelivery as duplicate:
                stream, last = duplicate.mark.stream, duplicate.last
                marks = [mark for mark in marks if mark.stream != stream or mark.sequence > last]
