"""Scenarios on the production shape: each on databases and topics of its own, with processes of its own."""

import asyncio
import secrets
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Self

import aiohttp
import msgspec
import yaml

from contracts.policy import load_policy_file
from services.catalogue import SERVICES, Assembly
from services.embedded import NotSettled
from services.kernel.actor import Actor
from services.kernel.clock import FileClock
from services.kernel.http.identity import Tokens
from services.kernel.kafka.connection import Connection, stop
from services.kernel.kafka.topics import ensure, group_of, topics
from services.kernel.settings import PREFIX, load_settings
from services.kernel.takeover import as_owner, move_to
from services.routing import service_of
from services.sandbox import Move, SandboxServer, SandboxSettings
from services.sandbox import start as start_sandbox
from services.scenarios.api_client import READER
from services.scenarios.instance import PLAYED, Setting
from services.stack.databases import Databases
from services.stack.fleet import TOGETHER, Fleet, Roles
from services.stack.flow import Flow, Look
from services.stack.groups import forget
from services.stack.nursery import Nursery

SETTLE_SECONDS: Final = 30.0
#: Few, for they are made anew for each scenario; more than one, so that they matter.
PARTITIONS: Final = 2
#: Nothing may happen by itself in a scenario: open payouts are asked about when time is set, not by the wall clock.
_NEVER_SECONDS: Final = 86_400
#: Where the provider reports.
CALLBACKS: Final = "/v1/gateway/callbacks"
#: How soon it is looked again whether everything is quiet: often at first, when most things have happened.
_POLL_SECONDS: Final = 0.01
_POLL_MOST_SECONDS: Final = 0.05
_POLL_GROWTH: Final = 1.4
_TOKEN_VALID: Final = timedelta(days=1)


class Ground:
    """What scenarios on a stack share: its servers, databases to copy from, and a nursery of processes.

    Use it as a context, or `open` and `close` it; the event loop may be another one each time.
    """

    def __init__(self, server_url: str, kafka_servers: str, roles: Roles = TOGETHER) -> None:
        """`server_url`: any database of the PostgreSQL server (`postgresql://user:password@host/…`)."""
        self.kafka_servers = kafka_servers
        self.roles = roles
        self.nursery = Nursery()
        self._server_url = server_url
        self._name = secrets.token_hex(4)
        self._made = 0
        self.template = Databases(server_url, f"template_{self._name}_", PLAYED)

    async def open(self) -> None:
        """Make the databases that those of each scenario are copies of."""
        await self.template.make()
        with TemporaryDirectory() as folder:
            await self.template.migrate(Path(folder))

    async def close(self) -> None:
        """Remove them, and end the nursery."""
        self.nursery.close()
        await self.template.drop()

    async def __aenter__(self) -> Self:
        try:
            await self.open()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def start(self, setting: Setting) -> "StackInstance":
        """A fresh instance, running."""
        self._made += 1
        instance = StackInstance(setting, self, f"scenario-{self._name}-{self._made}")
        try:
            await instance.start()
        except BaseException:
            await instance.close()
            raise
        return instance

    def databases(self, name: str) -> Databases:
        """The databases of an instance."""
        return Databases(self._server_url, f"{name}_", PLAYED)


