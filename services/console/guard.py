"""In front of every page: who is there, that a form is ours, what browsers may do with the page, and how a no looks."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware
from multidict import MultiDictProxy
from yarl import URL

from services.console.api import ApiRefused
from services.console.page import DESK, PERSON, desk, language, render, say
from services.console.session import Expired, Person, Sessions
from services.console.texts import catalogue
from services.kernel.http.trace import TRACE_ID

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
log = structlog.get_logger(__name__)

#: Pages for those who are not signed in yet, and files.
OPEN: Final = ("/console/static/", "/console/sign-in", "/console/signed-out", "/console/language")
CSRF_HEADER: Final = "X-CSRF-Token"
_SAFE: Final = ("GET", "HEAD")

#: Our own scripts, styles and pictures only, no inline ones, and nobody may frame a page.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def guard(sessions: Sessions) -> Middleware:
    """The middleware of all pages."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await _answered(request, handler, sessions)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    return guarded


async def _answered(request: web.Request, handler: Handler, sessions: Sessions) -> web.StreamResponse:
    now = request.config_dict[DESK].clock.now()
    try:
        if request.method not in _SAFE and _is_foreign(request):
            return render(request, "trouble.html", 403, title="trouble.foreign", text="", trace="")
        who = sessions.read(request.cookies, now)
        if isinstance(who, Person):
            request[PERSON] = who
        if not request.path.startswith(OPEN):
            if not isinstance(who, Person):
                return await _signed_out(request, isinstance(who, Expired))
            if request.method not in _SAFE and not await _is_ours(request, who):
                return await _confirmed(request, "trouble.confirm")
        response = await handler(request)
        if isinstance(who, Person) and _is_page(request, response) and (renewed := sessions.renewed(who, now)):
            sessions.keep(response, renewed, now)
        return response
    except ApiRefused as refused:
        return _refused(request, refused)
    except web.HTTPNotFound:
        return render(request, "trouble.html", 404, title="trouble.not_found", text="trouble.not_found_help", trace="")
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return render(request, "trouble.html", error.status, title="trouble.refused", text="", trace=error.reason)
    except ConnectionResetError:
        raise  # nobody is there any more to be told anything
    except Exception:
        log.exception("page_failed")
        trace = request.get(TRACE_ID, "")
        return render(request, "trouble.html", 500, title="trouble.internal", text="trouble.internal_help", trace=trace)


def _is_page(request: web.Request, response: web.StreamResponse) -> bool:
    """Whether somebody asked for a page: what scripts ask for by themselves keeps no session alive, and what began
    before a change of role must not undo it."""
    shown = isinstance(response, web.Response) and response.status == 200 and response.content_type == "text/html"
    return shown and "HX-Request" not in request.headers


def _refused(request: web.Request, refused: ApiRefused) -> web.Response:
    """What the API refused to show."""
    return render(request, "refused.html", refused.status, said=refused.said(language(request)), code=refused.code)


async def _signed_out(request: web.Request, expired: bool) -> web.Response:
    """Lead to the sign-in and back again; what was typed into a form is kept on the page meanwhile."""
    if request.method in _SAFE:
        if "HX-Request" in request.headers:
            return web.Response(status=204, headers={"HX-Refresh": "true"})
        target = URL("/console/sign-in").with_query({"to": request.path_qs, **({"expired": "1"} if expired else {})})
        return web.Response(status=303, headers={"Location": str(target)})
    return await _confirmed(request, "trouble.session_expired", 401)


async def _confirmed(request: web.Request, title: str, status: int = 409) -> web.Response:
    """Show what was sent, to be sent again by who sees it: it came from a form of another session."""
    fields = _texts(await request.post())
    typed = _typed(request, fields)
    return render(request, "resend.html", status, title=title, text=f"{title}_help", fields=fields, typed=typed)


def _typed(request: web.Request, fields: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """What somebody typed, as the form called it: fields that a form only carries along have no name."""
    words = desk(request).words[language(request)]
    named = [(f"actions.fields.{name}", value) for name, value in fields if value]
    return [
        (say(request, key), words.problem(words.cause(words.term(value)))) for key, value in named if key in catalogue()
    ]


def _texts(form: MultiDictProxy[str | bytearray | web.FileField | bytes]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in form.items() if isinstance(value, str) and name != "csrf"]


def _is_foreign(request: web.Request) -> bool:
    """Whether a browser says that another site sent the request."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("Origin")
    return origin is not None and URL(origin).authority != request.host


async def _is_ours(request: web.Request, who: Person) -> bool:
    """Whether a form carries the mark of this session."""
    return who.owns(request.headers.get(CSRF_HEADER) or (await request.post()).get("csrf"))
