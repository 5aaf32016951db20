"""`aftersales rebuild`: read tables built anew beside the live ones, as an operator does it."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from services.catalogue import SERVICES
from tests.cli.parked import migrated
from tests.cli.terminal import Server, Told, aftersales, until

BY = ("--by", "老陈", "--reason", "抽查")


def execute(folder: Path, service: str, *statements: str) -> list[Any]:
    """Run SQL behind the service's back; gives the rows of the last statement."""
    with closing(sqlite3.connect(folder / f"{service}.db", timeout=30)) as database:
        rows = [database.execute(sql).fetchall() for sql in statements]
        database.commit()
    return rows[-1]


def rebuild(folder: Path, *arguments: str) -> Told:
    return aftersales("rebuild", *arguments, "--data-dir", str(folder), LANG="en_GB.UTF-8")


@pytest.fixture
def copied(shop: Server, tmp_path: Path) -> Path:
    """The shop's data, with nobody at work on it."""
    for service in SERVICES:
        with (
            closing(sqlite3.connect(shop.data_dir / f"{service}.db")) as live,
            closing(sqlite3.connect(tmp_path / f"{service}.db")) as copy,
        ):
            live.backup(copy)
    return tmp_path


def test_everything_is_as_the_log_says(shop: Server) -> None:
    """All read tables of all services, beside a server at work: equal, and nothing is left of the copies."""
    told = rebuild(shop.data_dir, "all", *BY, "--json")
    assert told.status == 0, told.err
    done = {one["service"]: one for one in told.json["services"]}
    assert list(done) == list(SERVICES)
    assert all(one["equal"] and not one["swapped"] for one in done.values())
    assert [table["table"] for table in done["refunds"]["tables"]] == [
        "payout_view",
        "settlement_view",
        "exception_view",
    ]
    assert not execute(shop.data_dir, "cases", "SELECT name FROM sqlite_master WHERE name LIKE '%beside%'")
    assert "views-beside" not in aftersales("lag", "--data-dir", str(shop.data_dir)).out


def test_a_damaged_row_is_shown_and_mended_at_work(shop: Server) -> None:
    """It is named with both values and the command that mends it; that works as written, and the server goes on."""
    folder = shop.data_dir
    of_case = "SELECT net_fen FROM loss_view WHERE case_id = 'TB1001-1'"
    execute(folder, "liability", "UPDATE loss_view SET net_fen = 7 WHERE case_id = 'TB1001-1'")
    told = rebuild(folder, "loss_view", *BY)
    assert told.status == 1
    for words in (
        ": 1 different, 0 missing, 0 too many",
        "TB1001-1 net_fen: is 7, should be 2000",
        "not touched",
        "aftersales rebuild loss_view --swap --by NAME",
    ):
        assert words in told.out, told.out
    assert execute(folder, "liability", of_case) == [(7,)]
    told = rebuild(folder, "loss_view", "--swap", "--by", "NAME")
    assert (told.status, "put in place" in told.out) == (0, True), told.out + told.err
    assert execute(folder, "liability", of_case) == [(2000,)]
    until(lambda: shop.status("/readyz") == 200, "the server follows its tables again")
    begun = "SELECT actor, data FROM events WHERE type = 'operation.started' ORDER BY position DESC LIMIT 1"
    [(actor, data)] = execute(folder, "liability", begun)
    assert actor == "operator/NAME"
    assert '"tables":["loss_view"],"swap":true' in data.decode()
    assert "TB1001-1" in str(shop.call("/v1/losses?wait=true", role="finance"))


def test_what_to_do_is_said_once(copied: Path) -> None:
    """Of all services each says how it ended, by its name; what to do about differences is said once, in the end."""
    for service, table in (("cases", "stock_view"), ("liability", "loss_view")):
        execute(copied, service, f"DELETE FROM {table}")
    execute(copied, "cases", "UPDATE case_view SET status = 'x'")
    told = rebuild(copied, "all", *BY)
    assert told.status == 1
    assert told.out.count("To put in place what was built: aftersales rebuild all --swap --by NAME") == 1
    for service, ending in (("cases", "different"), ("refunds", "equal"), ("liability", "different")):
        assert f"{service}: {ending} as of position" in told.out, told.out


def test_looking_first(copied: Path) -> None:
    """A dry run needs no name, says what would be built and leaves no trace."""
    before = execute(copied, "cases", "SELECT * FROM checkpoints")
    told = rebuild(copied, "cases", "--dry-run")
    assert told.status == 0, told.err
    events = execute(copied, "cases", "SELECT max(position) FROM events")[0][0]
    assert f"case_view, reference_view, stock_view would be built from {events} events" in told.out
    assert "nothing was changed" in told.out
    assert execute(copied, "cases", "SELECT * FROM checkpoints") == before
    assert rebuild(copied, "cases", "--dry-run", "--json").json["services"][0]["events"] == events


