"""The search box: one hit is gone to at once, so that a scanned waybill opens its case at the step that it is for."""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from services.console.page import ask, go, render
from services.console.work_lists import STEPS

#: The longest that is looked for.
_MOST: Final = 200

Found = Mapping[str, Any]


async def page(request: web.Request) -> web.Response:
    """What a number belongs to."""
    wanted = wanted_of(request.query.get("q", ""))
    if not wanted:
        return render(request, "search/found.html", wanted="", found=(), has_more=False, to=place_of)
    answer = await ask(request, "/v1/search", {"q": wanted, "wait": "true"})
    meant = meant_of(answer["items"])
    if meant is not None and not (answer["has_more"] and not meant["exact"]):
        return go(place_of(meant))
    return render(
        request, "search/found.html", wanted=wanted, found=answer["items"], has_more=answer["has_more"], to=place_of
    )


def wanted_of(typed: str) -> str:
    """What was typed or scanned as a number: without blanks and control characters around it, and with wide letters
    made plain, which a scanner types through a keyboard for Chinese."""
    plain = unicodedata.normalize("NFKC", typed)
    return "".join(sign for sign in plain if unicodedata.category(sign) not in ("Cc", "Cf")).strip()[:_MOST]


def meant_of(found: Sequence[Found]) -> Found | None:
    """The one that is meant: the only one, the only one that fits wholly, or the only one of those whose parcel is
    under way."""
    exact = [one for one in found if one["exact"]]
    for some in (found, exact, [one for one in exact if one["stage"]]):
        if len(some) == 1:
            return some[0]
    return None


def place_of(found: Found) -> str:
    """The page of what was found."""
    if not found["case_id"]:
        return f"/console/orders/{quote(found['order_id'], safe='')}"
    if step := STEPS.get(found["stage"]):
        return step.path(found["case_id"], found["item"])
    return f"/console/cases/{quote(found['case_id'], safe='')}"


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [web.get("/search", page)]
