"""The event store on a PostgreSQL database: everything that is PostgreSQL's own way stands here.

SQLAlchemy opens, configures and pools the connections; SQL goes straight to asyncpg. Any number of processes may
append. Why no reader ever passes an event that is not committed yet: `contracts/decisions/0004-order-of-positions.md`.
"""

import asyncio
import re
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from itertools import chain, count, groupby
from operator import attrgetter
from typing import Any, TypeVar

import msgspec
import structlog
from asyncpg import Connection
from sqlalchemy import PoolProxiedConnection, event, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from services.kernel.event_store import (
    Claim,
    Commit,
    CommitFailed,
    CommitResult,
    CommitSignal,
    Decode,
    EventStore,
    Head,
    Reads,
    StoreError,
    StoreRefused,
    StoreUnavailable,
)
from services.kernel.ledger import (
    EVENT_COLUMNS,
    Ledger,
    Row,
    touched_claims,
    touched_inbox,
    touched_keys,
    touched_streams,
)
from services.kernel.log import Record
from services.kernel.sql_reads import ANSWERS, SqlReads, answer, answer_row, records

T = TypeVar("T")

CONNECT_TIMEOUT_S = 5.0
"""How long a server that does not answer is waited for."""

COMMAND_TIMEOUT_S = 60.0
"""How long one statement may take; beyond, the network or the server is taken for lost."""

IDLE_TIMEOUT_S = 10.0
"""How long a transaction may stand still before the server ends it: its process is frozen or out of reach."""

RECONNECT_S = 0.2
"""Pause between tries to reach a server that was lost."""

_APPLICATION = "aftersales"
_CHANNEL = "aftersales_log"
_LOCK = f"SELECT pg_advisory_xact_lock({0x6170_7065_6E64_6572})"
"""Taken by whoever appends before positions are drawn, given back by the server once the commit is visible."""

_TRIES_UNLOCKED = 2
"""How often a batch is judged before the lock is taken; the next time it is judged under the lock."""

_OVERTAKEN = "AS001"
"""SQLSTATE of `admit` when a batch was judged by what is no longer so."""

# The lock comes before anything is looked at, and each statement of a volatile function sees what is committed by then.
# It is the session's function and not the schema's: programs of two versions side by side each bring their own.
_CREATE_ADMIT = f"""
CREATE FUNCTION pg_temp.admit(
    judged_streams text[], judged_versions bigint[],
    judged_keys text[],
    judged_sources text[], judged_places text[], judged_sequences bigint[],
    judged_consumers text[], judged_claims text[], judged_epochs bigint[]
) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM {_LOCK.removeprefix("SELECT ")};
    IF EXISTS (
        SELECT FROM unnest(judged_streams, judged_versions) AS judged (stream, version)
        LEFT JOIN streams USING (stream) WHERE coalesce(streams.version, 0) <> judged.version
    ) OR EXISTS (
        SELECT FROM answers WHERE key = ANY (judged_keys)
    ) OR EXISTS (
        SELECT FROM unnest(judged_sources, judged_places, judged_sequences) AS judged (source, stream, sequence)
        LEFT JOIN inbox USING (source, stream) WHERE coalesce(inbox.sequence, 0) <> judged.sequence
    ) OR EXISTS (
        SELECT FROM unnest(judged_consumers, judged_claims, judged_epochs) AS judged (consumer, source, epoch)
        LEFT JOIN checkpoints USING (consumer, source) WHERE coalesce(checkpoints.epoch, 0) <> judged.epoch
    ) THEN
        RAISE EXCEPTION 'somebody else committed in between' USING ERRCODE = '{_OVERTAKEN}';
    END IF;
    RETURN (SELECT coalesce(max(position), 0) FROM events);
END $$
"""
_ADMITTED = "SELECT pg_temp.admit(?, ?, ?, ?, ?, ?, ?, ?, ?) - ?::bigint AS shift"
_UNCHECKED = "SELECT coalesce(max(position), 0) - ?::bigint AS shift FROM events"

