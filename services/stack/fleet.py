"""The processes of one shop: so many of each role for every service, and a console for people."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import aiohttp

from services.catalogue import SERVICES
from services.kernel.settings import PREFIX
from services.stack.processes import Launcher, ProcessFailed, ServiceProcess

#: How many processes of each role a service has. `all` does what the other three do.
Roles = Mapping[str, int]
TOGETHER: Final[Roles] = {"all": 1}
APART: Final[Roles] = {"api": 1, "relay": 1, "consume": 1}

#: What the process is called that shows pages to people.
CONSOLE: Final = "console"
#: How long all processes together may take until they are ready, in seconds.
READY_SECONDS: Final = 90.0
#: The order in which roles stop: first no more commands, then what is on its way.
_STOP_ORDER: Final = (("all", "api"), ("consume",), ("relay",))
_READY_POLL_SECONDS: Final = 0.02


class Fleet:
    """Processes by name: `cases-all`, or `cases-api`, `cases-relay`, `cases-consume`, `cases-consume-2`, …"""

    def __init__(
        self,
        roles: Roles,
        settings: Mapping[str, str],
        logs: Path,
        launcher: Launcher | None = None,
        port_of: Callable[[str], int] = lambda name: 0,
        services: Sequence[str] = tuple(SERVICES),
        console: bool = False,
    ) -> None:
        """`settings`: the variables of every process; `port_of`: where the process of that name listens (0: where it
        likes). `console`: whether there is one; for that, `port_of` has to say where the services listen."""
        self._services = services
        self._roles = dict(roles)
        self.processes: dict[str, ServiceProcess] = {}

        def add(name: str, *arguments: str, **own: str) -> None:
            given = {f"{PREFIX}HOST": "127.0.0.1", **settings, **own, f"{PREFIX}PORT": str(port_of(name))}
            self.processes[name] = ServiceProcess(name, (*arguments, "--json"), given, logs, launcher)

        for service in services:
            for role, count in roles.items():
                for name in _names(service, role, count):
                    add(name, role, service)
        if console:
            add(CONSOLE, "console", **{f"{PREFIX}API_URL": self._api_url()})

    def of(self, service: str, *roles: str) -> list[ServiceProcess]:
        """The processes of a service; of these roles, if any are named."""
        return [
            self.processes[name]
            for role in roles or self._roles
            for name in _names(service, role, self._roles.get(role, 0))
        ]

    @property
    def console(self) -> ServiceProcess | None:
        """What shows pages to people, where there is one."""
        return self.processes.get(CONSOLE)

    def urls(self, service: str) -> list[str]:
        """Where a service takes requests now."""
        return [one.url for one in self.of(service, "all", "api") if one.alive and one.said]

    async def start(self, seconds: float = READY_SECONDS) -> None:
        """Start those that do not run, and wait until all are ready. Raises ProcessFailed."""
        launched = [one for one in self.processes.values() if not one.alive]
        for one in launched:
            one.launch()
        await asyncio.gather(*(one.wait_until_started(seconds) for one in launched))
        await self.ready(seconds=seconds)

    async def ready(self, names: Iterable[str] | None = None, seconds: float = READY_SECONDS) -> None:
        """Wait until these processes, or all, say that they are ready. Raises ProcessFailed."""
        wanted = [self.processes[name] for name in (self.processes if names is None else names)]
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            await asyncio.gather(*(_ready(one, session, time.monotonic() + seconds) for one in wanted))

    async def problems(self) -> list[str]:
        """What keeps each process from being ready, as it says itself."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            said = await asyncio.gather(*(_problem(one, session) for one in self.processes.values()))
        return [problem for problem in said if problem]

    async def stop(self) -> None:
        """Stop what runs, in the order in which nothing is left on its way longer than need be."""
        if self.console and self.console.alive:
            await self.console.stop()
        for roles in _STOP_ORDER:
            leaving = [one for service in self._services for one in self.of(service, *roles) if one.alive]
            await asyncio.gather(*(one.stop() for one in leaving))

    def _api_url(self) -> str:
        """Where each service takes requests, as the console is told: the first of its processes that does."""
        first = {service: self.of(service, "all", "api")[0] for service in self._services}
        return ",".join(
            f"{service}=http://127.0.0.1:{process.settings[f'{PREFIX}PORT']}" for service, process in first.items()
        )


def _names(service: str, role: str, count: int) -> list[str]:
    return [f"{service}-{role}" + (f"-{number}" if number > 1 else "") for number in range(1, count + 1)]


async def _ready(process: ServiceProcess, session: aiohttp.ClientSession, deadline: float) -> None:
    while problem := await _problem(process, session):
        if time.monotonic() > deadline or not process.alive:
            raise ProcessFailed(f"not ready: {problem}; {process.log_file}: {process.log[-3000:]}")
        await asyncio.sleep(_READY_POLL_SECONDS)


async def _problem(process: ServiceProcess, session: aiohttp.ClientSession) -> str:
    """What keeps a process from being ready; nothing once it is."""
    if not process.alive:
        return f"{process.name} has ended with status {process.exit_status}"
    try:
        async with session.get(f"{process.url}/readyz") as response:
            return "" if response.status == 200 else f"{process.name}: {await response.text()}"
    except (aiohttp.ClientError, TimeoutError) as error:
        return f"{process.name}: {error!r}"
