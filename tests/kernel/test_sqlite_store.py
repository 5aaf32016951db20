"""The SQLite store: the contract of every store, and what is special about a file."""

import asyncio
import os
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from services.catalogue import SERVICES
from services.kernel.appender import Appender
from services.kernel.event_store import CommitResult, Statement, StoreUnavailable
from services.kernel.migrations import migrate, pending
from services.kernel.proof import verify
from services.kernel.sqlite_store import SqliteStore
from tests.kernel.store_contract import (
    AppenderContract,
    StoreContract,
    TakeoverContract,
    append,
    commit,
    decode,
    without_last_revision,
)

MIGRATIONS = Path(__file__).parents[2] / "services" / "cases" / "migrations"


def open_store(url: str, busy_timeout_s: float = 30.0) -> SqliteStore:
    return SqliteStore(url, decode, busy_timeout_s=busy_timeout_s)


class SqliteDatabase:
    module = __name__
    note = "INSERT INTO notes (id, text) VALUES (?, ?)"
    think = Statement(
        "DELETE FROM notes WHERE id = (WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 20000)"
        " SELECT max(x) FROM n)",
        [()],
    )

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"sqlite+aiosqlite:///{path}"
        self.stores: list[SqliteStore] = []
        migrate(self.url, MIGRATIONS)
        for trigger in ("events_keep_update", "events_keep_delete"):  # tests tamper with the log
            self._execute(f"DROP TRIGGER {trigger}")
        self._execute("CREATE TABLE notes (id TEXT PRIMARY KEY, text TEXT NOT NULL)")

    def open(self, busy_timeout_s: float = 30.0) -> SqliteStore:
        self.stores.append(open_store(self.url, busy_timeout_s))
        return self.stores[-1]

    async def execute(self, sql: str) -> None:
        await asyncio.to_thread(self._execute, sql)

    def connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)

    def _execute(self, sql: str) -> None:
        connection = self.connect()
        connection.execute(sql)
        connection.close()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    # Characters that mean something in a file URI must not matter in a path.
    folder = tmp_path / "售后 50% #&"
    folder.mkdir()
    database = await asyncio.to_thread(SqliteDatabase, folder / "cases.db")
    yield database
    for store in database.stores:
        await store.close()


class TestSqliteStore(StoreContract):
    """The contract, kept by SQLite."""


class TestSqliteTakeover(TakeoverContract):
    """Claims and leases in SQLite."""


class TestSqliteAppender(AppenderContract):
    """Group commit over SQLite."""


async def test_locked_database_is_retryable(database: SqliteDatabase) -> None:
    """While another process holds the write lock, everybody hears so at once; afterwards the same commits
    work."""
    store = database.open(busy_timeout_s=0.05)
    appender = Appender(store)
    other = database.connect()
    other.execute("BEGIN IMMEDIATE")
    units = [append(f"TB{n}", 0, "a") for n in range(5)]
    outcomes = await asyncio.gather(*map(appender.submit, units), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 5
    assert len(set(map(id, outcomes))) == 5
    assert await store.head_position() == 0
    other.execute("ROLLBACK")
    other.close()
    assert len(await asyncio.gather(*map(appender.submit, units))) == 5
    await appender.close()


async def test_full_disk_is_retryable(database: SqliteDatabase) -> None:
    """A transaction that finds no room leaves nothing behind and may be tried again."""
    store = database.open()
    await commit(store, append("TB1", 0, "a"))
    full = {"pages": 40}

    def limit(connection: sqlite3.Connection, _: object) -> None:
        connection.run_async(lambda driver: driver.execute(f"PRAGMA max_page_count = {full['pages']}"))  # type: ignore[attr-defined]

    event.listen(Engine, "connect", limit)
    try:
        small = database.open()
        large = append("TB1", 1, *(f"e{n}" for n in range(2000)))
        outcomes = await small.commit([large, append("TB2", 0, "a")])
        assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 2
        assert await store.head_position() == 1
        full["pages"] = 100_000
        assert isinstance((await small.commit([large]))[0], CommitResult)
    finally:
        event.remove(Engine, "connect", limit)
    assert await verify(store) is None


async def test_database_that_went_away_is_retryable(database: SqliteDatabase) -> None:
    """A moved or deleted file is noticed before anything is written into it unseen; when it is back, all goes
    on."""
    store = database.open()
    await commit(store, append("TB1", 0, "a"))
    away = database.path.with_suffix(".away")
    os.rename(database.path, away)
    with pytest.raises(StoreUnavailable):
        await commit(store, append("TB1", 1, "b"))
    assert not database.path.exists()
    os.rename(away, database.path)
    await commit(store, append("TB1", 1, "b"))
    assert await verify(store) is None


async def test_missing_database_is_not_made_up(tmp_path: Path) -> None:
    """A wrong path is told, instead of a new empty file being begun."""
    store = open_store(f"sqlite+aiosqlite:///{tmp_path / 'nowhere.db'}")
    with pytest.raises(StoreUnavailable):
        await store.head_position()
    with pytest.raises(StoreUnavailable):
        await commit(store, append("TB1", 0, "a"))
    await store.close()
    assert os.listdir(tmp_path) == []
    with pytest.raises(ValueError, match="database file"):
        open_store("sqlite+aiosqlite:///:memory:")


async def test_failed_opening_leaves_no_thread(tmp_path: Path) -> None:
    """The driver's thread of a connection that could not be opened has ended when the caller hears of it."""
    store = open_store(f"sqlite+aiosqlite:///{tmp_path / 'nowhere.db'}")
    with pytest.raises(StoreUnavailable):
        await store.head_position()
    assert not [thread for thread in threading.enumerate() if "_connection_worker_thread" in thread.name]
    await store.close()


async def test_reader_is_not_blocked_by_a_writer(database: SqliteDatabase) -> None:
    """Reads answer at once while a transaction of somebody else is open."""
    store = database.open(busy_timeout_s=0.05)
    await commit(store, append("TB1", 0, "a"))
    other = database.connect()
    other.execute("BEGIN IMMEDIATE")
    other.execute("DELETE FROM events")
    assert len(await store.read_stream("TB1")) == 1
    other.execute("ROLLBACK")
    other.close()


async def test_closing_ends_all_threads(database: SqliteDatabase) -> None:
    """A process can end: no driver thread survives the store, also when reads were under way."""
    before = set(threading.enumerate())
    store = database.open()
    await commit(store, append("TB1", 0, *map(str, range(3000))))
    reads = [asyncio.create_task(store.read_stream("TB1")) for _ in range(8)]
    await asyncio.sleep(0)
    await store.close()
    outcomes = await asyncio.gather(*reads, return_exceptions=True)
    assert all(isinstance(outcome, list | StoreUnavailable) for outcome in outcomes)
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=5)  # a driver thread says that it is done just before it ends
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("service", SERVICES)
def test_migrating(tmp_path: Path, service: str) -> None:
    """Each service can create its database, sees when it is not current, and migrating again changes
    nothing."""
    location = Path(__file__).parents[2] / "services" / service / "migrations"
    path = tmp_path / "log.db"
    url = f"sqlite+aiosqlite:///{path}"
    assert pending(url, location)
    assert not path.exists(), "asking must not create anything"
    migrate(url, location)
    assert not pending(url, location)
    before = path.read_bytes()
    migrate(url, location)
    assert path.read_bytes() == before


