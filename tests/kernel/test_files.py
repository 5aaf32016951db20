"""Files at work: what is in memory is what is in the log, whatever goes wrong on the way."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from contracts.event import Event
from services.kernel.appender import Appender
from services.kernel.clock import ManualClock
from services.kernel.event_store import (
    Append,
    Commit,
    DeliveryGap,
    DuplicateDelivery,
    EventStore,
    IdempotentAnswer,
    KeyTaken,
    StoreUnavailable,
)
from services.kernel.files import CONFLICT_TRIES, Decided, Files, StaleVersion
from services.kernel.log import Record
from services.kernel.proof import verify
from services.kernel.refusal import Refusal
from services.kernel.stores import open_store
from tests.kernel.bus_contract import Faults
from tests.kernel.postgres import PostgresDatabase
from tests.kernel.store_contract import commit
from tests.kernel.toy import BY_AGENT, LEDGER, NOON, Added, Counted, Tally, TallyDomain, decode, toy_record, url_of


@dataclass
class Process:
    """One process that works on the files of a database."""

    url: str
    domain: TallyDomain = field(default_factory=TallyDomain)
    capacity: int = 100

    def __post_init__(self) -> None:
        self.store = open_store(self.url, decode, busy_timeout_s=30)
        self.faults = Faults(self.store)
        store = cast(EventStore, self.faults)
        self.appender = Appender(store)
        self.files = Files(self.domain, store, self.appender, ManualClock(NOON), self.capacity)

    async def count(self, stream: str, amount: int, times: int = 1, **given: Any) -> Decided:
        body = {"amount": amount, "times": times}
        return await self.files.command(stream, f"{stream}-1", "count", body, BY_AGENT, **given)

    async def seen(self, stream: str) -> tuple[list[int], int]:
        """What is in memory, which must be what the log tells."""
        async with self.files.reading(stream) as (file, version):
            counted = list(file.counted)
        records = await self.store.read_stream(stream)
        assert counted == [record.event.amount for record in records if isinstance(record.event, Counted)]
        assert version == len(records)
        return counted, version

    async def close(self) -> None:
        self.faults.open.set()
        await self.appender.close()
        await self.store.close()


class Shop:
    """A database and the processes on it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._processes: list[Process] = []

    def process(self, **given: Any) -> Process:
        self._processes.append(Process(self._url, **given))
        return self._processes[-1]

    async def close(self) -> None:
        for process in self._processes:
            await process.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return url_of(tmp_path / "tally.db")
    database: PostgresDatabase = request.getfixturevalue("postgres_database")
    return database.url


@pytest.fixture
async def shop(database_url: str) -> AsyncIterator[Shop]:
    shop = Shop(database_url)
    yield shop
    await shop.close()


@pytest.fixture
async def shared(postgres_database: PostgresDatabase) -> AsyncIterator[Shop]:
    """A shop whose database other processes may write to, so that what is in memory may be old."""
    shop = Shop(postgres_database.url)
    yield shop
    await shop.close()


def answer(key: str) -> IdempotentAnswer:
    return IdempotentAnswer(key, b"hash", 200, b"{}", NOON)


async def heard(process: Process, sequence: int, amount: int) -> Record:
    """A delivery of the toy service's event number `sequence` of stream TB1."""
    record = toy_record(f"e{sequence}", Added(case_id="TB1-1", amount=amount), sequence=sequence)
    fields = {name: getattr(record, name) for name in record.__struct_fields__}
    return Record(stream="TB1", version=sequence, hash=b"", position=sequence, **fields)


async def test_command_is_committed_with_its_answer(shop: Shop) -> None:
    """A command's events, what follows from them and its answer stand in the log together."""
    one = shop.process()
    decided = await one.count("TB1", 5_000, answer=lambda decided: answer(f"v{decided.version}"))
    assert (decided.version, [record.type for record in decided.records]) == (1, ["tally.counted"])
    assert await one.store.answer("v1") is not None
    [booked] = await one.store.read_stream(LEDGER)
    assert (booked.actor, booked.causation_id) == ("system/tally", "cause")
    assert await one.seen("TB1") == ([5_000], 1)


