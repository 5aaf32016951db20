"""Operations over HTTP: started, looked at and steered; what runs, runs in the background of this process. Beside them,
for the same people and tools: the events of all services (`feed.py`) and who caused them (`audit.py`), how far
consumers are (`lag.py`), and what they left behind (`dead_letters.py`)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from aiohttp import web

from contracts.policy import Policy
from contracts.registry import decode
from services.catalogue import SERVICES
from services.kernel.clock import Clock
from services.kernel.event_store import EventStore, IdempotentAnswer, KeyTaken
from services.kernel.fields import Text
from services.kernel.http import lists
from services.kernel.http.app import actor_of
from services.kernel.http.body import read_command
from services.kernel.http.commands import answered, expected_version, idempotency_key, replayed, request_hash
from services.kernel.http.openapi import Operation as Described
from services.kernel.http.openapi import Parameter, describe
from services.kernel.http.problem import problem_body, status_of
from services.kernel.operations import STATES, Desk, Operation, Ticket, service_in
from services.kernel.operations.desk import Answer
from services.kernel.operations.operation import ENDED, State
from services.kernel.refusal import Refusal, invalid
from services.kernel.settings import Settings
from services.kernel.stores import open_store
from services.operations.audit import AuditHttp
from services.operations.bodies import START
from services.operations.dead_letters import DeadLettersHttp
from services.operations.feed import EventFeed
from services.operations.kind import Options, folder_of
from services.operations.kinds import KINDS, KindOfWork, kinds_of_work, must_be_resumable, options_of
from services.operations.lag import FromOutside, LagHttp, Looks
from services.operations.requests import keep, parsed
from services.operations.runner import Runner
from services.transfer.resending import must_be_known
from services.transfer.selection import Selection

_PATH: Final = "/v1/operations"
#: Names that are read at a time where a list is made.
_NAMES_AT_ONCE: Final = 100
#: Where answers are kept that belong to no service in particular.
_HOME: Final = next(iter(SERVICES))
_ACCEPTED: Final = 202

#: How long an answer may wait for a change, and how often it is looked, in seconds.
WAIT_MOST: Final = 30
LOOK_SECONDS: Final = 0.25

KindName = Literal["verify", "doctor", "export", "resend", "rebuild", "what_if"]
#: Those that can be started here, and what is done by other requests and commands.
ListedKind = Literal[
    "verify",
    "doctor",
    "export",
    "resend",
    "rebuild",
    "what_if",
    "redrive",
    "discard",
    "republish",
    "resume",
    "rewind",
]
ServiceName = Literal["cases", "refunds", "liability", "finance"]
OperationId = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class StartOperation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be done on the log of which service, and why. Which `options` there are depends on the kind."""

    kind: KindName
    service: ServiceName
    reason: Text
    options: dict[str, Any] = {}


