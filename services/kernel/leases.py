"""Leases for work that one process does until it is done: taken, kept alive meanwhile, and given back.

A lease only says who should work; what must not be done twice needs a claim as well (decision 5).
"""

import asyncio
import os
import socket
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from services.kernel.event_store import EventStore, StoreError

#: How long a lease is good for, by the database's clock: whoever dies is missed for so long.
LEASE_SECONDS: Final = 5.0
#: How often it is prolonged, and how often others look whether it was.
RENEW_SECONDS: Final = 1.0


class LeaseHeld(Exception):
    """Somebody else (`holder`) does what this lease (`lease`) is for."""

    def __init__(self, lease: str, holder: str) -> None:
        super().__init__(f"{lease} is held by {holder}")
        self.lease, self.holder = lease, holder


def holder_named(name: str) -> str:
    """Whom others read of: a person, and the process that works for them."""
    return f"{name} ({socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]})"


@asynccontextmanager
async def holding(store: EventStore, lease: str, holder: str) -> AsyncIterator[None]:
    """Hold a lease while the block runs; that of a dead holder is waited for.

    Raises `LeaseHeld`, `StoreUnavailable`.
    """
    await _take(store, lease, holder)
    keeping = asyncio.create_task(_keep(store, lease, holder), name=f"lease:{lease}")
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.wait([keeping])
        with suppress(StoreError):
            await store.let_go(lease, holder)


async def is_free(store: EventStore, lease: str) -> bool:
    """Whether nobody holds a lease at this moment; raises `StoreUnavailable`."""
    asking = holder_named("")
    free = await store.hold(lease, asking, RENEW_SECONDS)
    if free:
        await store.let_go(lease, asking)
    return free


async def _take(store: EventStore, lease: str, holder: str) -> None:
    """Whoever lives prolongs the lease; the lease of a dead one runs out."""
    before = None
    while not await store.hold(lease, holder, LEASE_SECONDS):
        held = await _held(store, lease)
        if before is not None and held is not None and held["expires_at"] > before["expires_at"]:
            raise LeaseHeld(lease, held["holder"])
        before = before or held
        await asyncio.sleep(RENEW_SECONDS / 2)


async def _held(store: EventStore, lease: str) -> dict[str, Any] | None:
    rows = await store.query("SELECT holder, expires_at FROM leases WHERE name = ?", (lease,))
    return rows[0] if rows else None


async def _keep(store: EventStore, lease: str, holder: str) -> None:
    while True:
        await asyncio.sleep(RENEW_SECONDS)
        with suppress(StoreError, TimeoutError):  # tried again before it runs out
            await store.hold(lease, holder, LEASE_SECONDS)
