"""The relay at a real broker: whatever happens in between, every committed event arrives, in order per key."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from aiokafka import ConsumerRecord
from uuid_utils import uuid7

from contracts import envelope
from services.kernel.appender import Appender
from services.kernel.event_store import Append, Claim, Commit, EventStore
from services.kernel.kafka.connection import Connection, stop
from services.kernel.kafka.relay import PAGE_RECORDS, Relay, partition_of
from services.kernel.kafka.topics import ensure, topic_of, topics
from services.kernel.log import MAX_DATA_BYTES, NewRecord, Record
from services.kernel.log_reader import LogReader
from services.kernel.settings import load_settings
from services.kernel.stores import open_store
from services.stack.kafka import KafkaCluster
from tests.kernel.kafka import make_topic, messages_in
from tests.kernel.store_contract import new
from tests.kernel.toy import decode, url_of

SOURCE = "cases"


class Log:
    """A service's log, and relays that publish it."""

    def __init__(self, store: EventStore, connection: Connection) -> None:
        self.store = store
        self.connection = connection
        self.topic = topic_of(SOURCE, connection.prefix)
        self.appender = Appender(store)
        self._versions: dict[str, int] = defaultdict(int)
        self._running: list[tuple[LogReader, Relay, Appender]] = []

    async def add(self, count: int, streams: int = 7, data: bytes | None = None) -> None:
        """Commit so many events, turn about in so many streams."""
        for number in range(count):
            stream = f"TB{number % streams:04}"
            appended = Append(stream, self._versions[stream], [_new(stream, data)])
            await self.appender.submit(Commit(appends=(appended,)))
            self._versions[stream] += 1

    async def relay(
        self, appender: Appender | None = None, may_publish: Callable[[], bool] = lambda: True
    ) -> tuple[LogReader, Relay]:
        """Begin to publish, from where the last relay came to."""
        relay = Relay(SOURCE, self.connection, appender or self.appender, may_publish)
        reader = LogReader("relay", SOURCE, self.store, relay, batch_records=PAGE_RECORDS, decode=False)
        reader.start(await self.store.claim("relay", SOURCE))
        self._running.append((reader, relay, appender or self.appender))
        return reader, relay

    async def recorded(self) -> list[Record]:
        return await self.store.read_log(0, 100_000, decode=False)

    async def arrived(self) -> list[ConsumerRecord]:
        return await messages_in(self.connection, self.topic)

    async def close(self) -> None:
        for reader, relay, appender in self._running:
            await reader.stop()
            await relay.stop()
            await appender.close()
        await self.appender.close()
        await self.store.close()


@pytest.fixture(scope="module")
def kafka(broker_to_harm: KafkaCluster) -> KafkaCluster:
    """Tests of this module kill or freeze their broker."""
    return broker_to_harm


@pytest.fixture
async def log(kafka: KafkaCluster, tmp_path: Path) -> AsyncIterator[Log]:
    """An empty log, and its topics under a prefix of its own."""
    connection = Connection(servers=kafka.servers, prefix=f"{uuid7()}.")
    await _make_topics(connection)
    log = await _log(tmp_path, connection)
    yield log
    await log.close()


@pytest.fixture
def own_kafka() -> Iterator[KafkaCluster]:
    """A broker of one's own, not started yet."""
    cluster = KafkaCluster()
    yield cluster
    cluster.close()


async def test_everything_arrives_once_in_order_with_all_that_is_known_of_it(log: Log) -> None:
    """A message holds the event's bytes and, in its headers, everything that a reader needs to rebuild the record."""
    await log.add(300)
    _, relay = await log.relay()
    await log.add(50)
    await _until(lambda: relay.published == 350)
    arrived, recorded = await log.arrived(), await log.recorded()
    assert _ids(arrived) == sorted(record.id for record in recorded)
    assert _first_occurrences(arrived) == _by_stream(recorded)
    by_id = {record.id: record for record in recorded}
    for message in arrived:
        whole = envelope.parse(message.key, message.headers, message.value)
        record = by_id[whole.id]
        assert {name: getattr(record, name) for name in whole.__struct_fields__} == msgspec.structs.asdict(whole)
        assert message.partition == partition_of(record.stream.encode(), 6)
    assert await log.store.checkpoint("relay", SOURCE) == recorded[-1].position
    assert relay.oldest_unpublished is None


async def test_a_broker_killed_in_the_middle_loses_nothing(log: Log, kafka: KafkaCluster) -> None:
    """Published before, during and after a crash of the broker: all there, first occurrences in order; the relay
    goes on by itself."""
    _, relay = await log.relay()
    await log.add(200)
    await _until(lambda: relay.published > 0)
    adding = asyncio.create_task(log.add(400))
    await asyncio.to_thread(kafka.kill, 0)
    try:
        await adding
    finally:
        await asyncio.to_thread(kafka.restart, 0)
    await log.add(50)
    await _until(lambda: relay.published == 650)
    await _all_is_there(log)


