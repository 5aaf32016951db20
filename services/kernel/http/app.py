"""The web application around the routes: identity first, then the route, and every no as problem+json."""

import secrets
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web

from contracts.policy import Policy
from services.kernel.actor import Actor
from services.kernel.clock import Clock
from services.kernel.event_store import StoreUnavailable
from services.kernel.http.identity import Tokens, Unauthenticated
from services.kernel.http.problem import problem
from services.kernel.refusal import Refusal

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
log = structlog.get_logger(__name__)

#: Paths that need no identity: they tell nothing about orders.
OPEN_PATHS = frozenset({"/healthz", "/readyz"})
#: Paths whose callers prove themselves by a signature of their own.
SIGNED_PATHS = frozenset({"/v1/gateway/callbacks"})


def make_app(policy: Policy, tokens: Tokens, clock: Clock, max_body_bytes: int) -> web.Application:
    """An application that answers nothing but health to strangers."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        request["trace_id"] = _trace_id(request)
        try:
            if request.path not in OPEN_PATHS and request.path not in SIGNED_PATHS:
                request["actor"] = tokens.actor(request.headers.get("Authorization"), clock.now())
            return await handler(request)
        except Refusal as refusal:
            return problem(policy, refusal, request)
        except Unauthenticated as error:
            answer = problem(policy, Refusal("unauthenticated", reason=str(error)), request)
            answer.headers["WWW-Authenticate"] = 'Bearer realm="aftersales"'
            return answer
        except StoreUnavailable as error:
            log.warning("unavailable", path=request.path, error=str(error))
            answer = problem(policy, Refusal("unavailable"), request)
            answer.headers["Retry-After"] = "1"
            return answer
        except web.HTTPRequestEntityTooLarge:
            return problem(policy, Refusal("upload_too_large", limit_mb=max_body_bytes >> 20), request)
        except web.HTTPMethodNotAllowed as error:
            answer = problem(policy, Refusal("method_not_allowed", allowed=sorted(error.allowed_methods)), request)
            answer.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
            return answer
        except web.HTTPNotFound:
            return problem(policy, Refusal("not_found"), request)
        except web.HTTPException:
            raise
        except Exception:
            log.exception("internal_error", path=request.path, trace_id=request["trace_id"])
            return problem(policy, Refusal("internal"), request)

    return web.Application(middlewares=[guard], client_max_size=max_body_bytes)


def actor_of(request: web.Request) -> Actor:
    """Who sent a request."""
    actor: Actor = request["actor"]
    return actor


def _trace_id(request: web.Request) -> str:
    parts = request.headers.get("traceparent", "").split("-")
    if len(parts) == 4 and len(parts[1]) == 32 and parts[1].isalnum():
        return parts[1]
    return secrets.token_hex(16)
