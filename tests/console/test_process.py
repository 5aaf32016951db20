"""`aftersales console`: the pages in a process of their own, in front of services that run elsewhere."""

import http.client
import time
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.request import HTTPCookieProcessor, OpenerDirector, build_opener

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from contracts.policy import load_policy
from services.console.api import Api
from services.console_process import base_url_of
from services.kernel.actor import Actor
from services.kernel.clock import SystemClock
from services.kernel.http.app import Handler, make_app
from services.kernel.http.identity import Tokens
from services.kernel.settings import SettingsInvalid
from tests.cli import terminal
from tests.http.server import Server

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SECRET = "of-the-shop-and-of-its-console-alike"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Server]:
    """The services, all of them at one address."""
    running = Server(tmp_path, manual=False, token_secret=SECRET)
    yield running
    running.close()


def console(folder: Path, api_url: str, **environ: str) -> terminal.Server:
    """A console in front of services."""
    own = {"API_URL": api_url, "TOKEN_SECRET": SECRET, "DRAIN_SECONDS": "0"}
    return terminal.Server(folder, command=("console",), **own, **environ)


def somebody(link: str) -> OpenerDirector:
    """A browser, signed in by a link."""
    browser = build_opener(HTTPCookieProcessor(CookieJar()))
    browser.open(link, timeout=10).close()
    return browser


def test_console_apart_shows_pages_tells_when_the_api_is_away_and_ends_at_once(shop: Server, tmp_path: Path) -> None:
    """Its link signs in, its pages show what the services hold, it is ready while they answer, counts its requests, and
    a page that stays open for changes does not keep it from ending."""
    case_id = shop.case()
    shop.settle()
    with console(tmp_path, shop.embedded.base_url) as running:
        browser = somebody(running.told["console"])
        with browser.open(f"{running.url}/", timeout=10) as page:
            assert page.url.startswith(f"{running.url}/console/")
        with browser.open(f"{running.url}/console/cases", timeout=10) as page:
            assert case_id in page.read().decode()
        assert running.status("/readyz") == 200
        assert running.status("/v1/cases") == 401
        assert metric(running, shop, 'route="/console/cases"').endswith(" 1.0")
        with browser.open(f"{running.url}/console/cases/{case_id}/live", timeout=10) as changes:
            assert changes.headers["X-Accel-Buffering"] == "no"
            assert any(line.startswith(b"id: ") for line in changes)
            shop.run(shop.embedded.stop())
            assert running.status("/readyz") == 503
            assert running.status("/healthz") == 200
            asked = time.monotonic()
            status, logged = running.stop()
            assert time.monotonic() - asked < 1
            changes.read()
        assert status == 0, logged
        assert "Traceback" not in logged


def metric(running: terminal.Server, shop: Server, labels: str) -> str:
    """A line of the process's metrics: how many requests of a kind there were."""
    connection = http.client.HTTPConnection(running.url.removeprefix("http://"), timeout=10)
    connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {shop.token('service/prometheus')}"})
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    return next(line for line in lines if line.startswith("aftersales_request_seconds_count") and labels in line)


def test_with_a_provider_there_is_no_way_in_by_a_link(tmp_path: Path) -> None:
    """Where a provider says who people are, nobody else does."""
    provider = {"OIDC_ISSUER": "https://id.example", "OIDC_CLIENT_ID": "console"}
    with console(tmp_path, "http://127.0.0.1:9", **provider) as running:
        assert "console" not in running.told
        assert running.status("/console/sign-in") == 200
    settings = {"TOKEN_SECRET": SECRET, **provider}
    terminal.aftersales("link", **settings).must_fail(2, "AFTERSALES_OIDC_ISSUER")


def test_a_console_without_an_api_does_not_start() -> None:
    """Whoever forgot to say where the services are is told so, and not shown empty pages."""
    terminal.aftersales("console").must_fail(2, "AFTERSALES_API_URL", "aftersales serve")


async def test_what_a_page_asks_the_api_is_a_part_of_its_trace() -> None:
    """Whoever follows a click finds what the services did for it."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.headers["traceparent"])
        return web.json_response({})

    clock = SystemClock()
    async with TestServer(_app(answer)) as services:
        api = Api(lambda *_: str(services.make_url("")), Tokens(SECRET), clock)

        async def page(request: web.Request) -> web.Response:
            await api.get(Actor("agent", "小李"), "/asked")
            return web.Response()

        pages = make_app(load_policy(), Tokens(SECRET), clock, None)
        pages.router.add_get("/console/page", page)
        async with TestClient(TestServer(pages)) as browser:
            await browser.get("/console/page", headers={"traceparent": TRACEPARENT})
        await api.close()
    assert asked == [TRACEPARENT]


def _app(answer: Handler) -> web.Application:
    app = web.Application()
    app.router.add_get("/asked", answer)
    return app


def test_a_request_goes_to_the_service_that_answers_it() -> None:
    """Wherever services are: behind one front, under names that hold theirs, or each at an address of its own."""
    ways = {
        "http://front": ("http://front", "http://front"),
        "http://{service}-api:8080": ("http://refunds-api:8080", "http://cases-api:8080"),
        "cases=http://a,refunds=http://b,liability=http://c,finance=http://d": ("http://b", "http://a"),
    }
    for api_url, expected in ways.items():
        base_url = base_url_of(api_url)
        assert (base_url("GET", "/v1/payouts"), base_url("GET", "/v1/nothing")) == expected
    with pytest.raises(SettingsInvalid, match="finance"):
        base_url_of("cases=http://a,refunds=http://b,liability=http://c")
