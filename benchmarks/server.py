"""A server to be measured, in a process of its own: aftersales as `serve` runs it, or a bare aiohttp handler.

It writes where it listens, then obeys lines on standard input: `begin` starts the counters (and the profiler, with
`--profile`), `end` writes a `Spent`, `drained` answers when all consumers caught up, and the end of input stops it.
"""

import argparse
import asyncio
import cProfile
import resource
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from benchmarks.peers.bare_handler import bare_app
from benchmarks.processor import loop_shares, thread_seconds
from services import loop
from services.catalogue import SERVICES
from services.embedded import Embedded
from services.garbage import spare_collector
from services.kernel import logging
from services.kernel.actor import Actor
from services.kernel.settings import Settings, load_settings


class Started(msgspec.Struct):
    """Where a server listens, and a token that it accepts."""

    host: str
    port: int
    token: str


class Spent(msgspec.Struct):
    """Processor seconds between `begin` and `end`, by thread, and how the event loop's share was spent."""

    loop_seconds: float
    sql_seconds: float
    memory_mb: float
    shares: dict[str, float] = {}


class Counters:
    """What this process spends."""

    def __init__(self, profile: bool) -> None:
        self._profiler = cProfile.Profile() if profile else None
        self._at = (0.0, 0.0)

    def begin(self) -> None:
        """Count from here."""
        self._at = thread_seconds()
        if self._profiler:
            self._profiler.enable()

    def end(self) -> Spent:
        """What was spent since `begin`."""
        if self._profiler:
            self._profiler.disable()
        loop, others = thread_seconds()
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        shares = loop_shares(self._profiler) if self._profiler else {}
        return Spent(loop - self._at[0], others - self._at[1], memory, shares)


async def aftersales(settings: Settings, only: tuple[str, ...]) -> tuple[Started, Callable[[], Awaitable[Any]], Any]:
    """The services in one process."""
    logging.set_up("error", "json")
    embedded = Embedded(settings, only=only)
    await embedded.start()
    spare_collector()
    host, port = embedded.base_url.removeprefix("http://").split(":")
    token = embedded.token(Actor("agent", "小李"), timedelta(days=1))
    return Started(host, int(port), token), embedded.stop, embedded.settle


async def bare() -> tuple[Started, Callable[[], Awaitable[Any]], Any]:
    """The peer."""
    runner = web.AppRunner(bare_app(), access_log=None, handle_signals=False)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]

    async def nothing() -> None:
        return None

    return Started(host, port, "none"), runner.cleanup, nothing


async def run(kind: str, settings: Settings, only: tuple[str, ...], profile: bool) -> None:
    """Serve until standard input ends."""
    started, stop, settle = await (bare() if kind == "bare" else aftersales(settings, only))
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    counters = Counters(profile)
    _tell(started)
    while line := (await lines.readline()).strip():
        if line == b"begin":
            counters.begin()
            _tell("began")
        elif line == b"end":
            _tell(counters.end())
        elif line == b"drained":
            await settle()
            _tell("drained")
    await stop()


def _tell(value: Any) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(value) + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("aftersales", "bare"))
    parser.add_argument("--data-dir", type=Path, default=Path("."))
    parser.add_argument("--database-url", default="", help="empty: files in the data folder")
    parser.add_argument("--only", default=",".join(SERVICES))
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    settings = load_settings({}, data_dir=given.data_dir, database_url=given.database_url, port=0)
    loop.run(run(given.kind, settings, tuple(given.only.split(",")), given.profile))


if __name__ == "__main__":
    main()
