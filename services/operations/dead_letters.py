"""Messages that did not go on, over HTTP: what was left behind and why, what trying it again would do, and doing it.

All of it is done in the database of the service that left them behind; whoever owns the partition notices within a
second, as with `aftersales dlq`.
"""

import asyncio
import base64
import binascii
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final, Literal, get_args
from weakref import WeakValueDictionary

import msgspec
from aiohttp import web

from contracts.policy import Policy, Text
from contracts.registry import decode
from services.catalogue import SERVICES
from services.kernel.clock import Clock
from services.kernel.event_store import EventStore, IdempotentAnswer, StoreError
from services.kernel.fields import Note
from services.kernel.fields import Text as Words
from services.kernel.http import lists
from services.kernel.http.app import actor_of
from services.kernel.http.body import read_command
from services.kernel.http.commands import answered, expected_version, idempotency_key, replayed, request_hash
from services.kernel.http.lists import Word
from services.kernel.http.openapi import Operation, Parameter, describe
from services.kernel.http.problem import problem_body, status_of
from services.kernel.kafka import dead_letters
from services.kernel.kafka.dead_letters import ERROR_BEGINS, Alike, Behind, Selection
from services.kernel.kafka.message import Message, incoming
from services.kernel.kafka.parking import DEAD, WAITING, ParkedMessage, Place
from services.kernel.operations import Desk
from services.kernel.refusal import Refusal, invalid
from services.kernel.settings import Settings
from services.operations import redriving
from services.operations.lag import Looks
from services.operations.left_behind import (
    KeptMessage,
    LeftBehind,
    MessageOutcome,
    WholeMessage,
    at,
    kept,
    left_behind,
    outcome_of,
    whole_message,
)
from services.operations.rehearsal import rehearse
from services.operations.requests import keep, parsed
from services.operations.way_out import way_out_of
from services.wording.dead_letters import ABOUT_DEAD, CAUSES

#: Groups that the overview tells of each service, and messages that one request is about, at most.
GROUPS_MOST: Final = 100
PREVIEW_MOST: Final = 100
DONE_MOST: Final = 500
#: How often it is looked what became of redriven messages, in seconds.
LOOK_SECONDS: Final = 0.2

ServiceName = Literal["cases", "refunds", "liability", "finance"]
StateName = Literal["dead", "waiting", "discarded", "redriven"]
PlaceName = Annotated[str, msgspec.Meta(min_length=1, max_length=300)]
ErrorText = Annotated[str, msgspec.Meta(max_length=ERROR_BEGINS, description="As a group tells it: how it begins")]
WaitSeconds = Annotated[int, msgspec.Meta(ge=0, le=20)]

_PATH: Final = "/v1/dead-letters"
_ROLES: Final = "Roles: service, store_manager."
_REFUSALS: Final = (400, 403, 404, 409, 412, 413, 415, 422)


class MessageGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Messages of one service that were left behind alike: `cause`, and that in words (`what`); whose event, of which
    type, and how their error begins (none where they wait for one before them); and what to do (`ways`)."""

    service: str
    state: str
    cause: str
    what: Text
    source: str
    type: str
    error: str
    messages: int
    oldest_at: datetime
    newest_at: datetime
    example: LeftBehind
    ways: list[Text]


class StuckConsumer(msgspec.Struct, frozen=True):
    """A consumer that does not go on without any message being set aside: what it stumbles over."""

    service: str
    consumer: str
    source: str
    behind: int
    stuck: str


class LeftBehindOverview(msgspec.Struct, frozen=True):
    """What does not go on. `stuck`: consumers of logs that stand, which is how it shows where no broker is between the
    services; `away`: databases that cannot be asked, by service; `has_more`: there are further groups, small ones."""

    groups: list[MessageGroup]
    stuck: list[StuckConsumer]
    away: dict[str, str]
    has_more: bool


class LeftBehindPage(msgspec.Struct, frozen=True):
    """Messages by order and number; `after` is for the next page."""

    items: list[KeptMessage]
    has_more: bool
    after: str | None


class MessageWithWays(WholeMessage, frozen=True, kw_only=True):
    """A message, and what to do about it where it waits."""

    ways: list[Text]


class Chosen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which dead messages: those that match everything that is given, or `everything`."""

    place: PlaceName | None = None
    cause: Annotated[str, msgspec.Meta(max_length=64)] = ""
    source: Annotated[str, msgspec.Meta(max_length=64)] = ""
    type: Annotated[str, msgspec.Meta(max_length=200)] = ""
    error: ErrorText = ""
    stream: Annotated[str, msgspec.Meta(max_length=200)] = ""
    everything: bool = False

    def selection(self) -> Selection:
        """The messages. Raises `Refusal` where none are named."""
        if not (self.place or self.cause or self.source or self.type or self.error or self.stream or self.everything):
            zh = "请指明消息:place、cause、source、type、error、stream,或 everything"
            en = "say which messages: place, cause, source, type, error, stream, or everything"
            raise invalid("place", "required", zh, en)
        place = place_of(self.place) if self.place else None
        named = {name: getattr(self, name) for name in ("cause", "source", "type", "error", "stream")}
        return Selection(place=place, **named)


class PreviewMessages(Chosen, frozen=True, kw_only=True):
    """What would become of dead messages that are redriven, or given up."""

    action: Literal["redrive", "discard"] = "redrive"


class RedriveMessages(Chosen, frozen=True, kw_only=True):
    """Dead messages to be tried again, and how long the answer may wait for what becomes of them."""

    reason: Note = ""
    wait_seconds: WaitSeconds = 0


class DiscardMessages(Chosen, frozen=True, kw_only=True):
    """Dead messages to be given up for good, and why."""

    reason: Words


class MessageOutcomes(msgspec.Struct, frozen=True):
    """What became of each message, or would. `waiting`: what those wait for that were meant but are not dead;
    `has_more`: more are like this than one request takes: send another one."""

    messages: list[MessageOutcome]
    waiting: list[Text]
    has_more: bool


_LIST: Final = (
    Parameter("state", StateName, "dead and waiting ones where it is not said"),
    *(Parameter(name, Word) for name in ("cause", "source", "type", "stream")),
    Parameter("error", Annotated[str, msgspec.Meta(min_length=1, max_length=ERROR_BEGINS)], "As a group tells it"),
    Parameter("place", PlaceName, "topic/partition/offset"),
    Parameter("limit", lists.Limit, f"Messages of a page; {lists.DEFAULT_ROWS} where it is not said"),
    Parameter("after", str, "The `after` of the page before"),
)
_OVERVIEW: Final = (Parameter("service", ServiceName),)
_ONE: Final = (Parameter("place", PlaceName, "topic/partition/offset; needed"),)
_COMMAND: Final[dict[str, Any]] = {"tag": "operations", "answer": MessageOutcomes, "refusals": _REFUSALS}

Act = Callable[[EventStore, str, Any], Awaitable[MessageOutcomes]]


