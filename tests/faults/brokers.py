"""What a test does at brokers by its own hand: raw messages, who leads what, records deleted before their time."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import uuid_utils
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete

from contracts import envelope
from contracts.event import Event, type_of
from contracts.registry import TOPICS, encode
from services.kernel.clock import SystemClock
from tests.faults.history import HEARS, RETRY_BACKOFF_MS, Message, partitions
from tests.faults.patience import PATIENCE_SECONDS, patient

#: How long one broker may take to answer: another is asked then, for this one may be frozen.
REQUEST_MS = 2_000


class Brokers:
    """The cluster, seen from outside."""

    def __init__(self, servers: str) -> None:
        self.servers = servers

    async def send(self, messages: Iterable[Message]) -> None:
        """Put messages on their topics as they are, each partition's in this order; one below 0 goes by the key."""
        producer = AIOKafkaProducer(bootstrap_servers=self.servers, acks="all", enable_idempotence=True)
        await producer.start()
        try:
            sent = [
                await producer.send(
                    one.topic,
                    one.value,
                    key=one.key,
                    headers=list(one.headers),
                    partition=one.partition if one.partition >= 0 else None,
                )
                for one in messages
            ]
            await asyncio.gather(*sent)
        finally:
            await producer.stop()

    @patient
    async def leader(self, topic: str, partition: int) -> int:
        """Who leads a partition."""
        leaders: dict[int, int] = {one["partition"]: one["leader"] for one in await self._partitions(topic)}
        return leaders[partition]

    @patient
    async def coordinator(self, group: str) -> int:
        """Who coordinates a group."""
        async with self._admin() as admin:
            coordinator: int = await admin.find_coordinator(group)
            return coordinator

    async def in_step(self) -> None:
        """Wait until every partition has all its copies again."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                partitions = await self._partitions()
                if partitions and all(len(one["isr"]) == len(one["replicas"]) for one in partitions):
                    return
                await asyncio.sleep(0.2)

    @patient
    async def ends(self, topics: Iterable[str]) -> dict[tuple[str, int], int]:
        """The offset that the next message gets, by topic and partition."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.servers, enable_auto_commit=False, retry_backoff_ms=RETRY_BACKOFF_MS
        )
        await consumer.start()
        try:
            counts = await partitions(self.servers)
            places = [TopicPartition(topic, number) for topic in topics for number in range(counts.get(topic, 0))]
            ends = await consumer.end_offsets(places)
            return {(one.topic, one.partition): end for one, end in ends.items()}
        finally:
            await consumer.stop()

    @patient
    async def forget(self, topic: str) -> None:
        """Delete all that a topic holds by now, as retention does."""
        ends = await self.ends([topic])
        async with self._admin() as admin:
            await admin.delete_records(
                {TopicPartition(*place): RecordsToDelete(before_offset=end) for place, end in ends.items() if end}
            )

    @patient
    async def committed(self, group: str) -> dict[tuple[str, int], int]:
        """How far Kafka believes that a group has come."""
        async with self._admin() as admin:
            found = await admin.list_consumer_group_offsets(group)
            return {(place.topic, place.partition): one.offset for place, one in found.items()}

    @patient
    async def _partitions(self, topic: str = "") -> list[dict[str, Any]]:
        async with self._admin() as admin:
            topics = await admin.describe_topics([topic] if topic else None)
            return [one for described in topics for one in described["partitions"]]

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.servers, request_timeout_ms=REQUEST_MS)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()


def heard_topics() -> set[str]:
    """Topics that some service hears."""
    return {TOPICS[source] for sources in HEARS.values() for source in sources}


def made_up(event: Event, stream: str, sequence: int, source: str = "cases", **headers: str) -> Message:
    """A message as the service `source` would publish it, had it decided this; `headers` replace its own."""
    record: Any = SimpleNamespace(
        stream=stream,
        sequence=sequence,
        id=str(uuid_utils.uuid7()),
        type=type_of(event),
        schema=event.schema_version,
        source=source,
        subject=event.subject,
        time=SystemClock().now(),
        actor=f"system/{source}",
        correlation_id="made-up",
        causation_id="",
        policy="",
        traceparent="",
        data=encode(event),
    )
    own = dict(envelope.headers(record)) | {name: text.encode() for name, text in headers.items()}
    return Message(TOPICS[source], -1, 0, stream.encode(), tuple(own.items()), record.data)
