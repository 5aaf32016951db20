"""The services on one machine, without broker: SQLite files, one process, consumers that read each other's logs."""

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import prometheus_client
import structlog
from aiohttp import web

from contracts.policy import Policy, load_policy, load_policy_file
from contracts.registry import decode
from services.cases.bootstrap import CasesService
from services.kernel.actor import Actor
from services.kernel.clock import Clock, ManualClock, SystemClock
from services.kernel.http import lists
from services.kernel.http.app import make_app
from services.kernel.http.identity import Tokens
from services.kernel.log_reader import FollowedLog
from services.kernel.refusal import Refusal, invalid
from services.kernel.service import Service, database_url
from services.kernel.settings import Settings
from services.kernel.sqlite_store import SqliteStore
from services.liability.bootstrap import LiabilityService
from services.refunds.bootstrap import RefundsService

log = structlog.get_logger(__name__)

#: Room for a video and what surrounds it in a form.
MAX_BODY_BYTES = 52 << 20
SETTLE_SECONDS = 30.0

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
        self._foreign: list[SqliteStore] = []
        self._runner: web.AppRunner | None = None
        self.base_url = ""

    # -- life

    async def start(self) -> None:
        """Bring databases up to date, start the services, listen."""
        self._running = {name: SERVICES[name](self.settings, self.policy, self.clock) for name in self._only}
        for one in self._running.values():  # one after another: Alembic keeps its context in module globals
            await one.service.open()
        logs = self._logs()
        for one in self._running.values():
            await one.service.follow(logs)
            await one.started()
        await self._listen()
        log.info("started", url=self.base_url, services=list(self._only), policy=self.policy.version)

    def _logs(self) -> dict[str, FollowedLog]:
        """The logs of the services that run here, and those of the others from their files."""
        logs: dict[str, FollowedLog] = {name: one.service.store for name, one in self._running.items()}
        for name in SERVICES.keys() - logs.keys():
            store = SqliteStore(database_url(self.settings.data_dir, name), decode)
            self._foreign.append(store)
            logs[name] = store
        return logs

    async def _listen(self) -> None:
        app = make_app(self.policy, self.tokens, self.clock, MAX_BODY_BYTES)
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
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.settings.host, self.settings.port)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.base_url = f"http://{host}:{port}"

    async def stop(self) -> None:
        """Take no more requests, finish those under way, then stop the services."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        for one in self._running.values():
            await one.service.close()
            await one.closed()
        for store in self._foreign:
            await store.close()
        self._foreign.clear()

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
            raise NotSettled(repr(await self._lags())) from None

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
        ready = not any(problems.values())
        return lists.json({"ready": ready, "problems": problems}, status=200 if ready else 503)

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=prometheus_client.generate_latest(), content_type="text/plain")

    async def _lag(self, _: web.Request) -> web.Response:
        lags = await self._lags()
        return lists.json({"caught_up": not any(one.behind for one in lags), "consumers": lags})

    async def _set_clock(self, request: web.Request) -> web.Response:
        try:
            now = datetime.fromisoformat((await request.json())["now"])
        except (ValueError, KeyError, TypeError):
            now = None
        if now is None or now.tzinfo is None:
            raise invalid("now", "time", "须为带时区的 RFC 3339 时间", "must be an RFC 3339 time with offset")
        await self.set_time(now)
        return lists.json({"now": now})


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
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.write_text(secrets.token_urlsafe(48), encoding="ascii")
