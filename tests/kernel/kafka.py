"""What tests of the kernel do at a broker."""

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
