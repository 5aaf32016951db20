"""The HTTP API as pages use it: as the person who is signed in, with the same rules as for anybody."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import IO, Any, Final

import aiohttp
import msgspec
from yarl import URL

from services.kernel.actor import Actor
from services.kernel.clock import Clock
from services.kernel.http import trace
from services.kernel.http.identity import Tokens

#: How long a token is good for that is made for a person's requests, and when a new one is made.
TOKEN_LIFE: Final = timedelta(minutes=10)
_RENEWED_BEFORE: Final = timedelta(minutes=5)
PATIENCE: Final = aiohttp.ClientTimeout(total=60, connect=5)
#: For what may take long: files, and whatever adds up a month or more.
LONG_PATIENCE: Final = aiohttp.ClientTimeout(total=None, connect=5, sock_read=900)
_CACHED_TOKENS: Final = 1_000

Query = Mapping[str, str | int] | None


class ApiRefused(Exception):
    """The API said no: the status, and the problem+json that says why in zh and en."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(f"{status} {problem.get('code')}")
        self.status = status
        self.problem = problem
        self.code = str(problem.get("code", ""))

    def said(self, language: str) -> str:
        """Why, in words."""
        return str(self.problem.get(language) or self.problem.get("detail") or self.problem.get("title") or self.code)

    @property
    def errors(self) -> Mapping[str, Mapping[str, str]]:
        """What is wrong with a field, by its path in the body: the rule and that in words."""
        return {error["field"]: error for error in self.problem.get("errors") or ()}


class ApiAway(ApiRefused):
    """The API cannot be reached for now."""

    def __init__(self) -> None:
        zh, en = "服务暂时连不上,请稍后再试。", "The service cannot be reached for now. Try again in a moment."
        super().__init__(503, {"code": "unavailable", "retryable": True, "zh": zh, "en": en})


class Api:
    """Requests of people; `base_url` says where those of a kind go, by method and path."""

    def __init__(self, base_url: Callable[[str, str], str], tokens: Tokens, clock: Clock) -> None:
        self._base_url = base_url
        self._tokens = tokens
        self._clock = clock
        self._made: dict[Actor, tuple[str, datetime]] = {}
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Let go of the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def get(
        self, actor: Actor, path: str, query: Query = None, patience: aiohttp.ClientTimeout = PATIENCE
    ) -> Any:
        """What is at a path. Raises `ApiRefused`."""
        async with self._asked(actor, "GET", path, query=query, patience=patience) as response:
            return msgspec.json.decode(await response.read())

    async def send(
        self,
        actor: Actor,
        path: str,
        body: Mapping[str, Any] | bytes | IO[bytes] | aiohttp.StreamReader,
        *,
        key: str,
        version: str = "",
        method: str = "POST",
        query: Query = None,
        headers: Mapping[str, str] | None = None,
        patience: aiohttp.ClientTimeout = PATIENCE,
    ) -> Any:
        """Give a command: `key` is its Idempotency-Key; `version`, if any, the one that it was decided on. A body that
        is no mapping is sent as it comes. Raises `ApiRefused`."""
        sent = {"Idempotency-Key": key, **({"If-Match": f'"{version}"'} if version else {}), **(headers or {})}
        data = msgspec.json.encode(body) if isinstance(body, Mapping) else body
        if isinstance(body, Mapping):
            sent["Content-Type"] = "application/json"
        asked = self._asked(actor, method, path, query=query, headers=sent, data=data, patience=patience)
        async with asked as response:
            return msgspec.json.decode(await response.read() or b"null")

    @asynccontextmanager
    async def stream(
        self, actor: Actor, path: str, query: Query = None, patience: aiohttp.ClientTimeout = PATIENCE
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A file at a path, to be passed on as it comes. Raises `ApiRefused`."""
        async with self._asked(actor, "GET", path, query=query, patience=patience) as response:
            yield response

    @asynccontextmanager
    async def _asked(
        self,
        actor: Actor,
        method: str,
        path: str,
        query: Query = None,
        headers: Mapping[str, str] | None = None,
        data: bytes | IO[bytes] | aiohttp.StreamReader | None = None,
        patience: aiohttp.ClientTimeout = PATIENCE,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        url = URL(self._base_url(method, path)).join(URL(path, encoded=True)).with_query(query)
        sent = {"Authorization": f"Bearer {self._token(actor)}", **trace.headers(), **(headers or {})}
        try:
            asked = self._connections().request(method, url, headers=sent, data=data, timeout=patience)
            async with asked as response:
                if response.status >= 400:
                    raise ApiRefused(response.status, _problem(response.status, await response.read()))
                yield response
        except (aiohttp.ClientConnectionError, TimeoutError):
            raise ApiAway from None

    def _connections(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0)  # whoever waits for changes holds one
            self._session = aiohttp.ClientSession(
                timeout=PATIENCE,
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),  # each request is of another person
                skip_auto_headers=("User-Agent", "Accept-Encoding"),
            )
        return self._session

    def _token(self, actor: Actor) -> str:
        now = self._clock.now()
        made = self._made.get(actor)
        if made is None or now >= made[1] or now < made[1] - TOKEN_LIFE:
            if len(self._made) >= _CACHED_TOKENS:
                self._made.clear()
            made = self._tokens.make(actor, now, TOKEN_LIFE), now + _RENEWED_BEFORE
            self._made[actor] = made
        return made[0]


def _problem(status: int, raw: bytes) -> Mapping[str, Any]:
    try:
        problem = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        problem = None
    if isinstance(problem, dict):
        return problem
    return {"code": f"http_{status}", "title": raw[:200].decode(errors="replace")}
