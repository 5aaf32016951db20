"""The events of a service over HTTP: page by page behind a position, and as they happen.

A tool that keeps the `after` of each answer misses nothing and gets nothing twice, however often it is stopped.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from aiohttp import web

from contracts import envelope
from contracts.registry import EVENT_TYPES
from services.catalogue import SERVICES
from services.kernel.event_store import EventStore
from services.kernel.http import lists
from services.kernel.http.lists import Word
from services.kernel.http.openapi import Operation, Parameter, describe
from services.kernel.log import Record
from services.kernel.refusal import Refusal, invalid
from services.transfer.selection import Selection, pages

#: How long an answer waits for the first event, and how often it is looked for what other processes committed.
WAIT_SECONDS: Final = 20.0
LOOK_SECONDS: Final = 0.5
#: Records that one request goes through at most, where few of them are meant.
SCANNED_MOST: Final = 100_000

Position = Annotated[int, msgspec.Meta(ge=0, le=10**18 - 1)]
_FILTERS: Final = (
    Parameter("after", Position, "A position of the log: events behind it; from the beginning where it is not said"),
    Parameter("order", Word),
    Parameter("case", Word),
    Parameter("type", Word, "`case.opened`, …"),
    Parameter("party", Word, "That name this party: `courier/YTO`, or `courier`"),
    Parameter("limit", lists.Limit, f"Events of a page; {lists.DEFAULT_ROWS} where it is not said"),
    Parameter("wait", Literal["true", "false"], f"true: where there is none yet, wait up to {WAIT_SECONDS:.0f} s"),
)


class EventPage(msgspec.Struct, frozen=True):
    """Events as CloudEvents with the `position` of each, in the order of the log, and from where to go on."""

    items: list[dict[str, Any]]
    after: int
    has_more: bool


class EventFeed:
    """The events of all services, read from their logs."""

    def __init__(self, log_of: Callable[[str], EventStore]) -> None:
        self._log_of = log_of

    def routes(self) -> list[web.RouteDef]:
        """The one route."""
        return [web.get("/v1/events/{service}", self.read)]

    @describe(
        Operation(
            summary="Events of a service behind a position, or as they happen",
            description="Roles: service, store_manager. Also what the service learned from others: `source` says whose"
            " an event is. Ask again with the `after` of the answer.",
            tag="operations",
            answer=EventPage,
            query=_FILTERS,
            refusals=(403, 404, 422),
        )
    )
    async def read(self, request: web.Request) -> web.Response:
        """Some events."""
        service = request.match_info["service"]
        if service not in SERVICES:
            raise Refusal("not_found")
        asked = _asked(request)
        log, limit = self._log_of(service), lists.limit_of(asked)
        after, selection = _after(asked), _selection(asked)
        head = await log.head_position()
        if after > head:
            zh, en = f"日志只到位置 {head}", f"the log ends at position {head}"
            raise invalid("after", "position_past_end", zh, en)
        page = await _page(log, service, selection, after, limit)
        deadline = asyncio.get_running_loop().time() + WAIT_SECONDS
        while asked.get("wait") == "true" and not page.items and asyncio.get_running_loop().time() < deadline:
            await log.committed.beyond(page.after, LOOK_SECONDS)
            page = await _page(log, service, selection, page.after, limit)
        return lists.json(page)


async def _page(log: EventStore, service: str, selection: Selection, after: int, limit: int) -> EventPage:
    last = await log.head_position()
    if after >= last:
        return EventPage([], after, False)
    found: list[Record] = []
    async for page in pages(log, service, msgspec.structs.replace(selection, first=after + 1, last=last)):
        found += page.records
        if len(found) > limit:
            return EventPage([_document(record) for record in found[:limit]], found[limit - 1].position, True)
        if page.done >= SCANNED_MOST and not selection.stream:
            return EventPage([_document(record) for record in found], after + page.done, page.done < page.total)
    return EventPage([_document(record) for record in found], last, False)


def _document(record: Record) -> dict[str, Any]:
    return {"position": record.position, **envelope.to_json(record)}


def _selection(asked: Mapping[str, str]) -> Selection:
    type_ = asked.get("type", "")
    if type_ and type_ not in EVENT_TYPES:
        raise invalid("type", "known", f"没有 {type_} 这种事件", f"there are no events of type {type_}")
    return Selection(
        order=asked.get("order", ""),
        case=asked.get("case", ""),
        types=(type_,) if type_ else (),
        party=asked.get("party", ""),
    )


def _after(asked: Mapping[str, str]) -> int:
    text = asked.get("after", "0")
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise invalid("after", "position", "须为日志位置(0 或正整数)", "must be a position of the log, 0 or more")
    return int(text)


def _asked(request: web.Request) -> dict[str, str]:
    """The parameters, each known, given once, and of a fitting length."""
    asked: dict[str, str] = {}
    for name, value in lists.parameters(request, [one.name for one in _FILTERS]):
        if not 1 <= len(value) <= 200:
            raise invalid(name, "length", "长度须为 1 到 200", "must have 1 to 200 characters")
        asked[name] = value
    lists.check_wait(asked)
    return asked