async def test_a_command_that_decides_nothing_still_has_its_answer(shop: Shop) -> None:
    """Nothing to record is no reason to forget what was answered, and an unused file leaves no trace."""
    one = shop.process()
    await one.count("TB1", 1, 0, answer=lambda _: answer("k"))
    assert await one.store.answer("k") is not None
    assert await one.count("TB1", 1, 0) == Decided("TB1", 0, ())
    assert await one.store.head_position() == 0


@pytest.mark.parametrize("failure", ["refusal", "fault", "key", "away", "endless"])
async def test_file_is_thrown_away_with_what_was_not_committed(shop: Shop, failure: str) -> None:
    """However a unit of work fails after it changed the file in memory, the change is gone."""

    class Failing(TallyDomain):
        def follow_ups(self, *args: Any) -> Sequence[Event]:
            if failure == "refusal":
                raise Refusal("too_late")
            if failure == "fault":
                raise RuntimeError("a faulty rule")
            return [Counted(case_id="TB1-1", amount=1)] if failure == "endless" else super().follow_ups(*args)

    before = shop.process()
    await before.count("TB1", 7, answer=lambda _: answer("taken"))
    one = shop.process(domain=Failing())
    assert await one.seen("TB1") == ([7], 1)
    one.faults.away = failure == "away"
    errors = {"refusal": Refusal, "key": KeyTaken, "away": StoreUnavailable}
    with pytest.raises(errors.get(failure, RuntimeError)):
        await one.count("TB1", 8, answer=lambda _: answer("taken" if failure == "key" else "new"))
    one.faults.away = False
    assert await one.seen("TB1") == ([7], 1)
    assert await one.store.answer("new") is None


async def test_refused_command_changes_nothing(shop: Shop) -> None:
    """A rule that says no leaves file and log as they were."""
    one = shop.process()
    await one.count("TB1", 1)
    with pytest.raises(Refusal, match="unlucky"):
        await one.count("TB1", 13)
    with pytest.raises(Refusal, match="unknown_case"):
        await one.files.command("unknown", "unknown-1", "count", {"amount": 1}, BY_AGENT)
    assert await one.seen("TB1") == ([1], 1)


async def test_stale_version_is_refused(shop: Shop) -> None:
    """Who has not seen the latest version is told so, and which it is."""
    one = shop.process()
    await one.count("TB1", 1, expected_version=0)
    with pytest.raises(StaleVersion) as stale:
        await one.count("TB1", 2, expected_version=0)
    assert stale.value.version == 1
    await one.count("TB1", 2, expected_version=1)
    assert await one.seen("TB1") == ([1, 2], 2)


@pytest.mark.parametrize("written", [True, False])
async def test_cancelled_while_committing(shop: Shop, written: bool) -> None:
    """Who goes away during the commit leaves a file that is what the log says once that ended, never before."""
    one = shop.process()
    await one.count("TB1", 1)
    one.faults.open.clear()
    holder = asyncio.create_task(one.count("TB2", 1))  # is in the transaction
    await asyncio.sleep(0.02)
    going = asyncio.create_task(one.count("TB2" if written else "TB1", 2))
    await asyncio.sleep(0.02)
    (holder if written else going).cancel()
    reading = asyncio.create_task(one.seen("TB2" if written else "TB1"))
    await asyncio.sleep(0.02)
    assert not reading.done()
    one.faults.open.set()
    await asyncio.wait([holder, going, reading])
    assert holder.cancelled() == written
    assert going.cancelled() != written
    await reading
    assert (await one.seen("TB2"))[0] == ([1, 2] if written else [1])
    assert (await one.seen("TB1"))[0] == [1]


async def test_cancelled_many_times_under_load(shop: Shop) -> None:
    """Whatever the moment at which callers go away, memory and log agree, and nothing is half."""
    one = shop.process()
    tasks = [asyncio.create_task(one.count(f"TB{n % 4}", n, 2)) for n in range(120)]
    for n, task in enumerate(tasks):
        if n % 2:
            await asyncio.sleep(0.0005 * (n % 3))
            task.cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    for stream in range(4):
        counted, _ = await one.seen(f"TB{stream}")
        for n in range(stream, 120, 4):
            kept = counted.count(n)
            if n != 13:
                assert kept == 2 if isinstance(done[n], Decided) else kept in (0, 2)
    assert await verify(one.store) is None


