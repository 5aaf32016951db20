"""The services on one machine, without broker: one process, consumers that read each other's logs."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any

import structlog
from aiohttp import web

from services.catalogue import SERVICES, Assembly
from services.console.app import Console
from services.kernel.actor import Actor
from services.kernel.clock import Clock, ManualClock, clock_of
from services.kernel.followers import Followers
from services.kernel.http.app import add_pages, add_routes, make_app
from services.kernel.http.identity import Tokens
from services.kernel.http.listener import Listener
from services.kernel.http.operations import Problems, operations
from services.kernel.lag import Lag
from services.kernel.log_reader import FollowedLog
from services.kernel.long_work import Tell
from services.kernel.refusal import Refusal
from services.kernel.settings import Settings
from services.operations.http import OperationsHttp
from services.operations.lag import AtWork
from services.policy import policy_in_force
from services.routing import elsewhere
from services.token_secret import token_secret

log = structlog.get_logger(__name__)

SETTLE_SECONDS = 30.0
#: How long requests under way may take when the server stops; a supervisor waits no longer than ten seconds.
FINISH_SECONDS = 8.0


class NotSettled(Exception):
    """Events are still on their way, or a consumer is stuck."""


class Embedded:
    """The server: all services, or some of them beside others that run elsewhere on the same data folder."""

    def __init__(
        self,
        settings: Settings,
        *,
        policy: Mapping[str, Any] | None = None,
        clock: Clock | None = None,
        only: Sequence[str] = tuple(SERVICES),
    ) -> None:
        self.settings = settings
        self.clock = clock or clock_of(settings)
        self.policy = policy_in_force(settings, policy)
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        self.tokens = Tokens(token_secret(settings))
        self._only = only
        self._running: dict[str, Assembly] = {}
        self._elsewhere: dict[str, Assembly] = {}
        self._followers: list[Followers] = []
        self._operations: OperationsHttp | None = None
        self._listener: Listener | None = None
        self._console: Console | None = None
        self._leaving = False
        self.base_url = ""

    # -- life

    async def start(self) -> None:
        """Bring databases up to date, start the services, listen. Where that fails, all is let go of again."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise
        log.info("started", url=self.base_url, services=list(self._only), policy=self.policy.version)

    async def _start(self) -> None:
        self._make()
        everybody = {**self._running, **self._elsewhere}
        # One after another: Alembic keeps its context in module globals. Databases of services that run elsewhere
        # too, because whoever comes first on a data folder must find logs to follow.
        for one in everybody.values():
            await one.service.migrate()
        logs: dict[str, FollowedLog] = {name: one.service.store for name, one in everybody.items()}
        for one in self._running.values():
            followers = Followers(one.service, one.followers, one.timers, logs, alone=True)
            self._followers.append(followers)
            one.service.freshness = followers
            await followers.start()
        await self._listen()

    async def start_reading(self) -> None:
        """Listen, to answer from the data folder as it stands: it is not migrated, and no service is at work."""
        self._make()
        await self._listen()

    def _make(self) -> None:
        self._leaving = False
        for name, make in SERVICES.items():
            place = self._running if name in self._only else self._elsewhere
            place[name] = make(self.settings, self.policy, self.clock)

    async def _listen(self) -> None:
        services = [one.service for one in (*self._running.values(), *self._elsewhere.values())]
        keeper = next(service for service in services if service.part.keeps_keys)
        app = make_app(self.policy, self.tokens, self.clock, keeper.texts, elsewhere=elsewhere)
        for name, one in self._running.items():
            add_routes(app, name, one.routes())
        if "cases" in self._running:
            self._operations = OperationsHttp(self.settings, self.policy, self.clock, AtWork(self._lags))
            add_routes(app, "cases", self._operations.routes())
        app.add_routes(operations(self._problems, self._set_time))
        self._add_console(app)
        self._listener = Listener(app, self.settings.host, self.settings.port)
        await self._listener.start()
        self.base_url = self._listener.base_url

    def _add_console(self, app: web.Application) -> None:
        """Pages for people, where all that they show is answered here."""
        if len(self._running) == len(SERVICES):
            self._console = Console(
                self.settings, self.policy, self.clock, self.tokens, lambda *_: self.base_url, self._load_sample
            )
            add_pages(app, self._console.app)

    async def _load_sample(self, person: str, tell: Tell) -> None:
        """A made-up shop for who tries this out; `person` has some of its cases."""
        from services.sample.loading import load  # which plays in servers like this one

        await load(self.base_url, self.token, self.clock.now(), person=person, progress=tell)

    async def leave(self) -> None:
        """Say that it is not ready, for as long as those who send requests need to notice."""
        self._leaving = True
        await asyncio.sleep(self.settings.drain_seconds)

    async def stop(self) -> None:
        """Take no more requests, finish those under way, then stop the services."""
        everybody = [*self._running.values(), *self._elsewhere.values()]
        async with AsyncExitStack() as steps:  # from the last to the first, each also where one before it fails
            for one in everybody:
                steps.push_async_callback(one.closed)
                steps.push_async_callback(one.service.close)
            for followers in self._followers:  # no log is let go of that a consumer still reads
                steps.push_async_callback(followers.stop)
            if self._operations is not None:
                steps.push_async_callback(self._operations.stop)
            if self._listener is not None:
                steps.push_async_callback(self._listener.stop)
                steps.push_async_callback(self._listener.finish, FINISH_SECONDS)
        self._running, self._elsewhere, self._followers, self._listener = {}, {}, [], None
        self._operations = None

    # -- what operators and scenario runs ask

    def token(self, actor: Actor, valid_for: timedelta = timedelta(days=1)) -> str:
        """A token for an actor, valid from now on."""
        return self.tokens.make(actor, self.clock.now(), valid_for)

    def link(self, name: str, roles: Sequence[str]) -> str:
        """A link that signs somebody in to the console, once; "" where there is no console."""
        return "" if self._console is None else self._console.link(self.base_url, name, roles)

    async def set_time(self, now: datetime) -> None:
        """Let time pass until `now`, and what is due by then happen; only with a clock that is set by hand."""
        if not isinstance(self.clock, ManualClock):
            raise Refusal("not_found")
        await self.settle()
        self.clock.set(now)
        for one in self._running.values():
            await one.let_pass(now)
        await self.settle()

    async def settle(self) -> None:
        """Wait until every event so far has flowed through every service; raises `NotSettled`."""
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                while not await self._settled():  # noqa: ASYNC110 - several logs, no one signal
                    await asyncio.sleep(0.002)
        except TimeoutError:
            raise NotSettled(repr([one for one in await self._lags() if one.behind])) from None

    async def _settled(self) -> bool:
        readers = [one for followers in self._followers for one in followers.readers]
        if any(one.stuck for one in readers):
            raise NotSettled(repr([one for one in await self._lags() if one.stuck]))
        if any(one.known_behind for one in readers):  # then the databases, which cost much more, need not be asked
            return False
        heads = {name: await one.service.store.head_position() for name, one in self._running.items()}
        elsewhere = [await one.lag() for one in readers if one.source not in heads]
        handled = all(one.progress.handled >= heads[one.source] for one in readers if one.source in heads)
        # Once more: what was handled while the logs were asked may have led to further events.
        return handled and not any(elsewhere) and not any(one.known_behind for one in readers)

    async def _lags(self) -> list[Lag]:
        return [lag for one in self._followers for lag in await one.lags()]

    async def redeliver(self) -> None:
        """Deliver every event to every consumer once more."""
        for one in self._followers:
            await one.redeliver()
        await self.settle()

    async def rebuild(self) -> None:
        """Replay all read models from the log."""
        for one in self._followers:
            await one.rebuild()
        await self.settle()

    # -- routes of the server itself

    async def _problems(self) -> Problems:
        problems = {name: await one.service.problems() for name, one in self._running.items()}
        for one in self._followers:
            problems[one.service.name] += one.problems()
        return {**problems, "server": ["stopping"]} if self._leaving else problems

    async def _set_time(self, now: datetime) -> None:
        try:
            await self.set_time(now)
        except NotSettled as error:
            log.warning("not_settled", error=str(error))
            raise Refusal("unavailable") from None
