"""How far every consumer is behind, how that goes, and what keeps anything from going on."""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from aiohttp import web

from services.console.api import ApiRefused
from services.console.charts import Line, chart
from services.console.page import ask, say
from services.console.pages.operations.shared import show
from services.kernel.shop_time import SHOP_TIME

Document = Mapping[str, Any]


class Sample(NamedTuple):
    """All consumers at a moment: events behind, and the age of the oldest, in seconds."""

    time: datetime
    behind: int
    seconds: float

    @property
    def clock(self) -> str:
        """The time of the day, by the shop's clock, to the second."""
        return f"{self.time.astimezone(SHOP_TIME):%H:%M:%S}"


async def page(request: web.Request) -> web.Response:
    """The page; only what changes of it where a page that is open asks again."""
    if "HX-Request" in request.headers:
        return _show(request, "lag.html", await ask(request, "/v1/lag", {"trend": "true"}))
    lag, left_behind, running = await asyncio.gather(
        ask(request, "/v1/lag", {"trend": "true"}),
        _if_allowed(ask(request, "/v1/dead-letters")),
        _if_allowed(ask(request, "/v1/operations", {"state": "running", "limit": 20})),
    )
    return _show(
        request,
        "overview.html",
        lag,
        groups=left_behind and left_behind["groups"],
        running=running and running["items"],
    )


async def _if_allowed(asked: Awaitable[Document]) -> Document | None:
    """What the API answers; None where it is not for the person who asks."""
    try:
        return await asked
    except ApiRefused as refused:
        if refused.status != web.HTTPForbidden.status_code:
            raise
        return None


def _show(request: web.Request, template: str, lag: Document, **context: Any) -> web.Response:
    samples = together(lag["consumers"])
    return show(
        request,
        template,
        lag=lag,
        services=[(service, list(rows)) for service, rows in groupby(lag["consumers"], itemgetter("service"))],
        samples=samples,
        chart=chart(
            [one.time for one in samples],
            say(request, "operations.time_of"),
            "count",
            (
                Line(say(request, "operations.behind"), [one.behind for one in samples]),
                Line(say(request, "operations.oldest"), [one.seconds for one in samples], unit="seconds"),
            ),
        ),
        spark=_spark,
        troubles=[one for one in lag["consumers"] if one["stuck"] or one["away"] or one["lost"]],
        **context,
    )


def together(consumers: Iterable[Document]) -> list[Sample]:
    """The samples of all consumers as one: the sum of what they have before them, and the oldest of it."""
    sums: dict[str, Sample] = {}
    for consumer in consumers:
        for one in consumer["samples"]:
            time = one["time"]
            before = sums.get(time) or Sample(datetime.fromisoformat(time), 0, 0.0)
            sums[time] = Sample(before.time, before.behind + one["behind"], max(before.seconds, one["seconds"]))
    return sorted(sums.values())


def _spark(consumer: Document) -> str:
    """A small line of one consumer's events."""
    samples = consumer["samples"]
    moments = [datetime.fromisoformat(one["time"]) for one in samples]
    return chart(moments, "", "count", [Line("", [one["behind"] for one in samples])])
