"""Noticing a client of Kafka that does not do its work and says nothing: only a new one helps."""

import asyncio
import time
from collections.abc import Collection, Mapping
from typing import Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from services.kernel.kafka.connection import BOUNDS_SECONDS
from services.kernel.kafka.membership import Membership
from services.kernel.kafka.partition import Partition

#: How often silent partitions are compared with where they end, in seconds.
LOOK_SECONDS: Final = 5.0
#: A client that brings nothing for so long although there is something, or no partitions, is thrown away, in seconds.
STALL_SECONDS: Final = 45.0


class ClientStalled(Exception):
    """The client of Kafka does not do its work, and says nothing."""


class Silence:
    """How long the client of a membership has been silent."""

    def __init__(self, membership: Membership) -> None:
        self._membership = membership
        self._look_at = 0.0
        self._answered_at = time.monotonic()
        #: Where the client stood with each partition that flows, and since when it has brought nothing that there is.
        self._stood: dict[TopicPartition, tuple[int, float]] = {}

    async def look(self) -> None:
        """Look now and then. Raises ClientStalled where it has lasted too long."""
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_SECONDS
        if self._membership.given is None:
            if now > self._membership.since + STALL_SECONDS:
                raise ClientStalled(f"the group gave no partitions for {STALL_SECONDS:.0f} seconds")
            self._answered_at, self._stood = now, {}
            return
        flowing = {place: one for place, one in self._membership.partitions.items() if one.flows}
        try:
            ends = await self._ends_of(flowing)
        except (KafkaError, TimeoutError, OSError) as error:
            if now > self._answered_at + STALL_SECONDS:
                raise ClientStalled(f"the broker did not answer for {STALL_SECONDS:.0f} seconds") from error
            return
        self._answered_at = now
        await self._look_behind(flowing, ends, now)

    async def _look_behind(
        self, flowing: Mapping[TopicPartition, Partition], ends: Mapping[TopicPartition, int], now: float
    ) -> None:
        """See whether there is something that the client does not bring."""
        stood, self._stood = self._stood, {}
        for place, one in flowing.items():
            if not self._membership.holds(place, one):
                return  # shared out anew meanwhile
            at = await self._membership.client.position(place)
            before, since = stood.get(place, (at, now))
            if at != before or at >= ends[place]:
                since = now
            elif now > since + STALL_SECONDS:
                raise ClientStalled(f"{one.progress.name} ends at {ends[place]}, but nothing comes from {at} on")
            self._stood[place] = at, since

    async def _ends_of(self, places: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        if not places:
            return {}
        async with asyncio.timeout(BOUNDS_SECONDS):
            ends: dict[TopicPartition, int] = await self._membership.client.end_offsets(list(places))
        return ends
