"""What tests of the kernel do at a broker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.admin import NewTopic

from services.kernel.kafka.connection import Connection, stop


async def make_topic(connection: Connection, topic: str, partitions: int = 1, **configs: str) -> None:
    """A new topic; `configs` with _ for the dots."""
    admin = await connection.admin()
    settings = {name.replace("_", "."): value for name, value in configs.items()}
    answer = await admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=settings)])
    assert [code for _, code, _ in answer.topic_errors] == [0], answer
    await stop(admin)


async def messages_in(connection: Connection, topic: str) -> list[ConsumerRecord]:
    """Everything that a topic holds by now, each partition in its order."""
    consumer = await connection.consumer("reader-of-tests")
    try:
        partitions = [TopicPartition(topic, number) for number in await _partitions(consumer, topic)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found: list[ConsumerRecord] = []
        await consumer.seek_to_beginning(*partitions)
        while any([await consumer.position(one) < ends[one] for one in partitions]):
            for batch in (await consumer.getmany(timeout_ms=500)).values():
                found += batch
        return found
    finally:
        await stop(consumer)


async def _partitions(consumer: object, topic: str) -> list[int]:
    await consumer._client._wait_on_metadata(topic)  # type: ignore[attr-defined]
    return sorted(consumer.partitions_for_topic(topic))  # type: ignore[attr-defined]


@asynccontextmanager
async def forwarding(port: int, server: str) -> AsyncIterator[None]:
    """A way to the broker by a port where nobody listened before."""

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*server.split(":"))
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))

    listener = await asyncio.start_server(forward, "127.0.0.1", port)
    yield
    listener.close()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while part := await source.read(65_536):
            target.write(part)
            await target.drain()
    target.close()
