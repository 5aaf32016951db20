"""The bus over Kafka: the contract of every bus, and what is Kafka's own."""

import asyncio
import itertools
import os
import socket
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from services.kernel.event_store import Claim, StoreUnavailable
from services.kernel.kafka import dead_letters
from services.kernel.kafka.connection import Connection, stop
from services.kernel.kafka.watchdog import Watchdog
from services.kernel.takeover import move_to
from services.stack.kafka import KafkaCluster
from tests.kernel.bus_contract import BusContract, Message, Unreadable, added, effects, started, until
from tests.kernel.kafka import forwarding
from tests.kernel.postgres import PostgresDatabase
from tests.kernel.toy_broker import PARTITIONS, KafkaBus

_numbers = itertools.count()


@pytest.fixture
async def bus(kafka: KafkaCluster, tmp_path: Path) -> AsyncIterator[KafkaBus]:
    bus = KafkaBus(Connection(servers=kafka.servers), f"bus{os.getpid()}-{next(_numbers)}", tmp_path)
    await bus.open()
    yield bus
    await bus.close()


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def stopped() -> float | None:
    """How many partitions stand still, as operators see it."""
    return REGISTRY.get_sample_value("aftersales_consumer_partitions_stopped", {"service": "tally", "source": "toy"})


class TestKafkaBus(BusContract):
    """The contract, kept by a consumer group."""


