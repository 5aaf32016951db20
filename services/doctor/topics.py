"""Topics against logs: every event that was published stands in its topic exactly, and in the order of the log.

A topic may hold events twice (they were published again) and may have lost its oldest ones (retention). Along the log
goes a place in each partition: the next event of the log is the next new message there, or there is a hole.
"""

from collections import defaultdict, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from contracts import envelope
from contracts.policy import Text
from services.doctor import ways
from services.doctor.finding import Note, Wrong
from services.doctor.look import Look, asked
from services.kernel.kafka.connection import Connection, stop
from services.kernel.kafka.relay import Relay, partition_of
from services.kernel.kafka.topics import topic_of
from services.kernel.ledger import EVENT_COLUMNS
from services.kernel.log import Record
from services.kernel.sql_reads import EVENTS
from services.kernel.sql_reads import records as records_of

#: Messages of one partition that are in memory at a time.
MESSAGES: Final = 500
#: How long brokers may take to show what they said is there, in milliseconds.
PATIENCE_MS: Final = 10_000
#: How long a broker holds back an answer where there is nothing to tell, in milliseconds: so long it takes to leave it.
FETCH_MS: Final = 50
CLIENT: Final = "aftersales-doctor"

_BY_ID = f"{EVENTS} WHERE source = ? AND id IN ({{}})"


class Unanswered(Exception):
    """The brokers said that a message is there and did not show it in time."""


class Partition:
    """The messages that a partition held when it was begun with, one after the other."""

    def __init__(self, consumer: AIOKafkaConsumer, place: TopicPartition, begin: int, end: int) -> None:
        self.place = place
        self.begin = begin
        self._end = end
        self._next = begin
        self._consumer = consumer
        self._fetched: deque[ConsumerRecord] = deque()

    async def peek(self) -> ConsumerRecord | None:
        """The next message; None behind the last. Raises Unanswered."""
        while not self._fetched and self._next < self._end:
            found = await self._consumer.getmany(self.place, timeout_ms=PATIENCE_MS, max_records=MESSAGES)
            messages = found.get(self.place, ())
            if not messages:
                raise Unanswered(f"{self.place.topic}/{self.place.partition}/{self._next}")
            self._fetched += [message for message in messages if message.offset < self._end]
            self._next = messages[-1].offset + 1
        return self._fetched[0] if self._fetched else None

    def take(self) -> None:
        """Go on behind the next message."""
        self._fetched.popleft()

    @property
    def ahead(self) -> Sequence[ConsumerRecord]:
        """The next messages that are in memory."""
        return self._fetched


@asynccontextmanager
async def partitions(connection: Connection, topic: str) -> AsyncIterator[list[Partition]]:
    """All partitions of a topic, in order, each from its beginning to where it ends now; none where there is no such
    topic. Raises BrokerAway, BrokerRefused."""
    consumer = await connection.consumer(CLIENT, auto_offset_reset="none", fetch_max_wait_ms=FETCH_MS)
    try:
        places = await _places(connection, topic)
        begins = await consumer.beginning_offsets(places) if places else {}
        ends = await consumer.end_offsets(places) if places else {}
        consumer.assign(places)
        for place in places:
            consumer.seek(place, begins[place])
        yield [Partition(consumer, place, begins[place], ends[place]) for place in places]
    finally:
        await stop(consumer)


async def _places(connection: Connection, topic: str) -> list[TopicPartition]:
    admin = await connection.admin(CLIENT)
    try:
        # All topics: a question by name may make brokers create it with their own defaults.
        there = [found for found in await admin.describe_topics() if found["topic"] == topic]
    finally:
        await stop(admin)
    return sorted(TopicPartition(topic, one["partition"]) for found in there for one in found["partitions"])


async def topics(look: Look) -> AsyncIterator[Wrong | Note]:
    """What the relay says it published is in the topic, byte by byte and in order, and nothing else is."""
    published = await look.live.checkpoint(Relay.name, look.name)
    topic = topic_of(look.name, look.shop.settings.kafka_prefix)
    async with partitions(Connection.of(look.shop.settings), topic) as there:
        if not there:
            yield Wrong(
                topic,
                Text(zh="没有这个主题", en="there is no such topic"),
                topic,
                "",
                ways.topics(),
            )
            return
        for one in there:
            if one.begin:
                yield Note(
                    f"{topic}/{one.place.partition}",
                    Text(
                        zh=f"保留期已过:{one.begin} 之前的消息已被 Kafka 删除,不再比较",
                        en=f"past retention: messages before {one.begin} were deleted and are not compared",
                    ),
                )
        tracks = [_Track(look, one, published) for one in there]
        async for page in _own(look):
            mine: dict[int, list[Record]] = defaultdict(list)
            for record in page:
                mine[partition_of(envelope.key(record), len(there))].append(record)
            for number, records in sorted(mine.items()):
                async for wrong in tracks[number].follow(records):
                    yield wrong
        for track in tracks:
            async for wrong in track.end():
                yield wrong