class DeadLettersHttp:
    """What all services left behind."""

    def __init__(
        self,
        settings: Settings,
        policy: Policy,
        clock: Clock,
        store_of: Callable[[str], EventStore],
        looks: Looks,
    ) -> None:
        self._settings = settings
        self._policy = policy
        self._clock = clock
        self._store_of = store_of
        self._looks = looks
        self._rehearsing = asyncio.Lock()  # each holds a connection of few
        self._under_way: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """By key: who repeats a request while it is done waits for its answer."""

    def routes(self) -> list[web.RouteDef]:
        """Every route."""
        of_service = f"{_PATH}/{{service}}"
        return [
            web.get(_PATH, self.overview),
            web.get(of_service, self.page),
            web.get(f"{of_service}/message", self.message),
            web.post(f"{of_service}/preview", self.preview),
            web.post(f"{of_service}/redrive", self.redrive),
            web.post(f"{of_service}/discard", self.discard),
        ]

    # -- looking

    @describe(
        Operation(
            summary="What was left behind, by service, event and error",
            description=_ROLES,
            tag="operations",
            answer=LeftBehindOverview,
            query=_OVERVIEW,
            refusals=(403, 422),
        )
    )
    async def overview(self, request: web.Request) -> web.Response:
        """Everything, grouped."""
        asked = _asked(request, _OVERVIEW)
        groups: list[MessageGroup] = []
        away: dict[str, str] = {}
        has_more = False
        for service in SERVICES:
            if asked.get("service", service) != service:
                continue
            try:
                store = self._store_of(service)
                found = await dead_letters.alike(store, GROUPS_MOST + 1)
                groups += [one for each in found[:GROUPS_MOST] if (one := await _group(store, service, each))]
                has_more |= len(found) > GROUPS_MOST
            except StoreError as error:
                away[service] = type(error).__name__
        told = [one.told for one in (await self._looks.look()).standings]
        stuck = [
            StuckConsumer(one.service, one.consumer, one.source, one.behind, one.stuck)
            for one in told
            if one.stuck and (one.lost or not one.parked) and asked.get("service", one.service) == one.service
        ]
        return lists.json(LeftBehindOverview(groups, stuck, away, has_more))

    @describe(
        Operation(
            summary="Messages that a service left behind, one by one",
            description=f"{_ROLES} By order, and in an order by number. Resolved ones say who saw to them, and why.",
            tag="operations",
            answer=LeftBehindPage,
            query=_LIST,
            refusals=(403, 404, 422),
        )
    )
    async def page(self, request: web.Request) -> web.Response:
        """Some messages."""
        service, asked = _service(request), _asked(request, _LIST)
        limit, after = lists.limit_of(asked), _behind(asked["after"]) if "after" in asked else None
        named = {name: asked.get(name, "") for name in ("cause", "source", "type", "error", "stream")}
        selection = Selection(
            place=place_of(asked["place"]) if "place" in asked else None,
            states=(asked["state"],) if "state" in asked else (DEAD, WAITING),
            **named,
        )
        found = await dead_letters.selected(self._store_of(service), selection, after, limit + 1)
        has_more = len(found) > limit
        items = [kept(service, one) for one in found[:limit]]
        return lists.json(LeftBehindPage(items, has_more, _cursor(found[limit - 1]) if has_more else None))

    @describe(
        Operation(
            summary="One message that a service left behind: headers, body, and what to do",
            description=_ROLES,
            tag="operations",
            answer=MessageWithWays,
            query=_ONE,
            refusals=(403, 404, 422),
        )
    )
    async def message(self, request: web.Request) -> web.Response:
        """One message whole."""
        service, asked = _service(request), _asked(request, _ONE)
        if "place" not in asked:
            raise invalid("place", "required", "请给出消息位置", "say the place of the message")
        store = self._store_of(service)
        message = await dead_letters.found(store, place_of(asked["place"]))
        if message is None:
            raise Refusal("unknown_message", service=service, place=asked["place"])
        unreadable = dead_letters.unreadable(message, partial(_read, message))
        whole = whole_message(service, message, str(unreadable or ""))
        ways = await _ways(store, service, message)
        return lists.json(MessageWithWays(**msgspec.structs.asdict(whole), ways=ways))

    # -- doing

    @describe(
        Operation(
            summary="What redriving dead messages would do, or giving them up",
            description=f"{_ROLES} To be redriven, each is really handled by the rules of its service, in the order of"
            " its stream and with those that wait behind it, on the data as it is now; then all of it is forgotten."
            " Only what a database refuses while it writes is not seen.",
            body=PreviewMessages,
            example={"cause": "invalid_body"},
            **_COMMAND,
        )
    )
    async def preview(self, request: web.Request) -> web.Response:
        """What would become of some messages."""
        service = _service(request)
        body: PreviewMessages = parsed(await read_command(request), PreviewMessages)
        store = self._store_of(service)
        chosen, has_more = await _dead(store, service, body.selection(), PREVIEW_MOST)
        if body.action == redriving.DISCARD:
            outcomes = await redriving.would_be_discarded(store, service, chosen)
        elif chosen:
            async with self._rehearsing:
                outcomes = await rehearse(self._settings, self._policy, self._clock, store, service, chosen)
        else:
            outcomes = []
        waiting = [] if chosen else await redriving.waiting(store, service, body.selection())
        return lists.json(MessageOutcomes(outcomes, waiting, has_more))

    @describe(
        Operation(
            summary="Have dead messages tried again",
            description=f"{_ROLES} Whichever process works on their partition tries them within about a second, in"
            " their order. Who asked for it is kept with them, and why, and told as an operation (`redrive`).",
            body=RedriveMessages,
            example={"cause": "invalid_body", "reason": "the new release reads it", "wait_seconds": 5},
            is_command=True,
            **_COMMAND,
        )
    )
    async def redrive(self, request: web.Request) -> web.Response:
        """Have some messages tried again."""
        by = str(actor_of(request))

        async def redrive(store: EventStore, service: str, body: RedriveMessages) -> MessageOutcomes:
            selection = body.selection()
            chosen, has_more = await _dead(store, service, selection, DONE_MOST)
            await redriving.redrive(Desk(store, service, self._clock), chosen, by, body.reason)
            outcomes = await _followed(store, service, chosen, body.wait_seconds)
            waiting = [] if chosen else await redriving.waiting(store, service, selection)
            return MessageOutcomes(outcomes, waiting, has_more)

        return await self._once(request, RedriveMessages, redrive)

    @describe(
        Operation(
            summary="Give dead messages up for good",
            description=f"{_ROLES} They count as handled, and what waits behind them goes on. Who did it is kept with"
            " them, and why, and told as an operation (`discard`).",
            body=DiscardMessages,
            example={"place": "aftersales.cases.v1/3/1207", "reason": "sent by a test"},
            is_command=True,
            **_COMMAND,
        )
    )
    async def discard(self, request: web.Request) -> web.Response:
        """Give some messages up."""
        by = str(actor_of(request))

        async def discard(store: EventStore, service: str, body: DiscardMessages) -> MessageOutcomes:
            selection = body.selection()
            chosen, has_more = await _dead(store, service, selection, DONE_MOST)
            outcomes = await redriving.discard(Desk(store, service, self._clock), chosen, by, body.reason)
            waiting = [] if chosen else await redriving.waiting(store, service, selection)
            return MessageOutcomes(outcomes, waiting, has_more)

        return await self._once(request, DiscardMessages, discard)

    async def _once(self, request: web.Request, body_type: type[Chosen], act: Act) -> web.Response:
        """Do what a request says and keep its answer for who repeats it; to do it twice would change nothing more."""
        service = _service(request)
        if expected_version(request):  # messages have none
            raise Refusal("version_conflict", version=0)
        key = f"{idempotency_key(request)} {actor_of(request)}"
        raw = await read_command(request)
        digest, store = request_hash(request, None, raw), self._store_of(service)
        lock = self._under_way.setdefault(f"{service} {key}", asyncio.Lock())
        async with lock:
            stored = await store.answer(key)
            if stored is not None:
                return replayed(self._policy, request, digest, stored)
            try:
                outcomes = await act(store, service, parsed(raw, body_type))
                answer = IdempotentAnswer(key, digest, 200, msgspec.json.encode(outcomes), self._clock.now())
            except Refusal as refusal:
                body = problem_body(self._policy, refusal, request)
                answer = IdempotentAnswer(key, digest, status_of(refusal.code), body, self._clock.now())
            await keep(store, answer)
            return answered(answer)


