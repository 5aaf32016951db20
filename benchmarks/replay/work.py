"""Goes through a whole log in a process of its own, in turn with reading the same rows raw, or with the library.

It is told `DATA_DIR DATABASE_URL EVENTS ROUNDS WORK…`, and writes what was `Worked` to standard output.
"""

import asyncio
import resource
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, closing
from functools import cache, partial
from pathlib import Path
from typing import Final, TypeAlias

import asyncpg
import msgspec
from sqlalchemy import make_url

from benchmarks.figures import Rounds
from benchmarks.peers.library import Replaying, on_postgres, on_sqlite
from benchmarks.replay.fill import EVENTS_PER_ORDER
from benchmarks.replay.folding import folded_by
from benchmarks.replay.rebuilding import ready
from contracts.registry import decode
from services.kernel.event_store import PAGE_RECORDS
from services.kernel.ledger import EVENT_COLUMNS
from services.kernel.long_work import told_nobody
from services.kernel.proof import Proven, prove
from services.kernel.proof.workers import workers
from services.kernel.settings import Settings, load_settings
from services.kernel.stores import open_store
from services.kernel.workers import AHEAD

#: Goes through events and gives their number.
Work: TypeAlias = Callable[[], Awaitable[int]]
#: Gets ready to go through the log of the cases service, which has so many events, and gives what is measured.
Ready: TypeAlias = Callable[[Settings, int], AbstractAsyncContextManager[Work]]


class Worked(msgspec.Struct, frozen=True):
    """Events per second of each round, by what was done; the most memory that the process, or one of those that it
    began, ever had."""

    rates: dict[str, list[float]]
    memory_mb: float

    def rounds(self, work: str) -> Rounds:
        """What was measured of one."""
        return Rounds(tuple(self.rates[work]))


@asynccontextmanager
async def _raw(settings: Settings, events: int) -> AsyncIterator[Work]:
    """All columns, as they stand, in the order of streams, with the plain driver; nothing is done with them."""
    url = settings.database_of("cases")
    sql = f"SELECT {', '.join(EVENT_COLUMNS)} FROM events ORDER BY stream, version"
    if make_url(url).get_backend_name() == "sqlite":
        with closing(sqlite3.connect(make_url(url).database or "")) as database:
            yield partial(_raw_sqlite, database, sql)
    else:
        connection = await asyncpg.connect(url)
        yield partial(_raw_postgres, connection, sql)
        await connection.close()


async def _raw_sqlite(database: sqlite3.Connection, sql: str) -> int:
    return sum(1 for _ in database.execute(sql))


async def _raw_postgres(connection: asyncpg.Connection, sql: str) -> int:
    seen = 0
    async with connection.transaction():
        rows = await connection.cursor(sql)
        while page := await rows.fetch(PAGE_RECORDS):
            seen += len(page)
    return seen


@asynccontextmanager
async def _fold(processes: int, settings: Settings, events: int) -> AsyncIterator[Work]:
    """Every order's file, one after another."""
    url = settings.database_of("cases")
    store = open_store(url, decode)
    await store.head_position()  # opens the connection
    yield partial(folded_by, processes, store, url)
    await store.close()


@asynccontextmanager
async def _verify(processes: int, settings: Settings, events: int) -> AsyncIterator[Work]:
    """As `aftersales verify --workers` does."""
    url = settings.database_of("cases")
    store = open_store(url, decode)
    await store.head_position()

    async def verify() -> int:
        if processes == 1:
            proof = await prove(store, Proven.nothing(events))
        else:
            with workers(store, url, processes) as by:
                proof = await prove(store, Proven.nothing(events), by=by, ahead=processes * AHEAD)
        return 0 if proof.broken else proof.records

    yield verify
    await store.close()


@asynccontextmanager
async def _rebuild(processes: int, settings: Settings, events: int) -> AsyncIterator[Work]:
    """All read tables, beside the live ones, which they are compared with; those are filled first."""
    async with ready(settings) as rebuild:
        await rebuild(1, told_nobody)
        yield partial(rebuild, processes, told_nobody)


@asynccontextmanager
async def _library(by_log: bool, settings: Settings, events: int) -> AsyncIterator[Work]:
    """As many events of the same size (`LIBRARY_EVENTS` at most), in aggregates as long as an order's file."""
    url = settings.database_of("cases")
    library = _replaying(url, min(events, LIBRARY_EVENTS), await _bytes_each(url))

    async def replay() -> int:
        return library.by_log() if by_log else library.by_aggregate()

    yield replay
    library.close()
    _replaying.cache_clear()


@cache
def _replaying(url: str, events: int, bytes_each: int) -> Replaying:
    """Written once, beside the log."""
    sqlite = make_url(url).get_backend_name() == "sqlite"
    app = on_sqlite(Path(make_url(url).database or "").with_name("library.db")) if sqlite else on_postgres(url)
    return Replaying(app, events, EVENTS_PER_ORDER, bytes_each)


async def _bytes_each(url: str) -> int:
    store = open_store(url, decode)
    [row] = await store.query("SELECT sum(length(data)) AS bytes, count(*) AS events FROM events")
    await store.close()
    return int(row["bytes"] / row["events"])


#: The library is given no more: to write them takes it long.
LIBRARY_EVENTS: Final = 100_000
RAW: Final = "raw rows, bare driver"
FOLD: Final = "fold"
FOLD_BY_TWO: Final = "fold, two workers"
VERIFY: Final = "verify"
VERIFY_BY_TWO: Final = "verify, two workers"
REBUILD: Final = "rebuild"
REBUILD_BY_TWO: Final = "rebuild, two workers"
LIBRARY: Final = "eventsourcing, into aggregates"
LIBRARY_LOG: Final = "eventsourcing, its log into aggregates"
_WORKS: Final[Mapping[str, Ready]] = {
    RAW: _raw,
    FOLD: partial(_fold, 1),
    FOLD_BY_TWO: partial(_fold, 2),
    VERIFY: partial(_verify, 1),
    VERIFY_BY_TWO: partial(_verify, 2),
    REBUILD: partial(_rebuild, 1),
    REBUILD_BY_TWO: partial(_rebuild, 2),
    LIBRARY: partial(_library, False),
    LIBRARY_LOG: partial(_library, True),
}


async def measure(settings: Settings, events: int, rounds: int, names: Sequence[str]) -> Worked:
    """In turn, round after round, so that what else the machine does hits all of them."""
    rates: dict[str, list[float]] = {name: [] for name in names}
    async with AsyncExitStack() as stack:
        works = {name: await stack.enter_async_context(_WORKS[name](settings, events)) for name in names}
        for _ in range(rounds):
            for name, work in works.items():
                began = time.perf_counter()
                seen = await work()
                rates[name].append(seen / (time.perf_counter() - began))
                if seen < min(events, LIBRARY_EVENTS):
                    raise RuntimeError(f"{name}: {seen} of {events} events were gone through")
    peaks = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return Worked(rates, max(peaks))


def main() -> None:
    """Read the command line, work, and write what was measured."""
    _, data_dir, database_url, events, rounds, *names = sys.argv
    settings = load_settings({}, data_dir=data_dir, database_url=database_url)
    worked = asyncio.run(measure(settings, int(events), int(rounds), names))
    sys.stdout.buffer.write(msgspec.json.encode(worked))


if __name__ == "__main__":
    main()
