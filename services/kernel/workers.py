"""Several processes that work on one database: a Python process uses one processor, however many there are."""

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.util import Finalize
from typing import Any, Final, TypeAlias, TypeVar

from services.kernel.event_store import Decode, EventStore
from services.kernel.stores import open_store

T = TypeVar("T")

Work: TypeAlias = Callable[[EventStore], Awaitable[T]]
AHEAD: Final = 2
"""Pieces of work for each worker that are given out before they are waited for, so that none is idle."""
RECORDS_FOR_EACH: Final = 50_000
"""A process takes about as long to begin as it takes to work through so many records."""
BUSY_SECONDS: Final = 30.0
"""How long a worker waits for its turn to write."""


class WorkerLost(Exception):
    """A worker process ended before its work was done: killed, or out of memory."""


def fitting(records: int) -> int:
    """How many processes suit so many records on this machine."""
    return max(1, min(os.cpu_count() or 1, records // RECORDS_FOR_EACH))


class Workers:
    """This process and others, whoever is free takes what is to be done next: this one from the start, the others once
    they have begun."""

    def __init__(self, store: EventStore, others: ProcessPoolExecutor, number: int) -> None:
        """`number`: how many others there are."""
        self._store = store
        self._others = others
        self._free: asyncio.Queue[Callable[[Work[Any]], Awaitable[Any]]] = asyncio.Queue()
        self._free.put_nowait(self._here)
        loop = asyncio.get_running_loop()
        for _ in range(number):
            begun = others.submit(_begun)
            begun.add_done_callback(lambda _: loop.call_soon_threadsafe(self._free.put_nowait, self._elsewhere))

    async def run(self, work: Work[T]) -> T:
        """What is made of a store on the database, as soon as somebody is free. `work` is a function of a module, or a
        `partial` of one. Raises what it does, and WorkerLost."""
        taker = await self._free.get()
        try:
            done: T = await taker(work)
            return done
        finally:
            self._free.put_nowait(taker)

    async def _here(self, work: Work[T]) -> T:
        return await work(self._store)

    async def _elsewhere(self, work: Work[T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._others, _run, work)
        except BrokenProcessPool as lost:
            raise WorkerLost(str(lost)) from lost


@contextmanager
def workers(store: EventStore, database_url: str, number: int, decode: Decode) -> Iterator[Workers]:
    """So many processes, more than one: this one with its store, and others, each with a store of its own on the same
    database. The others end with the block, and with this process however it ends."""
    spawn = multiprocessing.get_context("spawn")  # nothing of an event loop or a connection is copied
    others = ProcessPoolExecutor(number - 1, spawn, initializer=_begin, initargs=(database_url, decode))
    try:
        yield Workers(store, others, number - 1)
    finally:
        others.shutdown(cancel_futures=True)


# From here on everything runs in a worker.


class _Here:
    runner: asyncio.Runner
    store: EventStore


def _begin(database_url: str, decode: Decode) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; whoever waits for us decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _Here.runner = asyncio.Runner()
    _Here.store = open_store(database_url, decode, readers=1, busy_timeout_s=BUSY_SECONDS)
    Finalize(None, _end, exitpriority=1)


def _begun() -> None:
    """Done as soon as a worker does anything."""


def _run(work: Callable[[EventStore], Any]) -> Any:
    return _Here.runner.run(work(_Here.store))


def _end() -> None:
    _Here.runner.run(_Here.store.close())
    _Here.runner.close()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