async def _group(store: EventStore, service: str, group: Alike) -> MessageGroup | None:
    """A group with an example; None where all of it was handled since it was counted."""
    selection = Selection(
        cause=group.cause, source=group.source, type=group.type, error=group.error, states=(group.state,)
    )
    examples = await dead_letters.selected(store, selection, limit=1)
    if not examples:
        return None
    return MessageGroup(
        service=service,
        state=group.state,
        cause=group.cause,
        what=CAUSES[group.cause],
        source=group.source,
        type=group.type,
        error=group.error,
        messages=group.messages,
        oldest_at=at(group.oldest_at),
        newest_at=at(group.newest_at),
        example=left_behind(service, examples[0]),
        ways=await _ways(store, service, examples[0]),
    )


async def _ways(store: EventStore, service: str, message: ParkedMessage) -> list[Text]:
    if message.state == DEAD:
        return [ABOUT_DEAD]
    way = await way_out_of(store, service, message) if message.state == WAITING else None
    return [way] if way else []


async def _dead(store: EventStore, service: str, selection: Selection, most: int) -> tuple[list[ParkedMessage], bool]:
    """The dead messages that are meant, and whether there are more. Raises `Refusal` where one was named that is not
    dead."""
    found, has_more = await redriving.dead(store, selection, most)
    if selection.place and not found:
        known = await dead_letters.found(store, selection.place)
        code = "not_dead" if known else "unknown_message"
        raise Refusal(code, service=service, place=str(selection.place))
    return found, has_more


