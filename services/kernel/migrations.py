"""Migrations: Alembic run from code, and the tables that every service's log has.

A service keeps its revisions in `services/<name>/migrations/versions`; the first one calls
`create_log_tables`.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Final, TypeVar

import sqlalchemy as sa
from alembic import command, context
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import create_async_engine

from services.kernel.postgres.connection import connect_arguments, no_connection

#: How long a database may take to let us in, in seconds: nobody waits for an answer, and a busy server is slow.
CONNECT_TIMEOUT_S: Final = 15.0

T = TypeVar("T")

text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Text of every column: compared and ordered by its code points, as Python does; SQLite does so anyway."""

# Only a plain INTEGER is SQLite's row number; it holds 64 bits all the same.
_integer = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def migrate(database_url: str, script_location: str | Path) -> None:
    """Bring a database up to the newest revision, in one transaction; creates a missing SQLite file.

    Blocks: call it in a thread where an event loop runs. Raises StoreUnavailable while a server is away, StoreRefused
    where it lets nobody in so.
    """
    _on_connection(database_url, partial(_upgrade, script_location))


def pending(database_url: str, script_location: str | Path) -> bool:
    """Whether a database lacks revisions (or is a missing file). Blocks, as `migrate` does; changes nothing."""
    url = sa.make_url(database_url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        return True
    scripts = ScriptDirectory.from_config(_config(script_location))
    return _on_connection(database_url, lambda connection: not _is_current(connection, scripts))


def run_revisions() -> None:
    """What a service's `env.py` does: run the revisions on the connection that `migrate` opened."""
    context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
    context.run_migrations()


def create_log_tables(op: ModuleType) -> None:
    """Create the tables of the kernel: the log, its heads, and what is written in the same transaction."""
    op.create_table(
        "events",
        sa.Column("position", _integer, primary_key=True, autoincrement=False),
        sa.Column("stream", text, nullable=False),
        sa.Column("version", _integer, nullable=False),
        sa.Column("sequence", _integer, nullable=False),
        sa.Column("id", text, nullable=False),
        sa.Column("type", text, nullable=False),
        sa.Column("schema", _integer, nullable=False),
        sa.Column("source", text, nullable=False),
        sa.Column("subject", text, nullable=False),
        sa.Column("time", text, nullable=False),
        sa.Column("actor", text, nullable=False),
        sa.Column("correlation_id", text, nullable=False),
        sa.Column("causation_id", text, nullable=False),
        sa.Column("policy", text, nullable=False),
        sa.Column("traceparent", text, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("stream", "version"),
        # In this order, because ids grow with time: new ones then share a page instead of touching one each.
        sa.UniqueConstraint("id", "stream"),
    )
    # For relays and consumers, who follow the log but want one source's events only.
    op.create_index("events_by_source", "events", ["source", "position"])
    op.create_table(
        "streams",
        sa.Column("stream", text, primary_key=True),
        sa.Column("version", _integer, nullable=False),
        sa.Column("sequence", _integer, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "inbox",
        sa.Column("source", text, primary_key=True),
        sa.Column("stream", text, primary_key=True),
        sa.Column("sequence", _integer, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "checkpoints",
        sa.Column("consumer", text, primary_key=True),
        sa.Column("source", text, primary_key=True),
        sa.Column("position", _integer, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "answers",
        sa.Column("key", text, primary_key=True),
        sa.Column("request_hash", sa.LargeBinary, nullable=False),
        sa.Column("status", _integer, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("etag", text, nullable=False),
        sa.Column("created_at", text, nullable=False),
    )


def create_claims_and_parking(op: ModuleType) -> None:
    """Create what consumers need who may be several: the numbers of their claims, leases, and a place for messages
    that cannot go on.

    Times are seconds since 1970, by the database's clock for leases, by the consumer's for messages.
    """
    op.add_column("checkpoints", sa.Column("epoch", _integer, nullable=False, server_default="0"))
    op.create_table(
        "leases",
        sa.Column("name", text, primary_key=True),
        sa.Column("holder", text, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "parked_messages",
        sa.Column("consumer", text, primary_key=True),
        sa.Column("topic", text, primary_key=True),
        sa.Column("partition", _integer, primary_key=True),
        sa.Column("position", _integer, primary_key=True),
        sa.Column("key", sa.LargeBinary),
        sa.Column("headers", sa.LargeBinary, nullable=False),
        sa.Column("value", sa.LargeBinary),
        sa.Column("timestamp_ms", _integer, nullable=False),
        sa.Column("stream", text, nullable=False),
        sa.Column("sequence", _integer, nullable=False),
        sa.Column("type", text, nullable=False),
        sa.Column("source", text, nullable=False),
        sa.Column("state", text, nullable=False),
        sa.Column("cause", text, nullable=False),
        sa.Column("error", text, nullable=False),
        sa.Column("tries", _integer, nullable=False),
        sa.Column("due_at", sa.Double, nullable=False),
        sa.Column("parked_at", sa.Double, nullable=False),
        sa.Column("published_at", sa.Double),
        sa.Column("resolved_at", sa.Double),
        sa.Column("resolved_by", text, nullable=False, server_default=""),
        sa.Column("note", text, nullable=False, server_default=""),
    )
    op.create_index("parked_by_stream", "parked_messages", ["consumer", "stream", "sequence"])
    op.create_index("parked_by_due", "parked_messages", ["state", "due_at"])


def create_long_work(op: ModuleType) -> None:
    """Create what long work keeps of itself while it is under way: how far an operation is, and how far each read table
    that is built beside the live one.

    `rate` is in units a second, `told_at` in seconds since 1970. A read table is built from the records up to
    `position`, stream by stream, so far up to `stream` (null: all of them), which are so many `records`; all of it by
    the rules of `made_by`.
    """
    op.create_table(
        "operations",
        sa.Column("id", text, primary_key=True),
        sa.Column("done", _integer, nullable=False),
        sa.Column("total", _integer, nullable=False),
        sa.Column("rate", sa.Double, nullable=False),
        sa.Column("told_at", sa.Double, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "rebuilds",
        sa.Column("name", text, primary_key=True),
        sa.Column("position", _integer, nullable=False),
        sa.Column("stream", text),
        sa.Column("records", _integer, nullable=False),
        sa.Column("made_by", text, nullable=False),
        sqlite_with_rowid=False,
    )


def forbid_changes(op: ModuleType) -> None:
    """Have the database refuse to change or delete what the log holds, whoever asks for it by mistake. Appending costs
    nothing more. Whoever owns the database can drop this again; what they alter then, the proof finds."""
    said = "events are never changed or deleted"
    if op.get_bind().dialect.name == "sqlite":
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER events_keep_{change.lower()} BEFORE {change} ON events"
                f" BEGIN SELECT RAISE(ABORT, '{said}'); END"
            )
        return
    op.execute(
        f"CREATE FUNCTION events_keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '{said}'; END $$"
    )
    op.execute(
        "CREATE TRIGGER events_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON events"
        " FOR EACH STATEMENT EXECUTE FUNCTION events_keep()"
    )


def write_tables_anew(op: ModuleType, *changed: str) -> None:
    """Have the read tables written again from the first event on, because these got other columns, or are new.

    Whoever is at work on them is overtaken, so that it begins there. Rows that stand are written over, so lists go on
    telling what they told. What was built beside the tables is dropped: it is not of this shape.
    """
    op.execute("UPDATE checkpoints SET position = 0, epoch = epoch + 1 WHERE consumer = 'views'")
    op.execute("DELETE FROM rebuilds")
    for table in changed:
        op.execute(f"DROP TABLE IF EXISTS {table}_beside")


def _config(script_location: str | Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(script_location).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _upgrade(script_location: str | Path, connection: sa.Connection) -> None:
    scripts = ScriptDirectory.from_config(_config(script_location))
    if _is_current(connection, scripts):
        return
    connection.rollback()
    _begin_alone(connection)
    # Looked at again under the lock: another process may have migrated while this one waited for it.
    if not _is_current(connection, scripts):
        config = _config(script_location)
        config.attributes["connection"] = connection
        command.upgrade(config, "heads")
    connection.commit()


def _on_connection(database_url: str, work: Callable[[sa.Connection], T]) -> T:
    """Alembic is synchronous: SQLite has a driver for that, PostgreSQL's is awaited in an event loop of its own."""
    url = sa.make_url(database_url)
    if url.get_backend_name() != "sqlite":
        return asyncio.run(_on_asyncpg(database_url, work))
    # The driver's own transactions leave table changes out: a crash would leave half a migration. See
    # _begin_alone.
    arguments = {"isolation_level": None, "timeout": 30}
    engine = sa.create_engine(url.set(drivername="sqlite"), poolclass=sa.NullPool, connect_args=arguments)
    with engine.connect() as connection:
        return work(connection)


async def _on_asyncpg(database_url: str, work: Callable[[sa.Connection], T]) -> T:
    arguments = {**connect_arguments(database_url), "timeout": CONNECT_TIMEOUT_S}
    engine = create_async_engine("postgresql+asyncpg://", poolclass=sa.NullPool, connect_args=arguments)
    try:
        connection = await engine.connect()
    except Exception as error:
        raise no_connection(error) from error
    try:
        return await connection.run_sync(work)
    finally:
        await connection.close()


_ONE_MIGRATES = 0x6D69_6772_6174_6531
"""Key of PostgreSQL's advisory lock that whoever migrates holds."""


def _begin_alone(connection: sa.Connection) -> None:
    """Begin a transaction that keeps out every other process that migrates."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ONE_MIGRATES})")


def _is_current(connection: sa.Connection, scripts: ScriptDirectory) -> bool:
    return set(MigrationContext.configure(connection).get_current_heads()) == set(scripts.get_heads())