class SteerOperation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why an operation is paused, resumed or cancelled."""

    reason: Text


class OperationPage(msgspec.Struct, frozen=True):
    """Some operations, newest first; `after` is for the next page."""

    items: list[Operation]
    has_more: bool
    after: str | None


class Kinds(msgspec.Struct, frozen=True):
    """All kinds of operations."""

    items: list[KindOfWork]


_COMMAND: Final[dict[str, Any]] = {
    "tag": "operations",
    "answer": Operation,
    "statuses": (_ACCEPTED,),
    "etag": True,
    "is_command": True,
}
_ROLES: Final = "Roles: service, store_manager."
_STEERED: Final = f'{_ROLES} It needs the body `{{"reason": …}}` and an `Idempotency-Key`.'
#: What files are, by their endings, where that is more than bytes.
_MEDIA: Final[Mapping[str, str]] = {".json": "application/json"}
_FILTERS: Final = (
    Parameter("state", State),
    Parameter("kind", ListedKind),
    Parameter("service", ServiceName),
    Parameter("limit", lists.Limit, f"Operations of a page; {lists.DEFAULT_ROWS} where it is not said"),
    Parameter("after", OperationId, "The `after` of the page before"),
)

_FOLLOW: Final = (
    Parameter("wait", Annotated[int, msgspec.Meta(ge=0, le=WAIT_MOST)], "Seconds to wait for a change"),
    Parameter(
        "version",
        Annotated[int, msgspec.Meta(ge=0, le=10**9 - 1)],
        "With `wait`: the version that was seen last; where it is another by now, it is told at once",
    ),
)

#: Pauses, resumes or cancels an operation: by whom, why, the answer to it, and the version that it is for.
Steer = Callable[[Desk, str, str, str, Answer, int | None], Awaitable[Ticket | None]]
#: Does what a command says on the desk of a service; gives what is to be taken up, if anything is.
Act = Callable[[Desk, Any, Answer], Awaitable[Ticket | None]]


class OperationsHttp:
    """The operations on all services."""

    def __init__(self, settings: Settings, policy: Policy, clock: Clock, looks: Looks | None = None) -> None:
        """`looks`: who tells how far consumers are; where nobody in this process can, databases and brokers do."""
        self._settings = settings
        self._policy = policy
        self._clock = clock
        self._stores: dict[str, EventStore] = {}
        self._runner = Runner(settings)
        self._feed = EventFeed(self._store)
        self._looks = looks or FromOutside(settings)
        self._lag = LagHttp(self._looks)
        self._dead_letters = DeadLettersHttp(settings, policy, clock, self._store, self._looks)
        self._audit = AuditHttp(policy, self._store)

    def routes(self) -> list[web.RouteDef]:
        """Every route of operations."""
        one = f"{_PATH}/{{operation_id}}"
        return [
            web.post(_PATH, self.start),
            web.get(_PATH, self.page),
            web.get("/v1/operation-kinds", self.kinds),
            web.get(one, self.read),
            web.get(f"{one}/file", self.file),
            web.post(f"{one}/pause", self.pause),
            web.post(f"{one}/resume", self.resume),
            web.post(f"{one}/cancel", self.cancel),
            *self._feed.routes(),
            *self._lag.routes(),
            *self._dead_letters.routes(),
            *self._audit.routes(),
        ]

    async def stop(self) -> None:
        """End what runs here, so that it can be resumed elsewhere, and let go of the databases."""
        await self._runner.stop()
        await self._looks.close()
        for store in self._stores.values():
            await store.close()
        self._stores.clear()

    # -- looking

    @describe(
        Described(
            summary="Operations on all services, newest first",
            description=_ROLES,
            tag="operations",
            answer=OperationPage,
            query=_FILTERS,
            refusals=(403, 422),
        )
    )
    async def page(self, request: web.Request) -> web.Response:
        """Some operations."""
        asked = _asked(request)
        limit, found = lists.limit_of(asked), list[Operation]()
        async for operation in self._newest(asked):
            if asked.get("state", operation.state) == operation.state:
                found.append(operation)
            if len(found) > limit:
                break
        after = found[limit - 1].id if len(found) > limit else None
        return lists.json(OperationPage(found[:limit], after is not None, after))

    async def _newest(self, asked: Mapping[str, str]) -> AsyncIterator[Operation]:
        """The operations of a kind, from the newest on."""
        desks = [self._desk(name) for name in SERVICES if asked.get("service", name) == name]
        before = asked.get("after", "")
        while names := [name for desk in desks for name in await desk.names(before, _NAMES_AT_ONCE)]:
            names = sorted(names, reverse=True)[:_NAMES_AT_ONCE]  # of what is older, each desk is asked again
            for name in names:
                if "kind" not in asked or name.endswith(f"-{asked['kind']}"):
                    yield await self._desk(service_in(name)).show(name)
            before = names[-1]

    @describe(
        Described(
            summary="An operation: its state, who had it done and why, how far it is, what came of it",
            description=f"{_ROLES} With `wait` the answer comes when something has changed, or at the end of the time:"
            " so a page follows it. What has ended changes no more and is told at once.",
            tag="operations",
            answer=Operation,
            query=_FOLLOW,
            refusals=(403, 404, 422),
            etag=True,
        )
    )
    async def read(self, request: web.Request) -> web.Response:
        """One operation as it is now, or once it changes."""
        desk, name = self._known(request), request.match_info["operation_id"]
        wait_s, version = _following(request)
        operation = first = await desk.show(name)
        deadline = asyncio.get_running_loop().time() + wait_s
        while (
            operation.state not in ENDED
            and version in (None, operation.version)
            and _stage(operation) == _stage(first)
            and asyncio.get_running_loop().time() < deadline
        ):
            await asyncio.sleep(LOOK_SECONDS)
            operation = await desk.show(name)
        return lists.json(operation, ETag=f'"{operation.version}"')

    @describe(
        Described(
            summary="The file that an operation made",
            description=f"{_ROLES} It is kept by the process that ran the operation.",
            tag="operations",
            answer="*/*",
            refusals=(403, 404),
        )
    )
    async def file(self, request: web.Request) -> web.StreamResponse:
        """The file of a finished operation."""
        operation = await self._known(request).show(request.match_info["operation_id"])
        name = str(operation.outcome.get("file", ""))
        file = folder_of(self._settings) / name
        # its own one and no other, wherever the history with this name was imported from
        if file.stem != operation.id or file.name != name or not file.is_file():
            raise Refusal("operation_without_file", operation=operation.id)
        media = _MEDIA.get(file.suffix, "application/octet-stream")
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Content-Type": media}
        return web.FileResponse(file, headers=headers)

    @describe(
        Described(
            summary="What kinds of operations can be started, and on what",
            description=_ROLES,
            tag="operations",
            answer=Kinds,
            refusals=(403,),
        )
    )
    async def kinds(self, _: web.Request) -> web.Response:
        """Every kind, for whoever makes a form of it."""
        return lists.json(Kinds(await asyncio.to_thread(kinds_of_work, self._settings)))

    # -- commands

    @describe(
        Described(
            summary="Start an operation in the background",
            description=f"{_ROLES} One of a kind is at work on a service at a time. Which `options` there are depends"
            " on the `kind`: each has a schema of its own in the request body.",
            body=START,
            example={"kind": "verify", "service": "cases", "reason": "month's end", "options": {"photos": True}},
            refusals=(400, 403, 404, 409, 412, 413, 415, 422),
            **_COMMAND,
        )
    )
    async def start(self, request: web.Request) -> web.Response:
        """Start an operation."""
        if expected_version(request):  # what is yet to be made has no version
            raise Refusal("version_conflict", version=0)

        async def start(desk: Desk, body: StartOperation, answer: Answer) -> Ticket:
            options = options_of(KINDS[body.kind], body.service, body.options, self._settings)
            await must_be_known(desk.store, desk.service, _chosen(options))
            said = msgspec.to_builtins(options)
            return await desk.start(body.kind, said, str(actor_of(request)), body.reason, answer)

        return await self._take(request, StartOperation, start)

    @describe(
        Described(
            summary="Hold an operation up where it is",
            description=_STEERED,
            body=SteerOperation,
            example={"reason": "the sale begins"},
            refusals=(400, 403, 404, 409, 412, 413, 415, 422),
            **_COMMAND,
        )
    )
    async def pause(self, request: web.Request) -> web.Response:
        """Pause an operation."""
        return await self._steer(request, Desk.pause)

    @describe(
        Described(
            summary="Let an operation go on that is paused, or was interrupted",
            description=f"{_STEERED} What was interrupted goes on here, unless only the command that began it can do it"
            " (409 `operation_not_resumable`).",
            body=SteerOperation,
            example={"reason": "the sale is over"},
            refusals=(400, 403, 404, 409, 412, 413, 415, 422),
            **_COMMAND,
        )
    )
    async def resume(self, request: web.Request) -> web.Response:
        """Resume an operation; where nobody is at work on it any more, this process is from now on."""

        async def resume(
            desk: Desk, operation: str, by: str, reason: str, answer: Answer, version: int | None
        ) -> Ticket | None:
            must_be_resumable(await desk.show(operation), self._settings)
            return await desk.resume(operation, by, reason, answer, version)

        return await self._steer(request, resume)

    @describe(
        Described(
            summary="Call an operation off",
            description=f"{_STEERED} It stops within about a second; what it had done stays.",
            body=SteerOperation,
            example={"reason": "not needed any more"},
            refusals=(400, 403, 404, 409, 412, 413, 415, 422),
            **_COMMAND,
        )
    )
    async def cancel(self, request: web.Request) -> web.Response:
        """Cancel an operation."""
        return await self._steer(request, Desk.cancel)

    async def _steer(self, request: web.Request, change: Steer) -> web.Response:
        version, operation = expected_version(request), request.match_info["operation_id"]
        self._known(request)

        async def steer(desk: Desk, body: SteerOperation, answer: Answer) -> Ticket | None:
            return await change(desk, operation, str(actor_of(request)), body.reason, answer, version)

        return await self._take(request, SteerOperation, steer, service_in(operation))

    async def _take(
        self, request: web.Request, body_type: type[msgspec.Struct], act: Act, service: str = ""
    ) -> web.Response:
        """Do what a request says, at most once by its key and sender; a refusal is kept as well."""
        key = f"{idempotency_key(request)} {actor_of(request)}"
        raw = await read_command(request)
        digest = request_hash(request, expected_version(request), raw)
        desk = self._desk(service or _service_of(raw))
        stored = await desk.store.answer(key)
        if stored is not None:
            return replayed(self._policy, request, digest, stored)

        answers: list[IdempotentAnswer] = []

        def answer(operation: Operation) -> IdempotentAnswer:
            body, now = msgspec.json.encode(operation), self._clock.now()
            answers.append(IdempotentAnswer(key, digest, _ACCEPTED, body, now, f'"{operation.version}"'))
            return answers[-1]

        try:
            ticket = await act(desk, parsed(raw, body_type), answer)
        except KeyTaken as taken:
            return replayed(self._policy, request, digest, taken.answer)
        except Refusal as refusal:
            body = problem_body(self._policy, refusal, request)
            kept = IdempotentAnswer(key, digest, status_of(refusal.code), body, self._clock.now())
            await keep(desk.store, kept)
            return answered(kept)
        if ticket:
            self._runner.start(desk, ticket, str(actor_of(request)))
        return answered(answers[-1])

    # -- desks

    def _known(self, request: web.Request) -> Desk:
        """The desk where an operation is kept; raises `Refusal` for what is no operation's id."""
        operation = request.match_info["operation_id"]
        if service_in(operation) not in SERVICES:
            raise Refusal("unknown_operation", operation=operation[:100])
        return self._desk(service_in(operation))

    def _desk(self, service: str) -> Desk:
        return Desk(self._store(service), service, self._clock)

    def _store(self, service: str) -> EventStore:
        if service not in self._stores:
            self._stores[service] = open_store(self._settings.database_of(service), decode, readers=2)
        return self._stores[service]


