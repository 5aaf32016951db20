"""Who did what and why: the events that every service decided, newest first, over all logs.

Nothing is kept for it, so nothing can be forgotten: each log is walked backwards, from its head or from where the page
before ended, and a request looks at a bounded number of events. Those of operations stand in the logs too.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal

import msgspec
from aiohttp import web

from contracts.events.operations import OperationStarted
from contracts.policy import Policy, Text
from contracts.registry import EVENT_TYPES
from services.catalogue import SERVICES
from services.kernel.actor import SYSTEM
from services.kernel.event_store import Reads
from services.kernel.history import span, why_unreadable
from services.kernel.http import lists
from services.kernel.http.lists import Word
from services.kernel.http.openapi import Operation, Parameter, describe
from services.kernel.naming import is_operation, is_order, stream_of_operation
from services.kernel.refusal import invalid
from services.operations import redriving

#: Events that are read at a time of a log, and that one request looks at in all.
PAGE_EVENTS: Final = 250
LOOKED_AT_MOST: Final = 5_000
#: Places of messages that are named.
PLACES_MOST: Final = 10
#: A log is in order of time, but for clocks that differ; that much is allowed for.
SLACK: Final = timedelta(days=1)

ServiceName = Literal["cases", "refunds", "liability", "finance"]

_FILTERS: Final = (
    Parameter("actor", Word, "Who: `agent/小李`, a role (`agent`), or a name (`小李`)"),
    Parameter("people", Literal["true", "false"], "true: without what services did by themselves"),
    Parameter("service", ServiceName, "The service that decided it"),
    Parameter("type", Word, "`case.opened`, …; or all that begin alike: `case.`"),
    Parameter("order", Word),
    Parameter("from", Word, "Not before: a day of the shop's, or a time with offset"),
    Parameter("to", Word, "Not after: a day of the shop's (up to its end), or a time with offset"),
    Parameter("limit", lists.Limit, f"Events of a page; {lists.DEFAULT_ROWS} where it is not said"),
    Parameter("after", str, "The `after` of the page before"),
)
_COLUMNS: Final = "stream, version, position, id, type, subject, time, actor, correlation_id"
_OF_LOG: Final = f"SELECT {_COLUMNS} FROM events WHERE source = ? AND position <= ? ORDER BY position DESC LIMIT ?"
_OF_STREAM: Final = (
    f"SELECT {_COLUMNS} FROM events WHERE stream = ? AND version <= ? AND source = ? ORDER BY version DESC LIMIT ?"
)
_TIME: Final = "SELECT position, time FROM events WHERE source = ? AND position <= ? ORDER BY position DESC LIMIT 1"
_Place = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """Something that somebody did: an event that `service` decided, at `position` of its log. `label` is what the shop
    calls it. `order_id`, `case_id` and `operation` say what it is about, "" where it is about none.

    Of an operation: its `kind`, the `reason` that whoever started or steered it gave then, and how many dead `messages`
    were redriven or discarded with it, the first of them as `places`."""

    time: datetime
    actor: str
    service: str
    type: str
    label: Text
    order_id: str
    case_id: str
    operation: str
    position: int
    id: str
    correlation_id: str
    kind: str = ""
    reason: str = ""
    messages: int = 0
    places: list[str] = []


class AuditPage(msgspec.Struct, frozen=True):
    """What was done, newest first, and how many events were looked at for it. A page may hold few acts, or none, and
    still not be the last: as long as there is an `after`, it goes on from there."""

    items: list[Act]
    looked_at: int
    has_more: bool
    after: str | None


class Asked(msgspec.Struct, frozen=True):
    """What is asked for; what is empty says nothing."""

    actor: str = ""
    people: bool = False
    type: str = ""
    order: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def takes(self, act: Act) -> bool:
        """Whether something that was done is meant."""
        role, _, name = act.actor.partition("/")
        return (
            (not self.actor or self.actor in (act.actor, role, name))
            and (not self.people or role != SYSTEM)
            and (not self.type or (act.type.startswith(self.type) if self.type[-1] == "." else act.type == self.type))
            and (self.since is None or act.time >= self.since)
            and (self.until is None or act.time <= self.until)
        )


class Walk:
    """A log backwards, or one order's stream in it: what its service decided, from a place on."""

    def __init__(self, log: Reads, service: str, asked: Asked, policy: Policy, last: int) -> None:
        self.last = last
        """What was not taken yet begins here, a position or, of a stream, a version; 0: all was."""
        self._log = log
        self._service = service
        self._asked = asked
        self._policy = policy
        self._in_hand: list[tuple[int, Act]] = []
        """Newest last."""

    @property
    def newest(self) -> Act | None:
        """The next one, where it is in hand."""
        return self._in_hand[-1][1] if self._in_hand else None

    def take(self) -> Act:
        """The next one, which is taken with this."""
        place, act = self._in_hand.pop()
        self.last = place - 1
        return act

    async def read(self) -> int:
        """Have the next ones in hand, if there are any; gives how many were looked at."""
        if self._asked.order:
            rows = await self._log.query(_OF_STREAM, (self._asked.order, self.last, self._service, PAGE_EVENTS))
        else:
            rows = await self._log.query(_OF_LOG, (self._service, self.last, PAGE_EVENTS))
        place = "version" if self._asked.order else "position"
        acts = [(row[place], self._act(row)) for row in rows]
        since = self._asked.since
        if not acts or (since and all(act.time < since - SLACK for _, act in acts)):
            self.last = 0
            return len(acts)
        self._in_hand = acts[::-1]
        return len(acts)

    def _act(self, row: Mapping[str, Any]) -> Act:
        stream, subject = row["stream"], row["subject"]
        about_order = is_order(stream)
        return Act(
            time=datetime.fromisoformat(row["time"]),
            actor=row["actor"],
            service=self._service,
            type=row["type"],
            label=self._policy.texts.events.get(row["type"]) or Text(zh=row["type"], en=row["type"]),
            order_id=stream if about_order else "",
            case_id=subject if about_order and subject.startswith(f"{stream}-") else "",
            operation=subject if is_operation(stream) else "",
            position=row["position"],
            id=row["id"],
            correlation_id=row["correlation_id"],
        )


