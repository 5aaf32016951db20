"""The web application around the routes: identity first, then the route, and every no as problem+json."""

from collections.abc import Awaitable, Callable, Mapping

import structlog
from aiohttp import web
from structlog.contextvars import bind_contextvars, clear_contextvars

from contracts.policy import Policy
from services.kernel.actor import Actor
from services.kernel.clock import Clock
from services.kernel.event_store import StoreUnavailable, VersionConflict
from services.kernel.http import trace
from services.kernel.http.docs import Docs, docs_credentials
from services.kernel.http.identity import ACTOR, Tokens
from services.kernel.http.problem import problem
from services.kernel.refusal import Refusal

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
log = structlog.get_logger(__name__)

#: Paths that need no identity: they tell nothing about orders.
OPEN_PATHS = frozenset({"/healthz", "/readyz"})
#: Paths whose callers prove themselves by a signature of their own.
SIGNED_PATHS = frozenset({"/v1/gateway/callbacks"})
#: What concerns the running system and not the shop, and who may; all other reads are for every role.
OPERATORS: Mapping[str, frozenset[str]] = {
    "/metrics": frozenset({"store_manager", "service"}),
    "/v1/clock": frozenset({"store_manager", "service"}),
}

_UNKNOWN_IDENTITY = {"WWW-Authenticate": 'Bearer realm="aftersales"'}


def make_app(policy: Policy, tokens: Tokens, clock: Clock, max_body_bytes: int) -> web.Application:
    """An application that answers nothing but health to strangers, and describes itself at `/docs`."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        trace.follow(request)
        clear_contextvars()
        bind_contextvars(method=request.method, path=request.path, trace_id=request[trace.TRACE_ID])
        try:
            if request.path not in OPEN_PATHS and request.path not in SIGNED_PATHS:
                request[ACTOR] = _admitted(tokens.actor(_credentials(request), clock.now()), request)
            return await handler(request)
        except Refusal as refusal:
            headers = _UNKNOWN_IDENTITY if refusal.code == "unauthenticated" else None
            return problem(policy, refusal, request, headers)
        except (StoreUnavailable, VersionConflict, TimeoutError) as error:
            log.warning("unavailable", error=repr(error))
            return problem(policy, Refusal("unavailable"), request)
        except web.HTTPException as error:
            return _translated(policy, error, request, max_body_bytes)
        except Exception:
            log.exception("internal_error")
            return problem(policy, Refusal("internal"), request)

    app = web.Application(middlewares=[guard], client_max_size=max_body_bytes)
    app.add_routes(Docs(policy).routes())
    return app


def actor_of(request: web.Request) -> Actor:
    """Who sent a request."""
    return request[ACTOR]


def _credentials(request: web.Request) -> str | None:
    return request.headers.get("Authorization") or docs_credentials(request)


def _admitted(actor: Actor, request: web.Request) -> Actor:
    roles = OPERATORS.get(request.path)
    if roles is not None and actor.role not in roles:
        raise Refusal("forbidden", role="store_manager")
    return actor


def _translated(policy: Policy, error: web.HTTPException, request: web.Request, max_body_bytes: int) -> web.Response:
    """What the web framework refuses by itself, in our words."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = sorted(error.allowed_methods)
        refusal = Refusal("method_not_allowed", allowed=allowed)
        return problem(policy, refusal, request, {"Allow": ", ".join(allowed)})
    if isinstance(error, web.HTTPNotFound):
        return problem(policy, Refusal("not_found"), request)
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return problem(policy, Refusal("upload_too_large", limit_mb=max_body_bytes >> 20), request)
    if error.status < 500:
        return problem(policy, Refusal("malformed", reason=error.reason), request)
    raise error
