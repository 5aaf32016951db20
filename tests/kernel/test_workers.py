"""Several processes at work on one database."""

import asyncio
import os
from pathlib import Path

from services.kernel.event_store import EventStore
from services.kernel.sqlite_store import SqliteStore
from services.kernel.workers import workers
from tests.kernel.store_contract import decode
from tests.kernel.toy import url_of


async def who(store: EventStore) -> int:
    """Which process does it; it takes a moment."""
    await asyncio.sleep(0.02)
    assert await store.head_position() == 0
    return os.getpid()


async def test_this_process_begins_and_others_join(tmp_path: Path) -> None:
    """Nobody waits for processes to begin: work that is done before they have, is done by this one."""
    url = url_of(tmp_path / "log.db")
    store = SqliteStore(url, decode)
    with workers(store, url, 2, decode) as both:
        assert await both.run(who) == os.getpid()
        at_work: set[int] = set()
        async with asyncio.timeout(30):
            while len(at_work) < 2:
                at_work |= {*await asyncio.gather(both.run(who), both.run(who))}
    await store.close()
