"""The toy services over Kafka: what the contract of every bus asks for, and a bit more for what is Kafka's own."""

import asyncio
import itertools
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import RecordsToDelete

from contracts import envelope
from contracts.registry import UnknownEvent
from services.kernel.kafka import parking
from services.kernel.kafka.connection import Connection, stop
from services.kernel.kafka.consumer import KafkaConsumer, Subscription
from services.kernel.kafka.dead_letter_topic import DeadLetterTopic
from services.kernel.kafka.partition_lags import PartitionLags
from services.kernel.kafka.relay import partition_of
from services.kernel.kafka.topics import dead_letters_of, group_of
from tests.kernel import toy
from tests.kernel.bus_contract import PATIENCE_S, Consumer, Message
from tests.kernel.kafka import make_topic
from tests.kernel.toy import TallyDomain, toy_record, url_of

PARTITIONS = 3
#: Waits between tries: short ones, but many, so that a test decides when to cure what fails.
RETRIES = (0.05, 0.2, *(0.5,) * 60)
#: A member that is gone is noticed as soon as a broker allows.
QUICK = {"session_timeout_ms": 1_500, "heartbeat_interval_ms": 100, "retry_backoff_ms": 50}


def decode(type: str, schema: int, data: bytes) -> Any:
    """As `contracts.registry.decode`, but for toy events."""
    try:
        return toy.decode(type, schema, data)
    except KeyError:
        raise UnknownEvent(f"unknown event type {type!r}") from None


#: Key, value and headers of a message.
Raw = tuple[bytes | None, bytes | None, Sequence[tuple[str, bytes]]]


class Member(Consumer):
    """A toy service as one process runs it: a member of its group."""

    def __init__(
        self, bus: "KafkaBus", service: str, url: str, domain: TallyDomain, retry_seconds: Sequence[float]
    ) -> None:
        super().__init__(url, domain)
        self._bus = bus
        self.dead_letters = DeadLetterTopic(bus.connection, bus.group(service))
        self.consumer = KafkaConsumer(
            service,
            [Subscription(bus.topic, "toy", self.handle)],
            self.own_store,
            self.appender,
            bus.connection,
            decode,
            self.dead_letters,
            retry_seconds=retry_seconds,
            client_options=QUICK,
        )

    @property
    def parked(self) -> Collection[str]:
        return self.consumer.parked

    @property
    def stuck(self) -> str:
        return self.consumer.stuck

    async def start(self) -> None:
        await self.consumer.start()

    async def leave(self) -> None:
        await self.consumer.stop()
        await self.dead_letters.stop()

    async def behind(self) -> int:
        """As database and broker say: what was not read yet, and what was left behind."""
        group = self.consumer.group
        lags = PartitionLags(self.consumer.service, group, {self._bus.topic: "toy"}, self.store, self._bus.connection)
        try:
            unread = sum(one.behind for one in await lags())
        finally:
            await lags.close()
        return unread + sum((await parking.counts(self.store, group)).values())

    async def again(self) -> None:
        await self.consumer.rewind()

    async def caught_up(self) -> None:
        """As the database says; what this member works on is so in its memory as well."""
        ends = await self._bus.ends()
        async with asyncio.timeout(PATIENCE_S):
            while not (self.consumer.ready and await self._reached(ends)):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)

    async def _reached(self, ends: dict[TopicPartition, int]) -> bool:
        here = self.consumer.positions
        for place, end in ends.items():
            position = await self.store.checkpoint(self.consumer.group, f"{place.topic}/{place.partition}")
            if min(position, here.get(place, position)) < end:
                return False
        return True


class KafkaBus:
    """A topic of the toy service, and groups that hear it."""

    def __init__(self, connection: Connection, name: str, folder: Path) -> None:
        self.connection = msgspec.structs.replace(connection, prefix=f"{name}.")
        self.topic = f"{name}.toy"
        self.folder = folder
        self.retry_seconds: Sequence[float] = RETRIES
        self._made: list[Member] = []
        self._ids = itertools.count()
        self._producer: AIOKafkaProducer | None = None
        self._looker: AIOKafkaConsumer | None = None

    async def open(self) -> None:
        await make_topic(self.connection, self.topic, PARTITIONS)
        await make_topic(self.connection, self.dead_letters)
        self._producer = await self.connection.producer("toy")
        self._looker = await self.connection.consumer("looker")

    def group(self, service: str = "tally") -> str:
        return group_of(service, self.connection.prefix)

    @property
    def dead_letters(self) -> str:
        return dead_letters_of(self.topic, self.group())

    def raw(self, message: Message) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
        """Key, value and headers of a message."""
        record = toy_record(f"e{next(self._ids)}", message.event, sequence=message.sequence)
        published = _Published(message.stream, **msgspec.structs.asdict(record))
        return envelope.key(published), record.data, envelope.headers(published)

    async def send(self, *messages: Message) -> None:
        assert self._producer
        sent = []
        for message in messages:
            key, value, headers = self.raw(message)
            sent.append(await self._producer.send(self.topic, value, key, headers=headers))
        await asyncio.gather(*sent)

    async def send_raw(self, *messages: Raw) -> None:
        """In this order, also what aiokafka's `send` refuses: a message with neither key nor value."""
        assert self._producer
        sent = []
        for key, value, headers in messages:
            batch = self._producer.create_batch()
            batch.append(timestamp=None, key=key, value=value, headers=list(headers))
            number = partition_of(key, PARTITIONS) if key else 0
            sent.append(await self._producer.send_batch(batch, self.topic, partition=number))
        await asyncio.gather(*sent)

    async def ends(self) -> dict[TopicPartition, int]:
        assert self._looker
        ends: dict[TopicPartition, int] = await self._looker.end_offsets(
            [TopicPartition(self.topic, number) for number in range(PARTITIONS)]
        )
        return ends

    async def stream_in(self, partition: int, prefix: str = "TB") -> str:
        """The name of a stream whose events stand in this partition."""
        names = (f"{prefix}{n}" for n in itertools.count())
        return next(name for name in names if partition_of(name.encode(), PARTITIONS) == partition)

    async def forget(self, partition: int, before: int) -> None:
        """Let Kafka throw away what stands before an offset, as when its retention ran out."""
        admin = await self.connection.admin()
        await admin.delete_records({TopicPartition(self.topic, partition): RecordsToDelete(before)})
        await stop(admin)

    def consumer(self, service: str = "tally", **domain: Any) -> Member:
        return self.member(self.url(service), service, **domain)

    def member(self, url: str, service: str = "tally", **domain: Any) -> Member:
        member = Member(self, service, url, TallyDomain(**domain), self.retry_seconds)
        self._made.append(member)
        return member

    def url(self, service: str = "tally") -> str:
        return url_of(self.folder / f"{service}.db")

    async def close(self) -> None:
        await asyncio.gather(*(member.stop() for member in self._made))
        for client in (self._producer, self._looker):
            if client is not None:
                await stop(client)


class _Published(msgspec.Struct):
    """What travels of a record that no log holds."""

    stream: str
    id: str
    type: str
    schema: int
    source: str
    subject: str
    time: Any
    actor: str
    correlation_id: str
    causation_id: str
    policy: str
    traceparent: str
    event: Any
    data: bytes
    sequence: int
