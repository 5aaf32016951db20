"""Publishing what died, from the table where it is kept: what is not marked as published is tried again."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeAlias

import msgspec
import structlog

from services.kernel.appender import Appender
from services.kernel.event_store import Fenced, Reads
from services.kernel.kafka.message import Outgoing, dead_letter
from services.kernel.kafka.progress import PartitionProgress
from services.kernel.kafka.topics import dead_letters_of
from services.kernel.progress import RETRY_SECONDS

#: Dead messages that are read at a time, and how long one may take with all that is needed to publish it, in seconds.
PAGE: Final = 20
PUBLISH_SECONDS: Final = 30.0

#: Sends a message and waits until it is safe; raises what went wrong.
Publish: TypeAlias = Callable[[Outgoing], Awaitable[None]]

log = structlog.get_logger(__name__)


class DeadLetterOutbox:
    """Publishes the dead letters of the partitions that a consumer works on, for whom Kafka is all they see."""

    def __init__(
        self,
        group: str,
        store: Reads,
        appender: Appender,
        publish: Publish,
        partitions: Callable[[], Iterable[PartitionProgress]],
    ) -> None:
        """`partitions`: those that are worked on at the moment."""
        #: Why nothing is published, for people; "" while it is.
        self.stuck = ""
        self._group = group
        self._store = store
        self._appender = appender
        self._publish = publish
        self._partitions = partitions
        self._died = asyncio.Event()

    def look(self) -> None:
        """There may be something to publish."""
        self._died.set()

    async def run(self) -> None:
        """Publish whenever there is something; where the broker does not take it, again later."""
        failures = 0
        while True:
            await self._died.wait()
            self._died.clear()
            failed = await self._publish_all()
            if failed and not self.stuck:  # told once, not at every try
                log.warning("dead_letters_unpublished", consumer=self._group, reason=failed)
            self.stuck = failed
            if not failed:
                failures = 0
                continue
            await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
            failures += 1
            self._died.set()

    async def _publish_all(self) -> str:
        """What kept something from being published, or ""."""
        failed = ""
        for progress in list(self._partitions()):
            try:
                await self._publish_of(progress)
            except Fenced:
                continue  # the new owner publishes it
            except Exception as error:
                failed = f"dead letters cannot be published: {error!r}"
        return failed

    async def _publish_of(self, progress: PartitionProgress) -> None:
        while progress.has_dead:
            progress.has_dead = False
            try:
                rows = await progress.parking.unpublished(self._store, PAGE)
                for row in rows:
                    letter = dead_letter(row.message, dead_letters_of(row.message.topic, self._group), row.error)
                    async with asyncio.timeout(PUBLISH_SECONDS):
                        await self._publish(letter)
                    published = progress.parking.published([row.message.offset])
                    await self._appender.submit(msgspec.structs.replace(published, fence=progress.fence))
            except BaseException:
                progress.has_dead = True
                raise
            progress.has_dead |= len(rows) == PAGE
