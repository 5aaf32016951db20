"""A process that appends: through the appender, or one row and one commit at a time as plain asyncpg does.

Each `Job` comes as a line on standard input. It says when it is ready, begins when another line comes, and says what it
`Played`.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Literal

import asyncpg
import msgspec

from benchmarks.appends import plan
from benchmarks.history import stored_bytes
from contracts.registry import decode
from services import loop
from services.garbage import spare_collector
from services.kernel.appender import Appender
from services.kernel.event_store import Commit
from services.kernel.ledger import EVENT_COLUMNS, Ledger, Row
from services.kernel.postgres.store import PostgresStore

#: Through the appender; a row of the same bytes; the same row into the same indexes.
Kind = Literal["events", "blobs", "rows"]


class Job(msgspec.Struct, frozen=True):
    """What to append where: `each` times on each of the streams, or connections, side by side."""

    kind: Kind
    url: str
    prefix: str
    streams: int
    each: int


class Played(msgspec.Struct, frozen=True):
    """When it began and ended, by the clock that all processes share, and the processor time of it."""

    began: float
    ended: float
    cpu_seconds: float


async def run(job: Job) -> None:
    """Get ready, wait, append."""
    plans = [plan(f"{job.prefix}{n}", job.each) for n in range(job.streams)]
    if job.kind == "events":
        await _append(job, plans)
    else:
        await _insert(job, plans)


async def _append(job: Job, plans: Sequence[list[Commit]]) -> None:
    store = PostgresStore(job.url, decode)
    appender = Appender(store)
    await store.head_position()

    async def play(commits: Sequence[Commit]) -> None:
        for commit in commits:
            await appender.submit(commit)

    await _measured([partial(play, one) for one in plans])
    await appender.close()
    await store.close()


async def _insert(job: Job, plans: Sequence[list[Commit]]) -> None:
    connections = [await asyncpg.connect(job.url) for _ in plans]
    if job.kind == "blobs":
        sql, body = "INSERT INTO blobs (body) VALUES ($1)", stored_bytes()
        rows: list[list[Row]] = [[(body,) for _ in one] for one in plans]
    else:
        columns = [name for name in EVENT_COLUMNS if name != "position"]
        places = ", ".join(f"${n + 1}" for n in range(len(columns)))
        # Positions from a sequence: order and density are not the peer's concern.
        sql = f"INSERT INTO rows ({', '.join(columns)}, position) VALUES ({places}, nextval('blobs_id_seq'))"
        rows = [_rows(one) for one in plans]
    prepared = [await connection.prepare(sql) for connection in connections]

    async def play(statement: Any, own: Sequence[Row]) -> None:
        for row in own:
            await statement.fetch(*row)

    works = zip(prepared, rows, strict=True)
    await _measured([partial(play, statement, own) for statement, own in works])
    for connection in connections:
        await connection.close()


def _rows(commits: Sequence[Commit]) -> list[Row]:
    ledger = Ledger(0, {}, {}, {}, {})
    for commit in commits:
        ledger.admit(commit)
    at = EVENT_COLUMNS.index("position")
    return [(*row[:at], *row[at + 1 :]) for row in ledger.events]


async def _measured(works: Sequence[Callable[[], Awaitable[None]]]) -> None:
    spare_collector()
    _tell("ready")
    sys.stdin.readline()
    began, cpu = time.monotonic(), time.process_time()
    await asyncio.gather(*(work() for work in works))
    _tell(Played(began, time.monotonic(), time.process_time() - cpu))


def _tell(value: Any) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(value) + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    """Do what is asked, until nobody asks any more."""
    while line := sys.stdin.readline():
        loop.run(run(msgspec.json.decode(line, type=Job)))


if __name__ == "__main__":
    main()