_LOAD = f"""
SELECT
    ARRAY(SELECT ROW(stream, version, sequence, hash) FROM streams WHERE stream = ANY ($1::text[])),
    ARRAY(SELECT ROW(found.*) FROM ({ANSWERS} WHERE key = ANY ($2::text[])) AS found),
    ARRAY(
        SELECT ROW(source, stream, sequence) FROM inbox
        JOIN unnest($3::text[], $4::text[]) AS asked (source, stream) USING (source, stream)
    ),
    ARRAY(
        SELECT ROW(consumer, source, epoch) FROM checkpoints
        JOIN unnest($5::text[], $6::text[]) AS asked (consumer, source) USING (consumer, source)
    )
"""
# Under the lock of those who append: whoever has it is in the position, and who comes later finds the new epoch.
_CLAIM = f"""
WITH alone AS MATERIALIZED ({_LOCK})
INSERT INTO checkpoints (consumer, source, position, epoch) SELECT $1, $2, 0, 1 FROM alone
ON CONFLICT (consumer, source) DO UPDATE SET epoch = checkpoints.epoch + 1
RETURNING position, epoch
"""
_NOW = "extract(epoch FROM clock_timestamp())::float8"
_HOLD = f"""
INSERT INTO leases (name, holder, expires_at) VALUES ($1, $2, {_NOW} + $3::float8)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
WHERE leases.holder = excluded.holder OR leases.expires_at <= {_NOW}
RETURNING name
"""
_LET_GO = "DELETE FROM leases WHERE name = $1 AND holder = $2"
_LAST_POSITION = "SELECT coalesce(max(position), 0) FROM events"
_POSITION_OF = "SELECT position FROM events WHERE stream = $1 AND version = $2 AND hash = $3"
_END_SESSION = f"""
SELECT pg_terminate_backend(pid, {int(CONNECT_TIMEOUT_S * 1000)}) FROM pg_stat_activity
WHERE pid = $1 AND pid <> pg_backend_pid() AND application_name = '{_APPLICATION}'
"""

_TABLES = {
    "events": (EVENT_COLUMNS, ""),
    "streams": (
        ("stream", "version", "sequence", "hash"),
        "ON CONFLICT (stream) DO UPDATE"
        " SET version = excluded.version, sequence = excluded.sequence, hash = excluded.hash",
    ),
    "answers": (("key", "request_hash", "status", "body", "created_at", "etag"), ""),
    "inbox": (
        ("source", "stream", "sequence"),
        "ON CONFLICT (source, stream) DO UPDATE SET sequence = excluded.sequence",
    ),
    "checkpoints": (
        ("consumer", "source", "position"),
        "ON CONFLICT (consumer, source) DO UPDATE SET position = excluded.position",
    ),
}
"""What a transaction writes to: the columns, and what becomes of a row that is there."""

_TYPES = dict.fromkeys(("version", "sequence", "schema", "position", "status"), "bigint")
_TYPES |= dict.fromkeys(("data", "hash", "request_hash", "body"), "bytea")

_REFUSED_CLASSES = {
    "28",  # credentials
    "3D",  # no such database
}
_NO_RIGHT = "42501"
"""May not make what a session needs."""
_UNAVAILABLE_CLASSES = {
    "08",  # connection
    "40",  # undone for another's sake
    "53",  # out of disk, memory or connections
    "57",  # shutting down, starting up, cancelled
    "58",  # input and output
}
_UNAVAILABLE = {
    "25006",  # read only: not the primary
    "25P03",  # stood still for too long
    "55P03",  # the lock was not given in time
}
_LOST_CLASSES = {"08", "57"}
"""Errors after which it is open whether a transaction that was to end did so."""

_PLACE_OR_QUOTED = re.compile(r"""'[^']*'|"[^"]*"|\?""")

log = structlog.get_logger(__name__)


