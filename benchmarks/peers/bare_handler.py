"""The most that aiohttp could do: a handler that parses the same JSON and answers the same JSON, and does nothing.

Written as aiohttp's own documentation does it: `request.json()`, `web.json_response()`.
"""

from aiohttp import web

_TIME = "2026-01-05T09:00:00.123456+08:00"
_ID = "0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"


async def _answer(request: web.Request) -> web.Response:
    body = await request.json()
    case_id = request.match_info["case_id"]
    event = {"id": _ID, "type": request.match_info["command"], "time": _TIME, "data": {"case_id": case_id, **body}}
    answer = {"case_id": case_id, "version": 12, "events": [event]}
    return web.json_response(answer, headers={"ETag": '"12"'})


def bare_app() -> web.Application:
    """An application with this one route."""
    app = web.Application()
    app.add_routes([web.post("/v1/cases/{case_id}/{command}", _answer)])
    return app
