"""A case, and what the parties owe, as they were: a slider over the moments at which something happened."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final, NamedTuple

from aiohttp import web
from yarl import URL

from services.console.page import ask, chosen, moment_now, say
from services.console.pages.case.reading import case_path
from services.console.pages.operations.shared import show, words_of
from services.kernel.shop_time import SHOP_TIME
from services.wording import difference, past
from services.wording.facts import moment, said

#: Moments of a case that the slider has, the latest.
MOMENTS_MOST: Final = 500
#: Of balances without a case it has each of the last days, and the ends of the months before.
DAYS: Final = 31
MONTHS: Final = 24


class Moment(NamedTuple):
    """A moment that can be chosen: what the API calls it, when it was by the shop's clock, and what happened."""

    point: str
    time: str
    what: str
    address: str


async def page(request: web.Request) -> web.Response:
    """A case at a moment and what became of it since another; without a case, the balances only."""
    case_id = request.query.get("case_id", "").strip()
    return await (_of_case(request, case_id) if case_id else _of_balances(request))


async def _of_case(request: web.Request, case_id: str) -> web.Response:
    now = await ask(request, case_path(case_id), {"timeline": MOMENTS_MOST})
    happened = sorted(now["timeline"], key=lambda one: int(one["position"]))
    moments = moments_of(request, case_id, happened)
    points = [one.point for one in moments]
    asked = chosen(request.query, ("as_of", "since"))
    as_of = asked.get("as_of") or points[-1]
    place = points.index(as_of) if as_of in points else len(points) - 1
    since = asked.get("since") or points[max(0, place - 1)]
    time = happened[place]["time"] if as_of in points else as_of
    case, became, balances = await asyncio.gather(
        ask(request, case_path(case_id), {"as_of": as_of, "timeline": 1}),
        ask(request, f"{case_path(case_id)}/difference", {"from": since, "to": as_of}),
        ask(request, "/v1/balances", {"as_of": time}),
    )
    words = words_of(request)
    return show(
        request,
        "time.html",
        case_id=case_id,
        case=case,
        moments=moments,
        chosen_place=place,
        as_of=as_of,
        since=since,
        earlier=now["earlier"],
        became=became,
        sentence=difference.sentence(words, became),
        changes=difference.changes(words, became),
        balances=balances,
        told_of=past.as_of(words, case["as_of"]),
    )


async def _of_balances(request: web.Request) -> web.Response:
    today = moment_now(request).astimezone(SHOP_TIME).date()
    as_of = request.query.get("as_of") or today.isoformat()
    balances = await ask(request, "/v1/balances", {"as_of": as_of})
    since = balances["since"] or (await ask(request, "/v1/balances"))["since"]
    first = datetime.fromisoformat(since).astimezone(SHOP_TIME).date() if since else today
    moments = [_end_of(request, one) for one in days_of(first, today)]
    points = [one.point for one in moments]
    return show(
        request,
        "time.html",
        case_id="",
        case=None,
        moments=moments,
        chosen_place=points.index(as_of) if as_of in points else len(points) - 1,
        as_of=as_of,
        since="",
        earlier=0,
        balances=balances,
        told_of=past.as_of(words_of(request), balances["as_of"]),
    )


def moments_of(request: web.Request, case_id: str, timeline: Sequence[Mapping[str, Any]]) -> list[Moment]:
    """The happenings of a case as moments, in their order."""
    words, since = words_of(request), request.query.get("since", "")

    def address(position: int) -> str:
        pinned = {"since": since} if since.isdecimal() and int(since) < position else {}
        return _address({"case_id": case_id, "as_of": str(position), **pinned})

    return [
        Moment(
            str(one["position"]),
            moment(one["time"]),
            " ".join(part for part in (words.event(one["type"]), said(words, one["data"])) if part),
            address(one["position"]),
        )
        for one in timeline
    ]


def days_of(first: date, today: date) -> list[date]:
    """The days at whose ends balances are told since the first of them: the last ones each, before them the ends of
    months."""
    first, recent = min(first, today), today - timedelta(days=DAYS - 1)
    days = [today - timedelta(days=back) for back in range(DAYS)]
    end = recent.replace(day=1) - timedelta(days=1)
    for _ in range(MONTHS):
        days.append(end)
        end = end.replace(day=1) - timedelta(days=1)
    return sorted(one for one in days if one >= first)


def _end_of(request: web.Request, day: date) -> Moment:
    return Moment(
        day.isoformat(), day.isoformat(), say(request, "operations.end_of_day"), _address({"as_of": day.isoformat()})
    )


def _address(query: Mapping[str, str]) -> str:
    return str(URL("/console/operations/time").with_query(query))
