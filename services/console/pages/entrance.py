"""Coming and going: sign-in, the role and the language to work in, sign-out, and the files of pages."""

import gzip
from datetime import timedelta
from functools import cache
from typing import Final, NamedTuple

from aiohttp import web
from yarl import URL

from services.console.page import LANGUAGE_COOKIE, go, language, moment_now, person, render, say
from services.console.session import HOME, Sessions, safe_target
from services.console.signing_in.links import LinkRefused, OneTimeLinks
from services.console.signing_in.oidc import CALLBACK, Oidc
from services.console.signing_in.refused import SignInRefused
from services.console.templating import STATIC
from services.console.texts import LANGUAGES

_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".txt": "text/plain", ".md": "text/plain"}
_LANGUAGE_SECONDS: Final = int(timedelta(days=365).total_seconds())


class Entrance:
    """Who may come in, and how."""

    def __init__(self, sessions: Sessions, links: OneTimeLinks | None, provider: Oidc | None) -> None:
        """`links`: None where only the provider lets people in."""
        self._sessions = sessions
        self._links = links
        self._provider = provider

    def routes(self) -> list[web.RouteDef]:
        """The pages of this module."""
        return [
            web.get("/sign-in", self.page),
            web.get("/sign-in/link", self.by_link),
            web.get("/sign-in/provider", self.begin),
            web.get(CALLBACK.removeprefix("/console"), self.finish),
            web.post("/sign-out", self.leave),
            web.get("/signed-out", self.left),
            web.post("/role", self.change_role),
            web.post("/language", change_language),
            web.get("/static/{file}", file),
        ]

    async def page(self, request: web.Request) -> web.Response:
        """How to sign in."""
        return self._sign_in(request)

    async def by_link(self, request: web.Request) -> web.Response:
        """Sign in by a one-time link."""
        now = moment_now(request)
        try:
            if self._links is None:
                raise LinkRefused("forged")
            name, roles = self._links.take(request.query.get("token", ""), now)
        except LinkRefused:
            return self._sign_in(request, say(request, "sign_in.link_unusable"), 403)
        response = go(HOME)
        self._sessions.keep(response, self._sessions.open(name, roles, "link", now), now)
        return response

    async def begin(self, request: web.Request) -> web.Response:
        """Send the browser to the provider."""
        if self._provider is None:
            raise web.HTTPNotFound
        try:
            begun = await self._provider.begin(request, request.query.get("to", ""))
        except SignInRefused as refused:
            return self._sign_in(request, refused.text(language(request)), refused.status)
        response = web.Response(status=303, headers={"Location": begun.url})
        for cookie in begun.cookies:
            cookie.put(response)
        return response

    async def finish(self, request: web.Request) -> web.Response:
        """Take the browser back from the provider."""
        if self._provider is None:
            raise web.HTTPNotFound
        try:
            who = await self._provider.finish(request)
        except SignInRefused as refused:
            return self._sign_in(request, refused.text(language(request)), refused.status)
        now = moment_now(request)
        response = go(who.target)
        self._sessions.keep(response, self._sessions.open(who.name, who.roles, "oidc", now), now)
        for cookie in who.cookies:
            cookie.put(response)
        return response

    async def leave(self, request: web.Request) -> web.Response:
        """Sign out."""
        self._sessions.end(person(request), moment_now(request))
        response = go("/console/signed-out")
        self._sessions.forget(response)
        return response

    async def left(self, request: web.Request) -> web.Response:
        """After the sign-out. At the provider one signs out by a link: forms may lead nowhere else."""
        elsewhere = await self._provider.sign_out_url(request, request.path) if self._provider else ""
        return render(request, "signed_out.html", elsewhere=elsewhere)

    async def change_role(self, request: web.Request) -> web.Response:
        """Work in another of one's roles."""
        who, form = person(request), await request.post()
        role, response = str(form.get("role", "")), go(safe_target(str(form.get("to", HOME))))
        if role in who.roles:
            self._sessions.keep(response, who.working_as(role), moment_now(request))
        return response

    def _sign_in(self, request: web.Request, trouble: str = "", status: int = 200) -> web.Response:
        if not trouble and "expired" in request.query:
            trouble = say(request, "trouble.session_expired")
        asked = {"to": request.query["to"]} if "to" in request.query else {}
        provider = str(URL("/console/sign-in/provider").with_query(asked)) if self._provider else ""
        return render(request, "sign_in.html", status, trouble=trouble, provider=provider)


async def change_language(request: web.Request) -> web.Response:
    """Show pages in another language."""
    form = await request.post()
    response = go(safe_target(str(form.get("to", HOME))))
    if (wanted := str(form.get("language", ""))) in LANGUAGES:
        response.set_cookie(
            LANGUAGE_COOKIE, wanted, path="/console/", max_age=_LANGUAGE_SECONDS, samesite="Lax", httponly=True
        )
    return response


class _File(NamedTuple):
    media_type: str
    content: bytes
    zipped: bytes


async def file(request: web.Request) -> web.Response:
    """A file of pages; its address changes with what it holds, so it may be kept for ever."""
    found = _files().get(request.match_info["file"])
    if found is None:
        raise web.HTTPNotFound
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
    if "gzip" not in request.headers.get("Accept-Encoding", ""):
        return web.Response(body=found.content, content_type=found.media_type, charset="utf-8", headers=headers)
    headers["Content-Encoding"] = "gzip"
    return web.Response(body=found.zipped, content_type=found.media_type, charset="utf-8", headers=headers)


@cache
def _files() -> dict[str, _File]:
    return {
        one.name: _File(_TYPES[one.suffix], content := one.read_bytes(), gzip.compress(content, 9))
        for one in STATIC.iterdir()
        if one.suffix in _TYPES
    }
