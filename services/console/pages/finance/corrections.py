"""Corrections: proposed by one person, approved or declined by another."""

import asyncio
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from services.console.api import ApiRefused
from services.console.page import ask, chosen, go, render, send
from services.console.pages.finance import discrepancies
from services.console.pages.finance.proposal import again, first, read, typed
from services.console.pages.finance.reading import accounts_of, actions_of, names_of
from services.wording.books import CORRECTION_STATES

FILTERS: Final = ("state", "discrepancy")


async def page(request: web.Request) -> web.Response:
    """The corrections that the filters choose, newest first."""
    filters = chosen(request.query, FILTERS)
    asked = {**filters, **chosen(request.query, ("after",)), "count": "true", "wait": "true"}
    found, actions = await asyncio.gather(ask(request, "/v1/corrections", asked), actions_of(request))
    return render(
        request,
        "finance/corrections.html",
        found=found,
        actions=actions,
        filters=filters,
        states=names_of(request, CORRECTION_STATES),
    )


async def form(request: web.Request) -> web.Response:
    """An empty form."""
    return await _form(request, first(" ".join(request.query.getall("discrepancy", ()))))


async def propose(request: web.Request) -> web.Response:
    """Ask for what a form says."""
    posted = await request.post()
    told = read(posted)
    if told.mistakes or typed(posted, "more"):
        return await _shown_again(request, again(posted, told), 200 if typed(posted, "more") else 422)
    try:
        answer = await send(request, "/v1/corrections", told.body)
    except ApiRefused as refused:
        return await _shown_again(request, again(posted, told, refused), refused.status)
    made = next(one["data"]["correction"] for one in answer["events"] if one["type"] == "correction.proposed")
    return go(f"/console/finance/corrections/{quote(made, safe='')}", done="propose_correction")


async def _shown_again(request: web.Request, proposal: dict[str, Any], status: int) -> web.Response:
    """Beside the discrepancy, where it is about one alone and that is known."""
    named = proposal["discrepancies"].split()
    if len(named) != 1:
        return await _form(request, proposal, status)
    try:
        return await discrepancies.show(request, named[0], status, proposal=proposal)
    except ApiRefused as refused:
        if refused.status != 404:
            raise
        return await _form(request, proposal, status)


async def _form(request: web.Request, proposal: dict[str, Any], status: int = 200) -> web.Response:
    accounts, actions = await asyncio.gather(accounts_of(request), actions_of(request))
    context = {"proposal": proposal, "accounts": accounts, "actions": actions}
    return render(request, "finance/new_correction.html", status, **context)


async def one(request: web.Request) -> web.Response:
    """A correction, and what became of it."""
    return await _one(request)


async def approve(request: web.Request) -> web.Response:
    """Agree to what another person proposed."""
    return await _decide(request, "approve", {})


async def decline(request: web.Request) -> web.Response:
    """Say no to it, or take back one's own."""
    return await _decide(request, "decline", {"reason": typed(await request.post(), "reason")})


async def _decide(request: web.Request, what: str, body: dict[str, str]) -> web.Response:
    name = request.match_info["correction"]
    try:
        await send(request, f"{_path(name)}/{what}", body)
    except ApiRefused as refused:
        return await _one(request, refused, body.get("reason", ""))
    return go(f"/console/finance/corrections/{quote(name, safe='')}", done=f"{what}_correction")


async def _one(request: web.Request, refused: ApiRefused | None = None, reason: str = "") -> web.Response:
    name = request.match_info["correction"]
    found, accounts = await asyncio.gather(ask(request, _path(name)), accounts_of(request))
    status = refused.status if refused is not None else 200
    return render(
        request,
        "finance/correction.html",
        status,
        one=found,
        accounts=accounts,
        actions={one["command"]: one for one in found["next_actions"]},
        refused=refused,
        reason=reason,
    )


def _path(name: str) -> str:
    return f"/v1/corrections/{quote(name, safe='')}"


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [
        web.get("/finance/corrections", page),
        web.post("/finance/corrections", propose),
        web.get("/finance/corrections/new", form),
        web.get("/finance/corrections/{correction}", one),
        web.post("/finance/corrections/{correction}/approve", approve),
        web.post("/finance/corrections/{correction}/decline", decline),
    ]