async def test_rebalance_while_handling(bus: KafkaBus) -> None:
    """A second member comes and goes in the middle of a flood: nothing is lost, nothing happens twice."""
    first, second = bus.consumer(), bus.consumer()
    await first.start()
    for part in range(12):
        await bus.send(*(added(f"TB{n % 10}", part * 10 + n // 10 + 1) for n in range(100)))
        if part == 2:
            await second.start()
        if part == 8:
            await until(lambda: second.consumer.positions)
            await second.stop()
    await first.caught_up()
    assert await effects(first) == {f"TB{n}": list(range(1, 121)) for n in range(10)}
    assert await first.behind() == 0
    assert not first.stuck


async def test_old_owner_is_refused(bus: KafkaBus) -> None:
    """Who claimed a partition has it: what its last owner still does is not written, and the owner finds out itself."""
    member = await started(bus.consumer())
    member.faults.open.clear()
    await bus.send(added("TB1", 1), added("TB2", 1), added("TB3", 1))
    await until(lambda: member.held_most)
    for number in range(PARTITIONS):
        await member.store.claim(bus.group(), f"{bus.topic}/{number}")
    with capture_logs() as logs:
        member.faults.open.set()
        await until(lambda: any(one["event"] == "partition_fenced" for one in logs))
        assert await effects(member) == {}
        await member.caught_up()  # Kafka still says that it is ours, so it was claimed again
    assert await effects(member) == {"TB1": [1], "TB2": [1], "TB3": [1]}


async def test_retention_past_the_checkpoint_stops_that_partition(bus: KafkaBus) -> None:
    """Where Kafka forgot what was not handled yet, nothing is skipped: that partition stops, is counted and names the
    way out, the others go on; begun anew with all events published again, everything has its effect."""
    streams = {number: await bus.stream_in(number) for number in range(PARTITIONS)}
    await bus.send(*(added(one, 1) for one in streams.values()))
    member = await started(bus.consumer())
    await member.stop()
    await bus.send(*(added(one, n) for one in streams.values() for n in (2, 3, 4)))
    await bus.forget(0, 3)
    member = bus.consumer()
    await member.start()
    await until(lambda: "republish toy" in member.stuck)
    assert "resume tally" in member.stuck
    assert stopped() == 1
    await until(lambda: [at for place, at in sorted(member.consumer.positions.items())] == [1, 4, 4])
    assert await effects(member) == {streams[0]: [1], streams[1]: [1, 2, 3, 4], streams[2]: [1, 2, 3, 4]}
    await bus.send(*(added(streams[0], n) for n in (1, 2, 3, 4)))
    await move_to(member.store, bus.group(), f"{bus.topic}/0", 0)
    await member.caught_up()
    await until(lambda: not member.parked)
    assert await effects(member) == {one: [1, 2, 3, 4] for one in streams.values()}
    assert not member.stuck
    assert stopped() == 0
    await member.stop()
    assert stopped() is None


async def test_first_start_on_an_old_topic(bus: KafkaBus) -> None:
    """A group that never handled anything begins where the topic does; what Kafka forgot is waited for."""
    old, young = await bus.stream_in(1), await bus.stream_in(1, "TC")
    await bus.send(added(old, 1), added(old, 2), added(young, 1))
    await bus.forget(1, 1)
    member = await started(bus.consumer())
    assert await effects(member) == {young: [1]}
    assert member.parked == [old]


async def test_broker_that_comes_later(bus: KafkaBus, free_port: int) -> None:
    """Started before its broker, a consumer waits with one line in the log, and hears everything when it is there."""
    await bus.send(added("TB1", 1))
    there = bus.connection
    bus.connection = msgspec.structs.replace(there, servers=f"127.0.0.1:{free_port}")
    member = bus.consumer()
    with capture_logs() as logs:
        await member.start()
        await until(lambda: member.stuck)
        await asyncio.sleep(1.5)  # time for more tries
        assert not member.consumer.ready
        async with forwarding(free_port, there.servers):
            await member.caught_up()
    told = [one["event"] for one in logs if one["event"].startswith(("waiting", "broker"))]
    assert told == ["waiting_for_broker", "broker_is_there"]
    assert await effects(member) == {"TB1": [1]}
    assert not member.stuck


async def test_claims_wait_for_the_database(bus: KafkaBus, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the database cannot be reached, the member stays in its group and nothing moves; then it goes on."""
    await bus.send(added("TB1", 1))
    member = bus.consumer()
    claim = member.store.claim

    async def away(*_: str) -> Claim:
        raise StoreUnavailable("cut off")

    monkeypatch.setattr(member.faults, "claim", away, raising=False)
    await member.start()
    await until(lambda: "cannot be claimed" in member.stuck)
    await asyncio.sleep(2)  # longer than a session: only heartbeats keep it in the group
    assert not member.consumer.ready
    membership = member.consumer._membership
    assert membership
    assert membership.given
    monkeypatch.setattr(member.faults, "claim", claim)
    await member.caught_up()
    assert await effects(member) == {"TB1": [1]}


async def test_too_many_parked_streams_stop_the_partition(bus: KafkaBus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one stream after the other fails, it is no longer their fault: the partition waits, others go on."""
    monkeypatch.setattr("services.kernel.kafka.progress.MAX_PARKED", 3)
    monkeypatch.setattr("services.kernel.kafka.fetching.BATCH_RECORDS", 1)
    streams = [await bus.stream_in(0, f"T{n}-") for n in range(6)]
    await bus.send(*(added(stream, 1, 666) for stream in streams))
    member = bus.consumer(poison=[666])
    await member.start()
    await until(lambda: "3 parked" in member.stuck)
    assert "waits for them" in member.stuck
    await asyncio.sleep(0.5)
    assert len(member.parked) == 3
    member.domain.poison.clear()
    await member.caught_up()
    await until(lambda: not member.parked)
    assert await effects(member) == {stream: [666] for stream in streams}


async def test_a_silent_client_is_thrown_away(bus: KafkaBus, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that brings nothing although there is something is replaced by a new one, which brings it."""
    monkeypatch.setattr("services.kernel.kafka.silence.LOOK_SECONDS", 0.3)
    monkeypatch.setattr("services.kernel.kafka.silence.STALL_SECONDS", 1.0)
    member = await started(bus.consumer())
    membership = member.consumer._membership
    assert membership
    silent = membership.client
    for task in (silent._fetcher._fetch_task, *silent._fetcher._pending_tasks):
        task.cancel()
    await bus.send(added("TB1", 1))
    await member.caught_up()
    assert member.consumer._membership is not membership
    assert await effects(member) == {"TB1": [1]}


async def test_kafka_is_told_how_far_it_is(bus: KafkaBus) -> None:
    """The group's offsets are what the database says, for tools that know Kafka only."""
    await bus.send(*(added(f"TB{n}", 1) for n in range(9)))
    member = await started(bus.consumer())
    positions = member.consumer.positions
    await member.stop()
    admin = await bus.connection.admin()
    told = await admin.list_consumer_group_offsets(bus.group())
    await stop(admin)
    assert {place: one.offset for place, one in told.items()} == {place: at for place, at in positions.items() if at}


async def test_on_postgresql(bus: KafkaBus, postgres_database: PostgresDatabase) -> None:
    """The same on the database that goes with a broker: effects, poison, what is unreadable, and a restart."""
    url = postgres_database.url
    await bus.send(added("TB1", 1, 666), added("TB1", 2), added("TB2", 1), Message("TB3", 1, Unreadable()))
    first = bus.member(url, poison=[666])
    await first.start()
    await first.caught_up()
    assert set(first.parked) == {"TB1", "TB3"}
    await bus.send(added("TB3", 2), added("TB2", 2))
    await first.caught_up()
    await first.stop()
    second = bus.member(url)
    await second.start()
    await second.caught_up()
    await until(lambda: second.parked == ["TB3"])
    assert await effects(second) == {"TB1": [666, 2], "TB2": [1, 2]}
    assert [(one.cause, one.messages) for one in await dead_letters.grouped(second.store)] == [
        ("unknown_type", 1),
        ("behind", 1),
    ]
    [dead] = await dead_letters.selected(second.store, dead_letters.Selection())
    await dead_letters.discard(second.store, dead, "小李", "never meant for us")
    await until(lambda: not second.parked)
    assert await effects(second) == {"TB1": [666, 2], "TB2": [1, 2], "TB3": [2]}


class _Latin(str):
    """The name of a header as only other clients can send it."""

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return super().encode("latin-1")


async def test_what_the_client_cannot_read_stops_its_partition_only(
    bus: KafkaBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message over which the client stumbles before we see it stops its partition with an alarm: what stands before
    it is handled, nothing is skipped, the other partitions go on."""
    streams = [await bus.stream_in(number) for number in range(PARTITIONS)]
    await bus.send(*(added(one, 1) for one in streams))
    key, value, headers = bus.raw(added(streams[0], 2))
    monkeypatch.setattr("aiokafka.producer.message_accumulator.DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy)
    await bus.send_raw((key, value, [*headers, (_Latin("\xe9"), b"")]))
    member = bus.consumer()
    await member.start()
    await until(lambda: "cannot read message 1:" in member.stuck)
    assert stopped() == 1
    assert await member.behind() == 1  # what it cannot read keeps nobody from telling how far it is
    await bus.send(*(added(one, 2) for one in streams))
    await until(lambda: sorted(member.consumer.positions.values())[1:] == [2, 2])
    assert await effects(member) == {streams[0]: [1], streams[1]: [1, 2], streams[2]: [1, 2]}


async def test_hanging_handler_ends_the_process(bus: KafkaBus) -> None:
    """A turn that does not come to an end is noticed, although the event loop itself goes on."""
    ended = threading.Event()
    member = bus.consumer()
    member.consumer._watchdog = Watchdog(2.0, ended.set)
    await started(member)
    await asyncio.sleep(3)
    assert not ended.is_set()
    member.faults.open.clear()
    await bus.send(added("TB1", 1))
    await until(ended.is_set)
