"""The bus without broker: consumers that read each other's logs. The contract of every bus, and what is its own."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from services.kernel.event_store import Append, Commit
from services.kernel.log_reader import LogReader
from services.kernel.progress import MAX_PARKED
from services.kernel.sqlite_store import SqliteStore
from tests.kernel.bus_contract import BusContract, Consumer, Message, Unreadable, added, effects, started, until
from tests.kernel.store_contract import commit
from tests.kernel.toy import TallyDomain, decode, toy_record, url_of


class LogConsumer(Consumer):
    """A toy service that follows the toy log."""

    def __init__(self, url: str, origin: SqliteStore, domain: TallyDomain) -> None:
        super().__init__(url, domain)
        self._origin = origin
        self.reader = LogReader("tally-hears-toy", "toy", origin, self.handle)

    @property
    def parked(self) -> Collection[str]:
        return self.reader.progress.parked

    @property
    def stuck(self) -> str:
        return self.reader.stuck

    async def start(self) -> None:
        self.reader.start(await self.store.claim("tally-hears-toy", "toy"))

    async def leave(self) -> None:
        await self.reader.stop()

    async def behind(self) -> int:
        return await self.reader.lag()

    async def again(self) -> None:
        await self.reader.rewind()

    async def caught_up(self) -> None:
        await self.reader.reached(await self._origin.head_position())


class LogBus:
    """The toy service's log, and consumers that read it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._url = url_of(folder / "toy.db")
        self.origin = SqliteStore(self._url, decode, busy_timeout_s=30)
        self._other_program = SqliteStore(self._url, decode, busy_timeout_s=30)
        self._made: list[LogConsumer] = []
        self._ids = itertools.count()

    async def send(self, *messages: Message) -> None:
        # An event that nobody here can read comes from another program, of a later release.
        foreign = any(isinstance(message.event, Unreadable) for message in messages)
        store = self._other_program if foreign else self.origin
        versions = {head.stream: head.version for head in await self.origin.streams(limit=10_000)}
        commits = []
        for message in messages:
            version = versions.get(message.stream, 0)
            record = toy_record(f"e{next(self._ids)}", message.event, sequence=message.sequence)
            commits.append(Commit(appends=(Append(message.stream, version, [record]),)))
            versions[message.stream] = version + 1
        for outcome in await store.commit(commits):
            assert not isinstance(outcome, Exception)

    def consumer(self, service: str = "tally", **domain: Any) -> LogConsumer:
        consumer = LogConsumer(url_of(self.folder / f"{service}.db"), self.origin, TallyDomain(**domain))
        self._made.append(consumer)
        return consumer

    async def close(self) -> None:
        for consumer in self._made:
            await consumer.stop()
        await self.origin.close()
        await self._other_program.close()


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[LogBus]:
    bus = LogBus(tmp_path)
    yield bus
    await bus.close()


class TestEmbeddedBus(BusContract):
    """The contract, kept by reading the other's log."""


async def test_log_that_is_not_there_yet(tmp_path: Path) -> None:
    """A service whose partner was never started waits with one line in the log, and goes on when it comes."""
    origin = SqliteStore(f"sqlite+aiosqlite:///{tmp_path / 'toy.db'}", decode)
    consumer = LogConsumer(url_of(tmp_path / "tally.db"), origin, TallyDomain())
    await consumer.start()
    with capture_logs() as logs:
        await until(lambda: consumer.reader.away)
        await asyncio.sleep(1.2)  # time for a second look
        assert [one["event"] for one in logs] == ["waiting_for_log"]
        assert not consumer.stuck
        assert await consumer.behind() == 0
        bus = LogBus(tmp_path)
        await bus.send(added("TB1", 1))
        await until(lambda: consumer.reader.position == 1)
    assert [one["event"] for one in logs] == ["waiting_for_log", "log_is_there"]
    assert await effects(consumer) == {"TB1": [1]}
    await consumer.stop()
    await bus.close()
    await origin.close()


async def test_log_that_lost_its_end_is_not_followed(bus: LogBus) -> None:
    """A log that ends before what was read of it is another log: nothing is skipped, somebody has to look."""
    consumer = await started(bus.consumer())
    await bus.send(added("TB1", 1))
    await consumer.caught_up()
    consumer.reader.progress.position = 50
    await until(lambda: "ends at 1, but was read up to 50" in consumer.stuck)
    await consumer.again()
    await until(lambda: not consumer.stuck and consumer.reader.position == 1)
    assert await effects(consumer) == {"TB1": [1]}


