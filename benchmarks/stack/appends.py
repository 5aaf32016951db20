"""The append path alone, from two processes at once, beside one-row commits on as many connections."""

import asyncio
import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import msgspec

from benchmarks.figures import Figure, Report, interleaved
from benchmarks.processes import environment
from benchmarks.sizes import Sizes
from benchmarks.stack.append_process import Job, Kind, Played
from benchmarks.stack.servers import Servers, Shop

SECTION = "appends"
Process: TypeAlias = "subprocess.Popen[bytes]"
PROCESSES = 2
#: Appends under way in each process; connections of the peer.
EACH = 32

_PEER_TABLES = """
CREATE TABLE blobs (id bigserial PRIMARY KEY, body bytea NOT NULL);
CREATE TABLE rows (LIKE events INCLUDING ALL);
"""
_LOG = """SELECT count(*) AS events, min(position) AS first, max(position) AS last, count(DISTINCT stream) AS streams,
    bool_and(version = place AND sequence = place) AS in_order
FROM (SELECT *, row_number() OVER (PARTITION BY stream ORDER BY position) AS place FROM events) AS log
"""


class Log(msgspec.Struct, frozen=True):
    """What a log looks like afterwards. `in_order`: the events of each stream stand in the order of their versions."""

    events: int
    first: int
    last: int
    streams: int
    in_order: bool

    @property
    def sound(self) -> bool:
        """Whether positions are dense and order was kept."""
        return self.in_order and (self.first, self.last) == (1, self.events)


class Appending:
    """Processes that append to one database, all at once."""

    def __init__(self, shop: Shop, processes: Sequence[Process], kind: Kind, count: int) -> None:
        self._processes = processes
        self._url = shop.databases.url_of("cases")
        self._kind = kind
        self._count = count
        self.appended = 0
        self.played: list[Played] = []

    def per_second(self) -> float:
        """Append `count` events or rows."""
        run = secrets.token_hex(4)
        each = self._count // PROCESSES // EACH
        for number, one in enumerate(self._processes):
            _write(one, Job(self._kind, self._url, f"{run}p{number}-", EACH, each))
        for one in self._processes:
            _read(one, str)
        for one in self._processes:
            _write(one, "go")
        self.played = [_read(one, Played) for one in self._processes]
        self.appended += PROCESSES * EACH * each
        began, ended = min(one.began for one in self.played), max(one.ended for one in self.played)
        return PROCESSES * EACH * each / (ended - began)


def run(servers: Servers, report: Report, folder: Path, sizes: Sizes) -> None:
    """Measure beside one-row commits of the same bytes, and look at the log afterwards."""
    report.section(f"Append path alone ({PROCESSES} processes, {EACH} concurrent appends each, one event each)")
    with servers.shop(broker=False) as shop, appending() as processes:
        asyncio.run(_execute(shop, _PEER_TABLES))
        kinds: tuple[Kind, ...] = ("events", "blobs", "rows")
        ours, blobs, rows = (Appending(shop, processes, kind, sizes.appends) for kind in kinds)
        appends, in_blobs, in_rows = interleaved(sizes.rounds, ours.per_second, blobs.per_second, rows.per_second)
        peer = f"one-row commits, {PROCESSES * EACH} connections"
        report.add(Figure(SECTION, "appends", "commits/s", appends, peer, in_blobs, 1.5))
        report.add(Figure(SECTION, "appends", "commits/s", appends, f"{peer}, indexes as ours", in_rows))
        log = asyncio.run(_log(shop))
        if not log.sound or log.events != ours.appended:
            raise RuntimeError(f"{ours.appended} events were appended, the log is not sound: {log}")
        report.note(SECTION, f"{log.events:,} events in {log.streams:,} streams: positions dense, order kept")
        _explain(report, shop, ours, blobs)


def _explain(report: Report, shop: Shop, ours: Appending, blobs: Appending) -> None:
    for kind, one in (("events", ours), ("one-row commits", blobs)):
        before = one.appended
        with shop.spending([]) as spending:
            one.per_second()
        seconds = max(played.ended for played in one.played) - min(played.began for played in one.played)
        loops = " and ".join(f"{played.cpu_seconds / seconds:.0%}" for played in one.played)
        server = 1e6 * spending.seconds["PostgreSQL"] / (one.appended - before)
        report.note(SECTION, f"{kind}: event loops busy {loops}, PostgreSQL {server:.0f} µs of processor time for each")


async def _execute(shop: Shop, sql: str) -> None:
    connection = await asyncpg.connect(shop.databases.url_of("cases"))
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


async def _log(shop: Shop) -> Log:
    connection = await asyncpg.connect(shop.databases.url_of("cases"))
    try:
        return Log(**await connection.fetchrow(_LOG))
    finally:
        await connection.close()


@contextmanager
def appending() -> Iterator[Sequence[Process]]:
    """Processes that append what they are told to."""
    command = [sys.executable, "-m", "benchmarks.stack.append_process"]
    with ExitStack() as stack:
        processes = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment())
            for _ in range(PROCESSES)
        ]
        for one in processes:
            stack.callback(one.communicate, timeout=60)  # ends its standard input, and so the process
        yield processes


def _write(process: Process, what: Any) -> None:
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(what) + b"\n")
    process.stdin.flush()


def _read(process: Process, what: Any) -> Any:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("the process that appends has stopped")
    return msgspec.json.decode(line, type=what)