async def test_one_writer_at_a_time(shop: Shop) -> None:
    """Concurrent commands on one file are decided one after the other, on what the one before left."""
    one = shop.process()
    decided = await asyncio.gather(*(one.count("TB1", 100 + n) for n in range(60)))
    assert [one.version for one in decided] == list(range(1, 61))
    assert await one.seen("TB1") == ([100 + n for n in range(60)], 60)


async def test_files_that_share_one(shop: Shop) -> None:
    """Files that need the shared one meet there without blocking each other for ever, each entry once."""
    one = shop.process()
    await asyncio.gather(*(one.count(f"TB{n % 6}", 5_000 + n) for n in range(48)))
    booked = [record.event.amount for record in await one.store.read_stream(LEDGER)]
    assert sorted(booked) == [5_000 + n for n in range(48)]


async def test_little_room(shop: Shop) -> None:
    """With room for one file only, files come and go, but none that somebody waits for is there twice."""
    one = shop.process(capacity=1)
    await asyncio.gather(*(one.count(f"TB{n % 5}", 100 + n) for n in range(100)))
    assert len(one.files._held) <= 6
    for stream in range(5):
        assert await one.seen(f"TB{stream}") == ([100 + n for n in range(stream, 100, 5)], 20)
    assert len(one.files._held) == 1


async def test_file_in_use_is_not_let_go_of(shop: Shop) -> None:
    """Between one holder of a lock and the next, the file is not thrown out: both would change their own copy."""
    one = shop.process(capacity=1)
    async with one.files.reading("TB1"):
        waiting = asyncio.create_task(one.count("TB1", 5))
        await asyncio.sleep(0)
        held = one.files._held["TB1"]
        one.faults.open.clear()
    await one.seen("TB2")  # comes before the one that waits, and needs room
    assert one.files._held["TB1"] is held
    one.faults.open.set()
    await waiting
    assert await one.seen("TB1") == ([5], 1)


async def test_two_processes_on_one_file(shop: Shop) -> None:
    """Where another process was quicker, the file is read again and the command decided anew: none is lost."""
    both = [shop.process(), shop.process()]
    for n in range(25):
        await asyncio.gather(*(process.count("TB1", 100 * k + n + 200) for k, process in enumerate(both)))
    records = await both[0].store.read_stream("TB1")
    assert sorted(record.event.amount for record in records) == sorted(
        100 * k + n + 200 for k in (0, 1) for n in range(25)
    )
    for process in both:
        async with process.files.reading("TB1", at_least=50) as (file, version):
            assert (len(file.counted), version) == (50, 50)


async def test_no_is_said_of_the_latest_only(shop: Shop) -> None:
    """A refusal that another process has made untrue is not given: it is looked at first."""
    one, other = shop.process(), shop.process()
    assert await one.seen("TB1") == ([], 0)
    await other.count("TB1", 1)
    assert (await one.count("TB1", 2, expected_version=1)).version == 2
    await other.files.record("TB1", lambda *_: [Counted(case_id="TB1-1", amount=3)], BY_AGENT)
    with pytest.raises(Refusal) as refusal:
        await one.count("TB1", 13)
    assert refusal.value.params["counted"] == 3


async def test_reading_shows_what_others_committed(shared: Shop) -> None:
    """Where processes share a database, a file is shown with everything that any of them has answered."""
    one, other = shared.process(), shared.process()
    for n in range(1, 20):
        writer, reader = (one, other) if n % 2 else (other, one)
        await writer.count("TB1", 100 + n)
        assert (await reader.seen("TB1"))[1] == n


async def test_reading_while_the_database_is_away(shared: Shop) -> None:
    """While a shared database is away nothing old is shown as if it were new, and nothing is forgotten."""
    one = shared.process()
    await one.count("TB1", 1)
    held = one.files._held["TB1"].file
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(one.faults, "read_stream", _away, raising=False)
        patch.setattr(one.faults, "stream_pages", partial(type(one.store).stream_pages, one.faults), raising=False)
        with pytest.raises(StoreUnavailable):
            await one.seen("TB1")
    assert one.files._held["TB1"].file is held
    assert await one.seen("TB1") == ([1], 1)


