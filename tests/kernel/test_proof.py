"""Proof on each database, and that events cannot be changed or deleted there."""

import asyncio
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from services import catalogue
from services.kernel.migrations import migrate
from services.kernel.postgres.connection import connect_arguments
from services.kernel.proof import verify
from services.kernel.proof.positions import first_hole
from services.kernel.sqlite_store import SqliteStore
from services.stack.postgres import PostgresCluster
from tests.kernel.postgres import PostgresDatabase
from tests.kernel.proof_contract import ProofContract, fill
from tests.kernel.store_contract import append, commit, decode
from tests.kernel.test_sqlite_store import SqliteDatabase
from tests.kernel.toy import url_of

SERVICES = Path(__file__).parents[2] / "services"
CHANGES = ("UPDATE events SET actor = 'x'", "DELETE FROM events")

PARENT = """
import asyncio, multiprocessing, sys
from services.kernel.proof.workers import workers

async def begin():
    with workers(None, sys.argv[1], 2):
        print(multiprocessing.active_children()[0].pid, flush=True)
        await asyncio.sleep(60)

asyncio.run(begin())
"""


class TestSqliteProof(ProofContract):
    """The proof of a SQLite file."""

    @pytest.fixture
    async def database(self, tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
        database = await asyncio.to_thread(SqliteDatabase, tmp_path / "log.db")
        yield database
        for store in database.stores:
            await store.close()

    async def test_bytes_in_place_of_text(self, database: SqliteDatabase) -> None:
        """SQLite keeps bytes where text belongs, and JSON writes both alike: it is found all the same."""
        store = database.open()
        await commit(store, append("TB1", 0, "abcd"))
        await database.execute("UPDATE events SET id = x'69b71d'")
        broken = await verify(store)
        assert broken is not None
        assert broken.kind == "altered"


class TestPostgresProof(ProofContract):
    """The proof of a PostgreSQL database."""

    @pytest.fixture
    def database(self, postgres_database: PostgresDatabase) -> PostgresDatabase:
        return postgres_database


async def test_position_that_is_taken_twice() -> None:
    """Where a database was robbed of its keys, a second record at a position is found, and named."""

    class Positions(SqliteStore):
        def __init__(self) -> None:
            """No database."""

        async def query(self, sql: str, params: Sequence[Any] = ()) -> list[dict[str, Any]]:
            positions = [position for position in (1, 2, 2, 3) if params[0] <= position <= params[1]]
            return [{"found": len(positions)}] if "count" in sql else [{"position": one} for one in positions]

    broken = await first_hole(Positions(), 1, 3)
    assert broken is not None
    assert (broken.kind, broken.position) == ("added", 2)
    assert await first_hole(Positions(), 3, 3) is None


def test_workers_end_with_who_began_them(tmp_path: Path) -> None:
    """A proof that is killed leaves no process behind that nobody knows of."""
    command = (sys.executable, "-c", PARENT, url_of(tmp_path / "log.db"))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        worker = Path("/proc") / parent.stdout.readline().strip() / "cmdline"
        assert worker.read_bytes()
        parent.kill()
    end = time.monotonic() + 30
    while worker.exists() and worker.read_bytes():  # empty: it ended, and nobody asked how
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("service", catalogue.SERVICES)
async def test_sqlite_keeps_events(tmp_path: Path, service: str) -> None:
    """What is in the log of a service cannot be changed or deleted by mistake."""
    path = tmp_path / "log.db"
    url = f"sqlite+aiosqlite:///{path}"
    await asyncio.to_thread(migrate, url, SERVICES / service / "migrations")
    store = SqliteStore(url, decode)
    await fill(store)
    with closing(sqlite3.connect(path)) as database:
        for change in CHANGES:
            with pytest.raises(sqlite3.IntegrityError, match="never changed or deleted"):
                database.execute(change)
    assert await store.head_position() == 28
    assert await verify(store) is None
    await store.close()


@pytest.mark.parametrize("service", catalogue.SERVICES)
async def test_postgres_keeps_events(postgres: PostgresCluster, service: str) -> None:
    """What is in the log of a service cannot be changed, deleted or emptied by mistake."""
    url = await asyncio.to_thread(postgres.create_database, f"kept_{service}")
    await asyncio.to_thread(migrate, url, SERVICES / service / "migrations")
    database = await asyncpg.connect(**connect_arguments(url))
    for change in (*CHANGES, "TRUNCATE events"):
        with pytest.raises(asyncpg.RaiseError, match="never changed or deleted"):
            await database.execute(change)
    await database.close()


def test_no_program_deletes_events() -> None:
    """No SQL of the product changes or deletes events, and nothing takes evidence files away."""
    forbidden = re.compile(r"\b(UPDATE|DELETE\s+FROM|TRUNCATE|REPLACE\s+INTO|DROP\s+TABLE)\s+events\b", re.IGNORECASE)
    sources = {file: file.read_text(encoding="utf-8") for file in SERVICES.rglob("*.py")}
    assert len(sources) > 100
    assert [file for file, source in sources.items() if forbidden.search(source)] == []
    media = [source for file, source in sources.items() if "media" in file.parts]
    assert media
    assert not [source for source in media if re.search(r"delete|unlink|rmtree|os\.remove", source)]
