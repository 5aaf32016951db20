"""The description of the API (OpenAPI 3.1), made from the same structs that requests and answers are.

A route says what it is by an `Operation` on its handler; the document is made of the routes that there are.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec
from aiohttp import web

from contracts.policy import Policy
from services.kernel.decider import CommandSpec
from services.kernel.http.problem import CONTENT_TYPE, FieldError, ProblemDetails

#: Version of the API: the one in its addresses.
VERSION = "1"

H = TypeVar("H", bound=Callable[..., Any])

_SCHEMAS = "#/components/schemas/{name}"
_JSON = "application/json"


class Parameter(NamedTuple):
    """Something that an address takes behind the question mark."""

    name: str
    type: Any
    description: str = ""


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """What a route does. `answer` is the struct of its JSON, or a media type for anything else.

    `refusals` are the statuses with which it may say no, besides those that every route has.
    """

    summary: str
    tag: str
    answer: Any
    description: str = ""
    statuses: Sequence[int] = (200,)
    refusals: Sequence[int] = ()
    query: Sequence[Parameter] = ()
    etag: bool = False
    secured: bool = True
    body: Any = None
    hidden: frozenset[str] = frozenset()
    example: Any = None
    is_command: bool = False
    uploads: bool = False


def describe(operation: Operation) -> Callable[[H], H]:
    """Let a handler say what it does."""

    def mark(handler: H) -> H:
        handler.operation = operation  # type: ignore[attr-defined]
        return handler

    return mark


def command(
    policy: Policy,
    name: str,
    spec: CommandSpec[Any],
    answer: Any,
    tag: str,
    example: Mapping[str, Any],
    *,
    statuses: Sequence[int] = (200,),
    hidden: frozenset[str] = frozenset(),
) -> Operation:
    """How a command is described; its example is the smallest body that it takes."""
    text = policy.texts.commands.get(name)
    zh, en = (text.zh, text.en) if text else (name, name.replace("_", " ").capitalize())
    return Operation(
        summary=f"{en} · {zh}",
        tag=tag,
        answer=answer,
        description=f"Roles: {', '.join(sorted(spec.roles))}.",
        statuses=statuses,
        refusals=(400, 403, 404, 409, 412, 413, 415, 422),
        etag=True,
        body=spec.body,
        hidden=hidden,
        example=example,
        is_command=True,
    )


def operations(routes: Iterable[web.AbstractRoute], own: Mapping[tuple[str, str], Operation]) -> list["Described"]:
    """The routes that are described, by themselves or (those of the server itself) in `own`."""
    described = []
    for route in routes:
        path = "" if route.resource is None else route.resource.canonical
        operation = getattr(route.handler, "operation", None) or own.get((route.method, path))
        if operation is not None and route.method != "HEAD":
            described.append(Described(path, route.method.lower(), operation))
    return sorted(described, key=lambda one: (one.path, one.method))


class Described(NamedTuple):
    """An operation and where it is."""

    path: str
    method: str
    operation: Operation


def document(described: Sequence[Described], policy: Policy) -> dict[str, Any]:
    """The OpenAPI document of these operations."""
    schemas = _Schemas([*_types(described), ProblemDetails, FieldError])
    paths: dict[str, dict[str, Any]] = {}
    for path, method, operation in described:
        paths.setdefault(path, {})[method] = _operation(schemas, path, method, operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "aftersales", "version": VERSION, "description": _ABOUT},
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "tags": [{"name": name} for name in sorted({one.operation.tag for one in described})],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            "schemas": schemas.components(described),
            "parameters": _PARAMETERS,
            "headers": _HEADERS,
            "responses": {str(status): _refused(status, *said) for status, said in _REFUSALS.items()},
        },
    }


_ABOUT = """\
Cases, refunds and losses after a sale. Money is in whole fen (CNY 0.01), times are RFC 3339 with offset.

- **Identity**: every request carries `Authorization: Bearer <token>`; only `/healthz` and `/readyz` need none. Every
  role may read everything but `/metrics`, `/v1/operations`, `/v1/events`, `/v1/dead-letters` and `/v1/audit`
  (store_manager, service); which roles may give a command stands with it.
- **Commands** carry an `Idempotency-Key`, new for each command and the same when it is repeated: a repetition gets the
  first answer again, a refusal too, with `Idempotent-Replayed: true`. A key belongs to whoever sent it.
