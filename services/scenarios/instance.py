"""A running system that a scenario is played on: fresh, with its own clock, provider and data."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Protocol

import msgspec

from services.catalogue import SERVICES
from services.embedded import Embedded, NotSettled
from services.kernel.actor import Actor
from services.kernel.clock import ManualClock
from services.kernel.settings import Settings, load_settings
from services.sandbox import Move, SandboxServer, SandboxSettings
from services.sandbox import start as start_sandbox

#: The services that a scenario tells and asks: finance only listens to them.
PLAYED: Final = tuple(service for service in SERVICES if service != "finance")
#: Nothing may happen by itself in a scenario: open payouts are asked about when time is set, not by the wall clock.
_NEVER_SECONDS: Final = 86_400.0
_QUIET_SECONDS: Final = 30.0


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What a scenario asks of its instance: the time at which its clock starts, the policy's overrides (keys of
    domain.md §3) and the provider's script, one outcome per attempt to pay and then `ok`.
    """

    now: datetime
    policy: dict[str, Any] = {}
    outcomes: list[str] = []


class Instance(Protocol):
    """What the runner needs of a running system. Whatever does not work out is raised."""

    def base_url(self, method: str, path: str) -> str:
        """Where the HTTP API takes requests of this kind (`GET`, `/v1/cases`); it may change with `restart`."""

    def token(self, actor: Actor) -> str:
        """A bearer token of somebody with this role and name, valid at the time that is set."""

    async def set_time(self, now: datetime) -> None:
        """Set the clock of every service, back or ahead; what was due by then happens."""

    async def settle(self) -> None:
        """Wait until every event so far went through every service and each payout was tried; bounded."""

    async def redeliver(self, times: int) -> None:
        """Deliver every event again to everybody who reads it, so many times."""

    async def restart(self) -> None:
        """Stop and start every service; data, clock and provider stay."""

    async def rebuild(self) -> None:
        """Make all read models anew from the logs."""

    async def close(self) -> None:
        """Stop everything and remove its data."""


#: Starts a fresh instance. The caller closes it.
InstanceFactory = Callable[[Setting], Awaitable[Instance]]


class EmbeddedInstance:
    """The services in this process on a folder of SQLite files, and a provider of its own beside them."""

    def __init__(self, setting: Setting, folder: TemporaryDirectory[str], sandbox: SandboxServer) -> None:
        self._policy = setting.policy
        self._folder = folder
        self._sandbox = sandbox
        self._clock = ManualClock(setting.now)
        self._settings = _settings(Path(folder.name), sandbox)
        self._server = self._new_server()

    def _new_server(self) -> Embedded:
        return Embedded(self._settings, policy=self._policy, clock=self._clock, only=PLAYED)

    def base_url(self, method: str, path: str) -> str:
        return self._server.base_url

    def token(self, actor: Actor) -> str:
        return self._server.token(actor)

    async def start(self) -> None:
        """Start the services and tell the provider where to report."""
        await self._server.start()
        self._sandbox.callbacks.url = f"{self._server.base_url}/v1/gateway/callbacks"

    async def set_time(self, now: datetime) -> None:
        await self._server.set_time(now)

    async def settle(self) -> None:
        await self._server.settle()
        try:
            async with asyncio.timeout(_QUIET_SECONDS):
                await self._sandbox.callbacks.quiet()
        except TimeoutError:
            raise NotSettled("the provider still has results to report") from None
        await self._server.settle()

    async def redeliver(self, times: int) -> None:
        for _ in range(times):
            await self._server.redeliver()

    async def restart(self) -> None:
        await self._server.stop()
        self._server = self._new_server()
        await self.start()

    async def rebuild(self) -> None:
        await self._server.rebuild()

    async def close(self) -> None:
        await self._server.stop()
        await self._sandbox.close()
        self._folder.cleanup()


async def start_embedded(setting: Setting) -> EmbeddedInstance:
    """A fresh embedded instance, running."""
    folder = TemporaryDirectory(prefix="aftersales-scenario-")
    outcomes = msgspec.convert(setting.outcomes, tuple[Move, ...])
    sandbox = await start_sandbox(SandboxSettings(outcomes=outcomes, callback_delay_seconds=0.01))
    instance = EmbeddedInstance(setting, folder, sandbox)
    try:
        await instance.start()
    except BaseException:
        await instance.close()
        raise
    return instance


def _settings(folder: Path, sandbox: SandboxServer) -> Settings:
    return load_settings(
        {},
        data_dir=folder,
        port=0,
        clock="manual",
        gateway="sandbox",
        gateway_url=sandbox.base_url,
        gateway_secret=sandbox.settings.secret,
        ask_every_seconds=_NEVER_SECONDS,
    )
