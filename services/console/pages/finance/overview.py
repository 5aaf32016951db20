"""Where finance begins: the months, what is open, and whether the books balance."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from services.console.api import LONG_PATIENCE, ApiRefused
from services.console.page import ask, moment_now, render
from services.kernel.shop_time import shop_month

#: Months that are shown; the others are in their own list.
_MONTHS: Final = 6
#: What is counted: its text, its page, where the API has it, what it is chosen by, and its colour where there is any.
_COUNTED: Final = (
    ("finance.payouts_to_make", "/console/payouts", "/v1/payouts", {"status": "requested"}, "warn"),
    ("finance.payouts_unknown", "/console/payouts", "/v1/payouts", {"status": "unknown"}, "bad"),
    ("finance.payouts_failed", "/console/payouts", "/v1/payouts", {"status": "failed"}, "bad"),
    (
        "finance.discrepancies_open",
        "/console/finance/discrepancies",
        "/v1/discrepancies",
        {"state": "open"},
        "warn",
    ),
    (
        "finance.corrections_waiting",
        "/console/finance/corrections",
        "/v1/corrections",
        {"state": "proposed"},
        "warn",
    ),
)


async def page(request: web.Request) -> web.Response:
    """Finance at a glance."""
    periods, kinds, runs, *counts = await asyncio.gather(
        ask(request, "/v1/periods"),
        ask(request, "/v1/discrepancies/open-kinds"),
        ask(request, "/v1/reconciliations", {"limit": 5}),
        *(_counted(request, path, filters) for _, _, path, filters, _ in _COUNTED),
    )
    due = month_due(periods["items"], shop_month(moment_now(request)))
    return render(
        request,
        "finance/overview.html",
        months=periods["items"][:_MONTHS],
        due=await ask(request, f"/v1/periods/{due}/report") if due else None,
        kinds=kinds["items"],
        runs=runs["items"],
        cards=[
            {"text": text, "page": place, "filters": filters, "tone": tone, "count": count}
            for (text, place, _, filters, tone), count in zip(_COUNTED, counts, strict=True)
        ],
    )


def month_due(months: list[Mapping[str, Any]], this_month: str) -> str:
    """The oldest month that is over and still open; empty where there is none."""
    return min((one["month"] for one in months if one["state"] == "open" and one["month"] < this_month), default="")


async def _counted(request: web.Request, path: str, filters: Mapping[str, str]) -> Mapping[str, Any] | None:
    """How many there are; None where whoever knows is away, which must not hide all the rest."""
    try:
        answer: Mapping[str, Any] = await ask(request, path, {**filters, "limit": 1, "count": "true"})
    except ApiRefused as refused:
        if refused.status < 500:
            raise
        return None
    return answer


async def ledger_check(request: web.Request) -> web.Response:
    """Whether debits are credits: every posting is added up, so this is asked for by itself."""
    check = await ask(request, "/v1/ledger/check", patience=LONG_PATIENCE)
    return render(request, "finance/ledger_check.html", check=check)


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [web.get("/finance", page), web.get("/finance/ledger-check", ledger_check)]
