"""Files of finance, passed on from the API as the person asks for them."""

from typing import Final
from urllib.parse import quote

from aiohttp import web

from services.console.api import LONG_PATIENCE, Query
from services.console.page import actor, ask, chosen, desk, language, render
from services.console.pages.finance.reading import month_of

_PIECE: Final = 1 << 16
_KEPT: Final = ("Content-Type", "Content-Disposition", "Content-Length")


async def page(request: web.Request) -> web.Response:
    """What can be had of a month as a file."""
    kinds = await ask(request, "/v1/exports")
    return render(request, "finance/exports.html", kinds=kinds["items"], month=month_of(request))


async def export(request: web.Request) -> web.StreamResponse:
    """A table of the books as a file, with headers in the reader's language unless both are asked for."""
    asked = {"lang": language(request), **chosen(request.query, ("format", "month", "lang"))}
    return await passed_on(request, f"/v1/exports/{quote(request.match_info['export'], safe='')}", asked)


async def passed_on(request: web.Request, path: str, query: Query = None, file_name: str = "") -> web.StreamResponse:
    """A file at a path of the API as it comes; `file_name`: what it is called, where the API does not say it.

    Raises `ApiRefused` before anything is sent.
    """
    async with desk(request).api.stream(actor(request), path, query, LONG_PATIENCE) as answer:
        headers = {name: answer.headers[name] for name in _KEPT if name in answer.headers}
        if file_name:
            headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(file_name, safe='')}"
        response = web.StreamResponse(headers={**headers, "X-Content-Type-Options": "nosniff"})
        await response.prepare(request)
        async for piece in answer.content.iter_chunked(_PIECE):
            await response.write(piece)
    await response.write_eof()
    return response


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [web.get("/finance/exports", page), web.get("/finance/exports/{export}", export)]
