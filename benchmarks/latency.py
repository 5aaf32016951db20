"""How long a command takes on order files of different length, in memory and folded anew (no HTTP, one at a time)."""

import asyncio
import time
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, Report, Rounds, percentile
from benchmarks.history import append, events, prepared
from benchmarks.sizes import Sizes
from contracts.policy import load_policy
from contracts.registry import decode
from services.cases.domain.domain import CasesDomain
from services.kernel.actor import Actor
from services.kernel.appender import Appender
from services.kernel.clock import SystemClock
from services.kernel.files import Files, Origin
from services.kernel.sqlite_store import SqliteStore

SECTION = "latency"
_ORIGIN = Origin(Actor("agent", "小李"), "4bf92f3577b34da6a3ce929d0e0e4736")
_BODY = {"kind": "cash", "amount_fen": 1000}


def run(report: Report, folder: Path, sizes: Sizes) -> None:
    """Measure all lengths in turn, file by file, warm and cold."""
    report.section("Command latency by the length of the order file (every third event a proposal of its own)")
    folder.mkdir(parents=True, exist_ok=True)
    measured = asyncio.run(_measure(prepared(folder), sizes))
    for state in ("warm", "cold"):
        shortest = Rounds((percentile(measured[sizes.file_events[0], state], 0.5),))
        for count in sizes.file_events:
            seen = measured[count, state]
            name = f"{count:,} events, {state} (p99 {percentile(seen, 0.99):.2f} ms)"
            aim = 2 if state == "warm" else 0.0
            ours = Rounds((percentile(seen, 0.5),))
            report.add(Figure(SECTION, name, "ms", ours, f"{sizes.file_events[0]} events", shortest, aim, at_most=True))
    report.note(SECTION, "warm: one commit and its flush to disk, whatever the length; cold: read and folded before")


async def _measure(url: str, sizes: Sizes) -> dict[tuple[int, str], list[float]]:
    store = SqliteStore(url, decode)
    appender = Appender(store)
    files: Files[Any] = Files(CasesDomain(load_policy(None)), store, appender, SystemClock())
    streams = {count: [f"TB{count}x{n}" for n in range(sizes.files)] for count in sizes.file_events}
    for count, names in streams.items():
        for stream in names:
            await append(store, stream, events(count, stream, proposals=count))
    seen: dict[tuple[int, str], list[float]] = {
        (count, state): [] for count in sizes.file_events for state in ("warm", "cold")
    }
    for n in range(sizes.files):
        for count in sizes.file_events:
            stream = streams[count][n]
            await files.forget()
            seen[count, "cold"].append(await _command(files, stream))
            seen[count, "warm"] += [await _command(files, stream) for _ in range(sizes.file_commands)]
    await appender.close()
    await store.close()
    return seen


async def _command(files: Files[Any], stream: str) -> float:
    began = time.perf_counter()
    await files.command(stream, f"{stream}-1", "propose_compensation", _BODY, _ORIGIN)
    return (time.perf_counter() - began) * 1000
