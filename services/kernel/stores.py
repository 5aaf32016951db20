"""Which event store a database URL means."""

import sqlite3
from typing import Any, Final

import asyncpg
from sqlalchemy import make_url

from services.kernel.event_store import Decode, EventStore
from services.kernel.postgres.store import PostgresStore
from services.kernel.sqlite_store import SqliteStore

#: What databases say themselves, where a store hands it on.
DATABASE_ERRORS: Final = (sqlite3.Error, asyncpg.PostgresError)


def open_store(database_url: str, decode: Decode, **options: Any) -> EventStore:
    """The store on a database: `sqlite:///file` or `postgresql://user:password@host/database`, with a driver named or
    not. Options are those of both stores (`readers`, `busy_timeout_s`, `read_only`). Raises ValueError for another
    kind."""
    store = SqliteStore if make_url(database_url).get_backend_name() == "sqlite" else PostgresStore
    return store(database_url, decode, **options)
