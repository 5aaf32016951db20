"""Answers that say no (RFC 9457): only here do codes meet HTTP statuses."""

from typing import Any

import msgspec
from aiohttp import web

from contracts.policy import Policy
from services.kernel.refusal import Refusal

CONTENT_TYPE = "application/problem+json"

#: Statuses of codes; every other refusal is a rule's and answers 409.
_STATUS = {
    "invalid": 422,
    "shares_not_whole": 422,
    "party_name_required": 422,
    "unknown_order": 404,
    "unknown_case": 404,
    "unknown_item": 404,
    "unknown_line": 404,
    "not_found": 404,
    "forbidden": 403,
    "unauthenticated": 401,
    "idempotency_key_missing": 400,
    "idempotency_key_reused": 422,
    "request_in_progress": 409,
    "version_conflict": 412,
    "upload_too_large": 413,
    "upload_unsupported": 415,
    "upload_broken": 422,
    "unavailable": 503,
}
RETRYABLE = frozenset({"unavailable", "request_in_progress", "version_conflict"})


def status_of(code: str) -> int:
    """The HTTP status of a refusal code."""
    return _STATUS.get(code, 409)


def problem_body(policy: Policy, refusal: Refusal, instance: str, trace_id: str, **extra: Any) -> bytes:
    """The body of a refusal, in both languages."""
    text = policy.refusal_text(refusal.code, refusal.params)
    return msgspec.json.encode(
        {
            "type": f"urn:aftersales:problem:{refusal.code}",
            "title": text.en,
            "status": status_of(refusal.code),
            "detail": {"zh": text.zh, "en": text.en},
            "instance": instance,
            "code": refusal.code,
            "trace_id": trace_id,
            "retryable": refusal.code in RETRYABLE,
            "errors": refusal.errors,
            "params": refusal.params,
            **extra,
        },
        enc_hook=str,
    )


def problem(policy: Policy, refusal: Refusal, request: web.Request, **extra: Any) -> web.Response:
    """The answer to a request that is refused."""
    return web.Response(
        status=status_of(refusal.code),
        body=problem_body(policy, refusal, request.path, request.get("trace_id", ""), **extra),
        content_type=CONTENT_TYPE,
    )
