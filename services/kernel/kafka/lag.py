"""How far consumers are behind in partitions: asked of the broker itself, which works while no service runs."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from services.kernel.kafka.connection import BrokerAway, Connection, stop
from services.kernel.lag import Look

#: How long the brokers may take to say where partitions end.
BROKER_SECONDS: Final = 10.0
#: How long they may take to show the first message behind each position.
PEEK_SECONDS: Final = 3.0
#: How much of a partition is fetched to see its first message: at least that one comes, however large it is.
PEEK_BYTES: Final = 4_096
CLIENT: Final = "aftersales-lag"


async def look_at(
    connection: Connection,
    topics: Iterable[str],
    positions: Mapping[TopicPartition, int],
    before: Mapping[TopicPartition, Look] | None = None,
) -> dict[TopicPartition, Look]:
    """Look at all partitions of these topics, with a consumer of no group, in bounded time: from the positions that are
    known on, else from their beginning. A topic that is not there is left out.

    The age is that of the first message behind the position; where the broker does not show it in time, it is left out.
    Raises BrokerAway, BrokerRefused.
    """
    try:
        async with asyncio.timeout(BROKER_SECONDS), _clients(connection) as (admin, consumer):
            return await _look(admin, consumer, topics, positions, before or {})
    except (KafkaError, OSError) as error:  # a timeout is an OSError
        raise BrokerAway(f"{connection.servers}: {error!r}") from error


@asynccontextmanager
async def _clients(connection: Connection) -> AsyncIterator[tuple[AIOKafkaAdminClient, AIOKafkaConsumer]]:
    async with AsyncExitStack() as stack:
        admin = await connection.admin(CLIENT)
        stack.push_async_callback(stop, admin)
        consumer = await connection.consumer(CLIENT, auto_offset_reset="none", max_partition_fetch_bytes=PEEK_BYTES)
        stack.push_async_callback(stop, consumer)
        yield admin, consumer


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
    with suppress(TimeoutError):
        async with asyncio.timeout(PEEK_SECONDS):
            while len(found) < len(starts):
                for one, messages in (await consumer.getmany(timeout_ms=200)).items():
                    found.setdefault(one, datetime.fromtimestamp(messages[0].timestamp / 1000).astimezone())
                    consumer.pause(one)
    return found
