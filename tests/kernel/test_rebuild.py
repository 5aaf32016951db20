"""Read tables that are built anew beside the live ones, on each database, while their service is at work."""

import asyncio
import sys
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from services.kernel.clock import ManualClock
from services.kernel.event_store import Append, Checkpoint, Commit, Statement
from services.kernel.followers import Followers
from services.kernel.leases import LEASE_SECONDS, LeaseHeld, holding
from services.kernel.long_work import CalledOff
from services.kernel.rebuild import (
    AnotherKept,
    Difference,
    Outcome,
    TakenOver,
    Unbuildable,
    discard,
    lease_of,
    planned,
    rebuild,
)
from services.kernel.rebuild.building import Rules
from services.kernel.rebuild.tables import kept
from services.kernel.rebuild.workers import workers
from services.kernel.service import Part, Service
from services.kernel.takeover import handing_over
from services.kernel.views import BESIDE, Row
from services.kernel.workers import AHEAD, Workers
from tests.kernel.bus_contract import until
from tests.kernel.postgres import PostgresDatabase
from tests.kernel.store_contract import commit, new
from tests.kernel.toy import BY_AGENT, MIGRATIONS, NOON, Tally, TallyDomain, decode, url_of

STREAMS = 7
TABLES = {
    "tally_view": "case_id TEXT PRIMARY KEY, total INTEGER NOT NULL, note TEXT",
    "count_view": "case_id TEXT, number INTEGER, amount INTEGER NOT NULL, PRIMARY KEY (case_id, number)",
}


class ToyViews:
    """A row for each case, and one for each amount of it."""

    tables: Mapping[str, Sequence[str]] = {
        "tally_view": ("case_id", "total", "note"),
        "count_view": ("case_id", "number", "amount"),
    }
    keys: Mapping[str, int] = {"tally_view": 1, "count_view": 2}
    owners: Mapping[str, str] = {"tally_view": "case_id", "count_view": "case_id"}

    def rows(self, file: Tally, subjects: Collection[str]) -> Mapping[str, Sequence[Row]]:
        cases, counted = sorted(subjects), list(enumerate(file.counted, start=1))
        return {
            "tally_view": [{"case_id": one, "total": sum(file.counted), "note": None} for one in cases],
            "count_view": [{"case_id": one, "number": n, "amount": amount} for one in cases for n, amount in counted],
        }


class ToyDomain(TallyDomain):
    """Counts the files that are begun."""

    def __init__(self) -> None:
        super().__init__()
        self.files: list[str] = []

    def new_file(self, stream: str) -> Tally:
        self.files.append(stream)
        return super().new_file(stream)


def toy_rules() -> Rules:
    """The rules, in a worker."""
    return Rules(ToyDomain(), ToyViews())


