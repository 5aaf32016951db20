"""What a service does with the events of another: each once, in order per stream, streams side by side."""

import asyncio
from collections import defaultdict
from typing import Any

from services.kernel.appender import Appender
from services.kernel.event_store import Checkpoint, Commit, DuplicateDelivery, EventStore, InboxMark
from services.kernel.files import Files
from services.kernel.log import Record


class Hearing:
    """Hands the events of one source to the files that they concern."""

    def __init__(self, name: str, source: str, files: Files[Any], store: EventStore, appender: Appender) -> None:
        self.name = name
        self._source = source
        self._files = files
        self._store = store
        self._appender = appender

    async def __call__(self, records: list[Record]) -> None:
        """Handle a batch and note how far it reaches."""
        streams: dict[str, list[Record]] = defaultdict(list)
        for record in records:
            streams[record.stream].append(record)
        handled = await self._store.inbox(self._source, streams)
        async with asyncio.TaskGroup() as tasks:
            for stream, own in streams.items():
                new = [record for record in own if record.sequence > handled.get(stream, 0)]
                if new:
                    tasks.create_task(self._hear(new))
        checkpoint = Checkpoint(self.name, self._source, records[-1].position)
        await self._appender.submit(Commit(checkpoint=(checkpoint,)))

    async def _hear(self, records: list[Record]) -> None:
        unheard: list[InboxMark] = []
        for record in records:
            if record.type not in self._files.domain.hears:
                unheard.append(InboxMark(record.source, record.stream, record.sequence))
                continue
            await self._mark(unheard)
            unheard = []
            try:
                await self._files.hear(record)
            except DuplicateDelivery:
                continue  # another process of this service was quicker
        await self._mark(unheard)

    async def _mark(self, marks: list[InboxMark]) -> None:
        if marks:
            try:
                await self._appender.submit(Commit(inbox=tuple(marks)))
            except DuplicateDelivery:
                return
