"""Folds one history in a process of its own, in turn with reading the same rows raw and with the library.

`python -m benchmarks.fold_process URL EVENTS ROUNDS LIBRARY_EVENTS`
"""

import asyncio
import resource
import sqlite3
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import sqlalchemy as sa

from benchmarks.history import STREAM
from benchmarks.peers.library import LongHistory
from contracts.registry import decode
from services.cases.domain.file import OrderFile
from services.kernel.ledger import EVENT_COLUMNS
from services.kernel.sqlite_store import SqliteStore


class Folded(msgspec.Struct):
    """Events per second of each round, peak memory, and what share of the time each step takes."""

    ours: list[float]
    raw: list[float]
    library: list[float]
    memory_mb: float
    shares: dict[str, float]

    @property
    def micros(self) -> float:
        """Microseconds an event."""
        return 1e6 / statistics.median(self.ours)


async def _seconds(work: Callable[[], Awaitable[None]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


def _raw(path: str) -> float:
    """Read the rows, all columns, a row at a time, and do nothing with them."""
    database = sqlite3.connect(path)
    began = time.perf_counter()
    rows = database.execute(
        f"SELECT {', '.join(EVENT_COLUMNS)} FROM events WHERE stream = ? ORDER BY version", (STREAM,)
    )
    for _ in rows:
        pass
    seconds = time.perf_counter() - began
    database.close()
    return seconds


async def fold(url: str, count: int, rounds: int, library_events: int) -> Folded:
    """Fold as a service does when a file is not in memory: page by page."""
    store = SqliteStore(url, decode)
    path = sa.make_url(url).database or ""

    async def folding() -> None:
        file = OrderFile(STREAM)
        async for page in store.stream_pages(STREAM):
            for record in page:
                file.evolve(record)

    async def reading(decoded: bool) -> None:
        async for _ in store.stream_pages(STREAM, decode=decoded):
            pass

    await reading(True)  # opens the connection
    await folding()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    library = LongHistory(Path(path).parent, library_events)
    ours, raw, theirs = [], [], []
    for _ in range(rounds):
        ours.append(await _seconds(folding))
        raw.append(_raw(path))
        theirs.append(library.events_per_second())
    library.close()
    records = await _seconds(lambda: reading(False))
    decoded = await _seconds(lambda: reading(True))
    await store.close()
    whole = max(statistics.median(ours), decoded)
    steps = {
        "rows from SQLite": statistics.median(raw),
        "records, pages, thread hops": records - statistics.median(raw),
        "decode": decoded - records,
        "evolve": whole - decoded,
    }
    parts = {name: max(0.0, seconds) / whole for name, seconds in steps.items()}
    return Folded([count / one for one in ours], [count / one for one in raw], theirs, memory, parts)


def main() -> None:
    """Read the command line, fold, and write what was seen."""
    _, url, *numbers = sys.argv
    sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(fold(url, *map(int, numbers)))))


if __name__ == "__main__":
    main()