class Toy:
    """A service at work, and the operator's own process beside it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.domain = ToyDomain()
        self.service = self._service(TallyDomain())
        self.operator = self._service(self.domain)
        self.followers = Followers(
            self.service, self.service.followers()[:1], [], {"tally": self.service.store}, gauges=False, alone=True
        )

    def _service(self, domain: TallyDomain) -> Service[Any]:
        return Service(Part(domain, ToyViews(), MIGRATIONS, ()), self.url, ManualClock(NOON))

    async def count(self, stream: str, amount: int, times: int = 1) -> None:
        body = {"amount": amount, "times": times}
        await self.service.files.command(stream, f"{stream}-1", "count", body, BY_AGENT)

    async def fill(self) -> None:
        for n in range(STREAMS):
            await self.count(f"TB{n}", n + 1, n % 3 + 1)
        await self.followers.views_caught_up()

    async def execute(self, sql: str) -> None:
        await commit(self.operator.store, Commit(statements=(Statement(sql, [()]),)))

    async def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """What readers see."""
        read = {}
        for table, columns in ToyViews.tables.items():
            found = await self.service.store.query(f"SELECT {', '.join(columns)} FROM {table} ORDER BY 1, 2")
            read[table] = [tuple(row.values()) for row in found]
        return read

    async def folded(self) -> dict[str, list[tuple[Any, ...]]]:
        """What the log comes to."""
        read: dict[str, list[tuple[Any, ...]]] = {table: [] for table in ToyViews.tables}
        for head in await self.service.store.streams():
            file = self.domain.new_file(head.stream)
            for record in await self.service.store.read_stream(head.stream):
                file.evolve(record)
            for table, rows in ToyViews().rows(file, {f"{head.stream}-1"}).items():
                read[table] += [tuple(row.values()) for row in rows]
        return read

    async def rebuild(self, *names: str, **given: Any) -> Outcome:
        return await rebuild(self.operator, names or tuple(TABLES), "老陈", **given)

    async def goes_on(self) -> None:
        """The live tables are followed again, to the end."""
        epoch = await self.operator.store.epoch("views", "tally")
        await until(lambda: self.followers.readers[0].epoch >= epoch)
        await self.followers.views_caught_up()

    async def copies(self) -> list[str]:
        """The copies that are there."""
        there = []
        for table in TABLES:
            with suppress(Exception):
                await self.operator.store.query(f"SELECT 1 FROM {table}_beside")
                there.append(table)
        return there

    async def close(self) -> None:
        await self.followers.stop()
        for service in (self.service, self.operator):
            await service.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return url_of(tmp_path / "tally.db")
    database: PostgresDatabase = request.getfixturevalue("postgres_database")
    return database.url


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces so small that every boundary is met, and a toy contract."""
    monkeypatch.setattr("services.kernel.service.decode", decode)
    monkeypatch.setattr("services.kernel.rebuild.building.PAGE_RECORDS", 3)
    monkeypatch.setattr("services.kernel.rebuild.building.ROWS_AT_ONCE", 2)
    monkeypatch.setattr("services.kernel.rebuild.beside.SPAN_STREAMS", 2)
    monkeypatch.setattr("services.kernel.rebuild.beside.STANDING_SECONDS", 0.5)
    monkeypatch.setattr("services.kernel.rebuild.comparing.RANGE_ROWS", 3)
    monkeypatch.setattr("services.kernel.rebuild.comparing.SUSPECTS", 2)
    monkeypatch.setattr("services.kernel.rebuild.comparing.KEYS_AT_ONCE", 2)


@pytest.fixture
async def toy(url: str) -> AsyncIterator[Toy]:
    toy = Toy(url)
    for table, columns in TABLES.items():
        await toy.execute(f"CREATE TABLE {table} ({columns})")
    await toy.followers.start()
    yield toy
    await discard(toy.operator, tuple(TABLES), "test")
    for table in TABLES:
        await toy.execute(f"DROP TABLE {table}")
    await toy.close()


async def test_equal_tables_stay_as_they_are(toy: Toy) -> None:
    """Built from the log and equal to the last row: nothing is put in place, and no copy is left."""
    await toy.fill()
    before = await toy.rows()
    outcome = await toy.rebuild(swap=True)
    assert (outcome.equal, outcome.swapped, outcome.records) == (True, False, outcome.position)
    assert [(table.table, table.rows) for table in outcome.tables] == [("tally_view", 7), ("count_view", 13)]
    assert await toy.rows() == before == await toy.folded()
    assert (await toy.copies(), await kept(toy.operator.store)) == ([], None)


async def test_an_empty_log(toy: Toy) -> None:
    """There is nothing to build, and nothing goes wrong."""
    outcome = await toy.rebuild()
    assert (outcome.equal, outcome.records, [table.rows for table in outcome.tables]) == (True, 0, [0, 0])


async def test_a_damaged_row_is_named_and_mended(toy: Toy) -> None:
    """What somebody changed by hand is told by key, column and value; it changes only when that is wanted."""
    await toy.fill()
    await toy.execute("UPDATE tally_view SET total = 99, note = 'x' WHERE case_id = 'TB3-1'")
    await toy.execute("DELETE FROM count_view WHERE case_id = 'TB4-1' AND number = 2")
    await toy.execute("INSERT INTO count_view (case_id, number, amount) VALUES ('TB9-1', 1, 5)")
    damaged = await toy.rows()
    for swap in (False, False, True):
        outcome = await toy.rebuild(swap=swap)
        tallies, counts = outcome.tables
        assert (tallies.different, tallies.missing, tallies.extra) == (1, 0, 0)
        assert tallies.first == [
            Difference(("TB3-1",), "total", 99, 4),
            Difference(("TB3-1",), "note", "x", None),
        ]
        assert (counts.different, counts.missing, counts.extra) == (0, 1, 1)
        assert counts.first == [
            Difference(("TB4-1", 2), "", None, ["TB4-1", 2, 5]),
            Difference(("TB9-1", 1), "", ["TB9-1", 1, 5], None),
        ]
        assert (outcome.equal, outcome.swapped) == (False, swap)
        assert await toy.rows() == (await toy.folded() if swap else damaged)
    assert await toy.copies() == []
    await toy.count("TB3", 6)
    await toy.goes_on()
    assert await toy.rows() == await toy.folded()


