"""How far a service is behind in the partitions that it hears: all of them, whichever process works on them."""

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog
from aiokafka import TopicPartition

from services.kernel.clock import SystemClock
from services.kernel.event_store import Reads
from services.kernel.kafka.connection import BrokerAway, BrokerRefused, Connection
from services.kernel.kafka.lag import Looker
from services.kernel.lag import Lag, checkpoints

#: How long the broker may take, in seconds, longer than what a look waits for messages; it is looked again soon.
PATIENCE_SECONDS: Final = 4.0

log = structlog.get_logger(__name__)


class PartitionLags:
    """Looks them up in the service's database and at the broker; while that is away they stand as they were last.
    `close` it."""

    def __init__(
        self, service: str, group: str, sources: Mapping[str, str], store: Reads, connection: Connection
    ) -> None:
        """`sources`: by topic."""
        self._service, self._group = service, group
        self._sources = sources
        self._store = store
        self._servers = connection.servers
        self._looker = Looker(connection)
        self._clock = SystemClock()  # messages carry the machine's time, whatever the shop's clock says
        self._last: list[Lag] = []
        self._trouble: str | None = None
        """Why the broker does not answer, "" while it does; None before it ever did."""

    async def __call__(self) -> list[Lag]:
        """One for each partition. Raises `StoreUnavailable`."""
        positions = {
            TopicPartition(*one.partition): one.position
            for one in await checkpoints(self._store)
            if one.consumer == self._group and one.partition
        }
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                looks = await self._looker.look(self._sources, positions)
        except (BrokerAway, BrokerRefused, TimeoutError) as error:
            self._tell(repr(error))
            return self._last
        self._tell("")
        now = self._clock.now()
        self._last = [
            Lag(
                self._service,
                self._group,
                look.behind,
                stuck=f"retention took {look.lost} events that were not handled" if look.lost else "",
                source=self._sources[place.topic],
                seconds=look.seconds(now),
            )
            for place, look in looks.items()
        ]
        return self._last

    async def close(self) -> None:
        """Take leave of the broker."""
        await self._looker.close()

    def _tell(self, trouble: str) -> None:
        """Tell once that the broker does not answer any more, and once that it does again: clients say that only of
        each of their tries. (Whoever begins without it has told that it waits.)"""
        if trouble and self._trouble == "":
            log.warning("broker_silent", service=self._service, servers=self._servers, error=trouble)
        elif self._trouble and not trouble:
            log.info("broker_answers_again", service=self._service, servers=self._servers)
        if not trouble or self._trouble is not None:
            self._trouble = trouble
