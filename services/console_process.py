"""The console as a process of its own, where services run apart: pages only, which ask the API of the services."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

import aiohttp
import structlog
from aiohttp import web

from services.catalogue import SERVICES
from services.console.app import Console
from services.kernel.clock import clock_of
from services.kernel.http.app import CONSOLE, add_pages, make_app
from services.kernel.http.identity import Tokens
from services.kernel.http.listener import Listener
from services.kernel.http.operations import Problems, operations
from services.kernel.refusal import Refusal
from services.kernel.settings import PREFIX, SERVICE, Settings, SettingsInvalid
from services.policy import policy_in_force
from services.routing import elsewhere
from services.token_secret import token_secret

log = structlog.get_logger(__name__)

#: How long requests under way may take when the process stops, in seconds.
FINISH_SECONDS: Final = 5.0
#: How long the API may take to say that it is alive, in seconds: less than whoever asks for readiness waits.
_ALIVE_SECONDS: Final = 2.0
#: Whose pages most are, and who says what is wrong with requests that are nobody's.
_MAIN: Final = "cases"


class ConsoleProcess:
    """`start`, and in the end `leave` and `stop`."""

    def __init__(self, settings: Settings) -> None:
        """Raises `SettingsInvalid` where the API's addresses lack a service."""
        self.settings = settings
        self._leaving = False
        self._api = base_url_of(settings.api_url)
        self._clock = clock_of(settings)
        self._tokens = Tokens(token_secret(settings))
        self._policy = policy_in_force(settings)
        self._console = Console(settings, self._policy, self._clock, self._tokens, self._api)
        self._listener = Listener(self._app(), settings.host, settings.port)

    @property
    def base_url(self) -> str:
        """Where it listens."""
        return self._listener.base_url

    async def start(self) -> None:
        """Show pages; raises `OSError` where it cannot listen."""
        await self._listener.start()
        log.info("started", role="console", url=self.base_url, api=self.settings.api_url)

    def link(self, name: str, roles: Sequence[str]) -> str:
        """A link that signs somebody in, once, from where people reach the console; "" where only a provider does."""
        return self._console.link(self.settings.console_url or self.base_url, name, roles)

    async def leave(self) -> None:
        """Say that it is not ready, for as long as those who send requests need to notice."""
        self._leaving = True
        await asyncio.sleep(self.settings.drain_seconds)

    async def stop(self) -> None:
        """Take no more requests, finish those under way."""
        await self._listener.finish(FINISH_SECONDS)
        await self._listener.stop()
        log.info("stopped", role="console")

    def _app(self) -> web.Application:
        app = make_app(self._policy, self._tokens, self._clock, None, CONSOLE, elsewhere)
        app.add_routes(operations(self._problems, _no_time))
        add_pages(app, self._console.app)
        return app

    async def _problems(self) -> Problems:
        return {CONSOLE: ["stopping"] if self._leaving else await self._lacks()}

    async def _lacks(self) -> list[str]:
        """Without the main service there is nothing to show; what others lack, pages say themselves."""
        url = self._api("GET", "/v1/cases")
        timeout = aiohttp.ClientTimeout(total=_ALIVE_SECONDS)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as session, session.get(f"{url}/healthz") as response:
                return [] if response.ok else [f"the API at {url} answers {response.status}"]
        except (aiohttp.ClientError, TimeoutError) as error:
            return [f"the API at {url} does not answer: {error or type(error).__name__}"]


async def _no_time(_: datetime) -> None:
    """The time is set at the services."""
    raise Refusal("not_found")


def base_url_of(api_url: str) -> Callable[[str, str], str]:
    """Where requests go, by method and path: to one address in front of all services, or to each service's own.
    Raises `SettingsInvalid` where a service has none."""
    if SERVICE not in api_url and "=" not in api_url:
        return lambda method, path: api_url
    urls = _urls(api_url)
    return lambda method, path: urls[elsewhere(method, path) or _MAIN]


def _urls(api_url: str) -> Mapping[str, str]:
    """Each service's address: one with the service's name to fill in, or `cases=http://…,refunds=http://…`."""
    if "=" not in api_url:
        return {service: api_url.replace(SERVICE, service) for service in SERVICES}
    urls = dict(one.split("=", 1) for one in api_url.split(","))
    if lacking := ", ".join(service for service in SERVICES if service not in urls):
        raise SettingsInvalid([f"{PREFIX}API_URL: 缺少 {lacking} / does not name {lacking}"])
    return urls
