"""How far consumers are behind: in events and seconds, by readers at work or by databases and brokers themselves."""

import asyncio
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaConnectionError
from typer.testing import CliRunner

from contracts.registry import decode
from services.catalogue import SERVICES
from services.cli.main import app
from services.kernel.event_store import Checkpoint, Commit
from services.kernel.kafka.connection import BrokerAway, Connection
from services.kernel.kafka.lag import look_at
from services.kernel.kafka.partition_lags import PartitionLags
from services.kernel.lag import Look, checkpoints, of_log, trend
from services.kernel.migrations import migrate
from services.kernel.settings import Settings, load_settings
from services.kernel.stores import open_store
from services.operations.lag_reading import Row, Surveyor
from services.stack.kafka import KafkaCluster
from services.stack.ports import free_port
from services.stack.postgres import PostgresCluster
from tests.kernel.bus_contract import until
from tests.shop import NOON, Shop

MIGRATIONS = {name: Path(__file__).parents[2] / "services" / name / "migrations" for name in SERVICES}


def told(*arguments: str) -> tuple[int, Any]:
    """What the command says for machines, each look on a line, and how it ended."""
    result = CliRunner().invoke(app, ["lag", "--json", *arguments])
    return result.exit_code, [msgspec.json.decode(line) for line in result.stdout.splitlines()]


def row(rows: list[Row], consumer: str, service: str = "cases") -> Row:
    return next(one for one in rows if (one.service, one.consumer) == (service, consumer))


async def test_a_reader_at_work_tells_events_and_seconds(shop: Shop) -> None:
    """A consumer that stands still is behind by what came since, and by the age of the first of it."""
    views = shop.server._followers[0].readers[0]
    await shop.order("TB1")
    await shop.server.settle()
    await views.stop()
    await shop.order("TB2")
    shop.clock.set(NOON + timedelta(minutes=2))
    await shop.order("TB3")
    shop.clock.set(NOON + timedelta(minutes=5))
    lags = await shop.must("GET", "/v1/lag")
    assert not lags["caught_up"]
    [lag] = [one for one in lags["consumers"] if (one["service"], one["consumer"]) == ("cases", "views")]
    assert (lag["behind"], lag["seconds"], lag["source"], lag["stuck"]) == (2, 300.0, "cases", "")
    others = [one for one in lags["consumers"] if one is not lag and one["behind"] == 0]
    assert {one["seconds"] for one in others} == {0.0}


async def test_databases_tell_it_while_nothing_runs(shop: Shop, tmp_path: Path) -> None:
    """What the files hold is enough: positions of other sources' events are not counted, and nothing is written."""
    await shop.refund("TB1")
    await shop.server.settle()
    cashier = shop.server._followers[1].readers[-1]
    assert cashier.name == "cashier"
    await cashier.stop()
    await shop.refund("TB2")
    await cashier_only_behind(shop)
    await shop.stop()
    before = written(tmp_path)
    status, [survey] = await asyncio.to_thread(told, "--data-dir", str(tmp_path))
    assert (status, survey["caught_up"], survey["away"]) == (0, False, {})
    behind = {(one["service"], one["consumer"]): one["behind"] for one in survey["consumers"] if one["behind"]}
    assert set(behind) == {("refunds", "cashier")}
    events = await shop_events(tmp_path)
    assert behind["refunds", "cashier"] == events
    assert written(tmp_path) == before


def written(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mtime_ns for file in folder.glob("*.db")}


async def cashier_only_behind(shop: Shop) -> None:
    """Wait for all other consumers: a look in which none is behind, and a second one that finds nothing new."""
    before: Any = None
    async with asyncio.timeout(30):
        while True:
            lags = (await shop.must("GET", "/v1/lag"))["consumers"]
            heads = {one.name: await one.store.head_position() for one in services_of(shop)}
            if heads == before and all(one["consumer"] == "cashier" or one["behind"] == 0 for one in lags):
                return
            before = heads
            await asyncio.sleep(0.02)


def services_of(shop: Shop) -> list[Any]:
    return [shop.service(name) for name in SERVICES]


async def shop_events(folder: Path) -> int:
    """Own events of refunds behind the cashier's checkpoint."""
    surveyor = Surveyor(load_settings({}, data_dir=folder), ["refunds"])
    try:
        store = surveyor._stores["refunds"]
        [one] = [one for one in await checkpoints(store) if one.consumer == "cashier"]
        return len(await store.read_log(one.position, 1000, "refunds"))
    finally:
        await surveyor.close()


