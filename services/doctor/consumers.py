"""Those who hear: what they noted as handled against what was told, how far they say they came, and what waits."""

import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Final

from aiokafka import TopicPartition

from contracts.policy import Text
from services.doctor import ways
from services.doctor.finding import Way, Wrong
from services.doctor.look import PAGE, Look, asked, pages
from services.doctor.topics import Partition, partitions
from services.kernel.kafka.connection import Connection
from services.kernel.kafka.lag import look_at
from services.kernel.kafka.parking import BEHIND, DEAD, GAP, WAITING, Place
from services.kernel.kafka.relay import Relay
from services.kernel.kafka.topics import group_of, topic_of
from services.kernel.lag import Checkpoint, checkpoints
from services.kernel.views import Projector

#: A message that waits no longer than this is on its way, in seconds.
WAITING_SECONDS: Final = 60.0

_INBOX = """SELECT stream, sequence FROM inbox WHERE source = ? AND stream > ? ORDER BY stream LIMIT ?"""
_HEADS = "SELECT stream, sequence FROM streams WHERE stream IN ({})"
_UNMARKED = """SELECT learned.source, learned.stream, learned.last, coalesce(inbox.sequence, 0) AS marked FROM (
    SELECT source, stream, max(sequence) AS last FROM events WHERE source <> ? GROUP BY source, stream
) AS learned LEFT JOIN inbox ON inbox.source = learned.source AND inbox.stream = learned.stream
WHERE coalesce(inbox.sequence, 0) < learned.last ORDER BY learned.stream"""
_TOLD = """SELECT position, stream, sequence FROM events
WHERE source = ? AND position <= ? AND position > ? ORDER BY position LIMIT ?"""
#: What was told of one order behind a number, and whether anything of it had an effect.
_UNMARKED_IDS = "SELECT id FROM events WHERE source = ? AND stream = ? AND sequence > ? AND sequence <= ? LIMIT ?"
_EFFECTS = "SELECT position FROM events WHERE stream = ? AND source = ? AND causation_id IN ({})"
_PARKED_AT = (
    "SELECT position FROM parked_messages WHERE consumer = ? AND topic = ? AND partition = ? AND position IN ({})"
)
_PARKED = f"""SELECT topic, partition, position, stream, sequence, type, source, state, cause, error, parked_at
FROM parked_messages WHERE state IN ('{WAITING}', '{DEAD}') AND cause <> '{BEHIND}'
ORDER BY consumer, topic, partition, position LIMIT ? OFFSET ?"""


async def inbox(look: Look) -> AsyncIterator[Wrong]:
    """Of each order a consumer noted as handled all that its checkpoint passed, and nothing that was never told."""
    for source in look.part.hears_from:
        if source in look.shop.stores and source != look.name:
            async for wrong in _beyond(look, source):
                yield wrong
        if source == look.name:
            continue
        if look.shop.settings.kafka_servers:
            async for wrong in _passed_in_topic(look, source):
                yield wrong
        elif source in look.shop.stores:
            async for wrong in _passed_in_log(look, source):
                yield wrong
    for row in await look.reads.query(_UNMARKED, (look.name,)):
        yield Wrong(
            f"{row['source']}/{row['stream']}",
            Text(
                zh="已学到的事件没有登记为已处理,再来一次会重复生效",
                en="what was learned is not noted as handled: coming again, it would count twice",
            ),
            str(row["last"]),
            str(row["marked"]),
            ways.restore(look.name),
        )


async def _beyond(look: Look, source: str) -> AsyncIterator[Wrong]:
    """The log of the source is asked last: it can only have got longer since."""
    after = ""
    while marks := await look.reads.query(_INBOX, (source, after, PAGE)):
        rows = await asked(look.shop.stores[source], _HEADS, [mark["stream"] for mark in marks])
        heads = {row["stream"]: row["sequence"] for row in rows}
        for mark in marks:
            told = heads.get(mark["stream"], 0)
            if mark["sequence"] > told:
                yield Wrong(
                    f"{source}/{mark['stream']}",
                    Text(
                        zh=f"{look.name} 处理过的比 {source} 发出的还多",
                        en=f"{look.name} handled more than {source} ever told",
                    ),
                    str(told),
                    str(mark["sequence"]),
                    ways.restore(source),
                )
        after = marks[-1]["stream"]


async def _passed_in_log(look: Look, source: str) -> AsyncIterator[Wrong]:
    """Events of a log up to the checkpoint that are not noted as handled."""
    consumer = f"{look.name}-hears-{source}"
    upto = await look.reads.checkpoint(consumer, source)
    async for rows in pages(look.shop.stores[source], _TOLD, source, upto, key="position"):
        last = {row["stream"]: row["sequence"] for row in rows}
        for wrong in await _unhandled(look, source, last, ways.rewind(look.name, consumer)):
            yield wrong


async def _passed_in_topic(look: Look, source: str) -> AsyncIterator[Wrong]:
    """Messages of partitions up to the checkpoint that are neither noted as handled nor parked."""
    settings = look.shop.settings
    topic, group = topic_of(source, settings.kafka_prefix), group_of(look.name, settings.kafka_prefix)
    async with partitions(Connection.of(settings), topic) as there:
        for one in there:
            upto = await look.reads.checkpoint(group, f"{topic}/{one.place.partition}")
            async for page in _messages(one, upto):
                parked = await asked(look.reads, _PARKED_AT, list(page), group, topic, one.place.partition)
                for row in parked:
                    del page[row["position"]]
                last = dict(sorted(page.values(), key=lambda told: told[1]))
                for wrong in await _unhandled(look, source, last, ways.republish(source)):
                    yield wrong


