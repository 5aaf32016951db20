"""How far consumers are behind in partitions: asked of the broker itself, which works while no service runs."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, TypeAlias

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import CorruptRecordException, KafkaError

from services.kernel.kafka.connection import BrokerAway, Connection, discard, stop
from services.kernel.lag import Look

#: How long the brokers may take to say where partitions end.
BROKER_SECONDS: Final = 10.0
#: How long they may take to show the first message behind each position: of all partitions, and of one.
PEEK_SECONDS: Final = 3.0
PEEK_ONE_MS: Final = 500
#: How much of a partition is fetched to see its first message: at least that one comes, however large it is.
PEEK_BYTES: Final = 4_096
CLIENT: Final = "aftersales-lag"

Clients: TypeAlias = tuple[AIOKafkaAdminClient, AIOKafkaConsumer]


class Looker:
    """Looks at partitions, with a consumer of no group. Its clients are opened by the first look and kept; after any
    fault they are given up, and the next look opens new ones."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._clients: Clients | None = None
        self._looking = asyncio.Lock()

    async def look(
        self,
        topics: Iterable[str],
        positions: Mapping[TopicPartition, int],
        before: Mapping[TopicPartition, Look] | None = None,
    ) -> dict[TopicPartition, Look]:
        """Look at all partitions of these topics, in bounded time: from the positions that are known on, else from
        their beginning. A topic that is not there is left out.

        The age is that of the first message behind the position; where the broker does not show it in time, it is left
        out. Raises BrokerAway, BrokerRefused.
        """
        try:
            async with self._looking, asyncio.timeout(BROKER_SECONDS):
                clients = self._clients or await self._opened()
                self._clients = None
                try:
                    looks = await _look(*clients, topics, positions, before or {})
                except BaseException:
                    await asyncio.gather(*(discard(one) for one in clients))
                    raise
                self._clients = clients
                return looks
        except (KafkaError, OSError) as error:  # a timeout is an OSError
            raise BrokerAway(f"{self._connection.servers}: {error!r}") from error

    async def close(self) -> None:
        """Take leave of the broker."""
        clients, self._clients = self._clients, None
        if clients:
            await asyncio.gather(*(stop(one) for one in clients))

    async def _opened(self) -> Clients:
        admin = await self._connection.admin(CLIENT)
        try:
            options = {"auto_offset_reset": "none", "max_partition_fetch_bytes": PEEK_BYTES}
            return admin, await self._connection.consumer(CLIENT, **options)
        except BaseException:
            await discard(admin)
            raise


async def look_at(
    connection: Connection,
    topics: Iterable[str],
    positions: Mapping[TopicPartition, int],
    before: Mapping[TopicPartition, Look] | None = None,
) -> dict[TopicPartition, Look]:
    """Look once, as `Looker.look` does. Raises BrokerAway, BrokerRefused."""
    looker = Looker(connection)
    try:
        return await looker.look(topics, positions, before)
    finally:
        await looker.close()


async def _look(
    admin: AIOKafkaAdminClient,
    consumer: AIOKafkaConsumer,
    topics: Iterable[str],
    positions: Mapping[TopicPartition, int],
    before: Mapping[TopicPartition, Look],
) -> dict[TopicPartition, Look]:
    there = await _partitions(admin, set(topics))
    ends: dict[TopicPartition, int] = await consumer.end_offsets(there) if there else {}
    begins: dict[TopicPartition, int] = await consumer.beginning_offsets(there) if there else {}
    starts = {one: max(positions.get(one, 0), begins[one]) for one in there}
    oldest = await _first(consumer, {one: start for one, start in starts.items() if start < ends[one]})
    looks: dict[TopicPartition, Look] = {}
    for one in there:
        position, earlier = positions.get(one, 0), before.get(one)
        looks[one] = Look(
            position=position,
            end=ends[one],
            behind=max(0, ends[one] - starts[one]),
            oldest=oldest.get(one),
            arrived=max(0, ends[one] - earlier.end) if earlier else 0,
            lost=begins[one] - position if 0 < position < begins[one] else 0,
        )
    return looks


async def _partitions(admin: AIOKafkaAdminClient, topics: Collection[str]) -> list[TopicPartition]:
    # All topics: a question by name may make brokers create it with their own defaults.
    found = [topic for topic in await admin.describe_topics() if topic["topic"] in topics]
    return sorted(TopicPartition(topic["topic"], one["partition"]) for topic in found for one in topic["partitions"])


async def _first(consumer: AIOKafkaConsumer, starts: Mapping[TopicPartition, int]) -> dict[TopicPartition, datetime]:
    """When the first message from each of these offsets on was made, as far as it comes in time."""
    found: dict[TopicPartition, datetime] = {}
    if not starts:
        return found
    consumer.assign(list(starts))
    for one, offset in starts.items():
        consumer.seek(one, offset)
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(PEEK_SECONDS):
                for one in starts:  # all of them are on their way by now
                    if sent := await _sent(consumer, one):
                        found[one] = sent
    finally:
        consumer.unsubscribe()  # else it would go on fetching until the next look
    return found


async def _sent(consumer: AIOKafkaConsumer, one: TopicPartition) -> datetime | None:
    """When the next message of a partition was made; None where it does not come in time, or cannot be read."""
    with suppress(UnicodeDecodeError, CorruptRecordException):  # that stops its partition, not the look
        for messages in (await consumer.getmany(one, timeout_ms=PEEK_ONE_MS, max_records=1)).values():
            return datetime.fromtimestamp(messages[0].timestamp / 1000, UTC)
    return None
