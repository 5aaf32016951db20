"""The append path alone: many concurrent appends through the appender, without HTTP and without rules."""

import asyncio
import time
from pathlib import Path

from benchmarks.figures import Figure, Report, interleaved
from benchmarks.history import events, prepared, record, stored_bytes
from benchmarks.peers import one_row_commits
from benchmarks.processor import thread_seconds
from benchmarks.sizes import Sizes
from contracts.registry import decode
from services.kernel.appender import Appender
from services.kernel.event_store import Append, Commit
from services.kernel.ledger import Ledger
from services.kernel.sqlite_store import SqliteStore

SECTION = "appends"
CONCURRENT = 64


class _Path:
    """Streams that are appended to, one event at a time each, side by side."""

    def __init__(self, folder: Path, count: int) -> None:
        self._url = prepared(folder)
        self._count = count
        self._rounds = 0
        self.loop_share = self.sql_share = 0.0

    def per_second(self) -> float:
        """Append `count` events to fresh streams."""
        self._rounds += 1
        return asyncio.run(self._measure())

    async def _measure(self) -> float:
        store = SqliteStore(self._url, decode)
        appender = Appender(store)
        plans = [plan(f"S{self._rounds}-{n}", self._count // CONCURRENT) for n in range(CONCURRENT)]
        loop, sql = thread_seconds()
        began = time.perf_counter()
        await asyncio.gather(*(_play(appender, plan) for plan in plans))
        seconds = time.perf_counter() - began
        loop_end, sql_end = thread_seconds()
        self.loop_share, self.sql_share = (loop_end - loop) / seconds, (sql_end - sql) / seconds
        await appender.close()
        await store.close()
        return sum(map(len, plans)) / seconds


def plan(stream: str, count: int) -> list[Commit]:
    """`count` commits, each of one more event of this stream."""
    [*_, event] = events(3, stream)
    return [Commit(appends=(Append(stream, version, [record(event, version)]),)) for version in range(count)]


async def _play(appender: Appender, plan: list[Commit]) -> None:
    for commit in plan:
        await appender.submit(commit)


def run(report: Report, folder: Path, sizes: Sizes) -> None:
    """Measure beside one-row commits of the same bytes."""
    report.section(f"Append path alone ({CONCURRENT} concurrent appends, one event each)")
    (folder / "ours").mkdir(parents=True)
    path = _Path(folder / "ours", sizes.appends)
    body = stored_bytes()
    rounds = iter(range(sizes.rounds))

    def one_row() -> float:
        own = folder / f"row{next(rounds)}"
        own.mkdir()
        return one_row_commits.commits_per_second(own, body, sizes.rows)

    ours, theirs = interleaved(sizes.rounds, path.per_second, one_row)
    report.add(Figure(SECTION, "appends", "commits/s", ours, "one-row commits, SQLAlchemy async", theirs, 10))
    ledger = _ledger_seconds(sizes.appends) * ours.median / sizes.appends
    waiting = max(0.0, 1 - path.loop_share - path.sql_share)
    report.note(
        SECTION,
        f"event loop {path.loop_share:.0%} of the time, database thread {path.sql_share:.0%} (ledger and hash chain "
        f"{ledger:.0%}, the rest SQL), disk and hand-over {waiting:.0%}",
    )


def _ledger_seconds(count: int) -> float:
    """What the ledger takes for so many appends, alone."""
    commits = plan("S", count)
    ledger = Ledger(0, {}, {}, {}, {})
    began = time.perf_counter()
    for commit in commits:
        ledger.admit(commit)
    return time.perf_counter() - began
