"""Who looks at a case is told when its order changes: server-sent events."""

import asyncio
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

from aiohttp import web

from services.console.api import ApiRefused
from services.console.page import ask, moment_now, person
from services.console.pages.case.reading import order_path
from services.console.session import IDLE, Person
from services.kernel.http.listener import STOPPING
from services.kernel.naming import order_of

#: How long the API is asked to wait for a change; then the browser is told that the connection lives.
WAIT_SECONDS: Final = 20
#: How long to rest where the API cannot be reached.
_REST_SECONDS: Final = 2.0


async def of_case(request: web.Request) -> web.StreamResponse:
    """Changes of a case: of its order, which is what a version counts."""
    return await _follow(request, order_of(request.match_info["case_id"]))


async def of_order(request: web.Request) -> web.StreamResponse:
    """Changes of an order."""
    return await _follow(request, request.match_info["order_id"])


async def _follow(request: web.Request, order_id: str) -> web.StreamResponse:
    """Say `changed` with each version later than the one the page shows, until the page is left, the session is over
    (`expired`) or the server stops. A browser that comes again says what it heard last."""
    version = _known(request)
    await ask(request, f"{order_path(order_id)}/changes", {"after": version})  # refused before anything is sent
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
    await response.prepare(request)
    with suppress(ConnectionResetError):  # the page was left
        await response.write(b": here\n\n")
        await _tell(request, response, order_id, version)
        await response.write_eof()
    return response


async def _tell(request: web.Request, response: web.StreamResponse, order_id: str, version: int) -> None:
    stopping = request.config_dict.get(STOPPING) or asyncio.Event()
    while not stopping.is_set():
        if moment_now(request) >= _session_end(person(request)):
            await response.write(b"event: expired\ndata: \n\n")
            return
        later = await _later(request, order_id, version, stopping)
        if later > version:
            version = later
            await response.write(f"id: {version}\nevent: changed\ndata: {version}\n\n".encode())
        else:
            await response.write(b": still here\n\n")


async def _later(request: web.Request, order_id: str, version: int, stopping: asyncio.Event) -> int:
    """The order's version once it is later, or time is up, or the server stops."""
    query = {"after": version, "wait": WAIT_SECONDS}
    asked = asyncio.create_task(ask(request, f"{order_path(order_id)}/changes", query))
    stopped = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait((asked, stopped), return_when=asyncio.FIRST_COMPLETED)
        return int((await asked)["version"]) if asked.done() else version
    except ApiRefused:  # away for now: what is there is looked at again in a moment
        await asyncio.wait((stopped,), timeout=_REST_SECONDS)
        return version
    finally:
        await _let_go(asked)
        await _let_go(stopped)


async def _let_go(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError, ApiRefused):
        await task


def _known(request: web.Request) -> int:
    """The latest version that the browser knows."""
    told = (request.query.get("after", ""), request.headers.get("Last-Event-ID", ""))
    return max((int(one) for one in told if one.isascii() and one.isdigit() and len(one) < 16), default=0)


def _session_end(who: Person) -> datetime:
    return min(who.expires_at, who.seen_at + IDLE)
