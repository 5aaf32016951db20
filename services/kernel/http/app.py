"""The web application around the routes: identity first, then the route, and every no as problem+json."""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import lru_cache
from random import getrandbits
from time import perf_counter

import structlog
from aiohttp import hdrs, web

from contracts.policy import Policy
from services.kernel.actor import Actor
from services.kernel.clock import Clock
from services.kernel.event_store import StoreUnavailable, VersionConflict
from services.kernel.http import trace
from services.kernel.http.docs import Docs, docs_credentials
from services.kernel.http.identity import ACTOR, Tokens
from services.kernel.http.problem import problem
from services.kernel.http.revealing import revealed
from services.kernel.logging import begin_work
from services.kernel.metrics import REQUEST_SECONDS
from services.kernel.naming import order_of
from services.kernel.refusal import Refusal
from services.kernel.sealing import Texts

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
log = structlog.get_logger(__name__)

#: Paths that need no identity: they tell nothing about orders.
OPEN_PATHS = frozenset({"/healthz", "/readyz"})
#: Paths whose callers prove themselves by a signature of their own.
SIGNED_PATHS = frozenset({"/v1/gateway/callbacks"})
#: Pages for people, who are known by their sessions; and what leads there.
PAGES = "/console/"
_TO_PAGES = frozenset({"/", "/console"})
#: What concerns the running system and not the shop, with all that is below it, and who may; all other reads are for
#: every role.
OPERATORS: Mapping[str, frozenset[str]] = {
    "/metrics": frozenset({"store_manager", "service"}),
    "/v1/clock": frozenset({"store_manager", "service"}),
    "/v1/operations": frozenset({"store_manager", "service"}),
    "/v1/operation-kinds": frozenset({"store_manager", "service"}),
    "/v1/events": frozenset({"store_manager", "service"}),
    "/v1/dead-letters": frozenset({"store_manager", "service"}),
    "/v1/audit": frozenset({"store_manager", "service"}),
}

#: Whose routes are whose, for metrics and traces: the address (as a template) → the service.
OWNERS = web.AppKey("owners", dict[str, str])
#: Routes of nobody in particular: health, metrics, the description.
SERVER = "server"
#: Pages for people.
CONSOLE = "console"
#: Of routes that are not there; anybody can ask for any number of those.
UNKNOWN_ROUTE = "unknown"

#: Room for a video and what surrounds it in a form.
MAX_BODY_BYTES = 52 << 20

_UNKNOWN_IDENTITY = {"WWW-Authenticate": 'Bearer realm="aftersales"'}
#: Of a few hundred routes; finding a series anew takes longer than adding to it.
_timer = lru_cache(maxsize=4_096)(REQUEST_SECONDS.labels)
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,64}")


def make_app(
    policy: Policy,
    tokens: Tokens,
    clock: Clock,
    texts: Texts | None,
    service: str = SERVER,
    elsewhere: Callable[[str, str], str] = lambda method, path: "",
) -> web.Application:
    """An application that answers nothing but health to strangers, and describes itself at `/docs`.

    `texts`: what opens the words of people for those who read them, None where nobody's are answered with. `service`:
    whose routes are all that `add_routes` is not told of; `elsewhere`: which service answers requests of a method to a
    path that nobody here does, if any.
    """

    @web.middleware
    async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = perf_counter()
        route = _route(request)
        owner = request.app[OWNERS].get(route, service)
        status = 500
        with trace.follow(request, owner, route) as span:
            _bind(request, owner)
            try:
                response = await handler(request)
                status = response.status
                trace.tell(span, response)
                return response
            finally:
                labels = (owner, route, _method(request), f"{status // 100}xx")
                _timer(*labels).observe(perf_counter() - started)

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if _needs_token(request.path):
                request[ACTOR] = _admitted(tokens.actor(_credentials(request), clock.now()), request)
            response = await handler(request)
            if texts is not None:
                await revealed(request, response, texts)
            return response
        except Refusal as refusal:
            headers = _UNKNOWN_IDENTITY if refusal.code == "unauthenticated" else None
            return problem(policy, refusal, request, headers)
        except (StoreUnavailable, VersionConflict, TimeoutError) as error:
            log.warning("unavailable", error=repr(error))
            return problem(policy, Refusal("unavailable"), request)
        except web.HTTPException as error:
            if owner := _owner_elsewhere(error, request, elsewhere):
                return problem(policy, Refusal("wrong_service", service=owner), request)
            return _translated(policy, error, request)
        except Exception:
            log.exception("internal_error")
            return problem(policy, Refusal("internal"), request)

    app = web.Application(middlewares=[observe, guard], client_max_size=MAX_BODY_BYTES)
    app[OWNERS] = {}
    app.add_routes(Docs(policy).routes())
    return app


