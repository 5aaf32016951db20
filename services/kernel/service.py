"""One service put together: its database, files, read tables and the consumers that follow other services' logs."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Generic

import msgspec
import structlog

from contracts.registry import decode
from services.kernel.appender import Appender
from services.kernel.clock import Clock
from services.kernel.decider import Domain, F
from services.kernel.event_store import StoreUnavailable
from services.kernel.files import Files
from services.kernel.hearing import Hearing
from services.kernel.log_reader import FollowedLog, Handler, LogReader
from services.kernel.migrations import migrate, pending
from services.kernel.sqlite_store import SqliteStore
from services.kernel.views import Projector, Views

log = structlog.get_logger(__name__)


class Part(msgspec.Struct, frozen=True):
    """What makes a service this one: its rules, read tables, migrations and whose events it hears."""

    domain: Domain[Any]
    views: Views[Any]
    migrations: Path
    hears_from: tuple[str, ...]


class Lag(msgspec.Struct, frozen=True):
    """How far a consumer is behind the log that it follows, in positions.

    `stuck` says what it stumbles over; `away` says that the log cannot be read, for instance of a service that was
    never started, and `behind` is then counted to where it was last seen to end.
    """

    service: str
    consumer: str
    behind: int
    stuck: str = ""
    away: str = ""


class Service(Generic[F]):
    """A running service. `open` its store, then `follow` the logs of others (its own among them)."""

    def __init__(self, part: Part, data_dir: Path, clock: Clock) -> None:
        self.name = part.domain.source
        self.part = part
        self.clock = clock
        self._url = database_url(data_dir, self.name)
        self.store = SqliteStore(self._url, decode)
        self.appender = Appender(self.store)
        self.files: Files[F] = Files(part.domain, self.store, self.appender, clock)
        self.projector = Projector(part.views, self.files, self.appender)
        self.readers: list[LogReader] = []
        self._timers: list[asyncio.Task[None]] = []
        self._rewinding = asyncio.Lock()

    async def open(self) -> None:
        """Bring the database up to date."""
        await asyncio.to_thread(migrate, self._url, self.part.migrations)

    async def follow(self, logs: Mapping[str, FollowedLog]) -> None:
        """Start the read tables, and the consumers of the logs that this service hears."""
        await self._read("views", self.name, self.store, self.projector, learned_too=True)
        for source in self.part.hears_from:
            hearing = Hearing(source, self.files, self.store, self.appender)
            await self._read(f"{self.name}-hears-{source}", source, logs[source], hearing)

    async def add_reader(self, name: str, handle: Handler) -> None:
        """Let something else follow this service's own log; it notes its checkpoint itself."""
        await self._read(name, self.name, self.store, handle)

    async def _read(
        self, name: str, source: str, log: FollowedLog, handle: Handler, *, learned_too: bool = False
    ) -> None:
        position = await self.store.checkpoint(name, source)
        self.readers.append(LogReader(name, source, log, handle, learned_too=learned_too))
        self.readers[-1].start(position)

    def every(self, seconds: float, action: Callable[[], Awaitable[None]]) -> None:
        """Do something again and again, `seconds` apart."""
        self._timers.append(asyncio.create_task(_repeat(seconds, action), name=f"timer:{self.name}"))

    async def rest(self) -> None:
        """Stop timers and consumers; commands are still taken."""
        for timer in self._timers:
            timer.cancel()
        if self._timers:
            await asyncio.wait(self._timers)
        await asyncio.gather(*(reader.stop() for reader in self.readers))

    async def close(self) -> None:
        """Stop consumers first, then write what was handed over, then let go of the database."""
        await self.rest()
        await self.appender.close()
        await self.store.close()

    async def ready(self) -> list[str]:
        """What keeps this service from being ready."""
        problems = [f"{reader.name}: {reader.stuck}" for reader in self.readers if reader.stuck]
        try:
            if await asyncio.to_thread(pending, self._url, self.part.migrations):
                problems.append("migrations pending")
        except Exception as error:  # whatever it is, it is what keeps this service from being ready
            problems.append(f"database: {error}")
        return problems

    async def lags(self) -> list[Lag]:
        """How far each consumer is behind."""
        return [Lag(self.name, reader.name, await reader.lag(), reader.stuck, reader.away) for reader in self.readers]

    async def views_caught_up(self) -> None:
        """Wait until the read tables show what follows from everything committed by now; raises `StoreUnavailable`."""
        if not self.readers:
            return  # nobody is at work here, so nothing will change
        try:
            await self.heard()
            await self.readers[0].caught_up()
        except TimeoutError:
            raise StoreUnavailable("the read tables are behind") from None

    async def heard(self) -> None:
        """Wait until this service has heard what others have committed by now; raises `TimeoutError`."""
        for reader in self.readers[1:]:
            await reader.caught_up()

    async def rebuild(self) -> None:
        """Fold every file from the log again and write the read tables anew."""
        views = self.readers[0]
        async with self._rewinding:
            await views.stop()
            try:
                await self.files.forget()
                await self.projector.clear()
            finally:
                views.start(0)

    async def redeliver(self) -> None:
        """Let every consumer read its log from the start once more: nothing may happen twice."""
        async with self._rewinding:
            for reader in self.readers[1:]:
                await reader.rewind()


def database_url(data_dir: Path, service: str) -> str:
    """Where a service keeps its database on the embedded store."""
    return f"sqlite+aiosqlite:///{data_dir / service}.db"


async def _repeat(seconds: float, action: Callable[[], Awaitable[None]]) -> None:
    failing = ""
    while True:
        await asyncio.sleep(seconds)
        try:
            await action()
            failing = ""
        except Exception as error:  # what is due stays due: the next round does it
            if failing != repr(error):  # told once, not in every round
                failing = repr(error)
                log.exception("timer_failed")