async def _messages(partition: Partition, upto: int) -> AsyncIterator[dict[int, tuple[str, int]]]:
    """Pages of messages before an offset: order and number by offset. What is no event of ours has number 0."""
    page: dict[int, tuple[str, int]] = {}
    while (message := await partition.peek()) is not None and message.offset < upto:
        partition.take()
        told = dict(message.headers).get("ce_sequence") or b""
        page[message.offset] = ((message.key or b"").decode(errors="replace"), int(told) if told.isdigit() else 0)
        if len(page) == PAGE:
            yield page
            page = {}
    if page:
        yield page


async def _unhandled(look: Look, source: str, last: Mapping[str, int], way: Way) -> list[Wrong]:
    """Streams of which less is noted as handled than this."""
    marks = await look.reads.inbox(source, last)
    wrongs = []
    for stream, sequence in last.items():
        marked = marks.get(stream, 0)
        if marked < sequence:
            wrongs.append(await _gap(look, source, stream, (marked, sequence), way))
    return wrongs


async def _gap(look: Look, source: str, stream: str, gap: tuple[int, int], way: Way) -> Wrong:
    """Events that were passed and are not noted as handled: they were not, or the note is lost although they were."""
    marked, sequence = gap
    if await _had_effect(look, source, stream, gap):
        what = Text(
            zh=f"{source} 的事件已生效,但没有登记为已处理,再来一次会重复生效",
            en=f"events of {source} had their effect but are not noted as handled: coming again, they count twice",
        )
        way = ways.restore(look.name)
    else:
        what = Text(
            zh=f"{look.name} 的进度已越过 {source} 的事件,但没有处理",
            en=f"{look.name} went past events of {source} without handling them",
        )
    return Wrong(f"{source}/{stream}", what, str(sequence), str(marked), way)


async def _had_effect(look: Look, source: str, stream: str, gap: tuple[int, int]) -> bool:
    if source not in look.shop.stores:  # who sells has no log that could be asked
        return False
    rows = await look.shop.stores[source].query(_UNMARKED_IDS, (source, stream, *gap, PAGE))
    return bool(await asked(look.reads, _EFFECTS, [row["id"] for row in rows], stream, look.name))


async def positions_reached(look: Look) -> AsyncIterator[Wrong]:
    """No consumer says that it came further than there is something, and none was overtaken by what Kafka deletes."""
    known = await checkpoints(look.reads)
    for one in known:
        if one.partition is None and one.source in look.shop.stores:
            end = await look.shop.stores[one.source].head_position()
            if one.position > end:
                yield _too_far(look, one, end, _way_back(look.name, one))
    if look.shop.settings.kafka_servers:
        for wrong in await _partitions(look, known):
            yield wrong


async def _partitions(look: Look, known: Sequence[Checkpoint]) -> list[Wrong]:
    settings = look.shop.settings
    topics = {topic_of(source, settings.kafka_prefix): source for source in look.part.hears_from if source != look.name}
    group = group_of(look.name, settings.kafka_prefix)
    mine = {
        TopicPartition(*one.partition): one
        for one in known
        if one.consumer == group and one.partition and one.partition[0] in topics
    }
    stands = {place: one.position for place, one in mine.items()}
    found: list[Wrong] = []
    for place, look_there in (await look_at(Connection.of(settings), topics, stands)).items():
        one = mine.get(place)
        if one and one.position > look_there.end:
            found.append(_too_far(look, one, look_there.end, ways.resume(look.name)))
        elif one and look_there.lost:
            found.append(_lost(one, look_there.lost, ways.republish_then_resume(topics[place.topic], look.name)))
    return found


def _way_back(service: str, one: Checkpoint) -> Way:
    if one.consumer == Projector.name:
        return ways.rebuild(service)
    return ways.republish(service) if one.consumer == Relay.name else ways.rewind(service, one.consumer)


def _too_far(look: Look, one: Checkpoint, end: int, way: Way) -> Wrong:
    return Wrong(
        f"{one.consumer} {one.source}",
        Text(
            zh="进度超过了日志或主题的末尾,之后的事件会被跳过",
            en="it stands behind the end: events to come would be left out",
        ),
        f"≤ {end}",
        str(one.position),
        way,
    )


def _lost(one: Checkpoint, lost: int, way: Way) -> Wrong:
    return Wrong(
        f"{one.consumer} {one.source}",
        Text(zh=f"{lost} 条消息未处理就被 Kafka 删除", en=f"Kafka deleted {lost} messages that nobody had handled"),
        str(one.position),
        str(one.position + lost),
        way,
    )


async def parked(look: Look) -> AsyncIterator[Wrong]:
    """No message is dead, and none waits for long."""
    place, now = 0, time.time()
    while rows := await look.reads.query(_PARKED, (PAGE, place)):
        for wrong in _parked(look.name, rows, now):
            yield wrong
        place += len(rows)


def _parked(service: str, rows: Sequence[Mapping[str, Any]], now: float) -> Iterator[Wrong]:
    for row in rows:
        place = str(Place(row["topic"], row["partition"], row["position"]))
        message = f"{row['source']}/{row['stream']} #{row['sequence']} {row['type']}"
        found = f"{row['cause']}: {row['error']}" if row["error"] else row["cause"]
        if row["state"] == DEAD:
            what = Text(zh="死信:没有人再试它", en="a dead message: nobody tries it any more")
            yield Wrong(place, what, message, found, ways.redrive(service, place))
        elif now - row["parked_at"] > WAITING_SECONDS:
            what = Text(zh="消息一直在等待", en="a message that has been waiting")
            way = ways.republish(row["source"]) if row["cause"] == GAP else ways.look_at(service, place)
            yield Wrong(place, what, message, found, way)
