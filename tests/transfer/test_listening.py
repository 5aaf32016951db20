"""Whoever listens hears what happens from then on, each event once, and disturbs nobody."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.events.cases import CaseRated
from contracts.registry import decode, encode
from services.kernel.event_store import EventStore
from services.kernel.kafka.connection import Connection, stop
from services.kernel.kafka.message import Unreadable, outgoing
from services.kernel.log import Record
from services.stack.kafka import KafkaCluster
from services.transfer.listening import Live, from_log, from_topics
from services.transfer.replay import NoTopic
from tests.kernel.kafka import make_topic
from tests.transfer import history
from tests.transfer.conftest import NewLog

PATIENCE_SECONDS = 20


async def first(lives: AsyncIterator[Live | Unreadable], number: int) -> list[Live | Unreadable]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return [await anext(lives) for _ in range(number)]


async def hears_what_is_committed(store: EventStore, other: EventStore) -> None:
    """Own events behind a position, and those that are committed by way of `other`, in order."""
    await history.grow(store, 1, 6)
    lives = from_log(store, "cases", 3)
    assert positions(await first(lives, 2)) == [4, 5]
    hearing = asyncio.create_task(first(lives, 2))
    await asyncio.sleep(0.05)
    await history.grow(other, 7, 9)
    assert positions(await hearing) == [7, 8]
    assert positions(await first(from_log(store, "cases", 6, learned=True), 3)) == [7, 8, 9]


def positions(lives: list[Live | Unreadable]) -> list[int]:
    return [live.record.position for live in lives if isinstance(live, Live)]


async def test_from_a_file(new_log: NewLog, tmp_path: Path) -> None:
    """In a data folder events are heard that another process commits."""
    other = await history.log(tmp_path, "log")
    await hears_what_is_committed(await new_log("log"), other)
    await other.close()


async def test_from_postgres(postgres_log: EventStore) -> None:
    """On PostgreSQL events are heard."""
    await hears_what_is_committed(postgres_log, postgres_log)


async def test_from_topics(kafka: KafkaCluster, new_log: NewLog) -> None:
    """From the topics come the events that are published from now on, with the mark of those that are sent again; what
    cannot be read is said and stops nothing."""
    connection = Connection(servers=kafka.servers, prefix="listen-")
    for name in ("cases", "refunds"):
        await make_topic(connection, f"listen-aftersales.{name}.v1", partitions=2)
    store = await new_log("log")
    data = encode(CaseRated(case_id="TB1-1", score=5))
    await history.grow(store, 1, 2, data=data, type="case.rated", source="cases")
    [one, two] = await history.everything(store)
    producer = await connection.producer("test")

    async def publish(record: Record, topic: str, *marks: tuple[str, bytes]) -> None:
        message = outgoing(record, topic)
        await producer.send_and_wait(topic, message.value, message.key, headers=[*message.headers, *marks])

    await publish(one, "listen-aftersales.cases.v1")  # before anybody listens
    heard: list[Live | Unreadable] = []

    async def hear() -> None:
        async for live in from_topics(connection, ["cases", "refunds"]):
            heard.append(live)

    hearing = asyncio.create_task(hear())
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not heard:
            await publish(two, "listen-aftersales.cases.v1", ("ce_replay", b"op-1"))
            await asyncio.sleep(0.2)
        await publish(two, "listen-aftersales.refunds.v1")  # where it does not belong
        await publish(one, "listen-aftersales.cases.v1")
        while sum(isinstance(each, Unreadable) for each in heard) != 1 or len(ids(heard)) != 2:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    hearing.cancel()
    await asyncio.wait([hearing])
    await stop(producer)
    live = heard[0]
    assert isinstance(live, Live)
    assert (live.service, live.record.id, live.replay) == ("cases", two.id, "op-1")
    assert live.record.event == decode("case.rated", 1, data)


def ids(heard: list[Live | Unreadable]) -> set[str]:
    return {each.record.id for each in heard if isinstance(each, Live)}


async def test_a_topic_that_is_not_there(kafka: KafkaCluster) -> None:
    """A topic that is missing is said to be, and none is made."""
    connection = Connection(servers=kafka.servers, prefix="nobody-")
    with pytest.raises(NoTopic):
        await anext(from_topics(connection, ["cases"]))
