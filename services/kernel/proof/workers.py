"""Several processes that walk one log: hashing is work for processors, and a Python process uses one."""

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.util import Finalize
from typing import Any, Final

from services.kernel.event_store import EventStore
from services.kernel.proof.proving import Walk
from services.kernel.proof.walk import Span, Walked, walk
from services.kernel.stores import open_store

AHEAD: Final = 2
"""Spans for each worker that are given out before they are waited for, so that none is idle."""
RECORDS_FOR_EACH: Final = 50_000
"""A worker takes about as long to begin as it takes to check so many records."""


class WorkerLost(Exception):
    """A worker process ended before its work was done: killed, or out of memory."""


def fitting(records: int) -> int:
    """How many workers suit a log of so many records on this machine."""
    return max(1, min(os.cpu_count() or 1, records // RECORDS_FOR_EACH))


@contextmanager
def workers(database_url: str, number: int) -> Iterator[Walk]:
    """So many processes, each with a store of its own on the database. They end with the block, and with this process
    however it ends. What they are asked raises WorkerLost, or what a store raises."""
    spawn = multiprocessing.get_context("spawn")  # nothing of an event loop or a connection is copied
    pool = ProcessPoolExecutor(number, spawn, initializer=_begin, initargs=(database_url,))

    async def by_a_worker(span: Span, ends: tuple[int, ...]) -> Walked:
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, _walk, span, ends)
        except BrokenProcessPool as lost:
            raise WorkerLost(str(lost)) from lost

    try:
        yield by_a_worker
    finally:
        pool.shutdown(cancel_futures=True)


# From here on everything runs in a worker.


class _Here:
    runner: asyncio.Runner
    store: EventStore


def _begin(database_url: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; whoever waits for us decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _Here.runner = asyncio.Runner()
    _Here.store = open_store(database_url, _undecoded, readers=1)
    Finalize(None, _end, exitpriority=1)


def _walk(span: Span, ends: tuple[int, ...]) -> Walked:
    return _Here.runner.run(walk(_Here.store, span, ends))


def _end() -> None:
    _Here.runner.run(_Here.store.close())
    _Here.runner.close()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _undecoded(type: str, schema: int, data: bytes) -> Any:
    raise AssertionError("a proof reads bytes only")