async def test_everything_differs(toy: Toy) -> None:
    """A table that is empty, as a new one is, is filled at once, also where nobody is at work on it."""
    await toy.fill()
    await toy.followers.stop()
    await toy.execute("DELETE FROM tally_view")
    outcome = await toy.rebuild("tally_view", swap=True)
    assert (outcome.tables[0].missing, outcome.tables[0].rows, outcome.swapped) == (7, 7, True)
    assert await toy.rows() == await toy.folded()


async def test_commands_go_on(toy: Toy) -> None:
    """Events that come at any moment of a rebuild are in the tables after it, as often as one comes."""
    await toy.fill()
    await toy.execute("UPDATE tally_view SET total = 0")
    pages = 0

    async def tell(done: int, total: int) -> None:
        nonlocal pages
        pages += 1
        assert 0 <= done <= total
        await toy.count(f"TB{pages % 9}", 20 + pages)

    async def writing() -> None:
        for n in range(200):
            await toy.count(f"TC{n % 5}", 20 + n)

    await asyncio.gather(toy.rebuild(tell=tell, swap=True), writing())
    assert pages > STREAMS // 2
    await toy.goes_on()
    assert await toy.rows() == await toy.folded()
    assert (await toy.rebuild()).equal


async def test_readers_see_whole_tables(toy: Toy) -> None:
    """Whoever reads while a table is put in place sees all rows of the old one or all of the new one."""
    await toy.fill()
    await toy.execute("UPDATE tally_view SET total = -1")
    seen: set[tuple[int, ...]] = set()
    done = asyncio.Event()

    async def read() -> None:
        while not done.is_set():
            rows = await toy.service.store.query("SELECT total FROM tally_view ORDER BY case_id")
            seen.add(tuple(row["total"] for row in rows))

    reading = asyncio.create_task(read())
    await toy.rebuild(swap=True)
    await asyncio.sleep(0.05)
    done.set()
    await reading
    assert seen == {(-1,) * STREAMS, tuple(row[1] for row in (await toy.folded())["tally_view"])}


async def test_it_goes_on_where_it_ended(toy: Toy) -> None:
    """Ended in the middle, nothing of the live tables has changed, and no stream is folded twice."""
    await toy.fill()
    before, pages = await toy.rows(), 0

    async def enough(done: int, total: int) -> None:
        nonlocal pages
        pages += 1
        if pages == 2:
            raise CalledOff

    with pytest.raises(CalledOff):
        await toy.rebuild(tell=enough)
    assert await toy.rows() == before
    plan = await planned(toy.operator, tuple(TABLES))
    assert plan.kept is not None
    assert (plan.kept.stream, plan.kept.records, plan.events) == ("TB3", 7, 13)
    toy.domain.files.clear()
    outcome = await toy.rebuild()
    assert toy.domain.files == ["TB4", "TB5", "TB6"]
    assert (outcome.equal, outcome.resumed_after, outcome.records) == (True, 7, 13)


async def test_it_cannot_be_held_up_while_tables_change_hands(toy: Toy) -> None:
    """Whoever pauses a rebuild never finds the live tables without their writer."""
    await toy.fill()
    await toy.execute("UPDATE tally_view SET total = -1")
    leases: list[str] = []

    async def tell(done: int, total: int) -> None:
        found = await toy.operator.store.query("SELECT name FROM leases ORDER BY name")
        leases.extend(row["name"] for row in found)
        await toy.count("TB1", 20)  # there is always something to catch up with

    assert (await toy.rebuild(tell=tell, swap=True)).swapped
    assert set(leases) == {lease_of("tally")}
    await toy.goes_on()
    assert await toy.rows() == await toy.folded()