@pytest.mark.parametrize("service", SERVICES)
def test_upgrading_keeps_what_is_there(tmp_path: Path, service: str) -> None:
    """A database of the release before keeps its checkpoints; nobody has claimed anything in it yet."""
    location = Path(__file__).parents[2] / "services" / service / "migrations"
    url = f"sqlite+aiosqlite:///{tmp_path / 'log.db'}"
    migrate(url, without_last_revision(location, tmp_path / "before"))
    with closing(sqlite3.connect(tmp_path / "log.db", isolation_level=None)) as database:
        database.execute("INSERT INTO checkpoints (consumer, source, position) VALUES ('view', 'cases', 7)")
        assert pending(url, location)
        migrate(url, location)
        assert database.execute("SELECT position, epoch FROM checkpoints").fetchall() == [(7, 0)]
    assert not pending(url, location)


def test_failed_migration_leaves_nothing_half_done(tmp_path: Path) -> None:
    """A revision that breaks midway is undone with its tables, so that the repaired one can run."""
    location = tmp_path / "migrations"
    (location / "versions").mkdir(parents=True)
    (location / "env.py").write_text((MIGRATIONS / "env.py").read_text())
    first = (MIGRATIONS / "versions" / "0001_log.py").read_text()
    broken = location / "versions" / "0001_broken.py"
    broken.write_text(first + '    op.execute("INSERT INTO nowhere VALUES (1)")\n')
    url = f"sqlite+aiosqlite:///{tmp_path / 'log.db'}"
    with pytest.raises(Exception, match="nowhere"):
        migrate(url, location)
    assert pending(url, location)
    broken.write_text(first)
    migrate(url, location)
    assert not pending(url, location)


def test_processes_migrating_at_once(tmp_path: Path) -> None:
    """Services started together on a fresh folder do not trip over each other."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'log.db'}"
    errors: list[BaseException] = []

    def run() -> None:
        try:
            migrate(url, MIGRATIONS)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert not pending(url, MIGRATIONS)


@pytest.mark.parametrize("turns", range(6))
def test_cancelled_opening_ends_with_the_store(tmp_path: Path, turns: int) -> None:
    """A connection that is given up while it opens is closed by `close`: its thread must not outlive the event loop."""

    database = SqliteDatabase(tmp_path / "cases.db")

    async def given_up() -> None:
        store = open_store(database.url)
        tasks = [asyncio.create_task(store.head_position()), asyncio.create_task(store.commit([append("a", 0, "1")]))]
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await store.close()

    before = set(threading.enumerate())
    failed: list[threading.ExceptHookArgs] = []
    hook, threading.excepthook = threading.excepthook, failed.append
    try:
        asyncio.run(given_up())
        for thread in set(threading.enumerate()) - before:
            thread.join(5)
    finally:
        threading.excepthook = hook
    assert failed == []
