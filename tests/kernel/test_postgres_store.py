"""The PostgreSQL store: the contract of every store, and what is special about a server."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import PoolProxiedConnection, make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from services.catalogue import SERVICES
from services.kernel.appender import Appender
from services.kernel.event_store import (
    Claim,
    Commit,
    CommitResult,
    Fenced,
    Head,
    Statement,
    StoreRefused,
    StoreUnavailable,
    VersionConflict,
)
from services.kernel.log import GENESIS
from services.kernel.migrations import migrate, pending
from services.kernel.postgres import bell, connection
from services.kernel.postgres.statements import LOCK, numbered
from services.kernel.postgres.store import PostgresStore
from services.kernel.postgres.transaction import Heads, Judging, Transaction
from services.kernel.proof import verify
from services.stack.postgres import PostgresCluster
from tests.kernel.postgres import MIGRATIONS, PostgresDatabase, open_store
from tests.kernel.store_contract import (
    AppenderContract,
    StoreContract,
    TakeoverContract,
    append,
    commit,
    decode,
    ids,
    owned,
    without_last_revision,
)


@pytest.fixture
def database(postgres_database: PostgresDatabase) -> PostgresDatabase:
    return postgres_database


class TestPostgresStore(StoreContract):
    """The contract, kept by PostgreSQL."""


class TestPostgresTakeover(TakeoverContract):
    """Claims and leases in PostgreSQL."""


class TestPostgresAppender(AppenderContract):
    """Group commit over PostgreSQL."""


async def test_busy_database_is_retryable(database: PostgresDatabase) -> None:
    """While another process holds the lock of those who append, everybody hears so; afterwards the same commits
    work."""
    store = database.open(busy_timeout_s=0.05)
    appender = Appender(store)
    other = await database.connect()
    await other.execute(f"BEGIN; {LOCK}")
    units = [append(f"TB{n}", 0, "a") for n in range(5)]
    outcomes = await asyncio.gather(*map(appender.submit, units), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 5
    assert len(set(map(id, outcomes))) == 5
    assert await store.head_position() == 0
    await other.close()
    assert len(await asyncio.gather(*map(appender.submit, units))) == 5
    await appender.close()


async def test_overtaken_batch_is_judged_anew(database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is overtaken between judging and writing never writes by what is no longer so, and gets through in the
    end by judging under the lock."""
    store, other = database.open(), database.open()
    judge, overtaken = Transaction._judge, 0

    async def judge_and_be_overtaken(transaction: Transaction, connection: object, judging: Judging) -> None:
        nonlocal overtaken
        await judge(transaction, connection, judging)
        if transaction._batch is batch and not connection.is_in_transaction():  # type: ignore[attr-defined]
            await commit(other, append("TB1", overtaken, f"other-{overtaken}"))
            overtaken += 1

    monkeypatch.setattr(Transaction, "_judge", judge_and_be_overtaken)
    batch = [append("TB1", 0, "late"), append("TB2", 0, "a")]
    refused, written = await store.commit(batch)
    assert overtaken == 2
    assert isinstance(refused, VersionConflict)
    assert (refused.expected, refused.actual) == (0, 2)
    assert isinstance(written, CommitResult)
    assert (written.position, written.records[0].position) == (3, 3)
    assert written.records == tuple(await store.read_stream("TB2", decode=False))
    assert ids(await store.read_log(0, 9)) == ["other-0", "other-1", "a"]
    assert await verify(store) is None