def test_an_unknown_view() -> None:
    """What is like it, and everything there is, is named."""
    told = aftersales("rebuild", "case_veiw", "--by", "老陈")
    told.must_fail(2, "没有 case_veiw", "Close to it: case_view", "all, cases, refunds, liability", "charge_view")


@pytest.mark.parametrize("arguments", [("cases",), ("cases", "--by", " "), ("cases", "--discard")])
def test_nobody_rebuilds_without_a_name(copied: Path, arguments: tuple[str, ...]) -> None:
    """Whoever has something built or dropped says who they are."""
    rebuild(copied, *arguments).must_fail(2, "--by", "say your name")


def test_to_swap_and_to_discard_do_not_go_together(copied: Path) -> None:
    """Nothing is done where what is asked for makes no sense."""
    rebuild(copied, "cases", "--swap", "--discard", *BY).must_fail(2, "--swap and --discard")


def test_what_was_built_is_kept_until_it_is_dropped(copied: Path) -> None:
    """A rebuild of something else is refused with both ways on; dropped, nothing stands in its way."""
    execute(copied, "cases", "UPDATE case_view SET status = 'odd'")
    assert rebuild(copied, "case_view", *BY).status == 1
    other = rebuild(copied, "cases", *BY)
    other.must_fail(2, "aftersales rebuild case_view --by NAME", "aftersales rebuild cases --discard --by NAME")
    rebuild(copied, "stock_view", "--discard", *BY).must_fail(2, "case_view")
    assert "dropped what was built of case_view" in rebuild(copied, "cases", "--discard", *BY).out
    assert "no copy" in rebuild(copied, "cases", "--discard", *BY).out
    assert rebuild(copied, "cases", "--swap", *BY, "--json").json["services"][0]["swapped"]
    assert execute(copied, "cases", "SELECT count(*) FROM case_view WHERE status = 'odd'") == [(0,)]


def test_a_damaged_log(copied: Path) -> None:
    """The stream that does not come to rows is named with the way out; the read tables stay as they are."""
    guards = execute(copied, "refunds", "SELECT name FROM sqlite_master WHERE type = 'trigger'")
    execute(
        copied,
        "refunds",
        *(f"DROP TRIGGER {name}" for (name,) in guards),
        "UPDATE events SET data = x'7b7d' WHERE stream = 'TB1001' AND version = 2",
    )
    before = execute(copied, "refunds", "SELECT * FROM settlement_view")
    told = rebuild(copied, "refunds", "--swap", *BY)
    told.must_fail(1, "TB1001", "version 2", "not touched", "aftersales verify refunds --order TB1001")
    assert execute(copied, "refunds", "SELECT * FROM settlement_view") == before


@contextmanager
def _somebody_rebuilds(folder: Path) -> Iterator[None]:
    """Another process that keeps the lease."""
    done = threading.Event()

    def keep() -> None:
        expires = "(julianday('now') - 2440587.5) * 86400 + 5"
        while not done.wait(0.2):
            execute(
                folder,
                "cases",
                f"INSERT INTO leases (name, holder, expires_at) VALUES ('rebuild:cases', '小李 (shop:7)', {expires})"
                " ON CONFLICT (name) DO UPDATE SET expires_at = excluded.expires_at",
            )

    keeper = threading.Thread(target=keep)
    keeper.start()
    until(lambda: execute(folder, "cases", "SELECT 1 FROM leases WHERE name = 'rebuild:cases'"), "the lease is taken")
    try:
        yield
    finally:
        done.set()
        keeper.join()


def test_two_at_once(copied: Path) -> None:
    """The second one is told who is at it."""
    with _somebody_rebuilds(copied):
        rebuild(copied, "case_view", *BY).must_fail(2, "小李 (shop:7)", "being rebuilt already")
    assert not execute(copied, "cases", "SELECT name FROM sqlite_master WHERE name LIKE '%beside%'")


def test_by_several_processes(copied: Path) -> None:
    """Other processes know the rules of each service too."""
    told = rebuild(copied, "all", "--workers", "2", *BY, "--json")
    assert told.status == 0, told.out + told.err
    assert all(one["equal"] for one in told.json["services"])


def test_a_shop_without_a_single_order(tmp_path: Path) -> None:
    """There is nothing to build, which is no error."""
    migrated(tmp_path)
    assert rebuild(tmp_path, "all", *BY).status == 0
