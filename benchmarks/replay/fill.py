"""Databases of the cases service with a long log: many orders, each with an eventful case, written in bulk.

Nothing goes through commands, but every row is what a command would have left: hashes that chain, dense positions, the
events of different orders in between each other, and the heads of all streams. Nobody is left to handle them; only the
read tables are empty, until they are rebuilt.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import count

import asyncpg
from sqlalchemy import make_url

from benchmarks.history import events, record
from services.kernel.event_store import Append, Commit
from services.kernel.ledger import EVENT_COLUMNS, Ledger, Row
from services.kernel.log import NewRecord
from services.kernel.views import Projector

#: Events of an order: its snapshot, a case about it, and three times over what its agent and buyer do.
EVENTS_PER_ORDER = 11
#: Orders that are worked on at the same time.
_ORDERS_AT_ONCE = 1000
_HEAD_COLUMNS = ("stream", "version", "sequence", "hash")
_CHECKPOINT_COLUMNS = ("consumer", "source", "position")
#: Who follows the log in the cases service itself.
_FOLLOWERS = (Projector.name, "cases-hears-cases")


async def fill(database_url: str, number: int) -> None:
    """Write so many events into an empty, migrated database."""
    if make_url(database_url).get_backend_name() == "sqlite":
        _fill_sqlite(database_url, number)
    else:
        await _fill_postgres(database_url, number)


def _fill_sqlite(database_url: str, number: int) -> None:
    database = sqlite3.connect(make_url(database_url).database or "")
    try:
        database.execute("PRAGMA synchronous = OFF")
        for log, heads in _rows(number):
            database.executemany(_insert("events", EVENT_COLUMNS), log)
            database.executemany(_insert("streams", _HEAD_COLUMNS), heads)
            database.commit()
        database.executemany(_insert("checkpoints", _CHECKPOINT_COLUMNS), _handled(number))
        database.commit()
        database.executescript("ANALYZE; PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        database.close()


async def _fill_postgres(database_url: str, number: int) -> None:
    database = await asyncpg.connect(database_url)
    try:
        for log, heads in _rows(number):
            await database.copy_records_to_table("events", records=log, columns=EVENT_COLUMNS)
            await database.copy_records_to_table("streams", records=heads, columns=_HEAD_COLUMNS)
        checkpoints = _handled(number)
        await database.copy_records_to_table("checkpoints", records=checkpoints, columns=_CHECKPOINT_COLUMNS)
        # Now, not by a process of the server while something is measured.
        await database.execute("VACUUM ANALYZE")
    finally:
        await database.close()


def _handled(number: int) -> list[Row]:
    return [(follower, "cases", number) for follower in _FOLLOWERS]


def _insert(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


def _rows(number: int) -> Iterator[tuple[list[Row], list[Row]]]:
    """Rows of the log and the heads of its streams, for some orders at a time."""
    position, orders = 0, count(1)
    while position < number:
        size = min(_ORDERS_AT_ONCE, -(-(number - position) // EVENTS_PER_ORDER))
        histories = dict(_history(next(orders)) for _ in range(size))
        ledger = Ledger(position, {}, {}, {}, {})
        turns = (
            Commit(appends=(Append(stream, version, [records[version]]),))
            for version in range(EVENTS_PER_ORDER)
            for stream, records in histories.items()
        )
        for commit in turns:
            if ledger.position < number:
                ledger.admit(commit)
        heads = ledger.moved_heads.values()
        yield ledger.events, [(head.stream, head.version, head.sequence, head.hash) for head in heads]
        position = ledger.position


def _history(number: int) -> tuple[str, list[NewRecord]]:
    stream = f"TB{number:010}"
    return stream, [record(event, at) for at, event in enumerate(events(EVENTS_PER_ORDER, stream))]
