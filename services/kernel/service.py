"""What a service is, wherever it runs: its rules, database, files and read tables, and whom its logs are followed by.

What one process does of it is put together elsewhere: all at once in `services/embedded.py`, by role in
`services/process.py`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Generic

import msgspec

from contracts.registry import decode
from services.kernel.appender import Appender
from services.kernel.clock import Clock
from services.kernel.decider import Domain, F
from services.kernel.event_store import EventStore, StoreUnavailable
from services.kernel.files import CACHED_FILES, Files
from services.kernel.freshness import Freshness
from services.kernel.gauges import Measure
from services.kernel.hearing import Hearing
from services.kernel.log_reader import BATCH_RECORDS, Handler
from services.kernel.migrations import migrate, pending
from services.kernel.sealing import KeptKeys, LearnedLocks, Texts
from services.kernel.stores import open_store
from services.kernel.views import Projector, Views


class Part(msgspec.Struct, frozen=True):
    """What makes a service this one: its rules, read tables, migrations and whose events it hears."""

    domain: Domain[Any]
    views: Views[Any]
    migrations: Path
    hears_from: tuple[str, ...]
    measures: tuple[Measure, ...] = ()
    keeps_keys: bool = False
    """Whether it keeps the keys of what people write about an order; the other services seal for it."""
    cached_files: int = CACHED_FILES
    only_learns: bool = False
    """Whether nothing follows from what it hears: it is kept, and read tables show it."""


class Follower(msgspec.Struct, frozen=True):
    """Somebody who handles the events of one source, each once and in order.

    `learned_too`: also what that service learned from others, not only its own events. `decode`: False where their
    bytes are enough.
    """

    name: str
    source: str
    handle: Handler
    learned_too: bool = False
    batch_records: int = BATCH_RECORDS
    decode: bool = True


class Timer(msgspec.Struct, frozen=True):
    """What is done again and again, `seconds` apart, by one process at a time."""

    seconds: float
    action: Callable[[], Awaitable[None]]


class Service(Generic[F]):
    """A service on its database."""

    def __init__(self, part: Part, database_url: str, clock: Clock) -> None:
        self.name = part.domain.source
        self.part = part
        self.clock = clock
        self.database_url = database_url
        self.store: EventStore = open_store(database_url, decode)
        self.appender = Appender(self.store)
        self.texts: Texts = KeptKeys(self.store) if part.keeps_keys else LearnedLocks(self.store)
        self.files: Files[F] = Files(part.domain, self.store, self.appender, clock, part.cached_files, self.texts)
        self.projector = Projector(part.views, self.files, self.appender)
        #: None: nobody is at work on it, so nothing will change.
        self.freshness: Freshness | None = None

    def followers(self) -> tuple[Follower, ...]:
        """Who keeps the read tables, and who hears each source."""
        views = Follower(self.projector.name, self.name, self.projector, learned_too=True)
        return (views, *(self._hearing(source) for source in self.part.hears_from))

    def _hearing(self, source: str) -> Follower:
        hearing = Hearing(source, self.files, self.store, self.appender, only_learns=self.part.only_learns)
        return Follower(f"{self.name}-hears-{source}", source, hearing)

    async def migrate(self) -> None:
        """Bring the database up to date."""
        await asyncio.to_thread(migrate, self.database_url, self.part.migrations)

    async def is_behind(self) -> bool:
        """Whether the database has to be migrated first."""
        return await asyncio.to_thread(pending, self.database_url, self.part.migrations)

    async def close(self) -> None:
        """Write what was handed over, then let go of the database."""
        await self.appender.close()
        await self.store.close()

    async def problems(self) -> list[str]:
        """What keeps the database from being worked with."""
        try:
            return ["migrations pending"] if await self.is_behind() else []
        except Exception as error:  # whatever it is, it is what keeps this service from being ready
            return [f"database: {error}"]

    async def views_caught_up(self) -> None:
        """Wait until the read tables show what follows from everything committed by now; raises `StoreUnavailable`, as
        `TablesStandStill` where waiting longer is of no use."""
        if self.freshness is None:
            return
        try:
            await self.freshness.views_caught_up()
        except TimeoutError:
            raise StoreUnavailable("the read tables are behind") from None

    async def heard(self) -> None:
        """Wait until this service has heard what others have committed by now; raises `TimeoutError`."""
        if self.freshness is not None:
            await self.freshness.heard()