async def test_two_looks_tell_where_it_goes(shop: Shop) -> None:
    """How much comes and how much is handled in between, and how long the rest takes."""
    store = shop.service("cases").store
    for n in range(4):
        await shop.order(f"TB{n}")
    await shop.server.settle()
    [views] = [one for one in await checkpoints(store) if one.consumer == "views"]
    end = await store.head_position()
    assert views.position == end
    before = await of_log(store, end - 3, None)
    assert (before.behind, before.arrived, before.seconds(NOON)) == (3, 0, 0.0)
    await shop.order("TB9")
    after = await of_log(store, end - 1, None, before)
    grown = await store.head_position() - end
    assert (after.behind, after.arrived) == (1 + grown, grown)
    found = trend(before, after, 2.0)
    assert (found.arriving_per_second, found.handled_per_second) == (grown / 2, 1.0)


@pytest.mark.parametrize(
    ("before", "after", "clears"),
    [(10, 5, 2.0), (10, 0, 0.0), (10, 10, None), (5, 10, None), (0, 0, 0.0)],
)
def test_time_to_clear(before: int, after: int, clears: float | None) -> None:
    """What is left by the rate at which it gets less; never, where it does not."""
    assert trend(Look(0, 0, before), Look(0, 0, after), 2.0).clears_in_seconds == clears


async def test_watching_looks_again(shop: Shop, tmp_path: Path) -> None:
    """Each look is a line of its own, the second one with a trend."""
    await shop.order("TB1")
    await shop.server.settle()
    await shop.stop()
    watching = ("--data-dir", str(tmp_path), "--watch", "--every", "0.1", "--looks", "2")
    status, looks = await asyncio.to_thread(told, *watching)
    assert (status, len(looks)) == (0, 2)
    assert {one["trend"] for one in looks[0]["consumers"]} == {None}
    assert {one["trend"]["handled_per_second"] for one in looks[1]["consumers"]} == {0.0}
    paper = ["lag", "--data-dir", str(tmp_path), "--lang", "zh", "--service", "cases"]
    result = await asyncio.to_thread(CliRunner().invoke, app, paper)
    assert "全部处理完" in result.stdout
    assert "refunds-hears-cases" not in result.stdout


def test_what_is_away_is_said(tmp_path: Path) -> None:
    """No database, no broker: each is named with its reason, quickly, and the status says that not all was seen."""
    port = free_port()
    environ = {
        "AFTERSALES_DATABASE_URL": f"postgresql://nobody:x@127.0.0.1:{port}/a_{{service}}",
        "AFTERSALES_KAFKA_SERVERS": f"127.0.0.1:{port}",
    }
    began = time.monotonic()
    result = CliRunner().invoke(app, ["lag", "--lang", "en"], env=environ)
    assert time.monotonic() - began < 15
    assert result.exit_code == 1
    for said in ("database of cases cannot be read", "database of liability", "Kafka cannot be reached"):
        assert said in result.stdout
    status, [survey] = told("--data-dir", str(tmp_path), "--service", "refunds")
    assert (status, list(survey["away"]), survey["caught_up"]) == (1, ["refunds"], False)
    assert CliRunner().invoke(app, ["lag", "--service", "nope"]).exit_code == 2


# -- brokers


@pytest.fixture
def apart(postgres: PostgresCluster, kafka: KafkaCluster, tmp_path: Path) -> Settings:
    """Settings of services apart, on databases and topics of their own."""
    name = f"lag_{time.time_ns()}"
    for service in SERVICES:
        postgres.create_database(f"{name}_{service}")
        migrate(postgres.url(f"{name}_{service}"), MIGRATIONS[service])
    url = postgres.url(name) + "_{service}"
    servers, prefix = kafka.servers, f"{name}."
    return load_settings({}, data_dir=tmp_path, database_url=url, kafka_servers=servers, kafka_prefix=prefix)


async def produce(settings: Settings, topic: str, partition: int, ages: list[float]) -> None:
    """Messages that were sent so many seconds ago."""
    producer = await Connection.of(settings).producer("test")
    for age in ages:
        stamp = int((time.time() - age) * 1000)
        await producer.send_and_wait(topic, b"x" * 9_000, b"k", partition, timestamp_ms=stamp)
    await producer.stop()


async def make_topic(settings: Settings, topic: str, partitions: int) -> None:
    admin = await Connection.of(settings).admin()
    await admin.create_topics([NewTopic(topic, partitions, 1)])
    await admin.close()


