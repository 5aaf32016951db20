"""Months of the books: what one holds, preparing it by one person and closing it by another, and whether it still is
what was frozen."""

import asyncio
from collections.abc import Mapping
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


async def prepare(request: web.Request) -> web.Response:
    """Find it ready to be closed. Whoever does has seen its remarks, and says so."""
    return await _do(request, "prepare")


async def close(request: web.Request) -> web.Response:
    """Close it for good."""
    return await _do(request, "close")


async def _do(request: web.Request, what: str) -> web.Response:
    name, posted = request.match_info["month"], await request.post()
    if posted.get("seen") != "yes":
        report = await ask(request, f"{_path(name)}/report", {"wait": "true"})
        if report["warnings"] and any(one["allowed"] for one in report["next_actions"]):
            return await _month(request, unseen=True)
    try:
        await send(request, f"{_path(name)}/{what}", {}, patience=LONG_PATIENCE)
    except ApiRefused as refused:
        return await _month(request, refused)
    return go(f"/console/finance/periods/{quote(name, safe='')}", done=f"{what}_period")


async def _month(request: web.Request, refused: ApiRefused | None = None, *, unseen: bool = False) -> web.Response:
    path = _path(request.match_info["month"])
    report, accounts = await asyncio.gather(ask(request, f"{path}/report", {"wait": "true"}), accounts_of(request))
    check: Any = None
    if request.query.get("check") == "yes" and report["state"] == "closed":
        check = await ask(request, f"{path}/check", patience=LONG_PATIENCE)
    return render(
        request,
        "finance/period.html",
        refused.status if refused is not None else 422 if unseen else 200,
        report=report,
        accounts=accounts,
        check=check,
        refused=refused,
        figures=FIGURES,
        unseen=unseen,
        totals=[row for row in report["totals"] if _holds(row)],
        quiet=[row for row in report["totals"] if not _holds(row)],
        held=[row for row in report["accounts"] if row["party"] and _holds(row)],
    )


def _holds(row: Mapping[str, Any]) -> bool:
    """Whether an account moved or holds anything."""
    return any(row[name] for name in FIGURES)


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
        web.post("/finance/periods/{month}/prepare", prepare),
        web.post("/finance/periods/{month}/close", close),
        web.get("/finance/periods/{month}/report.jsonl", frozen),
    ]