- **Versions**: the `ETag` of an answer is the version of the order's file in the service that answered; `If-Match`
  refuses a command with 412 when the file has moved on. Refunds and liability keep files of their own: their versions
  are the ETags of `/v1/cases/{case_id}/settlement` and `/v1/cases/{case_id}/charges`.
- **Refusals** are `application/problem+json` with a stable `code`, texts in Chinese and English, `errors` that name
  each wrong field, and the commands that the case allows now in `next_actions`.
- **Lists** are newest first; `after` is the cursor of the next page. `wait=true` shows what was committed just before.
  `count=true` also says how many rows there are, up to a bound.
"""

_PARAMETERS = {
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "required": True,
        "description": "Unique to the command; the same when it is sent again",
        "schema": {"type": "string", "pattern": "^[!-~]{1,200}$", "minLength": 1, "maxLength": 200},
        "example": "3f6c1a52-7d0e-4a7e-9b0c-5f1f6f0f8a11",
    },
    "IfMatch": {
        "name": "If-Match",
        "in": "header",
        "description": "Only if the file is still at this version: the ETag of an earlier answer, or `*`",
        "schema": {"type": "string", "pattern": '^(\\*|"[0-9]{1,18}")$'},
        "example": '"7"',
    },
}
_HEADERS = {
    "ETag": {"description": "Version of the file", "schema": {"type": "string"}},
    "IdempotentReplayed": {
        "description": "The answer to an earlier request with this key",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "RetryAfter": {"description": "Seconds to wait", "schema": {"type": "integer"}},
    "WWWAuthenticate": {"description": "How to prove who you are", "schema": {"type": "string"}},
}
_REPLAYED = {"Idempotent-Replayed": {"$ref": "#/components/headers/IdempotentReplayed"}}

#: What a status means: in words, an example's code, and headers.
_REFUSALS: Mapping[int, tuple[str, str, Mapping[str, Any]]] = {
    400: ("The Idempotency-Key is missing, or the request cannot be read", "idempotency_key_missing", {}),
    401: (
        "No valid token",
        "unauthenticated",
        {"WWW-Authenticate": {"$ref": "#/components/headers/WWWAuthenticate"}},
    ),
    403: ("The role may not do this", "forbidden", _REPLAYED),
    404: ("Something that the request names is unknown", "unknown_case", _REPLAYED),
    409: ("A rule refuses it (see `code`), or the same request is still running", "authority_exceeded", _REPLAYED),
    412: ("The file is not at the version of If-Match any more", "version_conflict", _REPLAYED),
    413: ("Too large", "body_too_large", {}),
    415: ("Not of an accepted type", "content_type_unsupported", {}),
    422: ("Fields are wrong (see `errors`), or the key came with another content before", "invalid", _REPLAYED),
    500: ("Something went wrong inside", "internal", {}),
    503: (
        "Not available right now; nothing was changed",
        "unavailable",
        {"Retry-After": {"$ref": "#/components/headers/RetryAfter"}},
    ),
}


class _Schemas:
    """The schemas of all structs, and references to them."""

    def __init__(self, wanted: Sequence[Any]) -> None:
        references, self._components = msgspec.json.schema_components(wanted, ref_template=_SCHEMAS)
        self._references = {_key(one): reference for one, reference in zip(wanted, references, strict=True)}

    def of(self, wanted: Any) -> Any:
        return self._references[_key(wanted)]

    def components(self, described: Sequence[Described]) -> dict[str, Any]:
        """All schemas by name. What only the border may say in a command does not show."""
        for operation in (one.operation for one in described if one.operation.hidden):
            name = self.of(operation.body)["$ref"].rpartition("/")[2]
            fields = self._components[name]["properties"]
            for hidden in operation.hidden:
                fields.pop(hidden, None)
        return dict(sorted(self._components.items()))


def _key(wanted: Any) -> str:
    return repr(wanted)


def _types(described: Sequence[Described]) -> list[Any]:
    found: dict[str, Any] = {}
    for operation in (one.operation for one in described):
        answer = None if isinstance(operation.answer, str) else operation.answer
        for wanted in (answer, operation.body, *(parameter.type for parameter in operation.query)):
            if wanted is not None:
                found[_key(wanted)] = wanted
    return list(found.values())


def _operation(schemas: _Schemas, path: str, method: str, operation: Operation) -> dict[str, Any]:
    said: dict[str, Any] = {
        "operationId": _operation_id(path, method),
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": [*_path_parameters(path), *_query_parameters(schemas, operation), *_headers_of(operation)],
        "responses": _responses(schemas, operation),
    }
    if operation.description:
        said["description"] = operation.description
    if operation.body is not None:
        content: dict[str, Any] = {"schema": schemas.of(operation.body)}
        if operation.example is not None:
            content["example"] = operation.example
        said["requestBody"] = {"required": True, "content": {_JSON: content}}
    if operation.uploads:
        said["requestBody"] = _UPLOAD
    if not operation.secured:
        said["security"] = []
    return said


_BINARY = {"type": "string", "format": "binary"}
_UPLOAD = {
    "required": True,
    "description": "The file itself, or a form whose first file is taken; what it is, is told by its content",
    "content": {
        "multipart/form-data": {
            "schema": {"type": "object", "properties": {"file": _BINARY}, "required": ["file"]},
        },
        "application/octet-stream": {"schema": _BINARY},
    },
}


def _operation_id(path: str, method: str) -> str:
    words = [part.strip("{}").replace("-", "_").replace(".", "_") for part in path.split("/") if part != "v1"]
    return "_".join([method, *filter(None, words)])


def _path_parameters(path: str) -> list[dict[str, Any]]:
    names = [part.strip("{}") for part in path.split("/") if part.startswith("{")]
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}, "example": _PATH_EXAMPLES[name]}
        for name in names
    ]


_PATH_EXAMPLES = {
    "case_id": "TB1001-1",
    "order_id": "TB1001",
    "sku": "LOCK-A1",
    "sha256": "0" * 64,
    "operation_id": "20261005T020000000000Z-cases-verify",
    "service": "cases",
    "month": "2026-10",
    "bill": "0" * 64,
    "mapping": "YTO-claims",
    "party": "courier",
    "name": "YTO",
    "correction": "K1",
    "run": "R-1f6c3b0a9d2e4f5a",
    "discrepancy": "D-1f6c3b0a9d2e4f5a",
    "export": "trial-balance",
}


def _query_parameters(schemas: _Schemas, operation: Operation) -> list[dict[str, Any]]:
    return [
        {
            "name": one.name,
            "in": "query",
            "schema": schemas.of(one.type),
            **({"description": one.description} if one.description else {}),
        }
        for one in operation.query
    ]


def _headers_of(operation: Operation) -> list[dict[str, Any]]:
    names = ("IdempotencyKey", "IfMatch") if operation.is_command else ()
    return [{"$ref": f"#/components/parameters/{name}"} for name in names]


def _responses(schemas: _Schemas, operation: Operation) -> dict[str, Any]:
    headers: dict[str, Any] = {"ETag": {"$ref": "#/components/headers/ETag"}} if operation.etag else {}
    if operation.is_command:
        headers |= _REPLAYED
    if isinstance(operation.answer, str):
        content = {operation.answer: {"schema": _BINARY if operation.answer == "*/*" else {"type": "string"}}}
    else:
        content = {_JSON: {"schema": schemas.of(operation.answer)}}
    done: dict[str, Any] = {"description": "Done", "content": content}
    if headers:
        done["headers"] = headers
    always = {401, 500, 503} if operation.secured else {500, 503}
    refused = {str(status): {"$ref": f"#/components/responses/{status}"} for status in {*operation.refusals} | always}
    return dict(sorted(({str(status): done for status in operation.statuses} | refused).items()))


def _refused(status: int, description: str, code: str, headers: Mapping[str, Any]) -> dict[str, Any]:
    example = {
        "type": f"urn:aftersales:problem:{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "detail": "…",
        "instance": "/v1/cases/TB1001-1/propose-compensation",
        "code": code,
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "retryable": status == 503,
        "zh": "…",
        "en": "…",
        "errors": [],
        "params": {},
        "next_actions": [],
    }
    content = {CONTENT_TYPE: {"schema": {"$ref": _SCHEMAS.format(name="ProblemDetails")}, "example": example}}
    return {"description": description, "content": content, **({"headers": headers} if headers else {})}
