"""The event store on a PostgreSQL database.

SQLAlchemy opens, configures and pools the connections; SQL goes straight to asyncpg. Any number of processes may
append. Why no reader ever passes an event that is not committed yet: `contracts/decisions/0004-order-of-positions.md`.
"""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import chain
from typing import Any

from asyncpg import Connection
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from services.kernel.event_store import (
    Claim,
    Commit,
    CommitFailed,
    CommitResult,
    CommitSignal,
    Decode,
    EventStore,
    Reads,
    StoreUnavailable,
)
from services.kernel.log import Record
from services.kernel.postgres.bell import RECONNECT_S, Bell
from services.kernel.postgres.connection import Overtaken, done, driver, engine, opened, rolled_back
from services.kernel.postgres.statements import CLAIM, CREATE_ADMIT, HOLD, HOLDER, LET_GO, numbered
from services.kernel.postgres.transaction import Heads, Judging, OutcomeUnknown, Transaction
from services.kernel.sql_reads import SqlReads, records

IDLE_TIMEOUT_S = 10.0
"""How long a transaction may stand still before the server ends it: its process is frozen or out of reach."""

_READ_ONLY = {"default_transaction_read_only": "on"}

_TRIES = tuple(Judging)
"""How a batch is judged: each way where the one before was overtaken."""


class _PostgresReads(SqlReads):
    """All reads, on whatever connection `_rows` finds for them."""

    async def _records(self, sql: str, params: Sequence[Any], decode: Decode | None) -> list[Record]:
        return records(await self._rows(sql, params), decode)

    async def inbox(self, source: str, streams: Iterable[str]) -> dict[str, int]:
        sql = "SELECT stream, sequence FROM inbox WHERE source = ? AND stream = ANY (?::text[])"
        return dict(await self._rows(sql, (source, list(streams))))

    async def holder(self, lease: str) -> str:
        rows = await self._rows(HOLDER, (lease,))
        return str(rows[0][0]) if rows else ""

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
        return await done(self._database, self._database.fetch(numbered(sql), *params))


class PostgresStore(_PostgresReads, EventStore):
    """An event store on the database that `database_url` names; it must exist and be migrated.

    Connections are opened when first needed: one writes, up to `readers` read, one tells other processes of commits
    and hears of theirs, one holds leases. Those that were lost are opened anew when the server is back. A commit waits
    up to `busy_timeout_s` for the writers before it. Placeholders of `Statement` and `query` are `?`, in every
    database. `read_only`: the server refuses whatever would write, and nobody is told or heard of.
    """

    shared = True

    def __init__(
        self,
        database_url: str,
        decode: Decode,
        *,
        readers: int = 4,
        busy_timeout_s: float = 5.0,
        read_only: bool = False,
    ) -> None:
        if make_url(database_url).get_backend_name() != "postgresql":
            raise ValueError("this event store needs a URL postgresql://…")
        self.committed = CommitSignal()
        self._decode = decode
        allowed = _READ_ONLY if read_only else {}
        self._write_engine = engine(database_url, 1, {**_writer_settings(busy_timeout_s), **allowed}, CREATE_ADMIT)
        self._read_engine = engine(database_url, readers, _READ_ONLY)
        self._bell = Bell(engine(database_url, 1, {"synchronous_commit": "off", **allowed}), self.committed)
        self._rings = not read_only
        # Of their own: a lease must not run out while a commit or the readers take long.
        self._lease_engine = engine(database_url, 1, {"synchronous_commit": "off", **allowed})
        self._heads = Heads()
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
        for judging in _TRIES:
            transaction = Transaction(batch, self.committed.position, self._heads)
            try:
                async with self._connected(self._write_engine) as database:
                    return await transaction.run(database, judging)
            except Overtaken:
                continue
            except OutcomeUnknown as lost:
                return await self._find_out(transaction, lost)
        raise AssertionError("overtaken under the lock")

    async def _find_out(self, transaction: Transaction, lost: OutcomeUnknown) -> list[CommitResult | Exception]:
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
            return Claim(*await done(database, database.fetchrow(CLAIM, consumer, source)))

    async def hold(self, lease: str, holder: str, seconds: float) -> bool:
        async with self._leasing, self._connected(self._lease_engine) as database:
            # An answer that comes when the lease has run out says nothing any more.
            asked = database.fetchval(HOLD, lease, holder, seconds, timeout=seconds)
            return await done(database, asked) is not None

    async def let_go(self, lease: str, holder: str) -> None:
        async with self._leasing, self._connected(self._lease_engine) as database:
            await done(database, database.execute(LET_GO, lease, holder))

    async def _rows(self, sql: str, params: Sequence[Any] = ()) -> Sequence[Any]:
        async with self._free_readers, self._connected(self._read_engine) as database:
            return await done(database, database.fetch(numbered(sql), *params))

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Reads]:
        async with self._free_readers, self._connected(self._read_engine) as database, rolled_back(database):
            # The snapshot is taken by the first statement that reads, not by BEGIN.
            await done(database, database.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1"))
            yield _Snapshot(database, self._decode)

    @asynccontextmanager
    async def _connected(self, engine: AsyncEngine) -> AsyncIterator[Connection]:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if self._rings:
            self._bell.hang()
        pooled = await opened(engine)
        try:
            yield driver(pooled)
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
