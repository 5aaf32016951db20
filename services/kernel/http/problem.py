"""Answers that say no (RFC 9457): only here do codes meet HTTP statuses."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from aiohttp import web

from contracts.policy import Policy, Text
from services.kernel.http.trace import TRACE_ID
from services.kernel.operations import texts as operations
from services.kernel.refusal import Refusal

CONTENT_TYPE = "application/problem+json"

#: Statuses of codes; every other refusal is a rule's and answers 409.
_STATUS = {
    "idempotency_key_missing": 400,
    "malformed": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "unknown_order": 404,
    "unknown_case": 404,
    "unknown_item": 404,
    "unknown_line": 404,
    "not_found": 404,
    "unknown_operation": 404,
    "unknown_message": 404,
    "unknown_correction": 404,
    "unknown_bill": 404,
    "unknown_mapping": 404,
    "unknown_discrepancy": 404,
    "unknown_run": 404,
    "operation_without_file": 404,
    "wrong_service": 404,
    "method_not_allowed": 405,
    "request_in_progress": 409,
    "version_conflict": 412,
    "body_too_large": 413,
    "upload_too_large": 413,
    "content_type_unsupported": 415,
    "upload_unsupported": 415,
    "invalid": 422,
    "shares_not_whole": 422,
    "legs_unbalanced": 422,
    "bill_unsound": 422,
    "bill_empty": 422,
    "mapping_unsound": 422,
    "party_name_required": 422,
    "idempotency_key_reused": 422,
    "upload_broken": 422,
    "internal": 500,
    "unavailable": 503,
}
#: The same request with the same key may succeed a moment later.
RETRYABLE = frozenset({"unavailable", "request_in_progress", "bill_import_running"})
RETRY_AFTER_SECONDS = 1

#: What only the border says; everything else is in the policy's catalogue.
_TEXTS = {
    "malformed": Text(zh="请求格式不对,无法读取。", en="The request is malformed and cannot be read."),
    "body_too_large": Text(
        zh="请求内容太大(上限 {limit_kb} KB)。请精简后再提交。",
        en="The request is too large (the limit is {limit_kb} KB). Send less.",
    ),
    "content_type_unsupported": Text(
        zh="请求内容须为 JSON(Content-Type: application/json),而不是 {content_type}。",
        en="The request must be JSON (Content-Type: application/json), not {content_type}.",
    ),
    "wrong_service": Text(
        zh="这个地址由 {service} 服务处理,请把请求发到它的地址和端口。",
        en="The service {service} answers this: send the request to its address and port.",
    ),
}
#: The field that a refusal without `errors` is about.
_FIELDS = {"shares_not_whole": "shares", "party_name_required": "party_name"}


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong with one field: its path in the body, the rule that it breaks, and that in words."""

    field: str
    rule: str
    zh: str
    en: str


class ProblemDetails(msgspec.Struct, frozen=True):
    """A refusal. `zh` and `en` are for people, `code` for machines; `errors` names each wrong field.

    `detail` is the text in the language that was asked for (`Accept-Language`; Chinese by default). `retryable`: the
    same request with the same key may succeed later. `next_actions` are the commands that the case allows now.
    `params` are the figures behind the text; which ones depends on the code.
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    trace_id: str
    retryable: bool
    zh: str
    en: str
    errors: Sequence[FieldError]
    params: dict[str, Any]
    next_actions: Sequence[Any]


def status_of(code: str) -> int:
    """The HTTP status of a refusal code."""
    return _STATUS.get(code, 409)


def problem_body(policy: Policy, refusal: Refusal, request: web.Request, next_actions: Sequence[Any] = ()) -> bytes:
    """The body of a refusal, in both languages."""
    errors = _errors(policy, refusal)
    text = _text(policy, refusal, errors)
    english = request.headers.get("Accept-Language", "").lower().startswith("en")
    said = ProblemDetails(
        type=f"urn:aftersales:problem:{refusal.code}",
        title=refusal.code.replace("_", " ").capitalize(),
        status=status_of(refusal.code),
        detail=text.en if english else text.zh,
        instance=request.path,
        code=refusal.code,
        trace_id=request[TRACE_ID],
        retryable=refusal.code in RETRYABLE,
        zh=text.zh,
        en=text.en,
        errors=errors,
        params=refusal.params,
        next_actions=next_actions,
    )
    return msgspec.json.encode(said, enc_hook=str)


def _text(policy: Policy, refusal: Refusal, errors: Sequence[FieldError]) -> Text:
    params = refusal.params
    if refusal.code == "invalid" and errors:
        params = {**params, "reason": Text(zh=errors[0].zh, en=errors[0].en)}
    if refusal.code in operations.CODES:
        return operations.said(refusal.code, params)
    if refusal.code in _TEXTS:
        text = _TEXTS[refusal.code]
        return Text(zh=text.zh.format_map(params), en=text.en.format_map(params))
    return policy.refusal_text(refusal.code, params)


def _errors(policy: Policy, refusal: Refusal) -> Sequence[FieldError]:
    if refusal.errors or refusal.code not in _FIELDS:
        return [FieldError(**error) for error in refusal.errors]
    text = policy.refusal_text(refusal.code, refusal.params)
    field = str(refusal.params.get("field", _FIELDS[refusal.code]))
    return [FieldError(field=field, rule=refusal.code, zh=text.zh, en=text.en)]


def problem(
    policy: Policy, refusal: Refusal, request: web.Request, headers: Mapping[str, str] | None = None
) -> web.Response:
    """The answer to a request that is refused."""
    return problem_response(status_of(refusal.code), problem_body(policy, refusal, request), headers)


def problem_response(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> web.Response:
    """A refusal that is written already."""
    response = web.Response(status=status, body=body, content_type=CONTENT_TYPE, headers=headers)
    if status == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response