def add_routes(app: web.Application, service: str, routes: Iterable[web.AbstractRouteDef]) -> None:
    """Add the routes of a service, so that metrics and traces know whose they are."""
    for route in app.add_routes(routes):
        if route.resource is not None:
            app[OWNERS][route.resource.canonical] = service


def actor_of(request: web.Request) -> Actor:
    """Who sent a request."""
    return request[ACTOR]


def _bind(request: web.Request, service: str) -> None:
    """What every line of the log tells that is written while a request is answered."""
    given = request.headers.get("X-Request-Id", "")
    request_id = given if _REQUEST_ID.fullmatch(given) else f"{getrandbits(64):016x}"
    ids = {name: request.match_info[name] for name in ("order_id", "case_id") if name in request.match_info}
    if case_id := ids.get("case_id"):
        ids["order_id"] = order_of(case_id)
    if service != SERVER:
        ids["service"] = service
    begin_work(method=request.method, path=request.path, request_id=request_id, trace_id=request[trace.TRACE_ID], **ids)


def _route(request: web.Request) -> str:
    """The address of a request with its ids left open."""
    resource = request.match_info.route.resource
    return UNKNOWN_ROUTE if resource is None else resource.canonical


def _method(request: web.Request) -> str:
    """A label: whoever asks can invent methods."""
    return request.method if request.method in hdrs.METH_ALL else "OTHER"


def _needs_token(path: str) -> bool:
    return not (path in OPEN_PATHS or path in SIGNED_PATHS or path in _TO_PAGES or path.startswith(PAGES))


def add_pages(app: web.Application, pages: web.Application) -> None:
    """Mount the pages for people, which see to it themselves who is there."""

    async def lead(_: web.Request) -> web.Response:
        return web.Response(status=303, headers={"Location": PAGES})

    app.router.add_get("/", lead)
    app.router.add_get(PAGES.rstrip("/"), lead)
    app.add_subapp(PAGES, pages)
    app[OWNERS] |= {page.canonical: CONSOLE for page in pages.router.resources()}


def _credentials(request: web.Request) -> str | None:
    return request.headers.get("Authorization") or docs_credentials(request)


def _admitted(actor: Actor, request: web.Request) -> Actor:
    for path, roles in OPERATORS.items():
        if (request.path == path or request.path.startswith(f"{path}/")) and actor.role not in roles:
            raise Refusal("forbidden", role="store_manager")
    return actor


def _owner_elsewhere(error: web.HTTPException, request: web.Request, elsewhere: Callable[[str, str], str]) -> str:
    unanswered = isinstance(error, web.HTTPNotFound | web.HTTPMethodNotAllowed)
    return elsewhere(request.method, request.rel_url.raw_path) if unanswered else ""


def _translated(policy: Policy, error: web.HTTPException, request: web.Request) -> web.Response:
    """What the web framework refuses by itself, in our words."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = sorted(error.allowed_methods)
        refusal = Refusal("method_not_allowed", allowed=allowed)
        return problem(policy, refusal, request, {"Allow": ", ".join(allowed)})
    if isinstance(error, web.HTTPNotFound):
        return problem(policy, Refusal("not_found"), request)
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return problem(policy, Refusal("upload_too_large", limit_mb=MAX_BODY_BYTES >> 20), request)
    if error.status < 500:
        return problem(policy, Refusal("malformed", reason=error.reason), request)
    raise error
