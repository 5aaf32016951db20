"""Reconciling bills with the books: what it would come to, made, and what each came to."""

import asyncio
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from aiohttp import web

from services.console.api import LONG_PATIENCE, ApiRefused
from services.console.page import ask, chosen, go, render, send
from services.console.pages.finance.reading import actions_of
from services.wording.books import DAY_TOTALS

ASKED: Final = ("channel", "first_day", "last_day", "order_channels")
_BETWEEN: Final = re.compile(r"[,\uff0c、;\uff1b\s]+")


async def page(request: web.Request) -> web.Response:
    """Those that were made, newest first, and the form for another one."""
    return await _list(request, chosen(request.query, ASKED))


async def preview(request: web.Request) -> web.Response:
    """What a reconciliation would come to; nothing is noted."""
    typed = chosen(request.query, ASKED)
    channels = ",".join(_channels(typed.get("order_channels", "")))
    asked = {**typed, **({"order_channels": channels} if channels else {})}
    try:
        found, actions = await asyncio.gather(
            ask(request, "/v1/reconciliations/preview", asked, LONG_PATIENCE), actions_of(request)
        )
    except ApiRefused as refused:
        if refused.status != 422:
            raise
        return await _list(request, typed, refused)
    return render(request, "finance/preview.html", found=found, typed=typed, actions=actions)


async def make(request: web.Request) -> web.Response:
    """Compare, note what agrees, and raise what does not."""
    posted = await request.post()
    typed = {name: str(posted.get(name, "")).strip() for name in ASKED}
    body = {**typed, "order_channels": _channels(typed["order_channels"])}
    try:
        answer = await send(request, "/v1/reconciliations", body, patience=LONG_PATIENCE)
    except ApiRefused as refused:
        return await _list(request, typed, refused)
    made = [one["data"]["run"] for one in answer["events"] if one["type"] == "books.reconciled"]
    if not made:
        return go("/console/finance/reconciliations", done="finance.nothing_new", channel=typed["channel"])
    return go(f"/console/finance/reconciliations/{quote(made[-1], safe='')}", done="reconcile")


async def _list(request: web.Request, typed: Mapping[str, str], refused: ApiRefused | None = None) -> web.Response:
    asked = {**chosen(typed, ("channel",)), **chosen(request.query, ("after",)), "wait": "true"}
    if refused is not None:
        asked = {"wait": "true"}
    return render(
        request,
        "finance/reconciliations.html",
        refused.status if refused is not None else 200,
        runs=await ask(request, "/v1/reconciliations", asked),
        typed=typed,
        refused=refused,
    )


async def run(request: web.Request) -> web.Response:
    """One reconciliation, with its days; `check=yes` in the address makes it anew and compares."""
    path = f"/v1/reconciliations/{quote(request.match_info['run'], safe='')}"
    wants_check = request.query.get("check") == "yes"
    again = ask(request, f"{path}/check", patience=LONG_PATIENCE) if wants_check else _none()
    one, check = await asyncio.gather(ask(request, path), again)
    return render(
        request,
        "finance/run.html",
        run=one,
        check=check,
        totals=[name for name in DAY_TOTALS if any(day[name] for day in one["days"])],
    )


async def _none() -> None:
    return None


def _channels(typed: str) -> list[str]:
    """Channels of orders as they are typed, with commas or blanks between."""
    return [one for one in _BETWEEN.split(typed) if one]


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [
        web.get("/finance/reconciliations", page),
        web.post("/finance/reconciliations", make),
        web.get("/finance/reconciliations/preview", preview),
        web.get("/finance/reconciliations/{run}", run),
    ]
