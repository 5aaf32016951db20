"""What bounds a figure: processor time by thread, and a profile by the part of the system that spent it."""

import cProfile
import os
import pstats
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

#: Part of a file's path → what it is; the first that fits counts. Built-ins are told by their name.
_PARTS = (
    ("/benchmarks/peers", "handler"),
    ("/services/kernel/http/", "http layer"),
    ("/services/kernel/intake", "validate"),
    ("/services/kernel/files", "unit of work"),
    ("/services/kernel/appender", "group commit"),
    ("/services/kernel/sqlite_store", "store"),
    ("/services/kernel/postgres/", "store"),
    ("/services/kernel/sql_reads", "store"),
    ("/services/kernel/event_store", "store"),
    ("/services/kernel/ledger", "ledger, hash"),
    ("/services/kernel/log.py", "records"),
    ("/services/kernel/log_reader", "consumers"),
    ("/services/kernel/hearing", "consumers"),
    ("/services/kernel/views", "read tables"),
    ("views.py", "read tables"),
    ("/domain/", "decide, evolve"),
    ("/contracts/", "encode, decode"),
    ("msgspec", "encode, decode"),
    ("/services/kernel/kafka/", "kafka code of ours"),
    ("/services/kernel/tracing", "tracing"),
    ("aiokafka", "kafka client"),
    ("aiosqlite", "driver"),
    ("sqlite3", "driver"),
    ("asyncpg", "driver"),
    ("sqlalchemy", "pool"),
    ("aiohttp", "aiohttp"),
    ("multidict", "aiohttp"),
    ("yarl", "aiohttp"),
    ("/asyncio/", "event loop"),
    ("asyncio", "event loop"),
    ("select.epoll", "waiting"),
    ("socket", "sockets"),
    ("/services/", "other services code"),
)


def thread_seconds(pid: int = 0) -> tuple[float, float]:
    """Processor seconds of a process's first thread (the event loop), and of all others (the database driver's); of
    this process unless another is named."""
    tick = os.sysconf("SC_CLK_TCK")
    pid = pid or os.getpid()
    seconds: dict[int, float] = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        with suppress(OSError):  # a thread may end while we look
            fields = Path(f"/proc/{pid}/task/{task}/stat").read_text().rpartition(")")[2].split()
            seconds[int(task)] = (int(fields[11]) + int(fields[12])) / tick
    loop = seconds.pop(pid, 0.0)
    return loop, sum(seconds.values())


def family_seconds(pid: int) -> float:
    """Processor seconds of a process and of those that it started itself, also those that have ended."""
    tick = os.sysconf("SC_CLK_TCK")
    children = Path(f"/proc/{pid}/task/{pid}/children")
    while True:
        there, seconds = children.read_text(), 0.0
        with suppress(OSError):
            for one in (pid, *there.split()):
                fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
                seconds += sum(int(field) for field in fields[11:15]) / tick
            if children.read_text() == there:  # else one that ended meanwhile would count twice, or not at all
                return seconds


def _part(file: str, name: str) -> str:
    place = name if file == "~" else file
    return next((part for text, part in _PARTS if text in place), "other python")


def loop_shares(profiler: cProfile.Profile) -> dict[str, float]:
    """Share of the profiled thread's busy time by part, largest first; time spent waiting for sockets left out."""
    seconds: dict[str, float] = defaultdict(float)
    stats = pstats.Stats(profiler).stats  # type: ignore[attr-defined]
    for (file, _, name), (_, _, own, _, _) in stats.items():
        seconds[_part(file, name)] += own
    seconds.pop("waiting", None)
    total = sum(seconds.values()) or 1.0
    return {part: own / total for part, own in sorted(seconds.items(), key=lambda one: -one[1])}