class AuditHttp:
    """What was done in all services."""

    def __init__(self, policy: Policy, log_of: Callable[[str], Reads]) -> None:
        self._policy = policy
        self._log_of = log_of

    def routes(self) -> list[web.RouteDef]:
        """The one route."""
        return [web.get("/v1/audit", self.read)]

    @describe(
        Operation(
            summary="Who did what and why, newest first, in all services",
            description=f"Roles: service, store_manager. A request looks at {LOOKED_AT_MOST} events at most: ask again"
            " with the `after` of the answer, also where it holds nothing.",
            tag="operations",
            answer=AuditPage,
            query=_FILTERS,
            refusals=(403, 422),
        )
    )
    async def read(self, request: web.Request) -> web.Response:
        """Some of it."""
        given = dict(_given(request))
        asked, limit = _asked(given), lists.limit_of(given)
        named = [name for name in SERVICES if given.get("service", name) == name]
        begin = _places(given["after"], named) if "after" in given else await self._begin(named, asked)
        walks = {
            name: Walk(self._log_of(name), name, asked, self._policy, last) for name, last in begin.items() if last
        }
        items: list[Act] = []
        looked_at = 0
        while len(items) < limit and walks:
            for name, walk in list(walks.items()):
                while walk.newest is None and walk.last and looked_at < LOOKED_AT_MOST:
                    looked_at += await walk.read()
                if not walk.last:
                    del walks[name]
            if not walks or any(walk.newest is None for walk in walks.values()):
                break  # all is told, or who comes next is not known yet
            act = max(walks.values(), key=_newness).take()
            if asked.takes(act):
                items.append(act)
        items = [await self._explained(act) for act in items]
        left = {name: walk.last for name, walk in walks.items() if walk.last}
        return lists.json(AuditPage(items, looked_at, bool(left), _cursor(left) if left else None))

    async def _explained(self, act: Act) -> Act:
        """What was done to an operation, with what its events say of it."""
        if not act.operation:
            return act
        records = await self._log_of(act.service).read_stream(stream_of_operation(act.operation))
        started: OperationStarted = records[0].event
        reasons = {one.id: getattr(one.event, "reason", "") for one in records}
        places = started.options.get("messages", []) if started.kind in redriving.KINDS else []
        return msgspec.structs.replace(
            act,
            kind=started.kind,
            reason=reasons.get(act.id, ""),
            messages=len(places),
            places=places[:PLACES_MOST],
        )

    async def _begin(self, named: list[str], asked: Asked) -> dict[str, int]:
        """The place from which on each log may hold what is meant."""
        begin: dict[str, int] = {}
        for name in named:
            log = self._log_of(name)
            if asked.order:
                head = await log.head(asked.order)
                begin[name] = head.version if head else 0
            else:
                begin[name] = await log.head_position()
                if asked.until:
                    begin[name] = await _last_before(log, name, asked.until + SLACK, begin[name])
        return begin