async def test_another_release_begins_anew(toy: Toy) -> None:
    """What an earlier release built may be other rows: none of them is mixed with those of this one."""
    await toy.fill()

    async def enough(done: int, total: int) -> None:
        raise CalledOff

    with pytest.raises(CalledOff):
        await toy.rebuild(tell=enough)
    await toy.execute("UPDATE rebuilds SET made_by = '0.9 toy-0'")
    await toy.execute("UPDATE tally_view_beside SET total = 0")
    assert (await planned(toy.operator, tuple(TABLES))).kept is None
    outcome = await toy.rebuild()
    assert (outcome.equal, outcome.resumed_after) == (True, 0)


async def test_it_goes_on_after_it_was_killed(toy: Toy) -> None:
    """A process that is killed in the middle leaves the live tables as they were, and what it had built."""
    await toy.fill()
    before = await toy.rows()
    command = (sys.executable, "-m", __name__, toy.url)
    killed = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert killed.stdout is not None
    assert await killed.stdout.readline() == b"7\n"
    killed.kill()
    await killed.wait()
    assert await toy.rows() == before
    toy.domain.files.clear()
    outcome = await toy.rebuild()
    assert toy.domain.files == ["TB4", "TB5", "TB6"]
    assert (outcome.equal, outcome.resumed_after) == (True, 7)