async def _away(*_: Any, **__: Any) -> list[Record]:
    raise StoreUnavailable("away")


async def test_nothing_to_do_is_said_of_the_latest_only(shared: Shop) -> None:
    """Also that there is nothing to decide is looked at again where another process has written."""
    one, other = shared.process(), shared.process()
    assert await one.seen("TB1") == ([], 0)
    await other.count("TB1", 1)

    def once_more(file: Tally, _: object) -> list[Event]:
        return [Counted(case_id="TB1-1", amount=2)] if file.counted else []

    assert (await one.files.record("TB1", once_more, BY_AGENT)).version == 2
    assert await other.seen("TB1") == ([1, 2], 2)


async def test_conflicts_without_end_are_retryable(shop: Shop) -> None:
    """If another process always comes first, the sender is told to try again, and nothing was written."""
    one, other = shop.process(), shop.process()
    tries = 0

    def overtaken(*_: Any) -> list[Event]:
        nonlocal tries
        tries += 1
        return [Counted(case_id="TB1-1", amount=1)]

    class Overtaken(Faults):
        async def commit(self, batch: list[Commit]) -> Any:
            await other.count("TB1", 500 + tries)
            return await super().commit(batch)

    one.appender._store = cast(EventStore, Overtaken(one.store))
    with pytest.raises(StoreUnavailable):
        await one.files.record("TB1", overtaken, BY_AGENT)
    assert tries == CONFLICT_TRIES
    assert (await other.seen("TB1"))[0] == [500 + n for n in range(1, CONFLICT_TRIES + 1)]


async def test_reader_who_knows_of_more_gets_it(shop: Shop) -> None:
    """Who read a version in the log never gets a file from before it."""
    one, other = shop.process(), shop.process()
    await one.count("TB1", 1)
    await other.count("TB1", 2)
    async with one.files.reading("TB1", at_least=1) as (_, version):
        assert version == 1
    async with one.files.reading("TB1", at_least=2) as (file, version):
        assert (file.counted, version) == ([1, 2], 2)


async def test_heard_once_and_in_order(shop: Shop) -> None:
    """A delivery has its effect once; twice or too early it is told apart, and the file stays as it was."""
    one = shop.process()
    await one.files.hear(await heard(one, 1, 10))
    with pytest.raises(DuplicateDelivery):
        await one.files.hear(await heard(one, 1, 10))
    with pytest.raises(DeliveryGap):
        await one.files.hear(await heard(one, 3, 30))
    await one.files.hear(await heard(one, 2, 20))
    assert (await one.seen("TB1"))[0] == [10, 20]
    async with one.files.reading("TB1") as (file, _):
        assert file.heard == [10, 20]


async def test_unreadable_history_stops_its_file_only(shop: Shop) -> None:
    """A file that cannot be folded is refused each time, and others are not touched by it."""
    one = shop.process(domain=TallyDomain(unfoldable=[66]))
    record = toy_record("x", Added(case_id="TB1-1", amount=66), sequence=1)
    await commit(one.store, Commit(appends=(Append("TB1", 0, [record]),)))
    for _ in range(2):
        with pytest.raises(RuntimeError):
            await one.count("TB1", 1)
    await one.count("TB2", 1)
    one.domain.unfoldable.clear()
    assert (await one.count("TB1", 1)).version == 2


async def test_forgetting_under_load(shop: Shop) -> None:
    """Files that are folded anew while commands run are the same as before."""
    one = shop.process()
    commands = [asyncio.create_task(one.count(f"TB{n % 3}", 100 + n)) for n in range(60)]
    for _ in range(5):
        await one.files.forget()
        await asyncio.sleep(0.002)
    await asyncio.gather(*commands)
    for stream in range(3):
        assert (await one.seen(f"TB{stream}"))[0] == [100 + n for n in range(stream, 60, 3)]


async def test_long_history_is_read_in_pages(shop: Shop) -> None:
    """A file of thousands of records is folded whole."""
    one = shop.process()
    for _ in range(25):
        await one.count("TB1", 5, 100)
    await one.files.forget()
    assert (await one.seen("TB1"))[1] == 2_500
