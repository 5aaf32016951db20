"""Connections to a PostgreSQL server: SQLAlchemy opens, configures and pools them, asyncpg works on them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from asyncpg import Connection
from sqlalchemy import PoolProxiedConnection, event, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from services.kernel.event_store import StoreRefused, StoreUnavailable

T = TypeVar("T")

CONNECT_TIMEOUT_S = 5.0
"""How long a server that does not answer is waited for."""

COMMAND_TIMEOUT_S = 60.0
"""How long one statement may take; beyond, the network or the server is taken for lost."""

APPLICATION = "aftersales"
"""What our sessions are called at the server."""

OVERTAKEN = "AS001"
"""SQLSTATE of `admit` when a batch was judged by what is no longer so."""

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
LOST_CLASSES = {"08", "57"}
"""Errors after which it is open whether a transaction that was to end did so."""


class Overtaken(Exception):
    """Another process committed what this batch was not judged by."""


def connect_arguments(database_url: str) -> dict[str, Any]:
    """What the driver is told so that it reads a URL as every PostgreSQL client does (`sslmode`, `sslrootcert`, …)."""
    url = make_url(database_url).set(drivername="postgresql")
    return {"dsn": url.render_as_string(hide_password=False), "timeout": CONNECT_TIMEOUT_S}


def no_connection(error: Exception) -> StoreUnavailable:
    """What it means that a connection could not be opened."""
    code = sqlstate(error)
    refused = code[:2] in _REFUSED_CLASSES or code == _NO_RIGHT
    return (StoreRefused if refused else StoreUnavailable)(f"no connection to the database: {error or repr(error)}")


def engine(database_url: str, connections: int, settings: dict[str, str], prepare: str = "") -> AsyncEngine:
    """A pool of up to so many sessions with these server settings; `prepare` is run when one begins."""
    made = create_async_engine(
        "postgresql+asyncpg://",
        connect_args={
            **connect_arguments(database_url),
            "command_timeout": COMMAND_TIMEOUT_S,
            "server_settings": {"application_name": APPLICATION, "jit": "off", **settings},
        },
        # Transactions are begun and ended here by name, the pool adds none.
        pool_reset_on_return=None,
        pool_size=connections,
        max_overflow=0,
    )

    @event.listens_for(made.sync_engine, "connect")
    def prepare_session(connection: Any, _: object) -> None:
        if prepare:
            connection.run_async(lambda raw: raw.execute(prepare))

    return made


async def opened(engine: AsyncEngine) -> PoolProxiedConnection:
    """A connection of the pool that was not lost meanwhile, as far as one can know without asking."""
    try:
        while True:
            pooled = await engine.raw_connection()
            if not driver(pooled).is_closed():
                return pooled
            pooled.invalidate()
    except Exception as error:
        raise no_connection(error) from error


def driver(pooled: PoolProxiedConnection) -> Connection:
    """The connection that asyncpg knows."""
    connection: Any = pooled.driver_connection
    return connection


@asynccontextmanager
async def rolled_back(database: Connection) -> AsyncIterator[None]:
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


async def done(database: Connection, asked: Awaitable[T]) -> T:
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
        code = sqlstate(error)
        if code == OVERTAKEN:
            raise Overtaken from error
        if code[:2] in _REFUSED_CLASSES:
            raise StoreRefused(str(error)) from error
        if code[:2] in _UNAVAILABLE_CLASSES or code in _UNAVAILABLE or database.is_closed():
            raise StoreUnavailable(str(error) or repr(error)) from error
        raise


def sqlstate(error: BaseException | None) -> str:
    """PostgreSQL's five characters for what went wrong; empty for errors that it did not report."""
    return str(getattr(getattr(error, "orig", error), "sqlstate", None) or "")