async def _followed(
    store: EventStore, service: str, messages: Sequence[ParkedMessage], wait_s: float
) -> list[MessageOutcome]:
    """What became of messages that are tried again, as far as it is known in time."""
    deadline = time.monotonic() + wait_s
    outcomes = {one.place: outcome_of(service, one, "trying") for one in messages}
    while True:
        for one in messages:
            if outcomes[one.place].outcome == "trying":
                now = await dead_letters.found(store, one.place)
                outcome = dead_letters.outcome(now)
                why = await way_out_of(store, service, now) if now and outcome == "waits" else None
                outcomes[one.place] = outcome_of(service, now or one, outcome, why=why)
        if time.monotonic() >= deadline or all(one.outcome != "trying" for one in outcomes.values()):
            return list(outcomes.values())
        await asyncio.sleep(LOOK_SECONDS)


def _read(message: ParkedMessage, raw: Message) -> Any:
    return incoming(raw, message.source, decode)


def place_of(text: str) -> Place:
    """The place that a request names; raises `Refusal`."""
    try:
        place = Place.parse(text)
        if 0 <= place.partition < 2**31 and 0 <= place.offset < 2**63 and text.isprintable():
            return place
    except ValueError:
        pass
    zh, en = "须为 主题/分区/位移,如 aftersales.cases.v1/3/1207", "must be topic/partition/offset"
    raise invalid("place", "place", zh, en)


def _cursor(message: ParkedMessage) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(Behind.of(message))).decode()


def _behind(cursor: str) -> Behind:
    try:
        return msgspec.json.decode(base64.b64decode(cursor, altchars=b"-_", validate=True), type=Behind)
    except (binascii.Error, ValueError, RecursionError):
        raise invalid("after", "cursor", "须为上一页返回的 after", "must be the `after` of an earlier page") from None


def _service(request: web.Request) -> str:
    service = request.match_info["service"]
    if service not in SERVICES:
        raise Refusal("not_found")
    return service


def _asked(request: web.Request, known: Sequence[Parameter]) -> Mapping[str, str]:
    """The parameters, each known, given once and possible."""
    asked: dict[str, str] = {}
    types = {one.name: one.type for one in known}
    for name, value in lists.parameters(request, list(types)):
        if name not in ("limit", "after"):
            _check(name, value, types[name])
        asked[name] = value
    return asked


def _check(name: str, value: str, type_: Any) -> None:
    choices = get_args(type_) if type_ in (StateName, ServiceName) else ()
    try:
        msgspec.convert(value, type_)
    except msgspec.ValidationError:
        names = ", ".join(choices)
        zh, en = (f"只能是:{names}", f"must be one of: {names}") if choices else ("长度不对", "has the wrong length")
        raise invalid(name, "one_of" if choices else "length", zh, en) from None
    if not value.isprintable():
        raise invalid(name, "printable", "含有不可见字符", "holds unprintable characters")
