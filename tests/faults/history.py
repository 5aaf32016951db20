"""What really happened: the services' databases and the topics, read raw, without any of the services' code."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from contracts.registry import TOPICS
from tests.faults.line import Acknowledged
from tests.faults.patience import PATIENCE_SECONDS, patient

#: Whose events each service hears; orders come from upstream systems.
HEARS = {"cases": ("refunds", "liability", "orders"), "refunds": ("cases",), "liability": ("cases", "refunds")}
#: Read tables, by service.
TABLES = {
    "cases": ("case_view", "stock_view"),
    "refunds": ("payout_view", "settlement_view", "exception_view"),
    "liability": ("loss_view", "charge_view"),
}
#: The consumer that keeps the read tables: of its service's log it follows also what the service learned.
VIEWS = "views"
#: The pause before a client asks a broker again; it asks several times while it gets to know the brokers.
RETRY_BACKOFF_MS = 10


@dataclass(slots=True)
class Logged:
    """A row of a log."""

    position: int
    stream: str
    version: int
    sequence: int
    id: str
    type: str
    schema: int
    source: str
    subject: str
    time: str
    actor: str
    correlation_id: str
    causation_id: str
    policy: str
    traceparent: str
    data: bytes
    hash: bytes


@dataclass(slots=True)
class Log:
    """One service's database."""

    service: str
    events: list[Logged] = field(default_factory=list)
    heads: dict[str, tuple[int, int, bytes]] = field(default_factory=dict)
    """Version, own sequence and hash, by stream."""
    inbox: dict[tuple[str, str], int] = field(default_factory=dict)
    """Last handled sequence, by source and stream."""
    checkpoints: dict[tuple[str, str], int] = field(default_factory=dict)
    """Position, by consumer and source."""
    parked: list[dict[str, Any]] = field(default_factory=list)
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def own(self) -> list[Logged]:
        """What the service decided itself."""
        return [event for event in self.events if event.source == self.service]


@dataclass(slots=True)
class Message:
    """One message of a topic."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    value: bytes | None

    def header(self, name: str) -> str:
        return next((raw.decode(errors="replace") for key, raw in self.headers if key == name), "")

    @property
    def place(self) -> str:
        return f"{self.topic}/{self.partition}@{self.offset}"


@dataclass(slots=True)
class History:
    """Everything that the checker judges."""

    logs: dict[str, Log]
    topics: dict[str, list[Message]]
    """Messages by the source of their topic, in order per partition; {} where services read each other's logs."""
    dead: dict[str, list[Message]] = field(default_factory=dict)
    """Messages of dead-letter topics, by topic."""
    paid: list[dict[str, Any]] | None = None
    """What the payment provider says that it paid out; None where nobody asked."""
    acknowledged: list[Acknowledged] = field(default_factory=list)
    prefix: str = ""
    made_up: frozenset[str] = frozenset()
    """Keys under which a test itself put messages on the topics, as no service would; "" for those without key."""

    def published(self, source: str) -> list[Message]:
        """The messages of a source's topic but for what a test put there."""
        return [one for one in self.topics[source] if (one.key or b"").decode() not in self.made_up]


async def read_history(
    databases: Mapping[str, str],
    servers: str = "",
    prefix: str = "",
    *,
    desk: tuple[str, str] | None = None,
    acknowledged: Iterable[Acknowledged] = (),
) -> History:
    """Read everything: `databases` by service, `servers` of Kafka, and at `desk` (URL, token) the provider's books.

    Topics first, then logs: so a log may hold more than its topic while things move, never less.
    """
    topics, dead = await read_topics(servers, prefix) if servers else ({}, {})
    logs = await asyncio.gather(*(read_log(service, url) for service, url in databases.items()))
    paid = await _read_books(*desk) if desk else None
    return History({log.service: log for log in logs}, topics, dead, paid, list(acknowledged), prefix)


async def read_log(service: str, url: str, *, ends_only: bool = False) -> Log:
    """Everything in a service's database, as of one moment; `ends_only`: of its events the last, no read tables."""
    connection = await asyncpg.connect(url, timeout=PATIENCE_SECONDS)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return await _read_log(service, connection, ends_only)
    finally:
        await connection.close()


async def _read_log(service: str, connection: Any, ends_only: bool) -> Log:
    columns = ", ".join(f'"{name}"' for name in Logged.__slots__)
    which = "WHERE position IN (SELECT max(position) FROM events GROUP BY source)" if ends_only else ""
    tables = () if ends_only else TABLES[service]
    heads = await connection.fetch("SELECT stream, version, sequence, hash FROM streams")
    inbox = await connection.fetch("SELECT source, stream, sequence FROM inbox")
    checkpoints = await connection.fetch("SELECT consumer, source, position FROM checkpoints")
    return Log(
        service,
        [Logged(*row) for row in await connection.fetch(f"SELECT {columns} FROM events {which} ORDER BY position")],
        {stream: (version, sequence, hash) for stream, version, sequence, hash in heads},
        {(source, stream): sequence for source, stream, sequence in inbox},
        {(consumer, source): position for consumer, source, position in checkpoints},
        [dict(row) for row in await connection.fetch("SELECT * FROM parked_messages")],
        {table: [dict(row) for row in await connection.fetch(f"SELECT * FROM {table}")] for table in tables},
    )


@patient
async def read_topics(servers: str, prefix: str = "") -> tuple[dict[str, list[Message]], dict[str, list[Message]]]:
    """All messages of our topics by their source, and of the dead-letter topics by topic, from the first on."""
    names = {prefix + topic: source for source, topic in TOPICS.items()}
    known = {topic: n for topic, n in (await partitions(servers)).items() if topic in names or _is_dead(topic, prefix)}
    places = [TopicPartition(topic, number) for topic, count in known.items() for number in range(count)]
    async with asyncio.timeout(PATIENCE_SECONDS):
        read = await _read_to_end(servers, places) if places else {}
    topics = {source: read.get(name, []) for name, source in names.items()}
    return topics, {name: read.get(name, []) for name in known if name not in names}


async def partitions(servers: str) -> dict[str, int]:
    """How many partitions each topic has."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        return {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}
    finally:
        await admin.close()


def _is_dead(topic: str, prefix: str) -> bool:
    return topic.startswith(prefix) and topic.endswith(".dlq")


async def _read_to_end(servers: str, places: Sequence[TopicPartition]) -> dict[str, list[Message]]:
    read: dict[str, list[Message]] = defaultdict(list)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        retry_backoff_ms=RETRY_BACKOFF_MS,
    )
    await consumer.start()
    try:
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        await consumer.seek_to_beginning(*places)
        while any([await consumer.position(place) < ends[place] for place in places]):
            for place, records in (await consumer.getmany(timeout_ms=500)).items():
                read[place.topic] += [_message(place, record) for record in records]
    finally:
        await consumer.stop()
    return {topic: sorted(messages, key=lambda one: (one.partition, one.offset)) for topic, messages in read.items()}


def _message(place: TopicPartition, record: Any) -> Message:
    headers = tuple((name, bytes(raw or b"")) for name, raw in record.headers)
    return Message(place.topic, place.partition, record.offset, record.key, headers, record.value)


async def _read_books(url: str, token: str) -> list[dict[str, Any]]:
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
        session.get(f"{url}/v1/ledger") as response,
    ):
        response.raise_for_status()
        paid: list[dict[str, Any]] = (await response.json())["paid"]
        return paid
