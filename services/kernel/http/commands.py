"""The one way in which a command arrives: identity, idempotency key, version, decision, stored answer."""

import hashlib
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from aiohttp import web

from contracts.policy import Policy
from services.kernel.actor import Actor
from services.kernel.event_store import Commit, IdempotentAnswer, KeyTaken
from services.kernel.files import Decided, Origin, StaleVersion
from services.kernel.http.app import actor_of
from services.kernel.http.problem import CONTENT_TYPE, problem, problem_body, status_of
from services.kernel.intake import read_body
from services.kernel.metrics import COMMANDS
from services.kernel.refusal import Refusal, invalid
from services.kernel.service import Service

_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_ETAG = re.compile(r'(?:W/)?"(\d{1,18})"|(\d{1,18})')
_encode = msgspec.json.Encoder().encode

#: Fields of events that name what a command made, repeated at the top of its answer.
_MADE = ("evidence", "proposal", "reshipment", "return_id", "deposit", "charge", "refund")

#: Completes a body with what only the border can know (for instance of an uploaded file).
Prepare = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
#: The next legal actions of a case, for an answer that says no.
NextActions = Callable[[str, str, Actor], Awaitable[Sequence[Any]]]


class CommandDesk:
    """Takes the commands of one service."""

    def __init__(
        self,
        service: Service[Any],
        policy: Policy,
        prepare: Prepare | None = None,
        next_actions: NextActions | None = None,
    ) -> None:
        self._service = service
        self._policy = policy
        self._prepare = prepare
        self._next_actions = next_actions
        self._running: set[str] = set()

    async def take(
        self, request: web.Request, stream: str, case_id: str, name: str, *, path_fields: dict[str, str] | None = None
    ) -> web.Response:
        """Decide the command in a request about a file, at most once per idempotency key."""
        actor = actor_of(request)
        key = request.headers.get("Idempotency-Key", "")
        if not _KEY.fullmatch(key):
            raise Refusal("idempotency_key_missing")
        key = f"{actor}:{key}"
        raw = await request.read()
        version = _expected_version(request)
        request_hash = hashlib.sha256(b"\0".join((request.path.encode(), str(version).encode(), raw))).digest()
        if key in self._running:
            raise Refusal("request_in_progress")
        self._running.add(key)
        try:
            return await self._decide(request, stream, case_id, name, raw, key, request_hash, version, path_fields)
        except KeyTaken as taken:
            return self._replay(request, taken.answer, request_hash)
        finally:
            self._running.discard(key)

    async def _decide(
        self,
        request: web.Request,
        stream: str,
        case_id: str,
        name: str,
        raw: bytes,
        key: str,
        request_hash: bytes,
        version: int | None,
        path_fields: dict[str, str] | None,
    ) -> web.Response:
        actor = actor_of(request)
        origin = Origin(actor, request["trace_id"], key.rpartition(":")[2], request.headers.get("traceparent", ""))
        kept: list[IdempotentAnswer] = []

        def answer(decided: Decided) -> IdempotentAnswer:
            made = IdempotentAnswer(
                key,
                request_hash,
                201 if decided.records and name in ("open_case", "record_order") else 200,
                _encode(_told(decided, case_id)),
                self._service.clock.now(),
                f'"{decided.version}"',
            )
            kept.append(made)
            return made

        try:
            body = _with_path(read_body(raw), path_fields)
            if self._prepare is not None and isinstance(body, dict):
                body = await self._prepare(name, body)
            await self._service.files.command(
                stream, case_id, name, body, origin, expected_version=version, answer=answer
            )
        except StaleVersion as stale:
            return problem(self._policy, Refusal("version_conflict", version=stale.version), request)
        except Refusal as refusal:
            COMMANDS.labels(self._service.name, name, refusal.code).inc()
            return await self._refuse(request, refusal, stream, case_id, key, request_hash)
        COMMANDS.labels(self._service.name, name, "accepted").inc()
        return _response(kept[-1])

    async def _refuse(
        self, request: web.Request, refusal: Refusal, stream: str, case_id: str, key: str, request_hash: bytes
    ) -> web.Response:
        stored = await self._service.store.answer(key)
        if stored is not None:
            return self._replay(request, stored, request_hash)
        extra: dict[str, Any] = {}
        if self._next_actions is not None and case_id:
            actions = await self._next_actions(stream, case_id, actor_of(request))
            extra["next_actions"] = [action for action in actions if action.allowed]
        body = problem_body(self._policy, refusal, request.path, request["trace_id"], **extra)
        answer = IdempotentAnswer(key, request_hash, status_of(refusal.code), body, self._service.clock.now())
        await self._service.appender.submit(Commit(answer=answer))
        return _response(answer)

    def _replay(self, request: web.Request, answer: IdempotentAnswer, request_hash: bytes) -> web.Response:
        if answer.request_hash != request_hash:
            return problem(self._policy, Refusal("idempotency_key_reused"), request)
        response = _response(answer)
        response.headers["Idempotent-Replayed"] = "true"
        return response


def _expected_version(request: web.Request) -> int | None:
    given = request.headers.get("If-Match")
    if given is None or given.strip() == "*":
        return None
    match = _ETAG.fullmatch(given.strip())
    if match is None:
        raise invalid("If-Match", "etag", "须为读取时返回的 ETag", "must be the ETag of an earlier answer")
    return int(match[1] or match[2])


def _with_path(body: Any, path_fields: dict[str, str] | None) -> Any:
    """The body with what the path says; the body may repeat it but not contradict it."""
    if not path_fields or not isinstance(body, dict):
        return body
    for field, value in path_fields.items():
        if body.get(field, value) != value:
            raise invalid(field, "same_as_path", "与路径不一致", "differs from the path")
    return {**body, **path_fields}


def _told(decided: Decided, case_id: str) -> dict[str, Any]:
    """What the sender of a command learns of what it did."""
    told: dict[str, Any] = {
        "case_id": case_id,
        "version": decided.version,
        "events": [
            {"id": record.id, "type": record.type, "time": record.time, "data": msgspec.Raw(record.data)}
            for record in decided.records
        ],
    }
    for record in decided.records:
        if record.type == "case.opened":
            told["case_id"] = record.subject
        for field in _MADE:
            made = getattr(record.event, field, None)
            if isinstance(made, str):
                told.setdefault(field, made)
    if not told["case_id"]:
        del told["case_id"]
    return told


def _response(answer: IdempotentAnswer) -> web.Response:
    response = web.Response(
        status=answer.status,
        body=answer.body,
        content_type=CONTENT_TYPE if answer.status >= 400 else "application/json",
    )
    if answer.etag:
        response.headers["ETag"] = answer.etag
    return response
