"""The trace that a request belongs to (W3C Trace Context): the caller's, or one of our own."""

import re
from random import getrandbits

from aiohttp import web

TRACE_ID = web.RequestKey("trace_id", str)
#: The caller's `traceparent`, empty where there is none.
TRACEPARENT = web.RequestKey("traceparent", str)

#: Neither id may be all zeros.
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def follow(request: web.Request) -> None:
    """Note the trace of a request."""
    given = request.headers.get("traceparent", "")
    match = _TRACEPARENT.fullmatch(given)
    request[TRACEPARENT] = given if match else ""
    # Not a secret, so not from the system's source: that is a system call, and took 2 % of a command.
    request[TRACE_ID] = match[1] if match else f"{getrandbits(128) or 1:032x}"
