"""A PostgreSQL database for tests of the store, and stores on it; also from other processes."""

from pathlib import Path

import asyncpg

from services.kernel.event_store import Statement
from services.kernel.migrations import migrate
from services.kernel.postgres.store import PostgresStore
from services.stack.postgres import PostgresCluster
from tests.kernel.store_contract import decode

MIGRATIONS = Path(__file__).parents[2] / "services" / "cases" / "migrations"


def open_store(url: str, busy_timeout_s: float = 30.0) -> PostgresStore:
    return PostgresStore(url, decode, busy_timeout_s=busy_timeout_s)


class PostgresDatabase:
    """What `store_contract.Database` asks for, in a database that each test finds empty."""

    module = __name__
    note = "INSERT INTO notes (id, text) VALUES (?, ?)"
    think = Statement("DELETE FROM notes WHERE id = (SELECT pg_sleep(0.005)::text)", [()])

    def __init__(self, cluster: PostgresCluster, name: str) -> None:
        self.cluster = cluster
        self.name = name
        self.stores: list[PostgresStore] = []
        cluster.create_database(name)
        migrate(self.url, MIGRATIONS)
        cluster.execute("DROP TRIGGER events_keep ON events", name)  # tests tamper with the log
        cluster.execute("CREATE TABLE notes (id text PRIMARY KEY, text text NOT NULL)", name)

    @property
    def url(self) -> str:
        return self.cluster.url(self.name)

    def open(self, busy_timeout_s: float = 30.0) -> PostgresStore:
        self.stores.append(open_store(self.url, busy_timeout_s))
        return self.stores[-1]

    async def connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(self.url.replace("+asyncpg", ""))

    async def execute(self, sql: str) -> None:
        connection = await self.connect()
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    async def empty(self) -> None:
        await self.execute(
            "TRUNCATE events, streams, inbox, checkpoints, answers, leases, parked_messages, text_keys, notes"
        )

    async def close_stores(self) -> None:
        while self.stores:
            await self.stores.pop().close()