async def test_what_is_expected_is_not_asked_for(database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who goes on with what it wrote itself asks the database for nothing; who is wrong, or does not know, asks, and
    is refused by what the database says."""
    store, other = database.open(), database.open()
    asked, committed = 0, Transaction._committed

    async def counted(transaction: Transaction, connection: object) -> object:
        nonlocal asked
        asked += 1
        return await committed(transaction, connection)

    monkeypatch.setattr(Transaction, "_committed", counted)
    await commit(store, append("TB1", 0, "a"))
    await commit(store, append("TB1", 1, "b"))
    assert asked == 0
    await commit(other, append("TB1", 2, "c"))
    assert asked == 1, "it does not know the head"
    [refused] = await store.commit([append("TB1", 2, "late")])
    assert asked == 2
    assert isinstance(refused, VersionConflict)
    assert refused.actual == 3
    await commit(store, append("TB1", 3, "d"))
    assert ids(await store.read_log(0, 9)) == ["a", "b", "c", "d"]
    assert await verify(store) is None


def test_heads_are_forgotten_the_oldest_first() -> None:
    """What a process remembers is bounded, and never taken for another version."""
    heads = Heads(capacity=2)
    first, second, third = (Head(f"TB{n}", 1, 1, b"") for n in range(3))
    heads.note([first, second, first, third])
    assert [heads.at(f"TB{n}", 1) for n in range(3)] == [first, None, third]
    assert heads.at("TB0", 2) is None
    assert heads.at("TB9", 0) == Head("TB9", 0, 0, GENESIS)


@pytest.mark.parametrize("unit", [Commit(), append("TB1", 0, "late")], ids=["checkpoint", "append"])
async def test_owner_that_is_followed_after_judging(
    database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch, unit: Commit
) -> None:
    """A claim between judging and writing is noticed under the lock: the former owner's commit is judged anew."""
    store, heir = database.open(), database.open()
    claim = await store.claim("view", "cases")
    judge, followed = Transaction._judge, 0

    async def judge_and_be_followed(transaction: Transaction, connection: object, judging: Judging) -> None:
        nonlocal followed
        await judge(transaction, connection, judging)
        if not followed:
            followed = (await heir.claim("view", "cases")).epoch

    monkeypatch.setattr(Transaction, "_judge", judge_and_be_followed)
    own = msgspec.structs.replace(owned(claim.epoch, position=9), appends=unit.appends)
    refused, written = await store.commit([own, append("TB2", 0, "a")] if unit.appends else [own, Commit()])
    assert isinstance(refused, Fenced)
    assert refused.epoch == followed == claim.epoch + 1
    assert isinstance(written, CommitResult)
    assert await store.checkpoint("view", "cases") == 0
    assert await store.head("TB1") is None


async def test_lease_waits_for_no_commit(database: PostgresDatabase) -> None:
    """A holder keeps its lease while its own process's commits wait for their turn and its reads take all they can."""
    store = database.open(busy_timeout_s=30)
    other = await database.connect()
    await other.execute(f"BEGIN; {LOCK}")
    waiting = [asyncio.create_task(store.commit([append("TB1", 0, "a")]))]
    waiting += [asyncio.create_task(store.query("SELECT pg_sleep(2)")) for _ in range(4)]  # type: ignore[arg-type]
    await asyncio.sleep(0.2)
    async with asyncio.timeout(1):
        assert await store.hold("relay", "a", 1)
        await store.let_go("relay", "a")
    assert not any(task.done() for task in waiting)
    await other.close()
    await asyncio.wait(waiting)


async def test_commit_wakes_who_waits_in_another_process(database: PostgresDatabase) -> None:
    """A consumer learns of what other processes commit without polling, also after the server was away."""
    writer, reader = database.open(), database.open()
    assert await reader.head_position() == 0
    for n in range(3):
        waiting = asyncio.create_task(reader.committed.beyond(n, timeout_s=20))
        await commit(writer, append("TB1", n, f"e{n}"))
        assert await waiting
        assert reader.committed.position == n + 1
        if n == 1:
            await asyncio.to_thread(_restart, database.cluster, "fast")
            await _until_back(writer)


async def test_commit_is_told_though_the_bell_hangs_later(
    database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others hear of what a process committed before it was connected to tell of it."""
    reader, writer = database.open(), database.open()
    await reader.head_position()
    await commit(database.open(), append("TB1", 0, "a"))
    assert await reader.committed.beyond(0, timeout_s=20)
    opened, committed = connection.opened, asyncio.Event()

    async def opened_later(engine: AsyncEngine) -> PoolProxiedConnection:
        await committed.wait()
        return await opened(engine)

    monkeypatch.setattr(bell, "opened", opened_later)
    await commit(writer, append("TB1", 1, "b"))
    committed.set()
    assert await reader.committed.beyond(1, timeout_s=20)


async def test_commits_are_heard_in_milliseconds(database: PostgresDatabase) -> None:
    """Waking does not wait for a poll or a flush: half of the commits are heard within a tenth of a second."""
    writer, reader = database.open(), database.open()
    await reader.head_position()
    await commit(writer, append("warm", 0, "a"))
    assert await reader.committed.beyond(0, timeout_s=20)
    delays = []
    for n in range(21):
        await commit(writer, append("TB1", n, f"e{n}"))
        began = time.monotonic()
        assert await reader.committed.beyond(n + 1, timeout_s=20)
        delays.append(time.monotonic() - began)
    assert sorted(delays)[10] < 0.1


async def test_restarted_server_is_found_again(database: PostgresDatabase) -> None:
    """While the server is away everything is refused as retryable; when it is back, the same store goes on, with all
    of its connections."""
    store = database.open(busy_timeout_s=1)
    await commit(store, append("TB1", 0, "a"))
    await asyncio.gather(*(store.head_position() for _ in range(8)))
    await asyncio.to_thread(database.cluster.stop)
    try:
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await commit(store, append("TB1", 1, "b"))
            with pytest.raises(StoreUnavailable):
                await store.read_stream("TB1")
            with pytest.raises(StoreUnavailable):
                async with store.snapshot():
                    pass
    finally:
        await asyncio.to_thread(database.cluster.start)
    await commit(store, append("TB1", 1, "b"))
    assert await asyncio.gather(*(store.head_position() for _ in range(8))) == [2] * 8
    assert await verify(store) is None


async def test_lost_answer_is_found_out(database: PostgresDatabase) -> None:
    """Where the network breaks after the server was told to commit, the caller still learns what became of it: the
    result if it was written, and otherwise that it was not."""
    async with _breakable(database.cluster.port) as line:
        url = database.cluster.url(database.name, line.port)
        store = PostgresStore(url, decode, busy_timeout_s=10)
        await commit(store, append("TB1", 0, "event-a"))
        line.break_after(b"event-b")
        result = await commit(store, append("TB1", 1, "event-b"))
        assert [record.position for record in result.records] == [2]
        line.break_before(b"event-c")
        with pytest.raises(StoreUnavailable, match="nothing was written"):
            await commit(store, append("TB1", 2, "event-c", "event-d"))
        await commit(store, append("TB1", 2, "event-c", "event-d"))
        assert ids(await store.read_stream("TB1")) == ["event-a", "event-b", "event-c", "event-d"]
        assert await verify(store) is None
        await store.close()


async def test_missing_database_is_told(postgres: PostgresCluster) -> None:
    """A wrong address is retryable, a wrong name or password is told apart from it, and each says what is wrong, also
    when migrating; another kind of database is refused."""
    url = make_url(postgres.url("nowhere"))
    for wrong, said, error in (
        (url, "nowhere", StoreRefused),
        (url.set(database="postgres", password="wrong"), "password", StoreRefused),
        (url.set(port=1), "refused|connect", StoreUnavailable),
    ):
        store = open_store(wrong.render_as_string(hide_password=False))
        for refused in (store.head_position(), commit(store, append("TB1", 0, "a")), store.claim("view", "cases")):
            with pytest.raises(StoreUnavailable, match=said) as raised:
                await refused
            assert type(raised.value) is error
        await store.close()
        with pytest.raises(StoreUnavailable, match=said) as raised:
            await asyncio.to_thread(pending, wrong.render_as_string(hide_password=False), MIGRATIONS)
        assert type(raised.value) is error
    with pytest.raises(ValueError, match="postgresql"):
        open_store("sqlite+aiosqlite:///file.db")


async def test_role_without_rights_is_told(database: PostgresDatabase) -> None:
    """A role that may not make what a session brings along is not waited for: somebody has to give it the right."""
    name = database.name
    await database.execute(
        f"CREATE ROLE guest LOGIN PASSWORD 'let me: in/@'; REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC"
    )
    try:
        url = make_url(database.url).set(drivername="postgresql", username="guest", password="let me: in/@")
        store = open_store(url.render_as_string(hide_password=False))
        with pytest.raises(StoreRefused, match="permission denied"):
            await commit(store, append("TB1", 0, "a"))
        await store.close()
    finally:
        await database.execute(f"GRANT TEMPORARY ON DATABASE {name} TO PUBLIC; DROP ROLE guest")


async def test_url_is_read_as_every_client_does(database: PostgresDatabase) -> None:
    """What a URL says about encryption is obeyed: a server that offers none is not talked to in the clear."""
    url = make_url(database.url).set(drivername="postgresql")
    for mode, reached in (("disable", True), ("prefer", True), ("require", False)):
        store = open_store(url.update_query_dict({"sslmode": mode}).render_as_string(hide_password=False))
        if reached:
            assert await store.head_position() == 0
        else:
            with pytest.raises(StoreUnavailable, match="SSL"):
                await store.head_position()
        await store.close()


async def test_read_only_server_is_retryable(database: PostgresDatabase) -> None:
    """A server that is no longer the primary takes no commits, and takes them when it is one again."""
    alter = f"ALTER DATABASE {database.name}"
    await asyncio.to_thread(database.cluster.execute, f"{alter} SET default_transaction_read_only = on")
    try:
        store = database.open(busy_timeout_s=1)
        with pytest.raises(StoreUnavailable, match="read-only"):
            await commit(store, append("TB1", 0, "a"))
        assert await store.head_position() == 0
        await store.close()
    finally:
        await asyncio.to_thread(database.cluster.execute, f"{alter} RESET default_transaction_read_only")
    await commit(database.open(), append("TB1", 0, "a"))


async def test_closing_leaves_no_session(database: PostgresDatabase) -> None:
    """A closed store leaves neither tasks nor sessions behind, also when reads were under way."""
    store = database.open()
    await commit(store, append("TB1", 0, *map(str, range(3000))))
    reads = [asyncio.create_task(store.read_stream("TB1")) for _ in range(8)]
    await asyncio.sleep(0)
    await store.close()
    outcomes = await asyncio.gather(*reads, return_exceptions=True)
    assert all(isinstance(outcome, list | StoreUnavailable) for outcome in outcomes)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    other = await database.connect()
    async with asyncio.timeout(10):
        while await other.fetchval("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'aftersales'"):
            await other.execute("SELECT pg_sleep(0.01)")
    await other.close()


async def test_text_is_compared_by_code_points(database: PostgresDatabase) -> None:
    """Every column of text has an order of its own, whatever order the server prefers."""
    for service in ("refunds", "liability"):
        await asyncio.to_thread(_migrate_into, database.cluster, service)
    for name in (database.name, "migrated_refunds", "migrated_liability"):
        store = open_store(database.cluster.url(name))
        others = await store.query(
            "SELECT attrelid::regclass::text AS found FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid"
            " JOIN pg_collation ON pg_collation.oid = attcollation"
            " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND collname <> 'C'"
        )
        await store.close()
        assert {row["found"] for row in others} <= {"alembic_version", "notes"}


async def test_placeholders(database: PostgresDatabase) -> None:
    """Statements are written once for all databases: each `?` outside of quotes is a value."""
    assert numbered("SELECT ?, '?', \"a?\", 'it''s ?' WHERE x = ?") == "SELECT $1, '?', \"a?\", 'it''s ?' WHERE x = $2"
    store = database.open()
    unit = Commit(statements=(Statement(database.note, [("a", "what?")]),))
    await commit(store, unit)
    assert await store.query("SELECT id FROM notes WHERE text LIKE '%?' AND id = ? LIMIT ?", ("a", 1)) == [{"id": "a"}]


@pytest.mark.parametrize("service", SERVICES)
def test_migrating(postgres: PostgresCluster, service: str) -> None:
    """Each service can create its tables by the same history as in SQLite, and migrating again changes nothing."""
    location = Path(__file__).parents[2] / "services" / service / "migrations"
    url = postgres.create_database(f"fresh_{service}")
    assert pending(url, location)
    migrate(url, location)
    assert not pending(url, location)
    migrate(url, location)


@pytest.mark.parametrize("service", SERVICES)
async def test_upgrading_keeps_what_is_there(postgres: PostgresCluster, tmp_path: Path, service: str) -> None:
    """A database of the release before keeps its checkpoints; nobody has claimed anything in it yet."""
    location = Path(__file__).parents[2] / "services" / service / "migrations"
    url = await asyncio.to_thread(postgres.create_database, f"before_{service}")
    await asyncio.to_thread(migrate, url, without_last_revision(location, tmp_path / "before"))
    await asyncio.to_thread(
        postgres.execute,
        "INSERT INTO checkpoints (consumer, source, position) VALUES ('view', 'cases', 7)",
        f"before_{service}",
    )
    assert await asyncio.to_thread(pending, url, location)
    await asyncio.to_thread(migrate, url, location)
    store = open_store(url)
    assert await store.query("SELECT position, epoch FROM checkpoints") == [{"position": 7, "epoch": 0}]
    assert await store.claim("view", "cases") == Claim(7, 1)
    await store.close()


def test_failed_migration_leaves_nothing_half_done(tmp_path: Path, postgres: PostgresCluster) -> None:
    """A revision that breaks midway is undone with its tables, so that the repaired one can run."""
    location = tmp_path / "migrations"
    (location / "versions").mkdir(parents=True)
    (location / "env.py").write_text((MIGRATIONS / "env.py").read_text())
    first = (MIGRATIONS / "versions" / "0001_log.py").read_text()
    broken = location / "versions" / "0001_broken.py"
    broken.write_text(first + '    op.execute("INSERT INTO nowhere VALUES (1)")\n')
    url = postgres.create_database("half_done")
    with pytest.raises(Exception, match="nowhere"):
        migrate(url, location)
    assert pending(url, location)
    broken.write_text(first)
    migrate(url, location)
    assert not pending(url, location)


async def test_processes_migrating_at_once(postgres: PostgresCluster) -> None:
    """Services started together on a fresh database do not trip over each other."""
    url = await asyncio.to_thread(postgres.create_database, "at_once")
    await asyncio.gather(*(asyncio.to_thread(migrate, url, MIGRATIONS) for _ in range(4)))
    assert not await asyncio.to_thread(pending, url, MIGRATIONS)


class _Line:
    """A network between store and server that breaks once, where a question holds the bytes it was told."""

    def __init__(self, server_port: int) -> None:
        self.port = 0
        self._server_port = server_port
        self._break_at = b""
        self._before = False

    def break_after(self, question: bytes) -> None:
        """Bring that question to the server, but no answer back."""
        self._break_at, self._before = question, False

    def break_before(self, question: bytes) -> None:
        """Do not bring that question to the server."""
        self._break_at, self._before = question, True

    async def carry(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection("127.0.0.1", self._server_port)
        answers = asyncio.create_task(self._answer(server, to_client))
        while question := await client.read(1 << 20):
            broken = self._break_at and self._break_at in question
            if broken:
                self._break_at = b""
            if broken and self._before:
                break
            if broken:
                answers.cancel()
                await asyncio.wait([answers])
            to_server.write(question)
            if broken:
                await server.read(1)
                break
        answers.cancel()
        for writer in (to_server, to_client):
            writer.close()

    async def _answer(self, server: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        while answer := await server.read(1 << 20):
            to_client.write(answer)
        to_client.close()


@asynccontextmanager
async def _breakable(server_port: int) -> AsyncIterator[_Line]:
    line = _Line(server_port)
    async with await asyncio.start_server(line.carry, "127.0.0.1") as listening:
        line.port = listening.sockets[0].getsockname()[1]
        yield line


def _restart(cluster: PostgresCluster, mode: str) -> None:
    cluster.stop(mode)
    cluster.start()


async def _until_back(store: PostgresStore) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                await store.head_position()
            except StoreUnavailable:
                await asyncio.sleep(0.05)
            else:
                return


def _migrate_into(cluster: PostgresCluster, service: str) -> None:
    url = cluster.create_database(f"migrated_{service}")
    migrate(url, Path(__file__).parents[2] / "services" / service / "migrations")
