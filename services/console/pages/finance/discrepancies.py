"""What does not agree: the list, and each with the bill on one side and the books on the other."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from services.console import exporting as shown
from services.console.api import ApiRefused
from services.console.page import ask, chosen, go, person, render, send
from services.console.pages.finance.proposal import first
from services.console.pages.finance.reading import accounts_of, actions_of, names_of
from services.console.work_lists import title_of
from services.wording.books import DISCREPANCIES, DISCREPANCY_STATES
from services.wording.words import Words

FILTERS: Final = ("kind", "state", "channel", "owner", "order_id", "case_id", "day", "run")
#: Filters that are shown when they are asked for.
MORE: Final = ("order_id", "case_id", "day", "run")


def _kind(words: Words, kind: str) -> str:
    return words.say(*DISCREPANCIES[kind]) if kind in DISCREPANCIES else kind


def _state(words: Words, state: str) -> str:
    return words.say(*DISCREPANCY_STATES[state])


COLUMNS: Final[shown.Columns] = {
    "discrepancy": shown.text,
    "kind": _kind,
    "channel": shown.text,
    "day": shown.text,
    "age_days": shown.number,
    "expected_fen": shown.money,
    "found_fen": shown.money,
    "state": _state,
    "owner": shown.term,
    "order_id": shown.text,
    "case_id": shown.text,
    "found_at": shown.time,
    "closed_at": shown.time,
    "correction": shown.text,
}


async def page(request: web.Request) -> web.Response:
    """The discrepancies that the filters choose, newest first."""
    filters = chosen(request.query, FILTERS)
    asked = {**filters, **chosen(request.query, ("after",)), "count": "true", "wait": "true"}
    return render(
        request,
        "finance/discrepancies.html",
        found=await ask(request, "/v1/discrepancies", asked),
        filters=filters,
        files=shown.files_of(request, filters),
        title=title_of(person(request), request.path, filters),
        kinds=names_of(request, DISCREPANCIES),
        states=names_of(request, DISCREPANCY_STATES),
        more_used=any(name in filters for name in MORE),
    )


async def export(request: web.Request) -> web.StreamResponse:
    """All of them as a file."""
    filters = chosen(request.query, FILTERS)
    return await shown.export(request, "/v1/discrepancies", filters, COLUMNS, "finance.discrepancy_columns")


async def one(request: web.Request) -> web.Response:
    """One of them: what the bill says, what we posted, what it means and what to do."""
    return await show(request, request.match_info["discrepancy"])


async def assign(request: web.Request) -> web.Response:
    """Say who looks after it."""
    name, posted = request.match_info["discrepancy"], await request.post()
    owner = str(posted.get("owner", "")).strip()
    try:
        await send(request, f"{_path(name)}/assign", {"owner": owner})
    except ApiRefused as refused:
        return await show(request, name, refused.status, assigning={"owner": owner, "refused": refused})
    return go(f"/console/finance/discrepancies/{quote(name, safe='')}", done="assign_discrepancy")


async def show(
    request: web.Request,
    name: str,
    status: int = 200,
    *,
    assigning: Mapping[str, Any] | None = None,
    proposal: Mapping[str, Any] | None = None,
) -> web.Response:
    """The page of one, with the forms as they were filled in where they were refused."""
    found, corrections, accounts, actions = await asyncio.gather(
        ask(request, _path(name)),
        ask(request, "/v1/corrections", {"discrepancy": name, "wait": "true"}),
        accounts_of(request),
        actions_of(request),
    )
    known = found["kind"] in DISCREPANCIES
    return render(
        request,
        "finance/discrepancy.html",
        status,
        one=found,
        known=known,
        corrections=corrections["items"],
        accounts=accounts,
        actions=actions,
        assigning=assigning or {"owner": "", "refused": None},
        proposal=proposal or first(name),
    )


def _path(name: str) -> str:
    return f"/v1/discrepancies/{quote(name, safe='')}"


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [
        web.get("/finance/discrepancies", page),
        web.get("/finance/discrepancies/export", export),
        web.get("/finance/discrepancies/{discrepancy}", one),
        web.post("/finance/discrepancies/{discrepancy}/assign", assign),
    ]
