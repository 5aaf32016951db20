"""The trace that a request belongs to (W3C Trace Context): the caller's, or one of our own."""

from contextvars import ContextVar
from typing import Final

import msgspec
from aiohttp import web

from services.kernel import tracing
from services.kernel.tracing import Span

TRACE_ID = web.RequestKey("trace_id", str)
#: What the records that a request makes carry: its own step in the trace, or the caller's where steps are told nobody.
TRACEPARENT = web.RequestKey("traceparent", str)

#: The step that answering the request at hand is.
_AT_HAND: Final = ContextVar("traceparent", default="")

#: Asked again and again by machines, and of no interest to anybody later.
UNTOLD = frozenset({"/healthz", "/readyz", "/metrics"})


class _Problem(msgspec.Struct):
    """What a span tells of a refusal."""

    code: str = ""


def follow(request: web.Request, service: str, route: str) -> Span:
    """The step that answering this request is, and the ids of its trace noted in it."""
    span = _step(request, service, route)
    request[TRACEPARENT] = span.traceparent
    request[TRACE_ID] = span.trace_id
    _AT_HAND.set(span.traceparent)
    return span


def headers() -> dict[str, str]:
    """What makes a request to somebody else a part of the trace of the one at hand, if there is one."""
    traceparent = _AT_HAND.get()
    return {"traceparent": traceparent} if traceparent else {}


def _step(request: web.Request, service: str, route: str) -> Span:
    parent = _caller(request)
    if request.path in UNTOLD:
        return Span(parent or tracing.new_traceparent())
    attributes = {"http.request.method": request.method, "http.route": route, "url.path": request.path}
    return tracing.span(service, f"{request.method} {route}", "server", parent, attributes)


def _caller(request: web.Request) -> str:
    """The caller's traceparent, in the version that we write; empty where there is none, or none that is right."""
    match = tracing.TRACEPARENT.fullmatch(request.headers.get("traceparent", ""))
    return f"00-{match[1]}-{match[2]}-{match[3]}" if match else ""


def tell(span: Span, response: web.StreamResponse) -> None:
    """Note how a request was answered."""
    if not span.recording:
        return
    span.tell({"http.response.status_code": response.status})
    if response.content_type == "application/problem+json" and isinstance(response, web.Response):
        code = msgspec.json.decode(response.body or b"{}", type=_Problem).code  # type: ignore[arg-type]
        span.tell({"aftersales.problem": code})
        if response.status >= 500:
            span.failed(code)