async def test_learned_events_are_not_handed_on(bus: LogBus) -> None:
    """A log's own events travel, not those that its service learned from others."""
    learned = toy_record("x", added("TB1", 9).event, sequence=9, source="elsewhere")
    await commit(bus.origin, Commit(appends=(Append("TB1", 0, [learned]),)))
    await bus.send(added("TB1", 1))
    consumer = await started(bus.consumer())
    await until(lambda: consumer.reader.position == 2)
    assert await effects(consumer) == {"TB1": [1]}


async def test_other_processes_are_noticed(bus: LogBus) -> None:
    """What another process writes into the log is found without a signal from it, within a second."""
    consumer = await started(bus.consumer())
    other = LogBus(bus.folder)
    await other.send(added("TB1", 1))
    async with asyncio.timeout(2):
        await consumer.caught_up()
    assert await effects(consumer) == {"TB1": [1]}
    await other.close()


async def test_former_reader_stops(bus: LogBus) -> None:
    """A process that was followed by another handles nothing any more and says so; the other goes on where it was."""
    former, heir = await started(bus.consumer()), bus.consumer()
    await bus.send(added("TB1", 1))
    await former.caught_up()
    await started(heir)
    assert heir.reader.position == 1
    await bus.send(added("TB1", 2))
    await heir.caught_up()
    await until(lambda: former.reader.fenced)
    assert not heir.reader.fenced
    assert await effects(heir) == {"TB1": [1, 2]}


async def test_rewinding_under_load(bus: LogBus) -> None:
    """Reading everything again, again and again while events arrive, neither loses nor doubles one."""
    consumer = await started(bus.consumer())
    for n in range(1, 40):
        await bus.send(*(added(f"TB{stream}", n) for stream in range(4)))
        if n % 4 == 0:
            await consumer.again()
    await consumer.caught_up()
    assert await effects(consumer) == {f"TB{stream}": list(range(1, 40)) for stream in range(4)}
    for stream in range(4):  # what is in memory is what is in the log, although commits were cut off
        async with consumer.files.reading(f"TB{stream}") as (file, version):
            assert (file.counted, version) == (list(range(1, 40)), 78)


async def test_waiting_for_a_position_ends(bus: LogBus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for ever for a consumer that does not come on."""
    monkeypatch.setattr("services.kernel.log_reader.REACHED_SECONDS", 0.05)
    consumer = await started(bus.consumer())
    with pytest.raises(TimeoutError):
        await consumer.reader.reached(7)


async def test_too_many_parked_streams_stop_the_consumer(bus: LogBus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one stream after the other fails, it is no longer their fault: the consumer waits instead of running on."""
    assert MAX_PARKED >= 100
    monkeypatch.setattr("services.kernel.progress.MAX_PARKED", 3)
    await bus.send(*(added(f"TB{n}", 1, 666) for n in range(6)))
    consumer = bus.consumer(poison=[666])
    monkeypatch.setattr(consumer.reader, "_batch_records", 1)
    await consumer.start()
    await until(lambda: "3 parked" in consumer.stuck)
    assert consumer.reader.position == 3
    consumer.domain.poison.clear()
    await consumer.caught_up()
    await until(lambda: not consumer.parked)
    assert await effects(consumer) == {f"TB{n}": [666] for n in range(6)}


async def test_stopping_leaves_nothing_behind(bus: LogBus) -> None:
    """Stopped in the middle of work, a consumer leaves no task, and its files are those of the log."""
    await bus.send(*(added(f"TB{n}", 1) for n in range(300)))
    consumer = bus.consumer()
    await consumer.start()
    await asyncio.sleep(0.02)
    before = asyncio.current_task()
    await consumer.reader.stop()
    await consumer.reader.stop()
    names = {task.get_name() for task in asyncio.all_tasks() if task is not before}
    assert not {name for name in names if not name.startswith("appender")}
    counted = await effects(consumer)
    for n in range(300):
        async with consumer.files.reading(f"TB{n}") as (file, _):
            assert file.counted == counted.get(f"TB{n}", [])
    with contextlib.suppress(TimeoutError):
        await started(consumer)
    assert len(await effects(consumer)) == 300
