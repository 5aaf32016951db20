"""How far a service is behind in the partitions that it hears: all of them, whichever process works on them."""

import asyncio
from collections.abc import Mapping
from typing import Final

from aiokafka import TopicPartition

from services.kernel.clock import SystemClock
from services.kernel.event_store import Reads
from services.kernel.kafka.connection import BrokerAway, BrokerRefused, Connection
from services.kernel.kafka.lag import look_at
from services.kernel.lag import Lag, checkpoints

#: How long the broker may take; it is looked again soon.
PATIENCE_SECONDS: Final = 3.0


class PartitionLags:
    """Looks them up in the service's database and at the broker; while that is away they stand as they were last."""

    def __init__(
        self, service: str, group: str, sources: Mapping[str, str], store: Reads, connection: Connection
    ) -> None:
        """`sources`: by topic."""
        self._service, self._group = service, group
        self._sources = sources
        self._store, self._connection = store, connection
        self._clock = SystemClock()  # messages carry the machine's time, whatever the shop's clock says
        self._last: list[Lag] = []

    async def __call__(self) -> list[Lag]:
        """One for each partition. Raises `StoreUnavailable`."""
        positions = {
            TopicPartition(*one.partition): one.position
            for one in await checkpoints(self._store)
            if one.consumer == self._group and one.partition
        }
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                looks = await look_at(self._connection, self._sources, positions)
        except (BrokerAway, BrokerRefused, TimeoutError):
            return self._last
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
