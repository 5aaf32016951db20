"""TLS to the brokers, by the product's own settings: who is trusted, and what becomes of a broker that is not."""

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from services.kernel.kafka.connection import BrokerAway, BrokerRefused, Connection, stop
from services.kernel.settings import Settings, load_settings
from services.stack.databases import Databases
from services.stack.kafka import KafkaCluster, Login, throwaway_brokers
from services.stack.postgres import PostgresCluster
from tests.cli.terminal import aftersales
from tests.kernel.certificates import Authority
from tests.kernel.kafka import make_topic, messages_in

LOGIN = Login("aftersales", "correct")
#: A refusal is told long before anybody would give up waiting.
AT_ONCE_SECONDS = 20.0


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signed the brokers' certificate."""
    return Authority(tmp_path_factory.mktemp("ours"), "ours")


@pytest.fixture
def others(tmp_path: Path) -> Authority:
    """An authority that signed nothing of the brokers."""
    return Authority(tmp_path, "others")


@pytest.fixture(scope="module", params=["SSL", "SASL_SSL"])
def secured(request: pytest.FixtureRequest, ours: Authority) -> Iterator[tuple[KafkaCluster, str]]:
    """A broker that speaks TLS to clients, with or without a password besides, and the setting that fits it."""
    login = LOGIN if request.param == "SASL_SSL" else None
    with throwaway_brokers(login=login, certificate=ours.vouches_for("127.0.0.1")) as cluster:
        yield cluster, request.param


def told(secured: tuple[KafkaCluster, str], ca: Path | None) -> dict[str, Any]:
    """The settings of a process that trusts `ca`; None: what the system trusts."""
    cluster, security = secured
    who: dict[str, Any] = {"kafka_servers": cluster.servers, "kafka_security": security}
    if ca:
        who["kafka_ca"] = ca
    if security == "SASL_SSL":
        who |= {"kafka_mechanism": "PLAIN", "kafka_username": LOGIN.username, "kafka_password": LOGIN.password}
    return who


def settings(secured: tuple[KafkaCluster, str], ca: Path | None, **changed: Any) -> Settings:
    return load_settings(
        {}, database_url="postgresql://a:b@host/aftersales_{service}", **{**told(secured, ca), **changed}
    )


async def test_everything_goes_over_tls(secured: tuple[KafkaCluster, str], ours: Authority) -> None:
    """With the authority that signed the brokers' certificate, topics are made, messages sent, and heard in a group."""
    connection = Connection.of(settings(secured, ours.ca))
    await connection.reachable()
    await make_topic(connection, "secret")
    producer = await connection.producer("secret")
    await producer.send_and_wait("secret", b"x", key=b"TB1")
    await stop(producer)
    consumer = await connection.consumer("secret", group_id="secret")
    consumer.subscribe(["secret"])
    async with asyncio.timeout(60):
        assert (await consumer.getone()).value == b"x"
    await stop(consumer)
    assert [message.key for message in await messages_in(connection, "secret")] == [b"TB1"]


@pytest.mark.parametrize("trusted", ["others", "system"])
async def test_a_broker_that_is_not_trusted_is_refused_at_once(
    secured: tuple[KafkaCluster, str], others: Authority, trusted: str
) -> None:
    """A broker whose certificate another authority signed gets neither a password nor a message, and nobody waits
    for it to change its mind."""
    connection = Connection.of(settings(secured, others.ca if trusted == "others" else None))
    async with asyncio.timeout(AT_ONCE_SECONDS):
        for attempt in (connection.reachable, connection.admin):
            with pytest.raises(BrokerRefused, match="certificate verify failed"):
                await attempt()
        for client in (connection.producer, connection.consumer):
            with pytest.raises(BrokerRefused, match="certificate verify failed"):
                await client("refused")


async def test_the_certificate_must_be_of_the_name_that_is_called(
    secured: tuple[KafkaCluster, str], ours: Authority
) -> None:
    """A certificate of the right authority for another host is none of this broker."""
    cluster, _ = secured
    elsewhere = cluster.servers.replace("127.0.0.1", "localhost")
    with pytest.raises(BrokerRefused, match="localhost"):
        await Connection.of(settings(secured, ours.ca, kafka_servers=elsewhere)).reachable()


async def test_a_file_without_certificates_is_refused(secured: tuple[KafkaCluster, str], tmp_path: Path) -> None:
    """A file that holds no certificates is for people to mend: it is named, and no broker is waited for."""
    empty = tmp_path / "empty.pem"
    empty.write_text("-----BEGIN NOTHING-----\n")
    connection = Connection.of(settings(secured, empty))
    for attempt in (connection.check, connection.admin):
        with pytest.raises(BrokerRefused, match=r"empty\.pem"):
            await attempt()


async def test_who_does_not_speak_tls_is_not_let_in(secured: tuple[KafkaCluster, str]) -> None:
    """Without TLS there is no answer from such a broker: it counts as away, which is told, and nothing was sent."""
    cluster, security = secured
    connection = Connection(servers=cluster.servers, security=security.replace("SSL", "PLAINTEXT"))
    with pytest.raises(BrokerAway):
        await connection.check()


def test_a_process_ends_that_does_not_trust_its_broker(
    secured: tuple[KafkaCluster, str], others: Authority, postgres: PostgresCluster, tmp_path: Path
) -> None:
    """It names what is wrong and the setting to mend, and ends; the password is not shown."""
    databases = Databases(postgres.url(), f"{uuid.uuid4().hex[:8]}_")
    asyncio.run(databases.make())
    try:
        asyncio.run(databases.migrate(tmp_path))
        own = {"DATABASE_URL": databases.url, "DATA_DIR": str(tmp_path), "TOKEN_SECRET": "x" * 40}
        variables = own | {name.upper(): str(value) for name, value in told(secured, others.ca).items()}
        ended = aftersales("relay", "refunds", "--port", "0", **variables)
    finally:
        asyncio.run(databases.drop())
    ended.must_fail(2, "certificate verify failed", "AFTERSALES_KAFKA_SECURITY", "_CA", "Kafka 拒绝连接")
    assert LOGIN.password not in ended.out + ended.err


@pytest.mark.parametrize("secured", ["SASL_SSL"], indirect=True)
async def test_waiting_for_a_broker_with_tls_is_told(secured: tuple[KafkaCluster, str], ours: Authority) -> None:
    """One that is away, in contrast, is waited for, and talked to over TLS once it is there."""
    cluster, _ = secured
    await asyncio.to_thread(cluster.stop)
    with capture_logs() as logs:
        waiting = asyncio.create_task(Connection.of(settings(secured, ours.ca)).reachable())
        try:
            async with asyncio.timeout(60):
                while not logs:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        finally:
            await asyncio.to_thread(cluster.start)
        async with asyncio.timeout(60):
            await waiting
    assert [one["event"] for one in logs] == ["waiting_for_broker", "broker_is_there"]
