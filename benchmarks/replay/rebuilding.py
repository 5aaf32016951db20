"""Rebuilding the read tables of a cases service; as a process, again and again, while another one is at work.

The process is told the data folder and the address of the databases. It says when it begins, and in the end of standard
input how many events it went through.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

from services import rebuilding
from services.kernel.long_work import CalledOff, Tell, give_way, told_nobody
from services.kernel.settings import Settings, load_settings

#: Builds all read tables by so many processes beside the live ones, which are replaced where they differ; gives the
#: number of events.
Rebuild: TypeAlias = Callable[[int, Tell], Awaitable[int]]


@asynccontextmanager
async def ready(settings: Settings) -> AsyncIterator[Rebuild]:
    """As `aftersales rebuild` does it for the cases service."""
    async with rebuilding.services_of(settings) as services:
        service = services["cases"]
        tables = rebuilding.tables_by_service(services)["cases"]

        async def rebuild(processes: int, tell: Tell = told_nobody) -> int:
            outcome = await rebuilding.rebuilt(
                settings, service, tables, "benchmark", swap=True, processes=processes, tell=tell
            )
            return outcome.records

        yield rebuild


async def _again_and_again(settings: Settings) -> None:
    before, since = 0, 0

    async def tell(done: int, total: int) -> None:
        nonlocal since
        since = done
        if _ended():
            raise CalledOff

    async with ready(settings) as rebuild:
        print("begins", flush=True)
        try:
            while True:
                before += await rebuild(1, tell)
                since = 0
        except CalledOff:
            print(before + since)


def _ended() -> bool:
    """Whether standard input has ended."""
    try:
        return os.read(sys.stdin.fileno(), 1) == b""
    except BlockingIOError:
        return False


def main() -> None:
    """Read the command line and rebuild."""
    _, data_dir, database_url = sys.argv
    give_way()
    os.set_blocking(sys.stdin.fileno(), False)
    asyncio.run(_again_and_again(load_settings({}, data_dir=data_dir, database_url=database_url)))


if __name__ == "__main__":
    main()
