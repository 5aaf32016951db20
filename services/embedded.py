"""The services on one machine, without broker: SQLite files, one process, consumers that read each other's logs."""

import asyncio
import gc
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import msgspec
import prometheus_client
import structlog
from aiohttp import web

from contracts.event import Moment
from contracts.policy import Policy, load_policy, load_policy_file
from services.cases.bootstrap import CasesService
from services.kernel.actor import Actor
from services.kernel.clock import Clock, ManualClock, SystemClock
from services.kernel.http import lists
from services.kernel.http.app import Handler, make_app
from services.kernel.http.body import read_command, read_json
from services.kernel.http.identity import Tokens
from services.kernel.log_reader import FollowedLog
from services.kernel.refusal import Refusal, invalid
from services.kernel.service import Service
from services.kernel.settings import Settings
from services.liability.bootstrap import LiabilityService
from services.refunds.bootstrap import RefundsService

log = structlog.get_logger(__name__)

#: Room for a video and what surrounds it in a form.
MAX_BODY_BYTES = 52 << 20
SETTLE_SECONDS = 30.0
#: How long requests under way may take when the server stops; a supervisor waits no longer than ten seconds.
FINISH_SECONDS = 8.0
#: Years that a clock may be set to by hand: a little away from what a calendar can hold, for times are added to it.
FIRST_YEAR, LAST_YEAR = 1970, 2999

SERVICES: Mapping[str, Callable[[Settings, Policy, Clock], "Running"]] = {
    "cases": CasesService,
    "refunds": RefundsService,
    "liability": LiabilityService,
}


class Running(Protocol):
    """One service as the embedded server runs it."""

    service: Service[Any]

    def routes(self) -> list[web.RouteDef]: ...
    async def started(self) -> None: ...
    async def closed(self) -> None: ...
    async def let_pass(self, now: datetime) -> None: ...


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
        self.clock = clock or (
            ManualClock(datetime.now().astimezone()) if settings.clock == "manual" else SystemClock()
        )
        self.policy = load_policy_file(settings.policy_file) if settings.policy_file else load_policy(policy)
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        self.tokens = Tokens(token_secret(settings))
        self._only = only
        self._running: dict[str, Running] = {}
        self._elsewhere: dict[str, Running] = {}
        self._runner: web.AppRunner | None = None
        self._leaving = False
        self._under_way = 0
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
            await one.service.open()
        logs: dict[str, FollowedLog] = {name: one.service.store for name, one in everybody.items()}
        for one in self._running.values():
            await one.service.follow(logs)
            await one.started()
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
        app = make_app(self.policy, self.tokens, self.clock, MAX_BODY_BYTES)
        app.middlewares.append(self._count)
        for one in self._running.values():
            app.add_routes(one.routes())
        app.add_routes(
            [
                web.get("/healthz", self._health),
                web.get("/readyz", self._ready),
                web.get("/metrics", self._metrics),
                web.get("/v1/lag", self._lag),
                web.put("/v1/clock", self._set_clock),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.settings.host, self.settings.port)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.base_url = f"http://{host}:{port}"

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
            for one in everybody:  # no log is let go of that a consumer still reads
                steps.push_async_callback(one.service.rest)
            if self._runner is not None:
                steps.push_async_callback(self._runner.cleanup)
                steps.push_async_callback(self._finish, self._runner)
        self._running, self._elsewhere, self._runner = {}, {}, None

    async def _finish(self, runner: web.AppRunner) -> None:
        """Take no more connections and wait for the requests under way: cleaning up would drop what still arrives."""
        for site in list(runner.sites):
            await site.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(FINISH_SECONDS):
                while self._under_way:  # noqa: ASYNC110 - over in milliseconds, and only once
                    await asyncio.sleep(0.01)

    @web.middleware
    async def _count(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._under_way += 1
        try:
            return await handler(request)
        finally:
            self._under_way -= 1

    # -- what operators and scenario runs ask

    def token(self, actor: Actor, valid_for: timedelta = timedelta(days=1)) -> str:
        """A token for an actor, valid from now on."""
        return self.tokens.make(actor, self.clock.now(), valid_for)

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
        before = await self._heads()
        lags = await self._lags()
        stuck = [one for one in lags if one.stuck]
        if stuck:
            raise NotSettled(repr(stuck))
        return not any(one.behind for one in lags) and before == await self._heads()

    async def _heads(self) -> list[int]:
        return [await one.service.store.head_position() for one in self._running.values()]

    async def _lags(self) -> list[Any]:
        return [lag for one in self._running.values() for lag in await one.service.lags()]

    async def redeliver(self) -> None:
        """Deliver every event to every consumer once more."""
        for one in self._running.values():
            await one.service.redeliver()
        await self.settle()

    async def rebuild(self) -> None:
        """Replay all read models from the log."""
        for one in self._running.values():
            await one.service.rebuild()
        await self.settle()

    # -- routes of the server itself

    async def _health(self, _: web.Request) -> web.Response:
        return lists.json({"status": "ok"})

    async def _ready(self, _: web.Request) -> web.Response:
        problems = {name: await one.service.ready() for name, one in self._running.items()}
        if self._leaving:
            problems["server"] = ["stopping"]
        ready = not any(problems.values())
        return lists.json({"ready": ready, "problems": problems}, status=200 if ready else 503)

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=prometheus_client.generate_latest(), content_type="text/plain")

    async def _lag(self, _: web.Request) -> web.Response:
        lags = await self._lags()
        caught_up = not any(one.behind or one.stuck or one.away for one in lags)
        return lists.json({"caught_up": caught_up, "consumers": lags})

    async def _set_clock(self, request: web.Request) -> web.Response:
        now = _given_time(read_json(await read_command(request)))
        try:
            await self.set_time(now)
        except NotSettled as error:
            log.warning("not_settled", error=str(error))
            raise Refusal("unavailable") from None
        return lists.json({"now": now})


def _given_time(body: Any) -> datetime:
    try:
        now = msgspec.convert(body["now"], Moment)
        if FIRST_YEAR <= now.year <= LAST_YEAR:
            return now
    except (KeyError, TypeError, msgspec.ValidationError):
        pass
    raise invalid(
        "now",
        "time",
        f"须为 {FIRST_YEAR} 到 {LAST_YEAR} 年间带时区的 RFC 3339 时间",
        f"must be an RFC 3339 time with offset, in the years {FIRST_YEAR} to {LAST_YEAR}",
    )


def spare_collector() -> None:
    """For a process that does nothing but serve, once it has started: look for garbage less often, and only in what
    came since.

    Measured with 32 clients: it took a seventh of the event loop's time (60 µs a command), and next to nothing after.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def token_secret(settings: Settings) -> str:
    """The secret that signs tokens: the one that is set, else one drawn once and kept in the data folder."""
    given = settings.token_secret.get_secret_value()
    if given:
        return given
    file = settings.data_dir / "token.secret"
    if not file.exists():
        _write_secret(file)
    return file.read_text(encoding="ascii").strip()


def _write_secret(file: Path) -> None:
    """Written beside it and then linked: of several processes that begin at once, the first one's counts."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(f".{os.getpid()}")
    draft.touch(mode=0o600)
    try:
        draft.write_text(secrets.token_urlsafe(48), encoding="ascii")
        with suppress(FileExistsError):
            os.link(draft, file)
    finally:
        draft.unlink()
