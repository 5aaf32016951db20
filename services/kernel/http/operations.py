"""What operators and scenario runs ask of a running process: health, readiness, metrics, and the clock set by hand."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import prometheus_client
from aiohttp import web

from contracts.event import Moment
from services.kernel.http import lists
from services.kernel.http.body import read_command, read_json
from services.kernel.refusal import invalid

#: Years that a clock may be set to by hand: a little away from what a calendar can hold, for times are added to it.
FIRST_YEAR, LAST_YEAR = 1970, 2999

#: Whatever else a process cannot do yet, these it answers.
OPERATIONS = frozenset({"/healthz", "/readyz", "/metrics"})

#: What keeps each part of a process from being ready; nothing where all is well.
Problems = Mapping[str, Sequence[str]]


def operations(
    problems: Callable[[], Awaitable[Problems]],
    set_time: Callable[[datetime], Awaitable[None]],
    waits: Callable[[], Problems] = dict,
) -> list[web.RouteDef]:
    """The routes; `set_time` lets happen what is due, or raises `Refusal`; `waits`: what each part is without for the
    moment and does not need to be ready, told beside the problems where there is any."""

    async def health(_: web.Request) -> web.Response:
        return lists.json({"status": "ok"})

    async def readiness(_: web.Request) -> web.Response:
        found = await problems()
        ready = not any(found.values())
        waiting = {"waiting": awaited} if (awaited := waits()) else {}
        return lists.json({"ready": ready, "problems": found, **waiting}, status=200 if ready else 503)

    async def metrics(_: web.Request) -> web.Response:
        headers = {"Content-Type": prometheus_client.CONTENT_TYPE_LATEST}
        return web.Response(body=prometheus_client.generate_latest(), headers=headers)

    async def set_clock(request: web.Request) -> web.Response:
        now = _given_time(read_json(await read_command(request)))
        await set_time(now)
        return lists.json({"now": now})

    return [
        web.get("/healthz", health),
        web.get("/readyz", readiness),
        web.get("/metrics", metrics),
        web.put("/v1/clock", set_clock),
    ]


def _given_time(body: Any) -> datetime:
    try:
        now = msgspec.convert(body["now"], Moment)
        if FIRST_YEAR <= now.year <= LAST_YEAR:
            return now
    except (KeyError, TypeError, msgspec.ValidationError):
        pass
    raise invalid(
        "now",
        "time",
        f"须为 {FIRST_YEAR} 到 {LAST_YEAR} 年间带时区的 RFC 3339 时间",
        f"must be an RFC 3339 time with offset, in the years {FIRST_YEAR} to {LAST_YEAR}",
    )
