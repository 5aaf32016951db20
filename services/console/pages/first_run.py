"""The first run: what this is, a made-up shop to try it with, and four things to try in it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final, NamedTuple

import structlog
from aiohttp import web
from yarl import URL

from services.console.api import ApiRefused
from services.console.page import ask, go, person, render
from services.console.session import HOME
from services.kernel.long_work import Tell

#: What loads the sample shop: the name of who is to have some of its cases, and what to tell how far it is.
Load = Callable[[str, Tell], Awaitable[None]]

#: Says that this browser is shown the tour; its value is an order to try it with.
TOUR_COOKIE: Final = "aftersales_tour"
_TOUR_SECONDS: Final = int(timedelta(days=30).total_seconds())

log = structlog.get_logger(__name__)


class Stop(NamedTuple):
    """Something to try: its text, the role to work in, and where. `about_order`: with an order that nobody complained
    of, where one is known."""

    text: str
    role: str
    page: str
    about_order: bool = False

    def at(self, order: str) -> str:
        """Where it is tried."""
        return str(URL(self.page).update_query(order_id=order)) if self.about_order and order else self.page


TOUR: Final[Sequence[Stop]] = (
    Stop("first_run.open", "agent", "/console/new-case", about_order=True),
    Stop("first_run.pay", "agent", "/console/cases?stage=compensation_to_pay"),
    Stop("first_run.receive", "warehouse", "/console/cases?stage=return_to_inspect"),
    Stop("first_run.bore", "team_lead", "/console/liability"),
)


class Loading:
    """A sample shop on its way in."""

    def __init__(self, load: Load, name: str) -> None:
        self.done = 0
        self.total = 0
        self.failed = False
        self._work = asyncio.create_task(self._run(load, name))

    @property
    def over(self) -> bool:
        """Whether it ended, well or not."""
        return self._work.done()

    async def tell(self, done: int, total: int) -> None:
        """So many of so many steps are done."""
        self.done, self.total = done, total

    async def stop(self) -> None:
        """Let go of it."""
        self._work.cancel()
        await asyncio.gather(self._work, return_exceptions=True)

    async def _run(self, load: Load, name: str) -> None:
        try:
            await load(name, self.tell)
        except Exception:
            self.failed = True
            log.exception("sample_not_loaded")


class Welcome(NamedTuple):
    """What the page where work begins says to a newcomer. `empty`: there is no order yet; `offered`: a sample shop can
    be loaded; `tour`: what to try in it; `order`: one that nobody complained of, where that is known."""

    empty: bool
    offered: bool
    loading: Loading | None
    tour: Sequence[Stop]
    order: str


class FirstRun:
    """Offers the sample shop where there is no order yet."""

    def __init__(self, load: Load | None) -> None:
        """`load`: None where there is no sample shop to be had."""
        self._load = load
        self._loading: Loading | None = None
        self._in_use = False

    def routes(self) -> list[web.RouteDef]:
        """The pages of this module."""
        return [
            web.post("/first-run", self.begin),
            web.get("/first-run", self.progress),
            web.post("/first-run/tour", tour),
            web.post("/first-run/seen", seen),
        ]

    async def close(self) -> None:
        """Let go of what is under way."""
        if self._loading is not None:
            await self._loading.stop()

    async def welcome(self, request: web.Request, busy: bool) -> Welcome | None:
        """What a newcomer is told, None for everybody else. `busy`: there is work, so there are orders."""
        self._in_use = self._in_use or busy
        order = request.cookies.get(TOUR_COOKIE)
        tour = () if order is None else TOUR
        loading = self._under_way
        empty = loading is None and await self._is_empty(request)
        if not (empty or loading or tour):
            return None
        return Welcome(empty, empty and self._load is not None, loading, tour, order or "")

    async def begin(self, request: web.Request) -> web.Response:
        """Load the sample shop. Raises `ApiRefused` for who may not look whether there are orders."""
        if self._load is None:
            raise web.HTTPNotFound
        orders = await _orders(request)
        if self._under_way is None:
            if orders:
                return go(HOME)
            self._loading = Loading(self._load, person(request).name)
        return go("/console/first-run")

    async def progress(self, request: web.Request) -> web.Response:
        """How far it is; the tour once it is there."""
        loading = self._loading
        if loading is not None and (loading.failed or not loading.over):
            return render(request, "work/loading.html", loading=loading)
        response = go(HOME)
        if "HX-Request" in request.headers:
            response = web.Response(status=204, headers={"HX-Redirect": HOME})
        if loading is not None:
            await _begin_tour(request, response)
        return response

    @property
    def _under_way(self) -> Loading | None:
        return None if self._loading is None or self._loading.over else self._loading

    async def _is_empty(self, request: web.Request) -> bool:
        """Whether there is no order yet, as far as this person may know."""
        if not self._in_use:
            try:
                self._in_use = bool(await _orders(request))
            except ApiRefused:
                return False
        return not self._in_use


async def tour(request: web.Request) -> web.Response:
    """The tour is shown, in whichever browser and however often it was ended."""
    response = go(HOME)
    await _begin_tour(request, response)
    return response


async def seen(request: web.Request) -> web.Response:
    """The tour is not shown again."""
    response = go(HOME)
    response.del_cookie(TOUR_COOKIE, path="/console/")
    return response


async def _begin_tour(request: web.Request, response: web.StreamResponse) -> None:
    order = ""
    with suppress(ApiRefused):
        order = next(iter(await _orders(request)), "")  # those that nobody complains of come first
    response.set_cookie(TOUR_COOKIE, order, path="/console/", max_age=_TOUR_SECONDS, samesite="Lax", httponly=True)


async def _orders(request: web.Request) -> list[str]:
    """The first order, if there is any. Raises `ApiRefused` for who may not know."""
    page = await ask(request, "/v1/events/cases", {"type": "order.recorded", "limit": 1})
    return [str(event["data"]["order"]["order_id"]) for event in page["items"]]
