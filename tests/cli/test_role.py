"""`aftersales api|relay|consume|all|migrate`, and the commands that move checkpoints: as a person uses them."""

import asyncio
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.catalogue import SERVICES
from services.kernel.event_store import Append, Checkpoint, Commit
from services.kernel.stores import open_store
from services.stack.databases import Databases
from services.stack.kafka import KafkaCluster
from services.stack.ports import free_port
from services.stack.postgres import PostgresCluster
from tests.cli.terminal import Server, aftersales, until
from tests.kernel.store_contract import new
from tests.kernel.toy import decode

SECRET = "a-secret-of-more-than-32-characters-here"


@pytest.fixture
def database(postgres: PostgresCluster, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Settings with empty databases of one's own."""
    databases = Databases(postgres.url(), f"{uuid.uuid4().hex[:8]}_")
    asyncio.run(databases.make())
    yield {"DATABASE_URL": databases.url, "DATA_DIR": str(tmp_path), "TOKEN_SECRET": SECRET}
    asyncio.run(databases.drop())


@pytest.fixture(scope="module")
def kafka(broker_to_harm: KafkaCluster) -> KafkaCluster:
    """Tests of this module kill or freeze their broker."""
    return broker_to_harm


@pytest.fixture
def stack(database: dict[str, str], kafka: KafkaCluster) -> dict[str, str]:
    """Settings with migrated databases, and with topics of one's own."""
    settings = database | {"KAFKA_SERVERS": kafka.servers, "KAFKA_PREFIX": f"{uuid.uuid4().hex[:8]}."}
    for service in SERVICES:
        assert aftersales("migrate", service, **settings).status == 0
    assert aftersales("topics", "ensure", "--json", **settings).status == 0
    return settings


def stands(settings: dict[str, str], consumer: str, source: str, position: int | None = None) -> int:
    """Where a consumer of cases stands; it is put at `position` first, if one is given."""

    async def look() -> int:
        store = open_store(settings["DATABASE_URL"].replace("{service}", "cases"), decode)
        try:
            if position is not None:
                await store.commit([Commit(checkpoint=(Checkpoint(consumer, source, position),))])
            return await store.checkpoint(consumer, source)
        finally:
            await store.close()

    return asyncio.run(look())


def noted(settings: dict[str, str], *sources: str) -> None:
    """Have the log of cases hold an event of each of these services, in this order."""

    async def write() -> None:
        store = open_store(settings["DATABASE_URL"].replace("{service}", "cases"), decode)
        for number, source in enumerate(sources):
            append = Append(f"TB{number}", 0, [new(str(uuid.uuid4()), source=source, type="toy.mentioned")])
            [outcome] = await store.commit([Commit(appends=(append,))])
            assert not isinstance(outcome, Exception)
        await store.close()

    asyncio.run(write())


@pytest.mark.parametrize("role", ["relay", "consume", "all"])
def test_what_a_role_needs_is_named(role: str) -> None:
    """Without database and broker there is another way to run, which is told."""
    aftersales(role, "cases").must_fail(
        2, "AFTERSALES_DATABASE_URL, AFTERSALES_KAFKA_SERVERS", "aftersales serve", "需要"
    )


def test_the_embedded_server_is_not_for_a_broker(folder: Path) -> None:
    """Where a broker is set, services run apart: the way to do that is told."""
    settings = {"DATABASE_URL": "postgresql://u:p@db/a_{service}", "KAFKA_SERVERS": "broker:9092"}
    told = aftersales("serve", "--data-dir", str(folder), **settings)
    told.must_fail(2, "AFTERSALES_KAFKA_SERVERS", "aftersales all SERVICE")
    assert not folder.exists()


def test_an_unknown_service() -> None:
    """The services that there are, are named."""
    for command in ("api", "migrate", "republish"):
        aftersales(command, "refund").must_fail(2, "cases, refunds, liability")


def test_migrating(database: dict[str, str]) -> None:
    """It is told whether there was anything to do."""
    assert aftersales("migrate", "cases", "--json", **database).json == {
        "service": "cases",
        "role": "migrate",
        "changed": True,
    }
    assert not aftersales("migrate", "cases", "--json", **database).json["changed"]
    assert "up to date" in aftersales("migrate", "cases", **database).out


def test_migrating_ends_where_the_database_stays_away(folder: Path) -> None:
    """A step that is to end does: with the reason, the address that was tried and the setting to mend."""
    where = f"127.0.0.1:{free_port()}"
    settings = {"DATABASE_URL": f"postgresql://u:hunter2@{where}/a_{{service}}", "DATA_DIR": str(folder)}
    told = aftersales("migrate", "cases", "--timeout", "1", **settings)
    told.must_fail(
        1, "AFTERSALES_DATABASE_URL", f"{where}/a_cases", "Connect call failed", "--timeout", "等了 1 秒", "After 1 s"
    )
    assert "hunter2" not in told.out + told.err


@pytest.mark.parametrize("command", ["api", "migrate", "republish"])
@pytest.mark.parametrize("wrong", ["password", "database"])
def test_who_is_refused_is_told_what_to_mend(database: dict[str, str], command: str, wrong: str) -> None:
    """A wrong password or name ends the process with the setting to mend, before it says that it listens, and without
    showing the password."""
    url = database["DATABASE_URL"]
    user, _, rest = url.partition("@")
    wrong_url = user.rpartition(":")[0] + ":hunter2@" + rest if wrong == "password" else url + "_nowhere"
    options = {"api": ("--port", "0"), "republish": ("--by", "x")}.get(command, ())
    told = aftersales(command, "cases", *options, **database | {"DATABASE_URL": wrong_url})
    told.must_fail(2, "AFTERSALES_DATABASE_URL")
    assert "hunter2" not in told.out + told.err
    assert "listening" not in told.out


def test_it_can_be_stopped_while_it_waits(database: dict[str, str], folder: Path) -> None:
    """A database that is away is waited for, visibly, and whoever gives up waiting ends it cleanly at once."""
    away = f"postgresql://u:p@127.0.0.1:{free_port()}/a_{{service}}"
    with Server(folder, command=("api", "cases"), **database | {"DATABASE_URL": away}) as server:
        assert (server.told["service"], server.told["role"]) == ("cases", "api")
        assert server.told["pid"] == server.process.pid
        until(lambda: server.status("/healthz") == 200, "alive")
        assert server.status("/readyz") == 503
        time.sleep(1.5)
        began = time.monotonic()
        status, logged = server.stop()
    assert status == 0
    assert time.monotonic() - began < 5
    assert logged.count("waiting") == 1
    assert '"stopped"' in logged.splitlines()[-1]
    assert "Traceback" not in logged


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_time_without_its_broker(
    stack: dict[str, str], folder: Path, kafka: KafkaCluster, number: signal.Signals
) -> None:
    """A supervisor that waits ten seconds need not kill it, though the broker does not answer any more."""
    with Server(folder, command=("all", "cases"), **stack) as server:
        until(lambda: server.status("/readyz") == 200, "ready")
        kafka.freeze(0)
        try:
            began = time.monotonic()
            status, _ = server.stop(number)
            assert status == 0
            assert time.monotonic() - began < 10
        finally:
            kafka.thaw_all()


def test_publishing_again(stack: dict[str, str]) -> None:
    """The relay's checkpoint is set back, never ahead; a dry run only tells."""
    assert stands(stack, "relay", "cases", 7) == 7
    told = aftersales("republish", "cases", "--from-position", "3", "--dry-run", "--json", **stack).json
    assert told["moves"] == [{"consumer": "relay", "source": "cases", "position": 7, "to": 2}]
    assert stands(stack, "relay", "cases") == 7
    aftersales("republish", "cases", "--from-position", "9", "--by", "x", **stack).must_fail(2, "left out", "漏掉")
    told = aftersales("republish", "cases", "--from-position", "3", "--by", "老陈", **stack)
    assert (told.status, stands(stack, "relay", "cases")) == (0, 2)
    assert "老陈" in told.err
    assert aftersales("republish", "cases", "--by", "老陈", **stack).status == 0
    assert stands(stack, "relay", "cases") == 0


def test_publishing_again_says_how_many(stack: dict[str, str]) -> None:
    """Whoever publishes again knows how much goes out: events of the service itself, as far as they were published."""
    noted(stack, "cases", "cases", "refunds", "cases", "cases")
    stands(stack, "relay", "cases", 4)
    told = aftersales("republish", "cases", "--from-position", "2", "--dry-run", **stack)
    assert "2 events would be published again" in told.out
    told = aftersales("republish", "cases", "--by", "老陈", **stack)
    assert "重新发布 3 个事件" in told.out
    assert "3 events will be published again" in told.out


def test_rebuilding(stack: dict[str, str]) -> None:
    """Read tables that claim to be further than the log goes are told of, and put right when that is wanted."""
    assert stands(stack, "views", "cases", 7) == 7
    assert aftersales("rebuild", "cases", "--dry-run", **stack).status == 0
    told = aftersales("rebuild", "cases", "--by", "老陈", **stack)
    assert (told.status, "further than the log goes" in told.out) == (1, True)
    assert stands(stack, "views", "cases") == 7
    assert aftersales("rebuild", "cases", "--swap", "--by", "老陈", **stack).status == 0
    assert stands(stack, "views", "cases") < 7
    assert aftersales("rebuild", "cases", "--by", "老陈", **stack).status == 0


def test_resuming(stack: dict[str, str]) -> None:
    """Only partitions whose next event the broker does not have are moved, to where they begin now."""
    group, topic = (stack["KAFKA_PREFIX"] + name for name in ("aftersales-cases", "aftersales.refunds.v1"))
    by = ("--by", "老陈")
    assert aftersales("resume", "cases", *by, "--json", **stack).json["moves"] == []
    stands(stack, group, f"{topic}/0", 0)
    stands(stack, group, f"{topic}/1", 5)  # the topic is empty: it was made anew
    moves: list[Any] = [{"consumer": group, "source": f"{topic}/1", "position": 5, "to": 0}]
    assert aftersales("resume", "cases", "--dry-run", "--json", **stack).json["moves"] == moves
    assert stands(stack, group, f"{topic}/1") == 5
    assert aftersales("resume", "cases", *by, "--json", **stack).json["moves"] == moves
    assert stands(stack, group, f"{topic}/1") == 0
