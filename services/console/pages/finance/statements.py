"""Statements of a month or of all time: parties, deposits, suspense, refunds, and what was posted."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from services.console.page import ask, chosen, render, say
from services.console.pages.finance.reading import accounts_of, month_of, of_month

#: What moves a balance, in the order in which it adds up, and the sign that stands before it.
PARTY: Final = {
    "opening_fen": "",
    "charged_fen": "+",
    "reversed_fen": "−",
    "credited_fen": "−",
    "recovered_fen": "−",
    "corrected_fen": "±",
    "closing_fen": "=",
}
DEPOSIT: Final = {
    "opening_fen": "",
    "collected_fen": "+",
    "returned_fen": "−",
    "forfeited_fen": "−",
    "corrected_fen": "±",
    "closing_fen": "=",
}
SUSPENSE: Final = {
    "opening_fen": "",
    "recorded_fen": "+",
    "assigned_fen": "−",
    "corrected_fen": "±",
    "closing_fen": "=",
}
REFUND: Final = {"goods_fen": "", "deducted_fen": "−", "corrected_fen": "±", "refunded_fen": "="}
AGES: Final = ("days_0_30_fen", "days_31_60_fen", "days_61_90_fen", "over_90_days_fen")
GROUPINGS: Final = ("problem", "cause", "sku", "channel")
POSTING_FILTERS: Final = ("account", "party", "case_id", "order_id", "item", "month", "day")
#: Always shown, whatever they are.
_ALWAYS: Final = frozenset({"opening_fen", "closing_fen", "goods_fen", "refunded_fen"})

Document = Mapping[str, Any]


async def parties(request: web.Request) -> web.Response:
    """What each party bears, and how old what is open is."""
    month = month_of(request)
    found = await ask(request, "/v1/statements/parties", of_month(month))
    figures = _used(PARTY, [*found["parties"], found["total"]])
    return render(request, "finance/parties.html", found=found, month=month, figures=figures, ages=AGES)


async def party(request: web.Request) -> web.Response:
    """One party, down to the case and the event."""
    month = month_of(request)
    path = "/".join(quote(part, safe="") for part in request.query.get("party", "").split("/", 1))
    found = await ask(request, f"/v1/statements/parties/{path}", of_month(month))
    return render(
        request,
        "finance/party.html",
        found=found,
        month=month,
        sums=_used(PARTY, [found["total"]]),
        figures=_used(PARTY, found["cases"]),
        ages=AGES,
    )


async def deposits(request: web.Request) -> web.Response:
    """Deposits one by one."""
    month = month_of(request)
    found = await ask(request, "/v1/statements/deposits", of_month(month))
    figures = _used(DEPOSIT, [*found["deposits"], found["total"]])
    return render(request, "finance/deposits.html", found=found, month=month, figures=figures, ages=AGES)


async def suspense(request: web.Request) -> web.Response:
    """Losses that nobody bears yet, case by case."""
    month = month_of(request)
    found = await ask(request, "/v1/statements/suspense", of_month(month))
    figures = _used(SUSPENSE, [*found["cases"], found["total"]])
    return render(request, "finance/suspense.html", found=found, month=month, figures=figures, ages=AGES)


async def refunds(request: web.Request) -> web.Response:
    """What was refunded, by problem, cause, article or channel."""
    month, by = month_of(request), request.query.get("by") or GROUPINGS[0]
    found = await ask(request, "/v1/statements/refunds", {**of_month(month), "by": by})
    return render(
        request,
        "finance/refunds.html",
        found=found,
        month=month,
        by=by,
        figures=_used(REFUND, [*found["rows"], found["total"]]),
        groupings=[(one, say(request, f"finance.by.{one}")) for one in GROUPINGS],
    )


async def postings(request: web.Request) -> web.Response:
    """What was posted, newest first."""
    filters = chosen(request.query, POSTING_FILTERS)
    asked = {**filters, **chosen(request.query, ("after",)), "count": "true"}
    found, accounts = await asyncio.gather(ask(request, "/v1/ledger/postings", asked), accounts_of(request))
    return render(request, "finance/postings.html", found=found, accounts=accounts, filters=filters)


def _used(figures: Mapping[str, str], rows: Sequence[Document]) -> dict[str, str]:
    """The figures that anything is said of."""
    return {name: sign for name, sign in figures.items() if name in _ALWAYS or any(row[name] for row in rows)}


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [
        web.get("/finance/statements", parties),
        web.get("/finance/statements/party", party),
        web.get("/finance/statements/deposits", deposits),
        web.get("/finance/statements/suspense", suspense),
        web.get("/finance/statements/refunds", refunds),
        web.get("/finance/postings", postings),
    ]
