"""Belonging to a consumer group: which partitions it gave to one client, and which of them are claimed.

Nothing of a partition is fetched before it is claimed in the service's own database, so that what an earlier owner
still does is refused. Nobody waits for messages that are being handled: whoever is given their partition claims it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from services.kernel.kafka.connection import BOUNDS_SECONDS
from services.kernel.kafka.partition import Partition

#: How soon a partition is claimed again after somebody else did, in seconds: the group knows by then who has it.
RECLAIM_SECONDS: Final = 1.0
#: How often Kafka is told how far partitions are handled, and how long that may take, in seconds.
TELL_SECONDS: Final = 1.0
#: Kafka is not told again so soon after that failed, in seconds.
TELL_AGAIN_SECONDS: Final = 30.0

log = structlog.get_logger(__name__)


class Membership(ConsumerRebalanceListener):  # type: ignore[misc]
    """What the group gave to one client; it ends with the client."""

    def __init__(
        self, group: str, client: AIOKafkaConsumer, claim: Callable[[TopicPartition], Awaitable[Partition]]
    ) -> None:
        """`claim` takes a partition over from whoever worked on it; it raises what the database says."""
        self.client = client
        self.given: frozenset[TopicPartition] | None = None
        """What the group gave us; None while it is shared out."""
        #: When that changed (monotonic).
        self.since = time.monotonic()
        #: What of it is claimed.
        self.partitions: dict[TopicPartition, Partition] = {}
        #: Why the rest is not, for people.
        self.unclaimed = ""
        self._group = group
        self._claim = claim
        self._claim_after: dict[TopicPartition, float] = {}
        self._shared_out = asyncio.Event()
        self._told: dict[TopicPartition, int] = {}
        self._tell_at = 0.0

    @property
    def complete(self) -> bool:
        """Whether partitions were shared out and ours are claimed."""
        return self.given is not None and self.given <= self.partitions.keys()

    @property
    def positions(self) -> dict[TopicPartition, int]:
        """The next offset to handle of each partition that is claimed."""
        return {place: one.progress.position for place, one in self.partitions.items()}

    # -- what the group decides

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """The group gave us partitions: nothing is fetched before they are claimed."""
        for place in assigned:
            self.client.pause(place)
            self.client.seek(place, 0)  # else the client would look for a position of its own
        self.given, self.since = frozenset(assigned), time.monotonic()
        self._claim_after = {}
        self._shared_out.set()

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """The group shares its partitions out anew. What is under way ends by itself, or is refused."""
        positions = self.positions
        self.given, self.since = None, time.monotonic()
        self.partitions.clear()
        await self._tell(positions)

    async def shared_out(self, wait_s: float) -> None:
        """Wait until the group gave us partitions, but not longer."""
        self._shared_out.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._shared_out.wait()

    # -- what is claimed

    async def claim(self) -> bool:
        """Claim what the group gave us; whether there was something. Without database it is tried again later; the
        group keeps us meanwhile."""
        given, claimed = self.given, False
        for place in sorted((given or frozenset()) - self.partitions.keys()):
            if time.monotonic() < self._claim_after.get(place, 0.0):
                continue
            try:
                await self._claim_one(place, given)
                self.unclaimed, claimed = "", True
            except Exception as error:
                self._claim_after = dict.fromkeys(given or (), time.monotonic() + RECLAIM_SECONDS)
                told, self.unclaimed = self.unclaimed, f"partitions cannot be claimed: {error!r}"
                if self.unclaimed != told:  # told once, not at every try
                    log.warning("partition_unclaimed", consumer=self._group, partition=str(place), error=repr(error))
                break
        return claimed

    def holds(self, place: TopicPartition, partition: Partition) -> bool:
        """Whether a partition is still worked on under the same claim."""
        return self.partitions.get(place) is partition

    def drop(self, place: TopicPartition, partition: Partition, again_s: float = RECLAIM_SECONDS) -> None:
        """Work on a partition no more under this claim. Where the group still gives it to us, it is claimed again."""
        if self.holds(place, partition):
            del self.partitions[place]
            self._claim_after[place] = time.monotonic() + again_s
            self.client.pause(place)

    async def _claim_one(self, place: TopicPartition, given: frozenset[TopicPartition] | None) -> None:
        partition = await self._claim(place)
        progress = partition.progress
        if not progress.position:
            async with asyncio.timeout(BOUNDS_SECONDS):
                progress.position = (await self.client.beginning_offsets([place]))[place]
        if self.given is not given:
            return  # shared out anew meanwhile
        self.client.seek(place, progress.position)
        self.partitions[place] = partition
        log.info(
            "partition_claimed",
            consumer=self._group,
            partition=progress.name,
            position=progress.position,
            epoch=progress.fence.epoch,
            parked=len(progress.parked),
        )

    # -- what the group is told

    async def tell(self, *, at_once: bool = False) -> None:
        """Tell Kafka now and then, or `at_once`, how far partitions are handled. Nothing depends on it."""
        if at_once or time.monotonic() >= self._tell_at:
            await self._tell(self.positions)

    async def _tell(self, positions: dict[TopicPartition, int]) -> None:
        new = {place: at for place, at in positions.items() if at and self._told.get(place) != at}
        self._tell_at = time.monotonic() + TELL_SECONDS
        if not new:
            return
        try:
            async with asyncio.timeout(TELL_SECONDS):
                await self.client.commit(new)
        except (KafkaError, TimeoutError, OSError):
            self._tell_at = time.monotonic() + TELL_AGAIN_SECONDS
        else:
            self._told |= new
