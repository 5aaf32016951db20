"""Several processes that walk one log: hashing is work for processors."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from services.kernel import workers as kernel
from services.kernel.event_store import EventStore
from services.kernel.proof.proving import Walk
from services.kernel.proof.walk import Walked, walk
from services.kernel.spans import Span


@contextmanager
def workers(store: EventStore, database_url: str, number: int) -> Iterator[Walk]:
    """So many processes, this one with its store among them; see `services.kernel.workers`. What they are asked raises
    WorkerLost, or what a store raises."""
    with kernel.workers(store, database_url, number, _undecoded) as pool:

        async def by_a_worker(span: Span, ends: tuple[int, ...]) -> Walked:
            return await pool.run(partial(walk, span=span, ends=ends))

        yield by_a_worker


def _undecoded(type: str, schema: int, data: bytes) -> Any:
    raise AssertionError("a proof reads bytes only")
