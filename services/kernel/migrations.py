"""Migrations: Alembic run from code, and the tables that every service's log has.

A service keeps its revisions in `services/<name>/migrations/versions`; the first one calls
`create_log_tables`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import sqlalchemy as sa
from alembic import command, context
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

_SYNC_DRIVERS = {"sqlite+aiosqlite": "sqlite"}
"""Migrations run synchronously, so each asynchronous driver has a synchronous one of the same database."""

# Names are compared and ordered by their code points, as Python does; SQLite does so anyway.
_text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
# Only a plain INTEGER is SQLite's row number; it holds 64 bits all the same.
_integer = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def migrate(database_url: str, script_location: str | Path) -> None:
    """Bring a database up to the newest revision, in one transaction; creates a missing SQLite file.

    Blocks: call it in a thread where an event loop runs.
    """
    scripts = ScriptDirectory.from_config(_config(script_location))
    with _connection(database_url) as connection:
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


def pending(database_url: str, script_location: str | Path) -> bool:
    """Whether a database lacks revisions (or does not exist). Blocks, as `migrate` does; changes nothing."""
    url = sa.make_url(database_url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        return True
    with _connection(database_url) as connection:
        return not _is_current(connection, ScriptDirectory.from_config(_config(script_location)))


def run_revisions() -> None:
    """What a service's `env.py` does: run the revisions on the connection that `migrate` opened."""
    context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
    context.run_migrations()


def create_log_tables(op: ModuleType) -> None:
    """Create the tables of the kernel: the log, its heads, and what is written in the same transaction."""
    op.create_table(
        "events",
        sa.Column("position", _integer, primary_key=True, autoincrement=False),
        sa.Column("stream", _text, nullable=False),
        sa.Column("version", _integer, nullable=False),
        sa.Column("sequence", _integer, nullable=False),
        sa.Column("id", _text, nullable=False),
        sa.Column("type", _text, nullable=False),
        sa.Column("schema", _integer, nullable=False),
        sa.Column("source", _text, nullable=False),
        sa.Column("subject", _text, nullable=False),
        sa.Column("time", _text, nullable=False),
        sa.Column("actor", _text, nullable=False),
        sa.Column("correlation_id", _text, nullable=False),
        sa.Column("causation_id", _text, nullable=False),
        sa.Column("policy", _text, nullable=False),
        sa.Column("traceparent", _text, nullable=False),
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
        sa.Column("stream", _text, primary_key=True),
        sa.Column("version", _integer, nullable=False),
        sa.Column("sequence", _integer, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "inbox",
        sa.Column("source", _text, primary_key=True),
        sa.Column("stream", _text, primary_key=True),
        sa.Column("sequence", _integer, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "checkpoints",
        sa.Column("consumer", _text, primary_key=True),
        sa.Column("source", _text, primary_key=True),
        sa.Column("position", _integer, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "answers",
        sa.Column("key", _text, primary_key=True),
        sa.Column("request_hash", sa.LargeBinary, nullable=False),
        sa.Column("status", _integer, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("etag", _text, nullable=False),
        sa.Column("created_at", _text, nullable=False),
    )


def _config(script_location: str | Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(script_location).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


@contextmanager
def _connection(database_url: str) -> Iterator[sa.Connection]:
    url = sa.make_url(database_url)
    url = url.set(drivername=_SYNC_DRIVERS.get(url.drivername, url.drivername))
    # The driver's own transactions leave table changes out: a crash would leave half a migration. See
    # _begin_alone.
    arguments = {"isolation_level": None, "timeout": 30} if url.get_backend_name() == "sqlite" else {}
    engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args=arguments)
    with engine.connect() as connection:
        yield connection


def _begin_alone(connection: sa.Connection) -> None:
    """Begin a transaction that keeps out every other process that migrates."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _is_current(connection: sa.Connection, scripts: ScriptDirectory) -> bool:
    return set(MigrationContext.configure(connection).get_current_heads()) == set(scripts.get_heads())
