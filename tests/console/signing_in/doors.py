"""A console that is nothing but its door, and a browser that goes through it step by step."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import aiohttp
from aiohttp import web
from yarl import URL

from services.console.signing_in.oidc import CALLBACK, Oidc
from services.console.signing_in.refused import SignInRefused
from services.kernel.clock import SystemClock
from services.kernel.settings import Settings, load_settings
from tests.console.provider.running import CLIENT_ID, CLIENT_SECRET

SECRET = "a-secret-that-is-long-enough-for-tests"
REDIRECTS = (301, 302, 303, 307, 308)


class Answer(NamedTuple):
    """What a console answered."""

    status: int
    body: Mapping[str, Any]


def settings_for(issuer: str, **changed: str) -> Settings:
    """The settings of a console that signs in there."""
    given = {
        "oidc_issuer": issuer,
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret": CLIENT_SECRET,
        "oidc_scopes": "openid profile roles",
    }
    return load_settings({}, **(given | changed))


class Door:
    """The console's side: leads to the provider, and says who came back."""

    def __init__(self, settings: Settings) -> None:
        self.later = timedelta()
        """By how much its clock is ahead."""
        self.oidc = Oidc(settings, SECRET, self)
        self.url = ""

    def now(self) -> datetime:
        """Its clock."""
        return SystemClock().now() + self.later

    async def begin(self, request: web.Request) -> web.Response:
        """Send a browser to the provider."""
        try:
            begun = await self.oidc.begin(request, request.query.get("to", ""))
        except SignInRefused as refused:
            return _refused(refused)
        response = web.Response(status=303, headers={"Location": begun.url})
        for cookie in begun.cookies:
            cookie.put(response)
        return response

    async def finish(self, request: web.Request) -> web.Response:
        """Say who came back."""
        try:
            who = await self.oidc.finish(request)
        except SignInRefused as refused:
            return _refused(refused)
        response = web.json_response({"name": who.name, "roles": who.roles, "target": who.target})
        for cookie in who.cookies:
            cookie.put(response)
        return response

    async def leave(self, request: web.Request) -> web.Response:
        """Say where to sign out at the provider."""
        return web.json_response({"url": await self.oidc.sign_out_url(request, "/console/signed-out")})


def _refused(refused: SignInRefused) -> web.Response:
    body = {"code": refused.code, "zh": refused.text("zh"), "en": refused.text("en")}
    return web.json_response(body, status=refused.status)


@asynccontextmanager
async def open_door(settings: Settings) -> AsyncIterator[Door]:
    """A door that is listened at."""
    door = Door(settings)
    app = web.Application()
    app.add_routes(
        [web.get("/console/sign-in", door.begin), web.get(CALLBACK, door.finish), web.get("/leave", door.leave)]
    )
    try:
        async with serving(app) as url:
            door.url = url
            yield door
    finally:
        await door.oidc.close()


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    """The address of an application that listens."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class Browser:
    """Keeps cookies, and follows redirects as far as it is told."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def to_provider(self, door: Door, to: str = "") -> str:
        """Begin; where the console sends it."""
        async with self._session.get(
            URL(door.url).joinpath("console/sign-in").with_query(to=to), allow_redirects=False
        ) as response:
            assert response.status == 303, await response.text()
            return response.headers["Location"]

    async def sign_in(self, door: Door, login: str, to: str = "") -> str:
        """Begin, and name oneself to the provider; the address it sends back to, which is not visited yet."""
        page = await self.follow(await self.to_provider(door, to), door)
        if not page.startswith(door.url):
            page = await self.follow(page, door, {"login": login} if login else {"cancel": "1"})
        assert page.startswith(door.url), page
        return page

    async def follow(self, url: str, door: Door, form: Mapping[str, str] | None = None) -> str:
        """Follow redirects up to a page, or to the console, which is not visited."""
        while True:
            method = "GET" if form is None else "POST"
            where = URL(url, encoded=True)
            async with self._session.request(method, where, data=form, allow_redirects=False) as answer:
                if answer.status not in REDIRECTS:
                    assert answer.status == 200, await answer.text()
                    return url
                url, form = str(where.join(URL(answer.headers["Location"], encoded=True))), None
                if url.startswith(door.url):
                    return url

    async def get(self, url: str | URL) -> Answer:
        """Visit the console."""
        async with self._session.get(url, allow_redirects=False) as response:
            return Answer(response.status, await response.json())

    def cookies(self) -> dict[str, str]:
        """The console's cookies."""
        return {one.key: one.value for one in self._session.cookie_jar if one.key.startswith("aftersales-")}

    def put(self, cookies: Mapping[str, str], door: Door) -> None:
        """Set cookies."""
        self._session.cookie_jar.update_cookies(dict(cookies), URL(door.url))


@asynccontextmanager
async def browsing() -> AsyncIterator[Browser]:
    """A fresh browser."""
    jar = aiohttp.CookieJar(unsafe=True)  # cookies of 127.0.0.1
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        yield Browser(session)


def asked(url: str) -> dict[str, str]:
    """The query of an address."""
    return {name: values[0] for name, values in parse_qs(URL(url).raw_query_string).items()}
