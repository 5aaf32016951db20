"""Months of the books: what one holds, closing it, and whether it still is what was frozen."""

import asyncio
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from services.console.api import LONG_PATIENCE, ApiRefused
from services.console.page import ask, go, render, send
from services.console.pages.finance.exports import passed_on
from services.console.pages.finance.reading import accounts_of

FIGURES: Final = ("opening_fen", "debit_fen", "credit_fen", "closing_fen")


async def page(request: web.Request) -> web.Response:
    """All months, the newest first."""
    return render(request, "finance/periods.html", periods=await ask(request, "/v1/periods", {"wait": "true"}))


async def month(request: web.Request) -> web.Response:
    """A month as it was frozen, or as it would be closed now; `check=yes` in the address makes a closed one anew."""
    return await _month(request)


async def close(request: web.Request) -> web.Response:
    """Close it for good."""
    name = request.match_info["month"]
    try:
        await send(request, f"{_path(name)}/close", {}, patience=LONG_PATIENCE)
    except ApiRefused as refused:
        return await _month(request, refused)
    return go(f"/console/finance/periods/{quote(name, safe='')}", done="close_period")


async def _month(request: web.Request, refused: ApiRefused | None = None) -> web.Response:
    path = _path(request.match_info["month"])
    report, accounts = await asyncio.gather(ask(request, f"{path}/report", {"wait": "true"}), accounts_of(request))
    check: Any = None
    if request.query.get("check") == "yes" and report["state"] == "closed":
        check = await ask(request, f"{path}/check", patience=LONG_PATIENCE)
    return render(
        request,
        "finance/period.html",
        refused.status if refused is not None else 200,
        report=report,
        accounts=accounts,
        check=check,
        refused=refused,
        figures=FIGURES,
    )


async def frozen(request: web.Request) -> web.StreamResponse:
    """The very bytes of a closed month's report, whose SHA-256 was frozen."""
    name = request.match_info["month"]
    return await passed_on(request, f"{_path(name)}/report", {"format": "jsonl"}, f"{name}-report.jsonl")


def _path(name: str) -> str:
    return f"/v1/periods/{quote(name, safe='')}"


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [
        web.get("/finance/periods", page),
        web.get("/finance/periods/{month}", month),
        web.post("/finance/periods/{month}/close", close),
        web.get("/finance/periods/{month}/report.jsonl", frozen),
    ]