class _PostgresReads(SqlReads):
    """All reads, on whatever connection `_rows` finds for them."""

    async def _records(self, sql: str, params: Sequence[Any], decode: Decode | None) -> list[Record]:
        return records(await self._rows(sql, params), decode)

    async def inbox(self, source: str, streams: Iterable[str]) -> dict[str, int]:
        sql = "SELECT stream, sequence FROM inbox WHERE source = ? AND stream = ANY (?::text[])"
        return dict(await self._rows(sql, (source, list(streams))))

    async def query(self, sql: str, params: Sequence[Any] = ()) -> list[dict[str, Any]]:
        return [dict(row.items()) for row in await self._rows(sql, params)]

    @abstractmethod
    async def _rows(self, sql: str, params: Sequence[Any] = ()) -> Sequence[Any]: ...


class _Snapshot(_PostgresReads):
    """Reads inside one read transaction."""

    def __init__(self, database: Connection, decode: Decode) -> None:
        self._database = database
        self._decode = decode

    async def _rows(self, sql: str, params: Sequence[Any] = ()) -> Sequence[Any]:
        return await _done(self._database, self._database.fetch(numbered(sql), *params))


class PostgresStore(_PostgresReads, EventStore):
    """An event store on the database that `database_url` names; it must exist and be migrated.

    Connections are opened when first needed: one writes, up to `readers` read, one tells other processes of commits
    and hears of theirs, one holds leases. Those that were lost are opened anew when the server is back. A commit waits
    up to `busy_timeout_s` for the writers before it. Placeholders of `Statement` and `query` are `?`, in every
    database.
    """

    shared = True

    def __init__(self, database_url: str, decode: Decode, *, readers: int = 4, busy_timeout_s: float = 5.0) -> None:
        if make_url(database_url).get_backend_name() != "postgresql":
            raise ValueError("this event store needs a URL postgresql://…")
        self.committed = CommitSignal()
        self._decode = decode
        self._write_engine = _engine(database_url, 1, _writer_settings(busy_timeout_s), _CREATE_ADMIT)
        self._read_engine = _engine(database_url, readers, {"default_transaction_read_only": "on"})
        self._bell = _Bell(_engine(database_url, 1, {"synchronous_commit": "off"}), self.committed)
        # Of their own: a lease must not run out while a commit or the readers take long.
        self._lease_engine = _engine(database_url, 1, {"synchronous_commit": "off"})
        self._readers = readers
        self._free_readers = asyncio.Semaphore(readers)
        self._busy_timeout_s = busy_timeout_s
        self._writing = asyncio.Lock()
        self._leasing = asyncio.Lock()
        self._commits: set[asyncio.Task[list[CommitResult | Exception]]] = set()
        self._closed = False

    async def commit(self, batch: Sequence[Commit]) -> list[CommitResult | Exception]:
        # In a task of its own: a cancelled caller must not tear the transaction.
        commit = asyncio.create_task(self._commit(batch), name="commit")
        self._commits.add(commit)
        commit.add_done_callback(self._commits.discard)
        return await asyncio.shield(commit)

    async def _commit(self, batch: Sequence[Commit]) -> list[CommitResult | Exception]:
        async with self._writing:
            outcomes = await self._write(batch)
            results = [outcome for outcome in outcomes if isinstance(outcome, CommitResult)]
            if results:
                self.committed.announce(results[-1].position, chain.from_iterable(one.records for one in results))
                self._bell.ring(results[-1].position)
            return outcomes

    async def _write(self, batch: Sequence[Commit]) -> list[CommitResult | Exception]:
        try:
            return await self._write_whole(batch)
        except StoreUnavailable as error:
            return [type(error)(str(error)) for _ in batch]
        except Exception as error:
            if len(batch) == 1:
                failed = CommitFailed(str(error))
                failed.__cause__ = error
                return [failed]
        # One of them carries what the database refuses; halving finds it, and it alone is left out.
        half = len(batch) // 2
        return await self._write(batch[:half]) + await self._write(batch[half:])

    async def _write_whole(self, batch: Sequence[Commit]) -> list[CommitResult | Exception]:
        for tries_unlocked in reversed(range(_TRIES_UNLOCKED + 1)):
            transaction = _Transaction(batch, self.committed.position)
            try:
                async with self._connected(self._write_engine) as database:
                    return await transaction.run(database, alone=not tries_unlocked)
            except _Overtaken:
                continue
            except _OutcomeUnknown as lost:
                return await self._find_out(transaction, lost)
        raise AssertionError("overtaken under the lock")

    async def _find_out(self, transaction: "_Transaction", lost: "_OutcomeUnknown") -> list[CommitResult | Exception]:
        """What became of a transaction whose answer was lost on the way."""
        deadline = asyncio.get_running_loop().time() + self._busy_timeout_s
        while transaction.leaves_a_trace and asyncio.get_running_loop().time() < deadline:
            try:
                async with self._connected(self._write_engine) as database:
                    outcomes = await transaction.written(database)
            except StoreUnavailable:
                await asyncio.sleep(RECONNECT_S)
            else:
                if outcomes is None:
                    raise StoreUnavailable(f"nothing was written: {lost}")
                return outcomes
        raise StoreUnavailable(f"it is unknown whether this was written: {lost}")

    async def claim(self, consumer: str, source: str) -> Claim:
        async with self._writing, self._connected(self._write_engine) as database:
            return Claim(*await _done(database, database.fetchrow(_CLAIM, consumer, source)))

    async def hold(self, lease: str, holder: str, seconds: float) -> bool:
        async with self._leasing, self._connected(self._lease_engine) as database:
            # An answer that comes when the lease has run out says nothing any more.
            asked = database.fetchval(_HOLD, lease, holder, seconds, timeout=seconds)
            return await _done(database, asked) is not None

    async def let_go(self, lease: str, holder: str) -> None:
        async with self._leasing, self._connected(self._lease_engine) as database:
            await _done(database, database.execute(_LET_GO, lease, holder))

    async def _rows(self, sql: str, params: Sequence[Any] = ()) -> Sequence[Any]:
        async with self._free_readers, self._connected(self._read_engine) as database:
            return await _done(database, database.fetch(numbered(sql), *params))

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Reads]:
        async with self._free_readers, self._connected(self._read_engine) as database, _rolled_back(database):
            # The snapshot is taken by the first statement that reads, not by BEGIN.
            await _done(database, database.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1"))
            yield _Snapshot(database, self._decode)

    @asynccontextmanager
    async def _connected(self, engine: AsyncEngine) -> AsyncIterator[Connection]:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        self._bell.hang()
        pooled = await _opened(engine)
        try:
            yield _driver(pooled)
        finally:
            pooled.close()

    async def close(self) -> None:
        self._closed = True
        await self._bell.take_down()
        async with self._writing:
            await self._write_engine.dispose()
        async with self._leasing:
            await self._lease_engine.dispose()
        for _ in range(self._readers):
            await self._free_readers.acquire()
        await self._read_engine.dispose()
        for _ in range(self._readers):
            self._free_readers.release()


class _Overtaken(Exception):
    """Another process committed what this batch was not judged by."""


class _OutcomeUnknown(Exception):
    """The connection was lost after the server was told to commit and before it answered."""


class _Transaction:
    """One try to write a batch.

    The batch is judged by what is committed when it begins. The last statement takes the lock, checks that nobody
    came in between, draws positions and writes everything. Where no read tables are written too, it is a transaction
    of its own: the lock is held as long as the server needs, however busy, frozen or dead this process may be.
    """

    def __init__(self, batch: Sequence[Commit], expected_position: int) -> None:
        self._batch = batch
        self._expected_position = expected_position
        self._session = 0

    async def run(self, database: Connection, *, alone: bool) -> list[CommitResult | Exception]:
        """Write it. `alone`: under the lock from the beginning, so that nobody can come in between.

        Raises _Overtaken, _OutcomeUnknown, StoreUnavailable, or what the database has against it.
        """
        self._session = database.get_server_pid()
        if not alone and not any(commit.statements for commit in self._batch):
            await self._judge(database)
            return self._placed(await self._ended(database, self._save(database)))
        async with _rolled_back(database):
            await _done(database, database.execute(f"BEGIN; {_LOCK}" if alone else "BEGIN"))
            await self._judge(database)
            for sql, statements in groupby(self._ledger.statements, attrgetter("sql")):
                rows = [row for statement in statements for row in statement.rows]
                await _done(database, database.executemany(numbered(sql), rows))
            shift = await _done(database, self._save(database))
            await self._ended(database, database.execute("COMMIT"))
        return self._placed(shift)

    @property
    def leaves_a_trace(self) -> bool:
        """Whether the log shows if it was written."""
        return bool(self._ledger.events)

    async def written(self, database: Connection) -> list[CommitResult | Exception] | None:
        """The outcomes if it was written after all; None if it was not and never will be."""
        for [ended] in await _done(database, database.fetch(_END_SESSION, self._session)):
            if not ended:
                raise StoreUnavailable("the lost session still runs")
        last = dict(zip(EVENT_COLUMNS, self._ledger.events[-1], strict=True))
        position = await _done(database, database.fetchval(_POSITION_OF, last["stream"], last["version"], last["hash"]))
        return None if position is None else self._placed(position - last["position"])

    async def _judge(self, database: Connection) -> None:
        # What cannot be printed cannot be stored either; the ledger says so when it comes to it.
        streams = [stream for stream in touched_streams(self._batch) if stream.isprintable()]
        keys = [key for key in touched_keys(self._batch) if key.isprintable()]
        places = [place for place in touched_inbox(self._batch) if "".join(place).isprintable()]
        sources, of_streams = [source for source, _ in places], [stream for _, stream in places]
        claims = [claim for claim in touched_claims(self._batch) if "".join(claim).isprintable()]
        consumers, claimed = [consumer for consumer, _ in claims], [source for _, source in claims]
        asked = (streams, keys, sources, of_streams, consumers, claimed)
        found = await _done(database, database.fetchrow(_LOAD, *asked))
        heads = {row[0]: Head(*row) for row in found[0]}
        answers = {row[0]: answer(row) for row in found[1]}
        inbox = {(source, stream): sequence for source, stream, sequence in found[2]}
        epochs = {(consumer, source): epoch for consumer, source, epoch in found[3]}
        versions = [heads[stream].version if stream in heads else 0 for stream in streams]
        sequences = [inbox.get(place, 0) for place in places]
        new_keys = [key for key in keys if key not in answers]
        judged_epochs = [epochs.get(claim, 0) for claim in claims]
        self._judged_by = (
            *(streams, versions, new_keys),
            *(sources, of_streams, sequences),
            *(consumers, claimed, judged_epochs),
        )
        self._ledger = Ledger(self._expected_position, heads, answers, inbox, epochs)
        self._outcomes: list[CommitResult | Exception] = []
        for commit in self._batch:
            try:
                self._outcomes.append(self._ledger.admit(commit))
            except (StoreError, ValueError) as refusal:
                self._outcomes.append(refusal)

    async def _save(self, database: Connection) -> int:
        """Write what the ledger collected; gives how far from what was expected the positions came to lie."""
        rows = _rows_of(self._ledger)
        values = [column for table in rows.values() for column in zip(*table, strict=True)]
        checked = bool(rows.keys() - {"checkpoints"}) or any(commit.fence for commit in self._batch)
        judged_by = self._judged_by if checked else ()
        shift: int = await database.fetchval(
            _saving(tuple(rows), checked), *judged_by, self._expected_position, *values
        )
        return shift

    async def _ended(self, database: Connection, ending: Awaitable[T]) -> T:
        try:
            return await _done(database, ending)
        except StoreUnavailable as error:
            state = _state(error.__cause__)
            if state and state[:2] not in _LOST_CLASSES:
                raise
            database.terminate()
            raise _OutcomeUnknown(str(error)) from error

    def _placed(self, shift: int) -> list[CommitResult | Exception]:
        if not shift:
            return self._outcomes
        return [_shifted(one, shift) if isinstance(one, CommitResult) else one for one in self._outcomes]


class _Bell:
    """Tells other processes of commits, and hears of theirs: NOTIFY and LISTEN on a connection of its own.

    Never in the transaction that appends: all that notify queue for one lock until they are on disk. What is rung
    while a NOTIFY is under way shares the next one. While the server is away, readers go on by polling.
    """

    def __init__(self, engine: AsyncEngine, committed: CommitSignal) -> None:
        self._engine = engine
        self._committed = committed
        self._rung = 0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def hang(self) -> None:
        """Begin, if it has not begun yet."""
        if self._task is None:
            self._task = asyncio.create_task(self._serve(), name="bell")

    def ring(self, position: int) -> None:
        """Have others told that the log reaches `position`."""
        self._rung = max(self._rung, position)
        self._wake.set()

    async def take_down(self) -> None:
        """Stop telling and hearing."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._engine.dispose()

    async def _serve(self) -> None:
        lost = False
        while True:
            try:
                await self._serve_connection()
                lost = False
            except Exception as error:
                if not lost:  # once for each time that the server is away
                    log.warning("bell_lost", error=str(error))
                lost = True
            await asyncio.sleep(RECONNECT_S)

    async def _serve_connection(self) -> None:
        pooled = await _opened(self._engine)
        try:
            database = _driver(pooled)
            database.add_termination_listener(self._lost)
            await database.add_listener(_CHANNEL, self._heard)
            told = await database.fetchval(_LAST_POSITION)
            self._committed.announce(told)  # what was not heard while nobody listened
            while not database.is_closed():
                self._wake.clear()
                if self._rung > told:
                    told = self._rung
                    await database.execute("SELECT pg_notify($1, $2)", _CHANNEL, str(told))
                else:
                    await self._wake.wait()
        finally:
            pooled.close()

    def _heard(self, _: object, session: int, channel: str, payload: object) -> None:
        self._committed.announce(int(str(payload)))

    def _lost(self, _: object) -> None:
        self._wake.set()


@lru_cache(maxsize=4096)
def numbered(sql: str) -> str:
    """SQL with `$1`, `$2`, … for each `?` that does not stand in quotes."""
    numbers = count(1)
    return _PLACE_OR_QUOTED.sub(lambda found: f"${next(numbers)}" if found[0] == "?" else found[0], sql)


def _rows_of(ledger: Ledger) -> dict[str, Sequence[Row]]:
    rows: dict[str, Sequence[Row]] = {
        "events": ledger.events,
        "streams": [(head.stream, head.version, head.sequence, head.hash) for head in ledger.moved_heads.values()],
        "answers": [answer_row(answer) for answer in ledger.new_answers],
        "inbox": [(*place, sequence) for place, sequence in ledger.moved_inbox.items()],
        "checkpoints": [(*place, position) for place, position in ledger.checkpoints.items()],
    }
    return {table: found for table, found in rows.items() if found}


@lru_cache(maxsize=64)
def _saving(tables: tuple[str, ...], checked: bool) -> str:
    """One statement that writes to these tables, each column of their rows given as an array."""
    inserts = [f"{table}_written AS ({_inserting(table)})" for table in tables]
    admitted = f"admitted AS MATERIALIZED ({_ADMITTED if checked else _UNCHECKED})"
    return numbered(f"WITH {', '.join([admitted, *inserts])} SELECT shift FROM admitted")


def _inserting(table: str) -> str:
    columns, conflict = _TABLES[table]
    names = ", ".join(columns)
    arrays = ", ".join(f"?::{_TYPES.get(name, 'text')}[]" for name in columns)
    values = names.replace("position", "position + shift") if table == "events" else names
    # Rows come from `admitted` too: none is written before it was evaluated.
    return f"INSERT INTO {table} ({names}) SELECT {values} FROM admitted, unnest({arrays}) AS new ({names}) {conflict}"


def _shifted(result: CommitResult, shift: int) -> CommitResult:
    return CommitResult(
        tuple(msgspec.structs.replace(record, position=record.position + shift) for record in result.records),
        result.position + shift,
    )


def _writer_settings(busy_timeout_s: float) -> dict[str, str]:
    return {
        "synchronous_commit": "on",
        "default_transaction_isolation": "read committed",
        "lock_timeout": str(int(busy_timeout_s * 1000)),
        "idle_in_transaction_session_timeout": str(int(IDLE_TIMEOUT_S * 1000)),
        # Everything is looked up by key. While a table is new, plans that read all of it are made, and sessions keep
        # them as it grows.
        "enable_seqscan": "off",
    }


def connect_arguments(database_url: str) -> dict[str, Any]:
    """What the driver is told so that it reads a URL as every PostgreSQL client does (`sslmode`, `sslrootcert`, …)."""
    url = make_url(database_url).set(drivername="postgresql")
    return {"dsn": url.render_as_string(hide_password=False), "timeout": CONNECT_TIMEOUT_S}


def no_connection(error: Exception) -> StoreUnavailable:
    """What it means that a connection could not be opened."""
    state = _state(error)
    refused = state[:2] in _REFUSED_CLASSES or state == _NO_RIGHT
    return (StoreRefused if refused else StoreUnavailable)(f"no connection to the database: {error or repr(error)}")


def _engine(database_url: str, connections: int, settings: dict[str, str], prepare: str = "") -> AsyncEngine:
    engine = create_async_engine(
        "postgresql+asyncpg://",
        connect_args={
            **connect_arguments(database_url),
            "command_timeout": COMMAND_TIMEOUT_S,
            "server_settings": {"application_name": _APPLICATION, "jit": "off", **settings},
        },
        # Transactions are begun and ended here by name, the pool adds none.
        pool_reset_on_return=None,
        pool_size=connections,
        max_overflow=0,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def prepare_session(connection: Any, _: object) -> None:
        if prepare:
            connection.run_async(lambda driver: driver.execute(prepare))

    return engine


async def _opened(engine: AsyncEngine) -> PoolProxiedConnection:
    """A connection of the pool that was not lost meanwhile, as far as one can know without asking."""
    try:
        while True:
            pooled = await engine.raw_connection()
            if not _driver(pooled).is_closed():
                return pooled
            pooled.invalidate()
    except Exception as error:
        raise no_connection(error) from error


def _driver(pooled: PoolProxiedConnection) -> Connection:
    driver: Any = pooled.driver_connection
    return driver


@asynccontextmanager
async def _rolled_back(database: Connection) -> AsyncIterator[None]:
    """Ends a transaction that is still open when the block is left, however it is left."""
    try:
        yield
    finally:
        if not database.is_closed() and database.is_in_transaction():
            try:
                await database.execute("ROLLBACK", timeout=CONNECT_TIMEOUT_S)
            except BaseException:
                database.terminate()
                raise


async def _done(database: Connection, asked: Awaitable[T]) -> T:
    """What was asked of the database; raises StoreUnavailable for errors that are not the statement's fault.

    A connection whose answer nobody waits for any longer is given up: it would come in the way of the next question.
    """
    try:
        return await asked
    except asyncio.CancelledError:
        database.terminate()
        raise
    except Exception as error:
        if isinstance(error, TimeoutError):
            database.terminate()
        state = _state(error)
        if state == _OVERTAKEN:
            raise _Overtaken from error
        if state[:2] in _REFUSED_CLASSES:
            raise StoreRefused(str(error)) from error
        if state[:2] in _UNAVAILABLE_CLASSES or state in _UNAVAILABLE or database.is_closed():
            raise StoreUnavailable(str(error) or repr(error)) from error
        raise


def _state(error: BaseException | None) -> str:
    """PostgreSQL's five characters for what went wrong; empty for errors that it did not report."""
    return str(getattr(getattr(error, "orig", error), "sqlstate", None) or "")
