"""The one way in which a command arrives: identity, idempotency key, version, decision, stored answer."""

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from aiohttp import web

from contracts.policy import Policy
from services.kernel.actor import Actor
from services.kernel.event_store import Commit, IdempotentAnswer, KeyTaken
from services.kernel.files import Decided, Origin, StaleVersion
from services.kernel.http.app import actor_of
from services.kernel.http.body import read_command, read_json
from services.kernel.http.problem import problem, problem_body, problem_response, status_of
from services.kernel.http.revealing import WORDS
from services.kernel.http.trace import TRACE_ID, TRACEPARENT
from services.kernel.intake import Unfit
from services.kernel.logging import specify_work
from services.kernel.metrics import COMMANDS
from services.kernel.naming import order_of
from services.kernel.refusal import Refusal, invalid
from services.kernel.service import Service

_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_ETAG = re.compile(r'"(\d{1,18})"')
#: What an order is called, as in `RecordOrder`; nothing else ever names a file.
_ORDER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
_CASE_NUMBER = re.compile(r"[1-9][0-9]{0,8}")
_encode = msgspec.json.Encoder().encode

#: Fields of events that name what a command made, repeated at the top of its answer.
_MADE = ("evidence", "proposal", "reshipment", "return_id", "deposit", "charge", "refund")


class RecordedEvent(msgspec.Struct, frozen=True):
    """An event that a command caused; `data` is as the event's schema says."""

    id: str
    type: str
    time: datetime
    data: Any


class CommandAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the sender of a command learns: the events, the file's new version, and the ids that were made."""

    version: int
    events: Sequence[RecordedEvent]
    case_id: str = ""
    evidence: str = ""
    proposal: str = ""
    reshipment: str = ""
    return_id: str = ""
    deposit: str = ""
    charge: str = ""
    refund: str = ""


class Target(NamedTuple):
    """The file that a command is for, the case in it, and the fields of the body that the address says."""

    stream: str
    case_id: str = ""
    fields: Mapping[str, str] = {}


#: Finds the file that a command is for, by the address or the body; raises `Refusal`.
Locate = Callable[[dict[str, Any] | Unfit], Target]
#: Completes a body with what only the border can know (for instance of an uploaded file); raises `Refusal`.
Prepare = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
#: The next legal actions of a case, for an answer that says no.
NextActions = Callable[[str, str, Actor], Awaitable[Sequence[Any]]]


