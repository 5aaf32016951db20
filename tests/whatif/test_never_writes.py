"""A what-if touches nothing: no row, no file, no topic, no provider."""

import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from contracts.registry import decode
from services.kernel.event_store import Append, Commit, EventStore, Statement, StoreError
from services.kernel.log import NewRecord
from services.kernel.migrations import migrate
from services.kernel.stores import open_store
from services.stack.postgres import PostgresCluster
from tests.whatif.conftest import SERVICES

ROOT = Path(__file__).parents[2]
MIGRATIONS = ROOT / "services/cases/migrations"

#: Runs a command and tells everything that it opens, writes or reaches, by what Python itself reports of it.
_AUDITED = """
import json, os, sys
seen = []
def hook(name, arguments):
    if name.startswith(("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.send", "subprocess", "os.system",
                        "os.exec", "os.posix_spawn", "os.fork", "os.remove", "os.rename", "os.mkdir", "os.link",
                        "os.truncate", "shutil", "urllib")):
        seen.append([name, str(arguments)])
    elif name == "sqlite3.connect":
        seen.append([name, str(arguments[0])])
    elif name == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        seen.append([name, str(arguments[0])])
import services.cli.whatif  # what is imported is not what the command does
from services.cli.main import app
sys.addaudithook(hook)
try:
    app(sys.argv[1:])
except SystemExit as end:
    print(json.dumps({"status": end.code, "seen": seen}), file=sys.stderr)
"""


def _rows(folder: Path) -> dict[str, list[Any]]:
    """Every row of every table."""
    found = {}
    for name in SERVICES:
        with closing(sqlite3.connect(f"file:{folder / name}.db?mode=ro", uri=True)) as database:
            tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for table in tables:
                found[f"{name}.{table}"] = sorted(map(repr, database.execute(f"SELECT * FROM {table}")))
    return found


def _files(folder: Path) -> dict[str, str]:
    """Every file with its content, but the memory that SQLite's processes share while they have a database open."""
    files = [file for file in folder.rglob("*") if file.is_file() and not file.name.endswith("-shm")]
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_nothing_is_touched(history: Path, tmp_path: Path) -> None:
    """The whole command over a shop: afterwards every row and file is what it was, no address was reached, no program
    started, no file opened to be written, and every database was opened so that it takes no write."""
    folder = shutil.copytree(history, tmp_path / "data")
    policy = tmp_path / "policy.yaml"
    policy.write_text(
        "authority: {agent: 1}\npromise: {solution_hours: 1}\ncauses: {packing_error: {freight: buyer}}\n"
    )
    rows, files = _rows(folder), _files(folder)
    arguments = ("replay", "what-if", "--policy", str(policy), "--data-dir", str(folder), "--json")
    ran = subprocess.run(
        [sys.executable, "-c", _AUDITED, *arguments], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    assert json.loads(ran.stdout)["cases_that_differ"] > 0
    told = json.loads(ran.stderr.splitlines()[-1])
    assert told["status"] in (0, None)
    opened = [what for name, what in told["seen"] if name == "sqlite3.connect"]
    assert len(opened) == len(SERVICES)
    assert all(what.endswith("?mode=ro") for what in opened)
    assert [one for one in told["seen"] if one[0] != "sqlite3.connect"] == []
    assert _files(folder) == files
    assert _rows(folder) == rows


def _record() -> NewRecord:
    return NewRecord(
        id="1",
        type="case.rated",
        schema=1,
        source="cases",
        subject="WA-1",
        time=datetime.fromisoformat("2026-11-05T09:00:00+08:00"),
        actor="agent/小李",
        correlation_id="",
        causation_id="",
        policy="",
        traceparent="",
        event=None,
        data=b"{}",
    )


async def _append(store: EventStore) -> None:
    [outcome] = await store.commit([Commit(appends=(Append("WZ", 0, (_record(),)),))])
    if isinstance(outcome, Exception):
        raise outcome


async def _state(store: EventStore) -> None:
    [outcome] = await store.commit([Commit(statements=(Statement("DELETE FROM checkpoints", ((),)),))])
    if isinstance(outcome, Exception):
        raise outcome


async def _claim(store: EventStore) -> None:
    await store.claim("relay", "cases")


async def _hold(store: EventStore) -> None:
    await store.hold("relay", "somebody", 5)


async def _query(store: EventStore) -> None:
    await store.query("INSERT INTO checkpoints (consumer, source, position) VALUES ('x', 'y', 1)")


WRITES = (_append, _state, _claim, _hold, _query)


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.__name__)
async def test_the_database_takes_no_write(history: Path, write: Callable[[EventStore], Awaitable[None]]) -> None:
    """Whatever would write through the stores of a what-if is refused by SQLite itself."""
    rows = _rows(history)
    store = open_store(f"sqlite:///{history / 'cases.db'}", decode, read_only=True)
    try:
        with pytest.raises((StoreError, sqlite3.OperationalError), match="readonly"):
            await write(store)
    finally:
        await store.close()
    assert _rows(history) == rows


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.__name__)
async def test_the_server_takes_no_write(
    read_only_store: EventStore, write: Callable[[EventStore], Awaitable[None]]
) -> None:
    """Whatever would write through the stores of a what-if is refused by PostgreSQL itself; reading goes on."""
    with pytest.raises(Exception, match="read-only transaction"):
        await write(read_only_store)
    assert await read_only_store.head_position() == 0
    assert await read_only_store.query("SELECT * FROM checkpoints") == []


@pytest.fixture(scope="module")
def database(postgres: PostgresCluster) -> str:
    """The address of a migrated database without any event."""
    postgres.create_database("whatif")
    migrate(postgres.url("whatif"), MIGRATIONS)
    return postgres.url("whatif")


@pytest.fixture
async def read_only_store(database: str) -> Any:
    """Its store, to be read only."""
    store = open_store(database, decode, read_only=True)
    yield store
    await store.close()
