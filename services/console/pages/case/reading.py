"""What the pages of a case are made from, asked of the API."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, Final, NamedTuple, cast
from urllib.parse import quote

from aiohttp import web

from services.console.api import ApiRefused
from services.console.page import actor, ask, desk
from services.kernel.actor import Actor
from services.kernel.naming import order_of

#: Happenings that a page tells of at once, and the most that the API gives at once.
HAPPENINGS: Final = 50
HAPPENINGS_MOST: Final = 500

Case = Mapping[str, Any]

#: Which service decides a command that cases do not decide, by what of the case tells that service's version.
ELSEWHERE: Final[Mapping[str, str]] = {
    "confirm_payout": "settlement",
    "retry_payout": "settlement",
    "assign_liability": "charges",
    "record_recovery": "charges",
}


class Told(NamedTuple):
    """A happening of the timeline, and how many seconds after the one before it (None for the first)."""

    happening: Mapping[str, Any]
    gap: float | None

    @property
    def by_person(self) -> bool:
        """Whether somebody did it; what services book by themselves needs nobody's look."""
        return not str(self.happening["actor"]).startswith("system/")

    def changes_forms_of(self, who: Actor) -> bool:
        """Whether somebody who fills in a form must look at it first; the photos that they sent meanwhile are known to
        them."""
        own_photo = self.happening["type"] == "evidence.submitted" and self.happening["actor"] == str(who)
        return self.by_person and not own_photo


def case_path(case_id: str) -> str:
    """Where a case is in the API."""
    return f"/v1/cases/{quote(case_id, safe='')}"


def order_path(order_id: str) -> str:
    """Where an order is in the API."""
    return f"/v1/orders/{quote(order_id, safe='')}"


def moment_asked(request: web.Request) -> dict[str, str]:
    """The moment that a page is to be shown as of, if any."""
    asked = request.query.get("as_of", "")
    return {"as_of": asked} if asked else {}


async def the_case(request: web.Request, case_id: str) -> Case:
    """A case with the end of its timeline. Raises `ApiRefused`."""
    as_of = moment_asked(request)
    beginning = beginning_asked(request)
    limit = HAPPENINGS if beginning is None else 2 * HAPPENINGS
    case = await ask(request, case_path(case_id), {**as_of, "timeline": limit})
    if beginning is not None and case["earlier"] > beginning:
        wanted = min(HAPPENINGS_MOST, len(case["timeline"]) + case["earlier"] - beginning)
        case = await ask(request, case_path(case_id), {**as_of, "timeline": wanted})
    return cast(Case, case)


async def case_and_order(request: web.Request, case_id: str) -> tuple[Case, Mapping[str, Any]]:
    """A case, and its order, which forms are made from too. Raises `ApiRefused`."""
    case = await the_case(request, case_id)
    return case, await ask(request, order_path(order_of(case_id)), moment_asked(request))


def told(case: Case, beginning: int | None = None) -> list[Told]:
    """The timeline, the latest first; from its `beginning`th happening on, where that is said."""
    happenings = case["timeline"]
    if beginning is not None and beginning > case["earlier"]:
        happenings = happenings[beginning - case["earlier"] :]
    return with_gaps(happenings)


def with_gaps(happenings: Sequence[Mapping[str, Any]]) -> list[Told]:
    """Happenings, the latest first, each with the time since the one before it."""
    gaps: list[float | None] = [None]
    for before, after in pairwise(happenings):
        gaps.append((_time(after) - _time(before)).total_seconds())
    return [Told(one, gap) for one, gap in zip(happenings, gaps, strict=False)][::-1]


def oldest(case: Case) -> int | None:
    """The version before which the rest of the timeline lies; None where there is no rest."""
    return min(one["version"] for one in case["timeline"]) if case["earlier"] and case["timeline"] else None


async def happened_since(request: web.Request, case_id: str, version: int) -> list[Told]:
    """What happened to a case after a version of its order, the latest first."""
    case = await ask(request, case_path(case_id), {"timeline": HAPPENINGS})
    if case["version"] - version > HAPPENINGS:
        wanted = min(HAPPENINGS_MOST, case["version"] - version)
        case = await ask(request, case_path(case_id), {"timeline": wanted})
    return with_gaps([one for one in case["timeline"] if one["version"] > version])


async def version_elsewhere(request: web.Request, case_id: str, command: str) -> str:
    """The version that the service has which decides a command; "" for cases itself, or where it knows none."""
    if command not in ELSEWHERE:
        return ""
    try:
        async with desk(request).api.stream(actor(request), f"{case_path(case_id)}/{ELSEWHERE[command]}") as answer:
            return answer.headers.get("ETag", "").strip('"')
    except ApiRefused:
        return ""


def beginning_asked(request: web.Request) -> int | None:
    """The happening from which on a timeline is to be told, as a page that follows changes asks for it."""
    return _number(request.query.get("from", ""))


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else None


def _time(happening: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(happening["time"])
