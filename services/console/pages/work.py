"""Where work begins: the work lists of a role with how much is in each, and taking a case that nobody has."""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from aiohttp import web
from yarl import URL

from services.console.api import ApiRefused
from services.console.page import ask, go, moment_now, person, render, send
from services.console.pages.cases import asked_for
from services.console.pages.first_run import FirstRun
from services.console.work_lists import AGENTS, Tone, WorkList, lists_of


class Card(msgspec.Struct, frozen=True):
    """A work list as somebody sees it. `count`: how many are in it, None where that cannot be had for now."""

    text: str
    address: str
    tone: Tone
    count: int | None
    count_is_more: bool


class Work:
    """The page where work begins."""

    def __init__(self, first_run: FirstRun) -> None:
        self._first_run = first_run

    def routes(self) -> list[web.RouteDef]:
        """The pages of this module."""
        return [web.get("/", self.page), web.post("/take", take)]

    async def page(self, request: web.Request) -> web.Response:
        """The work lists of the person's role."""
        chosen = lists_of(person(request))
        cards = await asyncio.gather(*(_card(request, one, filters) for one, filters in chosen))
        welcome = await self._first_run.welcome(request, busy=any(card.count for card in cards))
        return render(request, "work/home.html", cards=cards, welcome=welcome, may_open=person(request).role in AGENTS)


async def take(request: web.Request) -> web.Response:
    """Take a case that nobody has; whoever was quicker keeps it."""
    case_id, name = str((await request.post()).get("case_id", "")), person(request).name
    path, page = f"/v1/cases/{quote(case_id, safe='')}", f"/console/cases/{quote(case_id, safe='')}"
    case = await ask(request, path, {"timeline": 0})
    if case["assignee"] not in ("", name):
        return go(page, done="work.taken")
    if not case["assignee"]:
        await send(request, f"{path}/assign-case", {"to": name}, version=str(case["version"]), part=f"-{case_id}")
    return go(page, done="assign_case")


async def _card(request: web.Request, one: WorkList, filters: Mapping[str, str]) -> Card:
    asked = asked_for(filters, moment_now(request)) if one.api == "/v1/cases" else filters
    address = str(URL(one.page).with_query(filters))
    try:
        found: Mapping[str, Any] = await ask(request, one.api, {**asked, "limit": 1, "count": "true"})
    except ApiRefused:
        return Card(one.text, address, one.tone, None, False)
    return Card(one.text, address, one.tone, found["count"], found["count_is_more"])
