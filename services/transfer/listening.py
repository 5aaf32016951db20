"""Following events while they happen: from the log of a service, or from its topic."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Final

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import CorruptRecordException, KafkaError

from contracts.registry import decode
from services.kernel.event_store import PAGE_RECORDS, EventStore
from services.kernel.kafka.connection import BrokerAway, Connection, discard, stop
from services.kernel.kafka.message import Message, Unreadable, incoming
from services.kernel.kafka.topics import topic_of
from services.kernel.log import Record
from services.transfer.replay import HEADER, NoTopic

#: How often it is looked for what other processes committed that do not tell, in seconds.
LOOK_SECONDS: Final = 0.5


class Live(msgspec.Struct, frozen=True):
    """An event that just happened. `place`: where it stands, `#120` of the log or `3/1207` of the topic; `replay`: the
    operation that sent it again, empty for what is sent the first time."""

    service: str
    record: Record
    place: str
    replay: str = ""


async def from_log(store: EventStore, service: str, after: int, *, learned: bool = False) -> AsyncIterator[Live]:
    """What is committed behind a position, for ever. Raises what a store raises."""
    source = None if learned else service
    while True:
        head = await store.head_position()  # first, because what comes in between is not to be passed
        records = await store.read_log(after, PAGE_RECORDS, source, decode=False)
        for record in records:
            yield Live(service, record, f"#{record.position}")
        after = records[-1].position if records else max(after, head)
        if not records:
            await store.committed.beyond(after, LOOK_SECONDS)


async def from_topics(connection: Connection, services: Sequence[str]) -> AsyncIterator[Live | Unreadable]:
    """What is published on the topics of these services from now on, for ever. It belongs to no group, so nobody who
    handles events notices. Raises `NoTopic`, `BrokerAway`, `BrokerRefused`."""
    topics = {topic_of(service, connection.prefix): service for service in services}
    partitions = await _partitions(connection, topics)
    consumer = await connection.consumer("aftersales-listen", auto_offset_reset="latest")
    try:
        consumer.assign(partitions)
        for partition, end in (await consumer.end_offsets(partitions)).items():
            consumer.seek(partition, end)
        while True:
            for live in await _fetched(consumer, topics):
                yield live
    except KafkaError as error:
        raise BrokerAway(repr(error)) from error
    finally:
        await discard(consumer)


async def _partitions(connection: Connection, topics: Collection[str]) -> list[TopicPartition]:
    admin = await connection.admin()
    try:
        # All topics: a question by name may make brokers create it with their own defaults.
        there = {topic["topic"]: topic["partitions"] for topic in await admin.describe_topics()}
    except (KafkaError, TimeoutError) as error:
        raise BrokerAway(repr(error)) from error
    finally:
        await stop(admin)
    if missing := [topic for topic in topics if topic not in there]:
        raise NoTopic(missing[0])
    return sorted(TopicPartition(topic, one["partition"]) for topic in topics for one in there[topic])


async def _fetched(consumer: AIOKafkaConsumer, topics: Mapping[str, str]) -> list[Live | Unreadable]:
    try:
        fetched = await consumer.getmany(timeout_ms=1000)
    except (UnicodeDecodeError, CorruptRecordException) as error:  # the client does not say at which message
        await consumer.seek_to_end()
        return [Unreadable("invalid_envelope", f"the client cannot read a message, some are left out: {error!r}")]
    return [_live(topics[place.topic], message) for place, messages in fetched.items() for message in messages]


def _live(service: str, raw: ConsumerRecord) -> Live | Unreadable:
    message = Message(raw.topic, raw.partition, raw.offset, raw.key, raw.value, raw.headers, raw.timestamp)
    try:
        record = incoming(message, service, decode)
    except Unreadable as error:
        return error
    replay = next((text for name, text in raw.headers if name == HEADER), None) or b""
    return Live(service, record, f"{raw.partition}/{raw.offset}", replay.decode("utf-8", "replace"))