async def test_several_processes(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever folds, the rows are the same; a worker that meets what cannot be folded says which stream it is."""
    monkeypatch.setattr(Workers, "_here", Workers._elsewhere)  # or this process might be done before another begins
    await toy.fill()
    with workers(toy.operator.store, toy.url, 2, decode, toy_rules) as by:
        assert (await toy.rebuild(by=by, ahead=2 * AHEAD)).equal
        unknown = Append("TB5", 3, [new("odd", type="toy.unknown", source="tally")])
        await commit(toy.service.store, Commit(appends=(unknown,)))
        with pytest.raises(Unbuildable) as refused:
            await toy.rebuild(by=by, ahead=2 * AHEAD)
    assert (refused.value.stream, refused.value.version) == ("TB5", 4)


async def test_a_stream_that_cannot_be_read(toy: Toy) -> None:
    """It ends the rebuild and is named; the live tables stay as they are, and the copies can be dropped."""
    await toy.fill()
    before = await toy.rows()
    await commit(toy.service.store, Commit(appends=(Append("TB5", 3, [new("odd", type="toy.unknown")]),)))
    with pytest.raises(Unbuildable, match="stream TB5 version 4"):
        await toy.rebuild(swap=True)
    assert await toy.rows() == before
    there = await discard(toy.operator, tuple(TABLES), "老陈")
    assert there is not None
    assert (set(there.tables), await toy.copies()) == (set(TABLES), [])
    assert await discard(toy.operator, tuple(TABLES), "老陈") is None


async def test_a_stream_that_cannot_be_folded_later(toy: Toy) -> None:
    """The same where the event comes while the copies catch up."""
    await toy.fill()
    before = await toy.rows()

    async def tell(done: int, total: int) -> None:
        with suppress(Exception):  # once
            await commit(toy.service.store, Commit(appends=(Append("TB5", 3, [new("odd", type="toy.unknown")]),)))

    with pytest.raises(Unbuildable, match="stream TB5 version 4"):
        await toy.rebuild(tell=tell, swap=True)
    assert await toy.rows() == before


async def test_two_at_once(toy: Toy) -> None:
    """The second is told who is at it, and nothing of the first is disturbed."""
    await toy.fill()
    refused: list[LeaseHeld] = []

    async def tell(done: int, total: int) -> None:
        if not refused:
            with pytest.raises(LeaseHeld) as held:
                await rebuild(toy.service, tuple(TABLES), "小李")
            refused.append(held.value)

    assert (await toy.rebuild(tell=tell)).equal
    assert (refused[0].lease, refused[0].holder) == (lease_of("tally"), "老陈")


async def test_the_lease_of_a_dead_process_runs_out(toy: Toy) -> None:
    """Whoever was killed holds nobody up for longer than a lease lasts."""
    assert await toy.service.store.hold(lease_of("tally"), "killed", 2.0)
    began = asyncio.get_running_loop().time()
    async with holding(toy.operator.store, lease_of("tally"), "heir"):
        assert asyncio.get_running_loop().time() - began < 2 * LEASE_SECONDS


async def test_a_frozen_rebuild_writes_nothing_more(toy: Toy) -> None:
    """One whose lease ran out unnoticed is refused as soon as another took the copies over."""
    await toy.fill()

    async def tell(done: int, total: int) -> None:
        await toy.service.store.claim(BESIDE, "tally")

    with pytest.raises(TakenOver):
        await toy.rebuild(tell=tell)


async def test_another_rebuild_is_kept(toy: Toy) -> None:
    """What was built for one table is not mixed up with what is wanted of another."""
    await toy.fill()
    await toy.execute("DELETE FROM tally_view")
    assert not (await toy.rebuild("tally_view")).equal
    for wanted in (("count_view",), tuple(TABLES)):
        with pytest.raises(AnotherKept) as other:
            await toy.rebuild(*wanted)
        assert other.value.tables == ("tally_view",)
        with pytest.raises(AnotherKept):
            await planned(toy.operator, wanted)
    with pytest.raises(AnotherKept):
        await discard(toy.operator, ["count_view"], "老陈")
    assert (await toy.rebuild("tally_view", swap=True)).swapped
    assert (await toy.rebuild()).equal


async def test_one_table_of_two(toy: Toy) -> None:
    """What is put in place of one table does not make the writer of both pass what the other one lacks."""
    await toy.fill()
    await toy.followers.stop()
    await toy.count("TB1", 50)  # nobody writes its rows yet
    outcome = await toy.rebuild("tally_view", swap=True)
    assert (outcome.swapped, outcome.tables[0].different) == (True, 1)
    await toy.followers.start()
    await toy.followers.views_caught_up()
    assert await toy.rows() == await toy.folded()


async def test_a_checkpoint_past_the_end(toy: Toy) -> None:
    """Tables that claim to be further than the log would miss what comes next; putting in place mends that too."""
    await toy.fill()
    await toy.followers.stop()
    await commit(toy.operator.store, Commit(checkpoint=(Checkpoint("views", "tally", 9_999),)))
    outcome = await toy.rebuild()
    assert (outcome.equal, outcome.ahead, [table.equal for table in outcome.tables]) == (False, True, [True, True])
    assert (await toy.rebuild(swap=True)).swapped
    await toy.followers.start()
    await toy.count("TB1", 50)
    await toy.followers.views_caught_up()
    assert await toy.rows() == await toy.folded()


async def test_what_is_handed_over_is_not_taken_back(toy: Toy) -> None:
    """The writer of the live tables waits until they are handed over, however long that takes, and then goes on."""
    await toy.fill()
    store, lease = toy.operator.store, handing_over("views", "tally")
    assert await store.hold(lease, "operator", 60)
    claim = await store.claim("views", "tally")
    await asyncio.sleep(1.5)
    assert await store.epoch("views", "tally") == claim.epoch
    await toy.count("TB1", 50)
    await store.let_go(lease, "operator")
    await until(lambda: toy.followers.readers[0].epoch > claim.epoch)
    await toy.followers.views_caught_up()
    assert await toy.rows() == await toy.folded()


async def test_a_plan_changes_nothing(toy: Toy) -> None:
    """It says of how many events which tables would be built."""
    await toy.fill()
    plan = await planned(toy.operator, ["count_view"])
    assert (plan.tables, plan.events, plan.kept) == (("count_view",), 13, None)
    assert (await toy.copies(), await toy.operator.store.epoch(BESIDE, "tally")) == ([], 0)


async def _until_killed(url: str) -> None:
    """In a process of its own: the first two pages, and no more."""
    toy = Toy(url)
    pages = 0

    async def tell(done: int, total: int) -> None:
        nonlocal pages
        pages += 1
        if pages == 2:
            print(done, flush=True)
            await asyncio.sleep(60)

    await toy.rebuild(tell=tell)


if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("services.kernel.service.decode", decode)
        patch.setattr("services.kernel.rebuild.beside.SPAN_STREAMS", 2)
        asyncio.run(_until_killed(sys.argv[1]))
