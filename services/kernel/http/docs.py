"""The API describes itself: the OpenAPI document, and a page to read and try it, from files of this package.

Nothing here is open to strangers. A browser cannot send a token with an address, so `/docs?token=…` puts it into a
cookie once, which is good for reading `/docs` and for nothing else.
"""

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from contracts.policy import Policy
from services.kernel.http.openapi import Operation, describe, document, operations

STATIC = Path(__file__).parent / "static"
_PAGE = "/docs"
_COOKIE = "aftersales_docs"
_COOKIE_SECONDS = 12 * 3600

_TYPES = {".css": "text/css", ".js": "text/javascript", ".html": "text/html", ".txt": "text/plain"}
#: The page's own script and style only; it may ask only the server that it comes from.
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Health(msgspec.Struct, frozen=True):
    """The process answers."""

    status: str


class Readiness(msgspec.Struct, frozen=True):
    """Whether requests can be served, and what is in the way, by service."""

    ready: bool
    problems: dict[str, list[str]]


class Now(msgspec.Struct, frozen=True):
    """A time."""

    now: datetime


#: What the routes of the server itself do.
SERVER_OPERATIONS = {
    ("GET", "/healthz"): Operation(
        summary="Is the process alive? Touches nothing", tag="operations", answer=Health, secured=False
    ),
    ("GET", "/readyz"): Operation(
        summary="Can it serve? Database, migrations, consumers",
        tag="operations",
        answer=Readiness,
        statuses=(200, 503),
        secured=False,
    ),
    ("GET", "/metrics"): Operation(
        summary="Prometheus metrics",
        description="Roles: service, store_manager.",
        tag="operations",
        answer="text/plain",
        refusals=(403,),
    ),
    ("PUT", "/v1/clock"): Operation(
        summary="Set the time, where the clock is manual (scenarios)",
        description="Roles: service, store_manager. Without a manual clock there is no such address.",
        tag="operations",
        answer=Now,
        body=Now,
        example={"now": "2026-10-06T09:00:00+08:00"},
        refusals=(403, 404, 422),
    ),
}


class Docs:
    """The routes of the description."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._document: bytes | None = None

    def routes(self) -> list[web.RouteDef]:
        """The document, and the page with its files."""
        return [
            web.get("/v1/openapi.json", self.read),
            web.get(_PAGE, self.page),
            web.get(f"{_PAGE}/openapi.json", self.read_in_page),
            web.get(f"{_PAGE}/{{file}}", self.file),
        ]

    @describe(Operation(summary="This document", tag="operations", answer=dict[str, Any]))
    async def read(self, request: web.Request) -> web.Response:
        """The OpenAPI document of everything that this server answers."""
        if self._document is None:
            described = operations(request.app.router.routes(), SERVER_OPERATIONS)
            self._document = msgspec.json.encode(document(described, self._policy))
        return web.Response(body=self._document, content_type="application/json")

    async def read_in_page(self, request: web.Request) -> web.Response:
        """The same where the page's cookie reaches."""
        return await self.read(request)

    async def page(self, request: web.Request) -> web.Response:
        """The page; a token in the address is put into the cookie first, so that it does not stay there."""
        token = request.query.get("token")
        if token is None:
            return _static("index.html")
        response = web.Response(status=303, headers={"Location": _PAGE, **_HEADERS})
        response.set_cookie(
            _COOKIE, token, path=_PAGE, max_age=_COOKIE_SECONDS, httponly=True, samesite="Lax", secure=request.secure
        )
        return response

    async def file(self, request: web.Request) -> web.Response:
        """A file of the page."""
        return _static(request.match_info["file"])


def docs_credentials(request: web.Request) -> str | None:
    """What a browser that reads the page has in place of an `Authorization` header."""
    if request.method != "GET" or not (request.path == _PAGE or request.path.startswith(f"{_PAGE}/")):
        return None
    token = request.query.get("token") or request.cookies.get(_COOKIE)
    return f"Bearer {token}" if token else None


def _static(name: str) -> web.Response:
    file = STATIC / name
    if file.name != name or file.suffix not in _TYPES or not file.is_file():
        raise web.HTTPNotFound
    content_type = _TYPES[file.suffix]
    return web.Response(body=file.read_bytes(), content_type=content_type, charset="utf-8", headers=_HEADERS)
