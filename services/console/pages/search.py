"""The search box: one hit is gone to at once, so that a scanned waybill opens its case at the step that it is for."""

import unicodedata
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from services.console.page import ask, go, person, render
from services.console.work_lists import AGENTS, STEPS

#: The longest that is looked for.
_MOST: Final = 200

Found = Mapping[str, Any]


async def page(request: web.Request) -> web.Response:
    """What a number belongs to."""
    typed = wanted_of(request.query.get("q", ""))
    if not typed:
        return _found(request, "", (), has_more=False)
    answer = await ask(request, "/v1/search", {"q": typed, "wait": "true"})
    meant = meant_of(answer["items"])
    if meant is not None and not (answer["has_more"] and not meant["exact"]):
        return go(place_of(meant, person(request).role))
    return _found(request, unicodedata.normalize("NFKC", typed), answer["items"], has_more=answer["has_more"])


def _found(request: web.Request, wanted: str, found: Sequence[Found], *, has_more: bool) -> web.Response:
    return render(
        request,
        "search/found.html",
        wanted=wanted,
        found=found,
        has_more=has_more,
        to=partial(place_of, role=person(request).role),
        may_open=person(request).role in AGENTS,
    )


def wanted_of(typed: str) -> str:
    """What was typed or scanned as a number: without blanks, wide ones too, and control characters around it."""
    return "".join(sign for sign in typed if unicodedata.category(sign) not in ("Cc", "Cf")).strip()[:_MOST]


def meant_of(found: Sequence[Found]) -> Found | None:
    """The one that is meant: the only one, the only one that fits wholly, or the only one of those whose parcel is
    under way. How a waybill begins means none: a code that was read by half opens no other parcel."""
    exact = [one for one in found if one["exact"]]
    for some in (found, exact, [one for one in exact if one["stage"]]):
        if len(some) == 1 and (some[0]["exact"] or some[0]["kind"] != "waybill"):
            return some[0]
    return None


def place_of(found: Found, role: str) -> str:
    """The page of what was found: its next step, where that is the role's work."""
    if not found["case_id"]:
        return f"/console/orders/{quote(found['order_id'], safe='')}"
    if (step := STEPS.get(found["stage"])) and role in step.roles:
        return step.path(found["case_id"], found["item"])
    return f"/console/cases/{quote(found['case_id'], safe='')}"


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [web.get("/search", page)]
