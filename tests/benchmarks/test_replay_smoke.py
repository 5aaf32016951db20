"""The benchmarks of replay run and compare, on a database server that is there already."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from benchmarks.history import prepared
from benchmarks.replay import __main__ as benchmarks
from benchmarks.replay.fill import fill
from benchmarks.replay.logs import Log
from benchmarks.replay.work import Worked, measure
from contracts.registry import decode
from services.kernel.proof import Proven, prove
from services.kernel.stores import open_store
from services.stack.postgres import PostgresCluster


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process for each measurement would take most of the time of these tests."""

    def worked(log: Log, rounds: int, *works: str) -> Worked:
        return asyncio.run(measure(log.settings, log.events, rounds, works))

    monkeypatch.setattr(Log, "worked", worked)


@pytest.mark.parametrize(
    ("database", "names"), [("SQLite", [*benchmarks.SECTIONS]), ("PostgreSQL", ["fold", "library"])]
)
def test_each_benchmark_prints_its_ratios(
    database: str,
    names: list[str],
    postgres: PostgresCluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They run from beginning to end on short logs, and say how they compare."""
    monkeypatch.chdir(tmp_path)
    arguments = ["--tiny", "--events", "440", "--on", database, "--json", "figures.json"]
    assert benchmarks.main([*names, *arguments], postgres) == 0
    written = msgspec.json.decode((tmp_path / "figures.json").read_bytes())
    compared = [
        one for one in written["figures"] if one["name"].startswith(f"{database}, 440 events") and one["theirs"]
    ]
    assert {one["section"] for one in compared} == set(names)
    assert all(value > 0 for figure in written["figures"] for value in figure["ours"]["values"])
    assert not list((tmp_path / "var").iterdir()), "nothing is left behind"


async def test_what_is_written_in_bulk_is_a_log(tmp_path: Path) -> None:
    """A log that was not written by commands holds all the same: chains, heads and positions, up to its last event."""
    url = await asyncio.to_thread(prepared, tmp_path)
    await fill(url, 1_234)
    store = open_store(url, decode)
    proof = await prove(store, Proven.nothing(1_234))
    [root] = proof.roots
    assert (proof.broken, proof.records, root.streams) == (None, 1_234, 113)
    assert await store.head_position() == 1_234
    await store.close()


def test_orders_are_worked_on_at_the_same_time(tmp_path: Path) -> None:
    """The events of an order stand apart in the log, as when many are at work: readers by order must seek them."""
    prepared(tmp_path)
    asyncio.run(fill(f"sqlite:///{tmp_path}/cases.db", 440))
    with closing(sqlite3.connect(tmp_path / "cases.db")) as database:
        [(least,)] = database.execute(
            "SELECT min(later.position - one.position) FROM events AS one"
            " JOIN events AS later ON later.stream = one.stream AND later.version = one.version + 1"
        )
    assert least == 40


def test_log_that_is_too_short_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A length with less than an order in its tenth is refused before any server is started."""
    with pytest.raises(SystemExit):
        benchmarks.main(["--events", "10"])
    assert "at least" in capsys.readouterr().err
