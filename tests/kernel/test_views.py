"""Read tables follow the log: each row is what the file says, whatever happens on the way."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from pathlib import Path

import pytest

from services.kernel.event_store import Commit, Statement, StoreUnavailable
from services.kernel.progress import LogProgress
from services.kernel.views import Projector, Row, upsert, utc
from tests.kernel.store_contract import commit
from tests.kernel.test_files import Process, Shop
from tests.kernel.toy import NOON, Tally, url_of


class TallyViews:
    """One row a case: how much was counted, and how often."""

    tables: Mapping[str, Sequence[str]] = {"tally_view": ("case_id", "total", "times")}
    keys: Mapping[str, int] = {"tally_view": 1}
    owners: Mapping[str, str] = {"tally_view": "case_id"}

    def __init__(self) -> None:
        self.unshowable: set[str] = set()
        self.unwritable: set[str] = set()

    def rows(self, file: Tally, subjects: Collection[str]) -> Mapping[str, Sequence[Row]]:
        if file.stream in self.unshowable:
            raise RuntimeError("cannot be shown")
        total = None if file.stream in self.unwritable else sum(file.counted)
        rows = [{"case_id": case_id, "total": total, "times": len(file.counted)} for case_id in sorted(subjects)]
        return {"tally_view": rows}


class Views:
    """A process with its projector."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.views = TallyViews()
        self.projector = Projector(self.views, process.files, process.appender)
        self.progress = LogProgress("views", "tally")

    async def follow(self) -> None:
        """Project all that is new, as a reader does."""
        records = await self.process.store.read_log(self.progress.position, 1_000)
        if passing := self.progress.passing(records):
            await self.projector(passing, self.progress)
        if records:
            self.progress.position = records[-1].position

    async def table(self) -> dict[str, tuple[int, int]]:
        rows = await self.process.store.query("SELECT * FROM tally_view")
        return {row["case_id"]: (row["total"], row["times"]) for row in rows}

    async def checkpoint(self) -> int:
        return await self.process.store.checkpoint("views", "tally")


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    url_of(tmp_path / "tally.db")
    shop = Shop(url_of(tmp_path / "tally.db"))
    process = shop.process()
    sql = "CREATE TABLE tally_view (case_id TEXT PRIMARY KEY, total INTEGER NOT NULL, times INTEGER NOT NULL)"
    await commit(process.store, Commit(statements=(Statement(sql, [()]),)))
    yield shop
    await shop.close()


async def test_rows_and_place_are_written_together(shop: Shop) -> None:
    """The table shows the log up to the checkpoint that stands beside it."""
    one = Views(shop.process())
    await one.process.count("TB1", 5)
    await one.process.count("TB2", 7, 2)
    await one.follow()
    assert await one.table() == {"TB1-1": (5, 1), "TB2-1": (14, 2)}
    assert await one.checkpoint() == 3
    await one.process.count("TB1", 6)
    one.process.faults.away = True
    with pytest.raises(StoreUnavailable):
        await one.follow()
    one.process.faults.away = False
    assert (await one.table(), await one.checkpoint()) == ({"TB1-1": (5, 1), "TB2-1": (14, 2)}, 3)
    await one.follow()
    assert (await one.table())["TB1-1"] == (11, 2)


async def test_file_ahead_of_the_reader(shop: Shop) -> None:
    """Rows may be newer than the records they are written for; the later records write the same once more."""
    one = Views(shop.process())
    await one.process.count("TB1", 5)
    [first] = await one.process.store.read_log(0, 10)
    await one.process.count("TB1", 6)
    await one.projector([first], one.progress)
    assert (await one.table(), await one.checkpoint()) == ({"TB1-1": (11, 2)}, 1)
    await one.follow()
    assert (await one.table(), await one.checkpoint()) == ({"TB1-1": (11, 2)}, 2)


async def test_file_behind_the_reader(shop: Shop) -> None:
    """What another process wrote is in the rows, although this one has an older file in memory."""
    one, other = Views(shop.process()), shop.process()
    await one.process.count("TB1", 5)
    await other.count("TB1", 6)
    await one.follow()
    assert await one.table() == {"TB1-1": (11, 2)}


@pytest.mark.parametrize("fault", ["unshowable", "unwritable"])
async def test_one_bad_file_holds_up_no_other(shop: Shop, fault: str) -> None:
    """A file whose rows cannot be made or written is left behind until it can be, the others are shown."""
    one = Views(shop.process())
    getattr(one.views, fault).add("TB1")
    for n in (1, 2, 3):
        await one.process.count(f"TB{n}", n)
    await one.follow()
    assert await one.table() == {"TB2-1": (2, 1), "TB3-1": (3, 1)}
    assert set(one.progress.parked) == {"TB1"}
    assert await one.checkpoint() == 0
    await one.process.count("TB1", 5)
    await one.process.count("TB2", 5)
    await one.follow()
    assert await one.table() == {"TB2-1": (7, 2), "TB3-1": (3, 1)}
    getattr(one.views, fault).clear()
    await one.projector(await one.process.store.read_stream("TB1"), one.progress)
    one.progress.release("TB1")
    assert (await one.table())["TB1-1"] == (6, 2)
    assert one.progress.noted(0).checkpoint[0].position == 5


async def test_clearing_starts_anew(shop: Shop) -> None:
    """A rebuild begins with empty tables at the first record, in one transaction."""
    one = Views(shop.process())
    await one.process.count("TB1", 5)
    await one.follow()
    await one.projector.clear()
    assert (await one.table(), await one.checkpoint()) == ({}, 0)
    one.progress = LogProgress("views", "tally")
    await one.follow()
    assert await one.table() == {"TB1-1": (5, 1)}


def test_times_sort_as_text() -> None:
    """Times of any offset come in their order when compared as text."""
    moments = [NOON, NOON.replace(microsecond=1), NOON.astimezone(None)]
    assert utc(moments[0]) == utc(moments[2]) < utc(moments[1])


def test_upsert_names_every_column_once() -> None:
    """One statement writes a row or writes over the one with its key."""
    assert upsert("t", ("a", "b", "c"), 1) == (
        "INSERT INTO t (a, b, c) VALUES (?, ?, ?) ON CONFLICT (a) DO UPDATE SET b = excluded.b, c = excluded.c"
    )
