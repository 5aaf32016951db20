"""The consistency check at the command line: on a data folder at rest and at work, for people and for machines."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from services.doctor.checks import CHECKS
from tests.cli.terminal import Server, Told, aftersales


def _damage(folder: Path, sql: str) -> None:
    with closing(sqlite3.connect(folder / "liability.db")) as database:
        database.execute(sql)
        database.commit()


def _doctor(folder: Path, *options: str) -> Told:
    return aftersales("doctor", "--data-dir", str(folder), *options)


@pytest.fixture
def copied(shop: Server, tmp_path: Path) -> Path:
    """The shop's data folder, as if a power cut had ended it."""
    return shutil.copytree(shop.data_dir, tmp_path / "data")


def test_sound_while_it_runs(shop: Server) -> None:
    """A server at work is examined without being disturbed: everything agrees, status 0."""
    told = _doctor(shop.data_dir, "--json")
    assert told.status == 0, told.out
    assert told.json["sound"]
    assert told.json["findings"] == []
    assert {one["check"] for one in told.json["outcomes"]} == {one.name for one in CHECKS if not one.needs_broker}


def test_what_is_wrong_is_told_with_its_mend(copied: Path) -> None:
    """A damaged row: status 1; people read what, where, and the command; machines get the same fields."""
    _damage(copied, "UPDATE loss_view SET net_fen = 1, suspense_fen = 1 WHERE case_id = 'TB1001-1'")
    told = _doctor(copied, "--lang", "en")
    assert told.status == 1
    for words in ("tables", "loss_view TB1001-1", "expected", "found", "aftersales rebuild liability --swap", "wrong"):
        assert words in told.out, words
    assert "有误" in _doctor(copied, "--lang", "zh").out
    told = _doctor(copied, "--json", "--check", "tables", "--service", "liability")
    [finding] = told.json["findings"]
    assert (finding["check"], finding["service"], finding["where"]) == ("tables", "liability", "loss_view TB1001-1")
    assert finding["mend"] == "aftersales rebuild liability --swap --by NAME"
    assert finding["what"].keys() == {"zh", "en"}


def test_only_what_was_asked_for(copied: Path) -> None:
    """--check and --service leave out what is damaged elsewhere."""
    _damage(copied, "UPDATE loss_view SET net_fen = 1, suspense_fen = 1 WHERE case_id = 'TB1001-1'")
    assert _doctor(copied, "--check", "chains").status == 0
    assert _doctor(copied, "--service", "cases").status == 0


def test_the_checks_can_be_listed(shop: Server) -> None:
    """--list shows what each compares and what mends it, and makes none."""
    told = _doctor(shop.data_dir, "--list")
    assert told.status == 0
    for check in CHECKS:
        assert check.name in told.out
    rows = _doctor(shop.data_dir, "--list", "--json").json["checks"]
    assert [row["name"] for row in rows] == [check.name for check in CHECKS]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--check", "nothing"), "unknown_check"),
        (("--service", "nobody"), "unknown_service"),
    ],
)
def test_bad_input_is_refused(copied: Path, options: tuple[str, ...], code: str) -> None:
    """A check or service that does not exist is named, with those that do."""
    told = _doctor(copied, *options, "--json")
    assert told.status == 2
    assert told.json["error"]["code"] == code
    _doctor(copied, *options).must_fail(2, options[1])


def test_a_database_that_is_not_up_to_date(copied: Path) -> None:
    """A database that lacks migrations is not examined half: the way out is told."""
    (copied / "refunds.db").unlink()
    (copied / "refunds.db").touch()
    _doctor(copied).must_fail(2, "refunds.db", "migrations pending", "aftersales serve")


def test_nothing_is_made_where_there_is_no_data(folder: Path) -> None:
    """A folder without databases: the way out is told, and nothing is put there."""
    _doctor(folder).must_fail(2, "aftersales serve")
    assert not folder.exists()
