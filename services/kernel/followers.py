"""The followers and timers of one service at work in one process: started, stopped, and asked how far they are."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog

from services.kernel.event_store import Claim
from services.kernel.gauges import EVERY_SECONDS, Gauges
from services.kernel.lag import Lag, of_reader
from services.kernel.leases import is_free
from services.kernel.log_reader import FollowedLog, LogReader
from services.kernel.service import Follower, Service, Timer
from services.kernel.takeover import handing_over

#: How often it is looked whether what is handed over is free again, in seconds.
HANDED_OVER_SECONDS = 0.2
#: How often it is looked whether something was claimed in between, in seconds.
ANEW_SECONDS = 1.0

log = structlog.get_logger(__name__)


class Followers:
    """Readers of logs, one for each follower whose log is given, and timers. What they do counts once, because each
    claims its source first: where another process claims it later, this one is `overtaken`.
    """

    def __init__(
        self,
        service: Service[Any],
        followers: Sequence[Follower],
        timers: Sequence[Timer],
        logs: Mapping[str, FollowedLog],
        *,
        elsewhere: Callable[[], Awaitable[Sequence[Lag]]] | None = None,
        gauges: bool = True,
        alone: bool = False,
    ) -> None:
        """`elsewhere`: how far those are behind who follow something for the service in other ways. `gauges`: whether
        the service's gauges are kept here; a figure must not be told twice. `alone`: whether no other process keeps
        the service going, so that what is claimed in between was moved by an operator's command and is begun anew.
        """
        self.readers = [
            LogReader(
                one.name,
                one.source,
                logs[one.source],
                one.handle,
                learned_too=one.learned_too,
                batch_records=one.batch_records,
                decode=one.decode,
            )
            for one in followers
            if one.source in logs
        ]
        self.service = service
        self._elsewhere = elsewhere
        self._gauges = Gauges(service.name, service.store, self.lags, self._parked, service.part.measures)
        self._timers = [*timers, Timer(EVERY_SECONDS, self._gauges.refresh)] if gauges else list(timers)
        if alone:
            self._timers.append(Timer(ANEW_SECONDS, self._begin_anew))
        self._running: list[asyncio.Task[None]] = []
        self._rewinding = asyncio.Lock()

    async def start(self) -> None:
        """Claim every source and go on from where it stands; raises `StoreUnavailable`, then `stop` is due."""
        for reader in self.readers:
            await self._begin(reader)
        for timer in self._timers:
            name = f"timer:{self.service.name}"
            self._running.append(asyncio.create_task(_repeat(timer), name=name))

    async def _begin(self, reader: LogReader) -> None:
        """Claim a source, and go on from where it stands; where somebody hands it over just now, once that is done."""
        store = self.service.store
        while not await is_free(store, handing_over(reader.name, reader.source)):  # noqa: ASYNC110 - in the database
            await asyncio.sleep(HANDED_OVER_SECONDS)
        reader.start(await store.claim(reader.name, reader.source))

    async def _begin_anew(self) -> None:
        """Go on with what somebody claimed in between, from where it stands now."""
        for reader in self.readers:
            async with self._rewinding:
                if await self.service.store.epoch(reader.name, reader.source) != reader.epoch:
                    await reader.stop()
                    await self._begin(reader)

    async def stop(self) -> None:
        """Stop timers and readers; commands are still taken."""
        timers, self._running = self._running, []
        for timer in timers:
            timer.cancel()
        if timers:
            await asyncio.wait(timers)
        self._gauges.forget()
        await asyncio.gather(*(reader.stop() for reader in self.readers))

    async def overtaken(self) -> bool:
        """Whether somebody claimed one of these sources since; raises `StoreUnavailable`."""
        store = self.service.store
        return any([one.fenced or await store.epoch(one.name, one.source) != one.epoch for one in self.readers])

    def problems(self) -> list[str]:
        """What keeps them from going on, for people."""
        stuck = [f"{one.name}: {one.stuck}" for one in self.readers if one.stuck]
        return stuck + [f"{one.name}: another process took over" for one in self.readers if one.fenced]

    async def lags(self) -> list[Lag]:
        """How far everybody is behind."""
        now = self.service.clock.now()
        own = [await of_reader(self.service.name, one, now) for one in self.readers]
        return [*own, *(await self._elsewhere() if self._elsewhere else ())]

    def _parked(self) -> list[str]:
        """Why each stream that is left behind does not go on."""
        parked = [one for reader in self.readers for one in reader.progress.parked.values()]
        return ["gap" if one.gap else "failed" for one in parked]

    async def heard(self) -> None:
        """Wait until what is committed by now was heard; raises `TimeoutError`."""
        for reader in self._others:
            await reader.caught_up()

    async def views_caught_up(self) -> None:
        """Wait until the read tables show what follows from everything committed by now; raises `TimeoutError`."""
        await self.heard()
        await self._views.caught_up()

    async def rebuild(self) -> None:
        """Fold every file from the log again and write the read tables anew."""
        views = self._views
        async with self._rewinding:
            await views.stop()
            try:
                await self.service.files.forget()
                await self.service.projector.clear()
            finally:
                views.start(Claim(0, views.epoch))

    async def redeliver(self) -> None:
        """Let every consumer read its log from the start once more: nothing may happen twice."""
        async with self._rewinding:
            for reader in self._others:
                await reader.rewind()

    @property
    def _views(self) -> LogReader:
        return next(one for one in self.readers if one.name == self.service.projector.name)

    @property
    def _others(self) -> list[LogReader]:
        return [one for one in self.readers if one is not self._views]


async def _repeat(timer: Timer) -> None:
    failing = ""
    while True:
        await asyncio.sleep(timer.seconds)
        try:
            await timer.action()
            failing = ""
        except Exception as error:  # what is due stays due: the next round does it
            if failing != repr(error):  # told once, not in every round
                failing = repr(error)
                log.exception("timer_failed")