async def test_a_hanging_broker_is_given_up_and_comes_back(
    log: Log, kafka: KafkaCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that answers nothing: the relay says so in bounded time, and publishes the same again when it wakes."""
    monkeypatch.setattr("services.kernel.kafka.relay.PUBLISH_SECONDS", 1.0)
    reader, relay = await log.relay()
    await log.add(10)
    await _until(lambda: relay.published == 10)
    kafka.freeze(0)
    try:
        await log.add(30)
        await _until(lambda: "not acknowledged" in reader.failing)
        assert relay.oldest_unpublished is not None
    finally:
        kafka.thaw(0)
    await _until(lambda: relay.published == 40 and not reader.failing)
    await _all_is_there(log)


async def test_a_broker_that_is_away_at_the_start_is_waited_for(own_kafka: KafkaCluster, tmp_path: Path) -> None:
    """The service may start before the broker; what was committed meanwhile is published when it comes."""
    log = await _log(tmp_path, Connection(servers=own_kafka.servers))
    try:
        reader, relay = await log.relay()
        await log.add(20)
        await _until(lambda: "BrokerAway" in reader.failing)
        await asyncio.to_thread(own_kafka.start)
        await _until(lambda: "aftersales topics ensure" in reader.failing)  # a topic that is missing is named
        await _make_topics(log.connection)
        await _until(lambda: relay.published == 20 and not reader.failing)
        await _all_is_there(log)
    finally:
        await log.close()


async def test_published_but_not_noted_is_published_again(log: Log) -> None:
    """A crash between the acknowledgement and the checkpoint: the next relay sends the same events, same ids."""
    await log.add(30)
    crashing = Appender(log.store)
    await crashing.close()
    reader, relay = await log.relay(crashing)
    await _until(lambda: reader.failing != "")
    await reader.stop()
    assert relay.published == 0
    before = _ids(await log.arrived())
    assert before
    assert await log.store.checkpoint("relay", SOURCE) == 0
    _, again = await log.relay()
    await _until(lambda: again.published == 30)
    assert _ids(await log.arrived()) == sorted(before + [record.id for record in await log.recorded()])
    await _all_is_there(log)


async def test_of_two_relays_the_one_that_was_taken_over_stops(log: Log) -> None:
    """A second process takes over; the first learns it at its next checkpoint, and what both sent stays in order."""
    first_reader, first = await log.relay()
    await log.add(100)
    await _until(lambda: first.published == 100)
    await first_reader.stop()  # frozen, as it were
    second_reader, second = await log.relay()
    first_reader.start(Claim(first_reader.position, first_reader.epoch))
    await log.add(100)
    await _until(lambda: second.published == 100 and first_reader.fenced)
    await log.add(20)
    await _until(lambda: second.published == 120)
    assert (first.published, second_reader.fenced) == (100, False)
    assert len(await log.arrived()) >= 220
    await _all_is_there(log)


async def test_nothing_is_published_once_the_lease_ran_out(log: Log) -> None:
    """Who cannot know whether it still leads waits, and goes on when it does."""
    leads = False
    reader, relay = await log.relay(may_publish=lambda: leads)
    await log.add(5)
    await _until(lambda: "LeadershipRanOut" in reader.failing)
    assert await log.arrived() == []
    leads = True
    await _until(lambda: relay.published == 5)
    await _all_is_there(log)


async def test_the_largest_event_goes_through(log: Log) -> None:
    """Whatever a log accepts the topics accept."""
    await log.add(3)
    await log.add(2, streams=1, data=b'"' + b"x" * (MAX_DATA_BYTES - 2) + b'"')
    _, relay = await log.relay()
    await _until(lambda: relay.published == 5)
    await _all_is_there(log)
    assert max(len(message.value) for message in await log.arrived()) == MAX_DATA_BYTES


async def test_a_topic_for_small_messages_is_named_and_nothing_skipped(kafka: KafkaCluster, tmp_path: Path) -> None:
    """An event larger than the topic takes stops the relay with the reason, until the topic is mended."""
    connection = Connection(servers=kafka.servers, prefix=f"{uuid7()}.")
    await make_topic(connection, topic_of(SOURCE, connection.prefix), 6, max_message_bytes="10000")
    log = await _log(tmp_path, connection)
    try:
        reader, relay = await log.relay()
        await log.add(1, data=b'"' + b"x" * 20_000 + b'"')
        await _until(lambda: "max.message.bytes" in reader.failing)
        await log.add(5)
        await _make_topics(connection, alter=True)
        await _until(lambda: relay.published == 6 and not reader.failing)
        await _all_is_there(log)
    finally:
        await log.close()


@pytest.mark.parametrize(
    ("key", "java"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_keys_go_where_kafkas_own_clients_put_them(key: bytes, java: int) -> None:
    """Hashes from Kafka's own tests (UtilsTest.testMurmur2): an upstream in Java and we agree on the partition."""
    assert partition_of(key, 12) == (java & 0x7FFFFFFF) % 12


async def _log(folder: Path, connection: Connection) -> Log:
    url = await asyncio.to_thread(url_of, folder / "log.db")
    return Log(open_store(url, decode), connection)


async def _make_topics(connection: Connection, alter: bool = False) -> None:
    settings = load_settings(
        {},
        database_url="postgresql://a:b@host/aftersales_{service}",
        kafka_servers=connection.servers,
        kafka_prefix=connection.prefix,
    )
    admin = await connection.admin()
    await ensure(admin, topics(settings), alter=alter)
    await stop(admin)


def _new(stream: str, data: bytes | None) -> NewRecord:
    return new(
        str(uuid7()),
        source=SOURCE,
        type="toy.mentioned",
        subject=f"{stream}-1",
        correlation_id=stream,
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        data=data or msgspec.json.encode({"case_id": f"{stream}-1"}),
    )


async def _all_is_there(log: Log) -> None:
    """Nothing is lost, and the first occurrences of each key stand in the order of the log."""
    assert _first_occurrences(await log.arrived()) == _by_stream(await log.recorded())


def _ids(messages: list[ConsumerRecord]) -> list[str]:
    return sorted(dict(message.headers)["ce_id"].decode() for message in messages)


def _first_occurrences(messages: list[ConsumerRecord]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for message in messages:
        id = dict(message.headers)["ce_id"].decode()
        if id not in found[message.key.decode()]:
            found[message.key.decode()].append(id)
    return dict(found)


def _by_stream(records: list[Record]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for record in records:
        found[record.stream].append(record.id)
    return dict(found)


async def _until(holds: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to pass"
        await asyncio.sleep(0.02)