class StackInstance:
    """The services as processes on PostgreSQL and Kafka, and a provider beside them."""

    def __init__(self, setting: Setting, ground: Ground, name: str) -> None:
        self._setting = setting
        self._ground = ground
        self._name = name
        self._secret = secrets.token_urlsafe(48)
        self._undo = AsyncExitStack()

    def base_url(self, method: str, path: str) -> str:
        return self._fleet.urls(service_of(method, path))[0]

    def token(self, actor: Actor) -> str:
        return Tokens(self._secret).make(actor, self._clock.now(), _TOKEN_VALID)

    async def start(self) -> None:
        """Make databases and topics, start the processes, and tell the provider where to report."""
        self._folder = Path(self._undo.enter_context(TemporaryDirectory(prefix="aftersales-scenario-")))
        self._databases = self._ground.databases(self._name)
        self._undo.push_async_callback(self._databases.drop)
        self._sandbox = await self._start_sandbox()
        self._clock = FileClock(self._folder / "clock", self._setting.now)
        (self._folder / "policy.yaml").write_text(yaml.safe_dump(self._setting.policy, allow_unicode=True))
        environment = self._environment()
        self._settings = load_settings(environment)
        await _together(self._databases.make(self._ground.template), self._make_topics())
        self._assemblies = self._assembled()
        self._fleet = Fleet(self._ground.roles, environment, self._folder, self._ground.nursery, services=PLAYED)
        self._undo.push_async_callback(self._fleet.stop)
        self._flow = Flow(self._databases, Connection.of(self._settings), self._assemblies)
        self._undo.push_async_callback(self._flow.close)
        await _together(self._fleet.start(), self._flow.open())
        self._listen_to_provider()

    async def close(self) -> None:
        await self._undo.aclose()

    async def settle(self) -> None:
        before: Look | None = None
        pause = _POLL_SECONDS
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                while True:
                    await self._sandbox.callbacks.quiet()
                    look = await self._flow.look()
                    if look.stuck:
                        raise NotSettled("; ".join(look.stuck))
                    if look.quiet and look == before:  # nor did the provider report anything in between
                        return
                    before = look
                    if not look.quiet:
                        await asyncio.sleep(pause := min(pause * _POLL_GROWTH, _POLL_MOST_SECONDS))
        except TimeoutError:
            unready = await self._fleet.problems()
            raise NotSettled("; ".join([*(before.behind if before else ()), *unready])) from None

    async def set_time(self, now: datetime) -> None:
        await self.settle()
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            for service in PLAYED:  # one after another, as the embedded server does
                for url in self._fleet.urls(service)[:1]:
                    headers = {"Authorization": f"Bearer {self.token(READER)}"}  # valid at the time that is set by now
                    async with session.put(f"{url}/v1/clock", json={"now": now.isoformat()}, headers=headers):
                        pass
        await self.settle()

    async def redeliver(self, times: int) -> None:
        for _ in range(times):
            for service in (assembly.service for assembly in self._assemblies.values()):
                for consumer in self._flow.followers(service.name):
                    if consumer != service.projector.name:
                        await move_to(service.store, consumer, service.name, 0)
            await self.settle()

    async def rebuild(self) -> None:
        for assembly in self._assemblies.values():
            service, views = assembly.service, assembly.service.projector
            await as_owner(service.store, views.name, service.name, views.clear)
        await self.settle()

    async def restart(self) -> None:
        await self._fleet.stop()
        await self._fleet.start()
        self._listen_to_provider()

    def _listen_to_provider(self) -> None:
        self._sandbox.callbacks.url = self._fleet.urls("refunds")[0] + CALLBACKS

    async def _start_sandbox(self) -> SandboxServer:
        outcomes = msgspec.convert(self._setting.outcomes, tuple[Move, ...])
        sandbox = await start_sandbox(SandboxSettings(outcomes=outcomes, callback_delay_seconds=0.01))
        self._undo.push_async_callback(sandbox.close)
        return sandbox

    async def _make_topics(self) -> None:
        connection = Connection.of(self._settings)
        admin = await connection.admin()
        self._undo.push_async_callback(stop, admin)
        await ensure(admin, wanted := topics(self._settings))
        self._undo.push_async_callback(admin.delete_topics, [topic.name for topic in wanted])
        self._undo.push_async_callback(forget, admin, [group_of(one, connection.prefix) for one in PLAYED])

    def _assembled(self) -> dict[str, Assembly]:
        """The services as their processes put them together, to see and to move what they follow."""
        policy = load_policy_file(self._folder / "policy.yaml")
        made = {service: SERVICES[service](self._settings, policy, self._clock) for service in PLAYED}
        for assembly in made.values():
            self._undo.push_async_callback(assembly.closed)
            self._undo.push_async_callback(assembly.service.close)
        return made

    def _environment(self) -> dict[str, str]:
        told = {
            "ASK_EVERY_SECONDS": _NEVER_SECONDS,
            "CLOCK": "manual",
            "CLOCK_FILE": self._folder / "clock",
            "DATABASE_URL": self._databases.url,
            "DATA_DIR": self._folder / "data",
            "DRAIN_SECONDS": 0,
            "GATEWAY": "sandbox",
            "GATEWAY_SECRET": self._sandbox.settings.secret,
            "GATEWAY_URL": self._sandbox.base_url,
            "KAFKA_PARTITIONS": PARTITIONS,
            "KAFKA_PREFIX": f"{self._name}.",
            "KAFKA_SERVERS": self._ground.kafka_servers,
            "LOG_FORMAT": "json",
            "LOG_LEVEL": "warning",
            "MEDIA_URL": self._folder / "media",
            "POLICY_FILE": self._folder / "policy.yaml",
            "TOKEN_SECRET": self._secret,
        }
        return {PREFIX + name: str(value) for name, value in told.items()}


async def _together(*works: Awaitable[None]) -> None:
    """Do all at once, and wait for all, also where one fails: what it made is undone afterwards."""
    for result in await asyncio.gather(*works, return_exceptions=True):
        if result is not None:
            raise result