async def test_partitions_tell_events_and_the_age_of_the_first(apart: Settings) -> None:
    """By a consumer of no group: it neither joins nor commits; a topic that is not there is left out and not made."""
    topic = f"{apart.kafka_prefix}aftersales.cases.v1"
    await make_topic(apart, topic, 3)
    await produce(apart, topic, 0, [500, 400, 300])
    await produce(apart, topic, 1, [200])
    zero, one, two = (TopicPartition(topic, number) for number in range(3))
    connection = Connection.of(apart)
    began = time.monotonic()
    looks = await look_at(connection, [topic, f"{topic}.missing"], {zero: 1, one: 1})
    assert time.monotonic() - began < 5
    assert {key: (look.behind, look.end) for key, look in looks.items()} == {zero: (2, 3), one: (0, 1), two: (0, 0)}
    oldest = looks[zero].oldest
    assert oldest
    assert abs(time.time() - oldest.timestamp() - 400) < 10
    assert looks[one].oldest is None
    await produce(apart, topic, 0, [1, 1])
    later = await look_at(connection, [topic], {zero: 3, one: 1}, looks)
    assert trend(looks[zero], later[zero], 1.0).handled_per_second == 2.0
    assert later[zero].arrived == 2
    with pytest.raises(BrokerAway):
        await look_at(msgspec.structs.replace(connection, servers=f"127.0.0.1:{free_port()}"), [topic], {})


async def test_a_service_looks_again_and_again_with_the_same_clients(
    apart: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gauges are refreshed without new connections; after a fault they stand as they were and the next look connects
    anew; closed, nothing goes on."""
    topic, connection = f"{apart.kafka_prefix}aftersales.cases.v1", Connection.of(apart)
    await make_topic(apart, topic, 2)
    await produce(apart, topic, 0, [100, 90])
    opened: list[str] = []
    admin = Connection.admin

    async def counted(given: Connection, client_id: str = "") -> Any:
        opened.append(client_id)
        return await admin(given, client_id)

    async def lost(*_: Any) -> Any:
        raise KafkaConnectionError("gone")

    monkeypatch.setattr(Connection, "admin", counted)
    store = open_store(apart.database_of("refunds"), decode)
    lags = PartitionLags("refunds", "group", {topic: "cases"}, store, connection)
    assert await checkpoints(store) == []
    before = asyncio.all_tasks()
    for _ in range(3):
        seen = await lags()
    assert opened == ["aftersales-lag"]
    assert [(one.source, one.behind, round(one.seconds, -1)) for one in seen] == [("cases", 2, 100), ("cases", 0, 0)]
    with monkeypatch.context() as away:
        away.setattr("services.kernel.kafka.lag._partitions", lost)
        assert await lags() == seen
    await produce(apart, topic, 1, [50])
    assert [one.behind for one in await lags()] == [2, 1]
    assert opened == ["aftersales-lag"] * 2
    await lags.close()
    await until(lambda: not asyncio.all_tasks() - before)
    await store.close()


async def test_services_apart_are_seen_while_they_are_down(apart: Settings) -> None:
    """Checkpoints come from each service's database, ends from the broker, and partitions nobody took yet count too."""
    topic = f"{apart.kafka_prefix}aftersales.cases.v1"
    await make_topic(apart, topic, 2)
    await produce(apart, topic, 0, [100, 90, 80])
    await produce(apart, topic, 1, [70])
    surveyor = Surveyor(apart, list(SERVICES))
    try:
        group = f"{apart.kafka_prefix}aftersales-refunds"
        kept = (Checkpoint(group, f"{topic}/0", 2), Checkpoint("refunds-hears-cases", "cases", 7))
        [done] = await surveyor._stores["refunds"].commit([Commit(checkpoint=kept)])
        assert not isinstance(done, Exception)
        survey = await surveyor.look()
    finally:
        await surveyor.close()
    assert survey.away == {}
    seen = {(one.service, one.partition): one.behind for one in survey.consumers if one.partition is not None}
    nobody_took = {(name, partition): n for name in ("liability", "finance") for partition, n in enumerate((3, 1))}
    assert seen == {("refunds", 0): 1, ("refunds", 1): 1, **nobody_took}
    assert row(survey.consumers, "relay").behind == 0
    assert not [one for one in survey.consumers if one.consumer == "refunds-hears-cases"]  # from before the broker
    oldest = max(one.seconds or 0 for one in survey.consumers if one.service == "liability")
    assert 95 < oldest < 130