async def _own(look: Look) -> AsyncIterator[list[Record]]:
    """The service's own events in the order of its log, as it is now."""
    after = 0
    while page := await look.live.read_log(after, MESSAGES, look.name, decode=False):
        yield page
        await look.seen(page[-1].position - after)
        after = page[-1].position


class _Track:
    """How far one partition agrees with the log."""

    def __init__(self, look: Look, partition: Partition, published: int) -> None:
        self._look = look
        self._partition = partition
        self._published = published
        self._begun = partition.begin == 0
        self._events: dict[tuple[str, bytes | None], Record] = {}
        self._looked_up = -1

    async def follow(self, records: Sequence[Record]) -> AsyncIterator[Wrong]:
        """The next events of the log that belong here."""
        for record in records:
            async for wrong in self._until(record):
                yield wrong

    async def end(self) -> AsyncIterator[Wrong]:
        """The log has no more: what is still there was published again, or is of nobody."""
        while (message := await self._partition.peek()) is not None:
            if wrong := await self._repeated(message):
                yield wrong
            self._partition.take()

    async def _until(self, record: Record) -> AsyncIterator[Wrong]:
        """Go on to the message of this event."""
        while (message := await self._partition.peek()) is not None:
            if _id(message) == record.id:
                self._partition.take()
                self._begun = True
                if different := _differs(record, message):
                    yield self._unlike(record, message, different)
                return
            event = await self._event(message)
            if event is not None and event.position > record.position:
                break
            if wrong := await self._repeated(message):
                yield wrong
            self._partition.take()
        if self._begun and record.position <= self._published:
            yield self._missing(record)

    async def _event(self, message: ConsumerRecord) -> Record | None:
        """The event of a message as the log has it; None where it does not. What comes next is looked up with it."""
        if message.offset > self._looked_up:
            ahead = self._partition.ahead
            rows = await asked(self._look.live, _BY_ID, [_id(one) for one in ahead], self._look.name)
            found = records_of([tuple(row[name] for name in EVENT_COLUMNS) for row in rows], None)
            self._events = {(one.id, envelope.key(one)): one for one in found}
            self._looked_up = ahead[-1].offset
        return self._events.get((_id(message), message.key))

    async def _repeated(self, message: ConsumerRecord) -> Wrong | None:
        """A message that was there before: it is the same once more, or no event of ours."""
        record = await self._event(message)
        if record is None:
            return Wrong(
                _place(message),
                Text(zh="日志里没有这条消息的事件", en="this message is no event of the log"),
                "",
                f"{_header(message, 'ce_type')} {_id(message)}",
                ways.restore(self._look.name),
            )
        different = _differs(record, message)
        return self._unlike(record, message, different) if different else None

    def _unlike(self, record: Record, message: ConsumerRecord, different: str) -> Wrong:
        event = f"{record.type} {record.stream}#{record.version}"
        return Wrong(
            _place(message),
            Text(
                zh=f"{event} 的消息与日志不同({different})",
                en=f"the message of {event} has another {different} than the log",
            ),
            record.id,
            _id(message),
            ways.restore(self._look.name),
        )

    def _missing(self, record: Record) -> Wrong:
        place, event = self._partition.place, f"{record.type} {record.stream}#{record.version}"
        return Wrong(
            f"{place.topic}/{place.partition}",
            Text(
                zh=f"日志第 {record.position} 条({event})不在主题里,或不在它的位置上",
                en=f"#{record.position} of the log ({event}) is not in the topic, or not in its place",
            ),
            record.id,
            "",
            ways.republish(self._look.name, record.position),
        )


def _differs(record: Record, message: ConsumerRecord) -> str:
    """What of a message is not what the event says; "" where all is. Headers that are not ours do not count."""
    if message.key != envelope.key(record):
        return "key"
    if message.value != record.data:
        return "body"
    given: dict[str, Any] = dict(message.headers)
    return next((name for name, text in envelope.headers(record) if given.get(name) != text), "")


def _id(message: ConsumerRecord) -> str:
    return _header(message, "ce_id")


def _header(message: ConsumerRecord, name: str) -> str:
    return next((text or b"" for header, text in message.headers if header == name), b"").decode(errors="replace")


def _place(message: ConsumerRecord) -> str:
    return f"{message.topic}/{message.partition}/{message.offset}"
