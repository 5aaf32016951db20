"""Clients of the brokers: who may come in, and that no wait is for ever."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from services.kernel.kafka.connection import BrokerAway, BrokerRefused, Connection, discard, stop
from services.kernel.settings import load_settings
from services.stack.kafka import KafkaCluster, Login, throwaway_brokers
from tests.kernel.kafka import make_topic

LOGIN = Login("aftersales", "correct")


@pytest.fixture(scope="module")
def guarded() -> Iterator[KafkaCluster]:
    """A broker that lets in one user only; tests freeze it and thaw it again."""
    with throwaway_brokers(login=LOGIN) as cluster:
        yield cluster


async def test_settings_lead_to_the_brokers(guarded: KafkaCluster) -> None:
    """What the settings name is what clients log in with."""
    connection = Connection.of(
        load_settings(
            {},
            database_url="postgresql://a:b@host/aftersales_{service}",
            kafka_servers=guarded.servers,
            kafka_security="SASL_PLAINTEXT",
            kafka_mechanism="PLAIN",
            kafka_username=LOGIN.username,
            kafka_password=LOGIN.password,
        )
    )
    await connection.reachable()
    await stop(await connection.admin())
    assert LOGIN.password not in repr(connection)


@pytest.mark.parametrize(
    "wrong",
    [{"password": "wrong"}, {"username": "nobody"}, {"mechanism": "SCRAM-SHA-512"}],
    ids=lambda one: next(iter(one)),
)
async def test_wrong_credentials_are_refused_at_once(guarded: KafkaCluster, wrong: dict[str, str]) -> None:
    """Nobody waits for a broker that is there and says no."""
    connection = _guarded_connection(guarded, **wrong)
    async with asyncio.timeout(10):
        with pytest.raises(BrokerRefused):
            await connection.reachable()
        with pytest.raises(BrokerRefused):
            await connection.producer("refused")


async def test_a_broker_that_is_not_there_is_away() -> None:
    """Nobody listens: that may change, so it is no refusal."""
    connection = Connection(servers="127.0.0.1:1,127.0.0.1:2")
    with pytest.raises(BrokerAway):
        await connection.check()
    with pytest.raises(BrokerAway):
        await connection.consumer("away")


async def test_one_broker_of_those_named_is_enough(kafka: KafkaCluster) -> None:
    """A server that is down does not keep us from the others."""
    await Connection(servers=f"127.0.0.1:1,{kafka.servers}").reachable()


async def test_discarding_a_client_of_a_hanging_broker_ends_it(guarded: KafkaCluster) -> None:
    """A producer with messages on their way is gone in bounded time, with everything that it did in the background."""
    connection = _guarded_connection(guarded)
    await make_topic(connection, "hanging")
    before = asyncio.all_tasks()
    producer = await connection.producer("hanging")
    await producer.send_and_wait("hanging", b"0")
    guarded.freeze(0)
    try:
        futures = [await producer.send("hanging", b"x" * 100_000) for _ in range(3)]
        await asyncio.sleep(0.1)
        begun = time.monotonic()
        await discard(producer)
        assert time.monotonic() - begun < 8
    finally:
        guarded.thaw(0)
    assert asyncio.all_tasks() <= before
    assert not any(future.done() and not future.cancelled() for future in futures)


async def test_stopping_sends_what_is_held(kafka: KafkaCluster) -> None:
    """An orderly stop loses nothing that was handed over."""
    connection = Connection(servers=kafka.servers)
    await make_topic(connection, "stopped")
    producer = await connection.producer("stopped", linger_ms=1_000)
    future = await producer.send("stopped", b"x")
    await stop(producer)
    assert (await future).offset == 0


async def test_stop_is_bounded_while_the_broker_hangs(guarded: KafkaCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither does an orderly stop wait for ever (aiokafka #1101)."""
    monkeypatch.setattr("services.kernel.kafka.connection.STOP_SECONDS", 0.5)
    connection = _guarded_connection(guarded)
    await make_topic(connection, "bounded")
    producer = await connection.producer("bounded")
    await producer.send_and_wait("bounded", b"0")
    consumer = await connection.consumer("bounded", group_id="bounded")
    consumer.subscribe(["bounded"])
    assert (await consumer.getone()).value == b"0"
    guarded.freeze(0)
    try:
        await producer.send("bounded", b"x")
        begun = time.monotonic()
        await stop(producer)
        await stop(consumer)
        assert time.monotonic() - begun < 5
    finally:
        guarded.thaw(0)


def _guarded_connection(cluster: KafkaCluster, **wrong: str) -> Connection:
    login: dict[str, Any] = {"username": LOGIN.username, "password": LOGIN.password, "mechanism": "PLAIN"}
    return Connection(servers=cluster.servers, security="SASL_PLAINTEXT", **{**login, **wrong})
