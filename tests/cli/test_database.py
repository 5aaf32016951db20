"""Commands that cannot get at a database: which one it is, why, and what to do."""

import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest

from services.stack.ports import free_port
from tests.cli.parked import migrated
from tests.cli.terminal import Told, aftersales

ON_A_DATABASE = [
    ("dlq", "list", "--service", "cases"),
    ("dlq", "show", "t/0/1", "--service", "cases"),
    ("dlq", "redrive", "--all", "--by", "x", "--service", "cases"),
    ("dlq", "discard", "--all", "--by", "x", "--reason", "y", "--service", "cases"),
    ("rebuild", "cases", "--by", "x"),
    ("verify", "cases"),
]
SECRET = "hunter2"
_REWIND = ("rewind", "refunds", "cashier")


def _said(told: Told) -> str:
    """`lag` tells what it could not see where it tells the rest; others fail."""
    assert "Traceback" not in told.out + told.err
    return told.out + told.err


@pytest.mark.parametrize("command", [*ON_A_DATABASE, ("lag", "--service", "cases", "--lang", "both")])
def test_without_an_environment_the_ways_are_named(tmp_path: Path, command: tuple[str, ...]) -> None:
    """Whoever forgot to say where the data is, is told which file was looked for and every way to say it."""
    told = aftersales(*command, DATA_DIR=str(tmp_path / "data"))
    assert told.status in (1, 2)
    for said in ("cases 的数据库", "database of cases", "cases.db: No such file or directory"):
        assert said in _said(told)
    for way in (". var/stack/env", "--data-dir", "AFTERSALES_DATABASE_URL", "aftersales serve", "make stack"):
        assert way in _said(told)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("command", ["republish", "resume"])
def test_commands_for_services_apart_say_so(command: str) -> None:
    """Publishing again has no meaning on a data folder: the settings that are missing are named, and where they are."""
    told = aftersales(command, "cases", "--by", "x")
    told.must_fail(2, "AFTERSALES_DATABASE_URL", ". var/stack/env", "需要")


@pytest.mark.parametrize("command", [*ON_A_DATABASE, ("republish", "cases", "--by", "x"), ("case", "show", "TB1-1")])
def test_a_server_that_is_away_is_named_without_its_password(tmp_path: Path, command: tuple[str, ...]) -> None:
    """The address that was tried can be compared with the right one, and nobody's terminal holds the password."""
    where = f"127.0.0.1:{free_port()}"
    url = f"postgresql://shop:{SECRET}@{where}/aftersales_{{service}}"
    told = aftersales(*command, DATABASE_URL=url, DATA_DIR=str(tmp_path))
    told.must_fail(2, f"postgresql://shop:***@{where}/aftersales_cases: Connection refused", "AFTERSALES_DATABASE_URL")
    assert ". var/stack/env" in told.err
    assert SECRET not in told.out + told.err


@pytest.mark.parametrize("command", [*ON_A_DATABASE, ("case", "show", "TB1-1"), ("lag", "--service", "cases")])
def test_a_database_without_tables_has_to_be_brought_up_to_date(tmp_path: Path, command: tuple[str, ...]) -> None:
    """An empty database is no riddle of missing tables: what makes them is named."""
    (tmp_path / "cases.db").touch()
    told = aftersales(*command, "--data-dir", str(tmp_path))
    assert told.status in (1, 2)
    assert f"{tmp_path}/cases.db: no such table" in _said(told)
    assert "not brought up to date yet: aftersales serve" in _said(told)


def test_operators_read_plain_lines(tmp_path: Path) -> None:
    """What a command logs for whoever gave it is plain, also where servers are set to log JSON."""
    _cashier_at_work(tmp_path)
    told = aftersales(*_REWIND, "--by", "老陈", "--data-dir", str(tmp_path), LOG_FORMAT="json")
    assert told.status == 0, told.err
    assert "rewound" in told.err
    assert "老陈" in told.err
    assert '{"' not in told.err
    assert "\x1b" not in told.err


@pytest.mark.parametrize("somebody_reads", [True, False])
def test_a_terminal_shows_no_log_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, somebody_reads: bool) -> None:
    """A person reads the table, and no line of the log between; where output is collected, who did it is kept."""
    _cashier_at_work(tmp_path)
    monkeypatch.setattr("services.cli.environment.sys", SimpleNamespace(stderr=_Stream(somebody_reads)))
    told = aftersales(*_REWIND, "--by", "老陈", "--data-dir", str(tmp_path))
    assert told.status == 0, told.err
    assert "cashier" in told.out
    assert ("老陈" in told.err) is not somebody_reads


def _cashier_at_work(folder: Path) -> None:
    """Databases in which a consumer came a little way."""
    migrated(folder)
    with closing(sqlite3.connect(folder / "refunds.db")) as database, database:
        database.execute("INSERT INTO checkpoints (consumer, source, position) VALUES ('cashier', 'refunds', 5)")


class _Stream(NamedTuple):
    terminal: bool

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize("command", [("rebuild", "cases"), ("rewind", "refunds", "cashier"), ("republish", "cases")])
def test_nobody_moves_a_checkpoint_without_a_name(tmp_path: Path, command: tuple[str, ...]) -> None:
    """Whoever changes something says who they are; looking what would be done needs no name."""
    migrated(tmp_path)
    data = () if command[0] == "republish" else ("--data-dir", str(tmp_path))
    for nobody in ((), ("--by", " ")):
        aftersales(*command, *nobody, *data).must_fail(2, "--by", "请填写操作人姓名", "say your name")
    if command[0] == "rebuild":
        assert aftersales(*command, "--dry-run", *data).status == 0


def test_brokers_that_are_away_are_named(tmp_path: Path) -> None:
    """What is said of brokers is a sentence: no error as the program writes it, no second line from a library."""
    where = f"127.0.0.1:{free_port()}"
    settings = {
        "DATABASE_URL": "postgresql://u:p@127.0.0.1:1/a_{service}",
        "KAFKA_SERVERS": where,
        "LOG_FORMAT": "json",
    }
    told = aftersales("topics", "list", **settings)
    told.must_fail(2, "AFTERSALES_KAFKA_SERVERS", "Connection refused")
    assert len(told.err.splitlines()) == 2
    assert "Error(" not in told.err
    lag = aftersales("lag", "--service", "cases", "--lang", "en", **settings)
    assert f"Kafka cannot be reached, {where}: Connection refused" in lag.out