def _following(request: web.Request) -> tuple[int, int | None]:
    """How many seconds to wait for a change, and of which version."""
    asked = dict(lists.parameters(request, [one.name for one in _FOLLOW]))
    return _number(asked, "wait", WAIT_MOST) or 0, _number(asked, "version", 10**9 - 1)


def _number(asked: Mapping[str, str], name: str, most: int) -> int | None:
    if (text := asked.get(name)) is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 9 and int(text) <= most):
        raise invalid(name, "range", f"须为 0 到 {most} 的整数", f"must be a whole number from 0 to {most}")
    return int(text)


def _stage(operation: Operation) -> tuple[int, str, datetime | None]:
    """What changes as an operation goes on."""
    return operation.version, operation.state, operation.progress.told_at if operation.progress else None


def _chosen(options: Options) -> Selection:
    """The order and the case that options name, where they do."""
    return Selection(order=getattr(options, "order", None) or "", case=getattr(options, "case", None) or "")


def _service_of(raw: bytes) -> str:
    """The service that a request to start something names, as far as that can be read."""
    try:
        named = msgspec.json.decode(raw, type=dict[str, Any]).get("service")
    except (msgspec.MsgspecError, ValueError, RecursionError):
        named = None
    return named if isinstance(named, str) and named in SERVICES else _HOME


def _asked(request: web.Request) -> dict[str, str]:
    """The parameters of a list, each known, given once and possible."""
    choices: Mapping[str, tuple[str, ...]] = {
        "state": STATES,
        "kind": get_args(ListedKind),
        "service": tuple(SERVICES),
    }
    asked: dict[str, str] = {}
    for name, value in lists.parameters(request, [one.name for one in _FILTERS]):
        if name in choices and value not in choices[name]:
            names = ", ".join(choices[name])
            raise invalid(name, "one_of", f"只能是:{names}", f"must be one of: {names}")
        asked[name] = value
    if "after" in asked and service_in(asked["after"]) not in SERVICES:
        raise invalid("after", "cursor", "须为上一页返回的 after", "must be the `after` of an earlier page")
    return asked
