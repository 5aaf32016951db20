"""How far every consumer is behind, how that goes, and what keeps anything from going on."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec
from aiohttp import web

from services.console.page import ask, say
from services.console.pages.operations.shared import show
from services.kernel.shop_time import SHOP_TIME

Document = Mapping[str, Any]


class Sample(NamedTuple):
    """All consumers at a moment: events behind, and the age of the oldest, in seconds."""

    time: str
    behind: int
    seconds: float

    @property
    def clock(self) -> str:
        """The time of the day, by the shop's clock, to the second."""
        return f"{datetime.fromisoformat(self.time).astimezone(SHOP_TIME):%H:%M:%S}"


async def page(request: web.Request) -> web.Response:
    """The page; only what changes of it where a page that is open asks again."""
    if "HX-Request" in request.headers:
        return _show(request, "lag.html", await ask(request, "/v1/lag", {"trend": "true"}))
    lag, left_behind, running = await asyncio.gather(
        ask(request, "/v1/lag", {"trend": "true"}),
        ask(request, "/v1/dead-letters"),
        ask(request, "/v1/operations", {"state": "running", "limit": 20}),
    )
    dead = sum(group["messages"] for group in left_behind["groups"] if group["state"] == "dead")
    waiting = sum(group["messages"] for group in left_behind["groups"] if group["state"] == "waiting")
    return _show(request, "overview.html", lag, dead=dead, waiting=waiting, running=running["items"])


def _show(request: web.Request, template: str, lag: Document, **context: Any) -> web.Response:
    samples = together(lag["consumers"])
    return show(
        request,
        template,
        lag=lag,
        services=[(service, list(rows)) for service, rows in groupby(lag["consumers"], itemgetter("service"))],
        samples=samples,
        chart=_json(chart(samples, say(request, "operations.behind"), say(request, "operations.oldest"))),
        spark=lambda consumer: _json(spark(consumer["samples"])),
        troubles=[one for one in lag["consumers"] if one["stuck"] or one["away"] or one["lost"]],
        **context,
    )


def together(consumers: Iterable[Document]) -> list[Sample]:
    """The samples of all consumers as one: the sum of what they have before them, and the oldest of it."""
    sums: dict[str, Sample] = {}
    for consumer in consumers:
        for one in consumer["samples"]:
            before = sums.get(one["time"], Sample(one["time"], 0, 0.0))
            behind, seconds = before.behind + one["behind"], max(before.seconds, one["seconds"])
            sums[one["time"]] = Sample(one["time"], behind, seconds)
    return [sums[time] for time in sorted(sums)]


def chart(samples: Sequence[Sample], behind: str, oldest: str) -> Document:
    """What the chart is drawn from: moments in seconds since 1970, a line each for events and for seconds."""
    return {
        "labels": [behind, oldest],
        "data": [
            [datetime.fromisoformat(one.time).timestamp() for one in samples],
            [one.behind for one in samples],
            [one.seconds for one in samples],
        ],
    }


def spark(samples: Sequence[Document]) -> Document:
    """The same for one consumer: a small line of its events."""
    times = [datetime.fromisoformat(one["time"]).timestamp() for one in samples]
    return {"data": [times, [one["behind"] for one in samples]]}


def _json(document: Document) -> str:
    return msgspec.json.encode(document).decode()