class _Request(NamedTuple):
    """A command on its way."""

    name: str
    http: web.Request
    key: str
    hash: bytes
    raw: bytes
    expected_version: int | None


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

    def case_command(self, name: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        """The handler of a command at `/v1/cases/{case_id}/…`."""

        async def take(request: web.Request) -> web.Response:
            case_id = request.match_info["case_id"]
            return await self.take(request, name, lambda _: Target(stream_of_case(case_id), case_id))

        return take

    async def take(self, http: web.Request, name: str, locate: Locate) -> web.Response:
        """Decide the command in a request, at most once per idempotency key and actor.

        The key is not looked up beforehand: an accepted repetition is found by the commit itself, a refused one
        before its answer. So a first request costs no read, and a repeated one gets its first answer all the same.
        """
        key = idempotency_key(http)
        raw = await read_command(http)
        version = expected_version(http)
        request = _Request(name, http, f"{key} {actor_of(http)}", request_hash(http, version, raw), raw, version)
        if request.key in self._running:
            raise Refusal("request_in_progress")
        self._running.add(request.key)
        try:
            return await self._decide(request, locate)
        except KeyTaken as taken:
            return replayed(self._policy, http, request.hash, taken.answer)
        finally:
            self._running.discard(request.key)

    async def _decide(self, request: _Request, locate: Locate) -> web.Response:
        answers: list[IdempotentAnswer] = []
        target = Target("")

        def answer(decided: Decided) -> IdempotentAnswer:
            answers.append(self._accepted(request, target, decided))
            return answers[-1]

        try:
            body = _read(request.raw)
            target = locate(body)
            if not target.case_id:  # the address names the case, but an order may be named by the body alone
                specify_work(order_id=target.stream)
            if not isinstance(body, Unfit):
                body = await self._prepared(request.name, body, target.fields)
            decided = await self._service.files.command(
                target.stream,
                target.case_id,
                request.name,
                body,
                origin_of(request.http),
                expected_version=request.expected_version,
                answer=answer,
            )
            request.http[WORDS] = decided.words
        except StaleVersion as stale:
            return await self._refuse(request, target, Refusal("version_conflict", version=stale.version))
        except Refusal as refusal:
            return await self._refuse(request, target, refusal)
        COMMANDS.labels(self._service.name, request.name, "accepted").inc()
        return answered(answers[-1])

    async def _prepared(self, name: str, body: dict[str, Any], fields: Mapping[str, str]) -> dict[str, Any] | Unfit:
        try:
            body = _with_path(body, fields)
            return body if self._prepare is None else await self._prepare(name, body)
        except Refusal as refusal:
            return Unfit(refusal, body)

    def _accepted(self, request: _Request, target: Target, decided: Decided) -> IdempotentAnswer:
        return IdempotentAnswer(
            request.key,
            request.hash,
            201 if _is_new(request.name, decided) else 200,
            _encode(_told(decided, target.case_id)),
            self._service.clock.now(),
            f'"{decided.version}"',
        )

    async def _refuse(self, request: _Request, target: Target, refusal: Refusal) -> web.Response:
        """Answer no, and keep the answer: it stays the same even where the command would be accepted by now."""
        stored = await self._service.store.answer(request.key)
        if stored is not None:
            return replayed(self._policy, request.http, request.hash, stored)
        COMMANDS.labels(self._service.name, request.name, refusal.code).inc()
        actions: Sequence[Any] = ()
        if self._next_actions is not None and target.case_id:
            actor = actor_of(request.http)
            actions = [one for one in await self._next_actions(target.stream, target.case_id, actor) if one.allowed]
        body = problem_body(self._policy, refusal, request.http, actions)
        now = self._service.clock.now()
        answer = IdempotentAnswer(request.key, request.hash, status_of(refusal.code), body, now)
        await self._service.appender.submit(Commit(answer=answer))
        return answered(answer)


def stream_of_order(order_id: str) -> str:
    """The file of an order; raises `Refusal` for what can be no order's id, so that it never gets as far as a file."""
    if not _ORDER_ID.fullmatch(order_id):
        raise Refusal("unknown_order", order_id=order_id[:64])
    return order_id


def stream_of_case(case_id: str) -> str:
    """The file of a case; raises `Refusal` for what can be no case's id."""
    order_id, number = order_of(case_id), case_id.rpartition("-")[2]
    if not _ORDER_ID.fullmatch(order_id) or not _CASE_NUMBER.fullmatch(number):
        raise Refusal("unknown_case", case_id=case_id[:80])
    return order_id


def origin_of(http: web.Request) -> Origin:
    """Who sent a command, and what it is traced by; its idempotency key was looked at before."""
    return Origin(actor_of(http), http[TRACE_ID], http.headers["Idempotency-Key"], http[TRACEPARENT])


def idempotency_key(http: web.Request) -> str:
    """The key under which a command is taken at most once; raises `Refusal`."""
    key = http.headers.get("Idempotency-Key", "")
    if not _KEY.fullmatch(key):
        raise Refusal("idempotency_key_missing", field="Idempotency-Key")
    return key


def expected_version(http: web.Request) -> int | None:
    """The version that `If-Match` asks for, None for any; raises `Refusal`."""
    given = http.headers.get("If-Match")
    if given is None or given.strip() == "*":
        return None
    match = _ETAG.fullmatch(given.strip().removeprefix("W/"))
    if match is None:
        raise invalid("If-Match", "etag", "须为读取时返回的 ETag", "must be the ETag of an earlier answer")
    return int(match[1])


def _read(raw: bytes) -> dict[str, Any] | Unfit:
    try:
        body = read_json(raw)
    except Refusal as refusal:
        return Unfit(refusal)
    if isinstance(body, dict):
        return body
    return Unfit(invalid("body", "object", "须为 JSON 对象", "must be an object"))


def _with_path(body: dict[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    """The body with what the path says; the body may repeat it but not contradict it."""
    for field, value in fields.items():
        if body.get(field, value) != value:
            raise invalid(field, "same_as_path", "与路径不一致", "differs from the path")
    return {**body, **fields} if fields else body


def _is_new(name: str, decided: Decided) -> bool:
    """Whether something has an address that did not have one before."""
    first = decided.version == len(decided.records) > 0
    return name == "open_case" or (name == "record_order" and first)


def _told(decided: Decided, case_id: str) -> CommandAnswer:
    made: dict[str, str] = {"case_id": case_id}
    for record in decided.records:
        if record.type == "case.opened":
            made["case_id"] = record.subject
        for field in _MADE:
            value = getattr(record.event, field, None)
            if isinstance(value, str):
                made.setdefault(field, value)
    events = [RecordedEvent(one.id, one.type, one.time, msgspec.Raw(one.data)) for one in decided.records]
    return CommandAnswer(version=decided.version, events=events, **made)


def request_hash(http: web.Request, version: int | None, said: bytes) -> bytes:
    """What tells a command from others under the same idempotency key; `said` is its body, or stands for it."""
    return hashlib.sha256(f"{http.method} {http.path}\0{version}\0".encode() + said).digest()


def replayed(policy: Policy, http: web.Request, asked: bytes, answer: IdempotentAnswer) -> web.Response:
    """A kept answer once more; a refusal where it was given to another command than this one, whose hash is `asked`."""
    if answer.request_hash != asked:
        return problem(policy, Refusal("idempotency_key_reused", field="Idempotency-Key"), http)
    response = answered(answer)
    response.headers["Idempotent-Replayed"] = "true"
    return response


def answered(answer: IdempotentAnswer) -> web.Response:
    """A kept answer as a response."""
    if answer.status >= 400:
        return problem_response(answer.status, answer.body)
    return web.Response(
        status=answer.status, body=answer.body, content_type="application/json", headers={"ETag": answer.etag}
    )