async def _last_before(log: Reads, service: str, time: datetime, head: int) -> int:
    """About the last position of a log at a time: it is halved again and again instead of walked."""
    first, last = 0, head
    while first < last:
        middle = (first + last + 1) // 2
        rows = await log.query(_TIME, (service, middle))
        if not rows or datetime.fromisoformat(rows[0]["time"]) <= time:
            first = middle
        else:
            last = int(rows[0]["position"]) - 1
    return first


def _newness(walk: Walk) -> datetime:
    assert walk.newest
    return walk.newest.time


def _given(request: web.Request) -> Mapping[str, str]:
    """The parameters, each known, given once and of a fitting length."""
    given = dict(lists.parameters(request, [one.name for one in _FILTERS]))
    for name, value in given.items():
        if name not in ("limit", "after") and not (1 <= len(value) <= 200 and value.isprintable()):
            raise invalid(name, "length", "长度须为 1 到 200", "must have 1 to 200 characters")
    choices: Mapping[str, tuple[str, ...]] = {"service": tuple(SERVICES), "people": ("true", "false")}
    for name, values in choices.items():
        if given.get(name, values[0]) not in values:
            names = ", ".join(values)
            raise invalid(name, "one_of", f"只能是:{names}", f"must be one of: {names}")
    return given


def _asked(given: Mapping[str, str]) -> Asked:
    type_ = given.get("type", "")
    if type_ and not any(one == type_ or (type_[-1] == "." and one.startswith(type_)) for one in EVENT_TYPES):
        raise invalid("type", "known", f"没有 {type_} 这种事件", f"there are no events of type {type_}")
    return Asked(
        actor=given.get("actor", ""),
        people=given.get("people") == "true",
        type=type_,
        order=given.get("order", ""),
        since=_span("from", given["from"])[0] if "from" in given else None,
        until=_span("to", given["to"])[1] if "to" in given else None,
    )


def _span(field: str, text: str) -> tuple[datetime, datetime]:
    try:
        return span(text)
    except (ValueError, OverflowError):
        raise invalid(field, "moment", *why_unreadable(text)) from None


def _cursor(places: Mapping[str, int]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(places)).decode()


def _places(cursor: str, named: list[str]) -> dict[str, int]:
    try:
        raw = base64.b64decode(cursor, altchars=b"-_", validate=True)
        places = msgspec.json.decode(raw, type=dict[str, _Place])
    except (binascii.Error, ValueError, RecursionError):
        places = {}
    if not places or not places.keys() <= set(named):
        raise invalid("after", "cursor", "须为上一页返回的 after", "must be the `after` of an earlier page")
    return places
