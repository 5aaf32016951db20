"""Lists of rows of a read table: filters by name, newest first, an opaque cursor to go on from, counted if wanted."""

import base64
import binascii
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, get_args

import msgspec
from aiohttp import web

from contracts.event import Moment
from services.kernel.freshness import TablesStandStill
from services.kernel.http.openapi import Operation, Parameter, describe
from services.kernel.refusal import Refusal, invalid
from services.kernel.service import Service
from services.kernel.views import utc

MAX_ROWS = 500
DEFAULT_ROWS = 50
VERSION_MOST = 10**18 - 1
#: Rows that a count goes up to: beyond, it says that there are more.
COUNTED_MOST = 1_000

Word = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Limit = Annotated[int, msgspec.Meta(ge=1, le=MAX_ROWS)]
Version = Annotated[int, msgspec.Meta(ge=0, le=VERSION_MOST)]
_Integer = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

_PAGING = (
    Parameter("limit", Limit, f"Rows of a page; {DEFAULT_ROWS} where it is not said"),
    Parameter("after", str, "The `after` of the page before"),
    Parameter(
        "wait", Literal["true", "false"], "true: the list shows everything that was committed before the request"
    ),
    Parameter("count", Literal["true", "false"], f"true: say how many rows there are, counted up to {COUNTED_MOST}"),
)


class Filter(msgspec.Struct, frozen=True):
    """A condition with one `?` for the value, and what the value may be.

    `pattern`: the condition compares with LIKE and `ESCAPE '!'`, so that the value must not bring wildcards. `type`
    may be `Moment`: it is compared with the times of read tables.
    """

    condition: str
    type: Any = Word
    pattern: bool = False
    description: str = ""


class Choices(msgspec.Struct, frozen=True):
    """A condition without `?` for each value that there may be.

    A database uses an index of few rows only where its condition stands in the question, word for word.
    """

    conditions: Mapping[str, str]
    description: str = ""

    @property
    def type(self) -> Any:
        """What the value may be."""
        return Literal[tuple(self.conditions)]


class Listing(msgspec.Struct, frozen=True):
    """What may be asked of a table, and the rows that it answers with.

    `order` are the columns that rows are sorted by, newest first; together they are unique.
    """

    table: str
    row: type[msgspec.Struct]
    order: Sequence[str]
    filters: Mapping[str, Filter | Choices]
    present: Callable[[dict[str, Any]], dict[str, Any]] = dict

    def operation(self, summary: str, tag: str) -> Operation:
        """How the list is described."""
        filters = [Parameter(name, filter.type, filter.description) for name, filter in self.filters.items()]
        page = msgspec.defstruct(
            f"{self.row.__name__}Page",
            [
                ("items", list[self.row]),  # type: ignore[name-defined]
                ("has_more", bool),
                ("after", str | None),
                ("count", int | None),
                ("count_is_more", bool | None),
            ],
        )
        return Operation(summary=summary, tag=tag, answer=page, query=(*filters, *_PAGING), refusals=(422,))

    def handler(
        self, service: Service[Any], summary: str, tag: str
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        """The route that answers with a page."""

        @describe(self.operation(summary, tag))
        async def page(request: web.Request) -> web.Response:
            return await answer(request, service, self)

        return page


async def answer(request: web.Request, service: Service[Any], listing: Listing) -> web.Response:
    """A page of the list that a request asks for."""
    asked = _asked(request, listing)
    limit, (conditions, params) = limit_of(asked), _conditions(asked, listing)
    paged, paged_params = conditions, params
    if "after" in asked:
        paged = [*conditions, f"({', '.join(listing.order)}) < ({', '.join('?' * len(listing.order))})"]
        paged_params = [*params, *_place(asked["after"], len(listing.order))]
    if asked.get("wait") == "true":
        await caught_up(service)
    count: dict[str, Any] = {"count": None, "count_is_more": None}
    if asked.get("count") == "true":
        count = await _counted(service, listing.table, _where(conditions), params)
    order = ", ".join(f"{column} DESC" for column in listing.order)
    sql = f"SELECT * FROM {listing.table}{_where(paged)} ORDER BY {order} LIMIT ?"
    rows = await service.store.query(sql, [*paged_params, limit + 1])
    page, has_more = rows[:limit], len(rows) > limit
    items = [msgspec.convert(listing.present(row), listing.row, strict=False) for row in page]
    after = _cursor([page[-1][column] for column in listing.order]) if has_more else None
    return json({"items": items, "has_more": has_more, "after": after, **count})


async def _counted(service: Service[Any], table: str, where: str, params: Sequence[Any]) -> dict[str, Any]:
    """How many rows all pages have together, as far as it is counted."""
    some = f"SELECT 1 AS one FROM {table}{where} LIMIT ?"
    [row] = await service.store.query(f"SELECT count(*) AS n FROM ({some}) AS counted", [*params, COUNTED_MOST + 1])
    return {"count": min(row["n"], COUNTED_MOST), "count_is_more": row["n"] > COUNTED_MOST}


async def caught_up(service: Service[Any]) -> None:
    """Wait until the list shows what was committed before the request. Raises StoreUnavailable, or a refusal that says
    what to do where waiting longer is of no use."""
    try:
        await service.views_caught_up()
    except TablesStandStill as still:
        name, order = service.name, still.order_id
        zh = (
            f"{name} 的列表停在订单 {order} 的一个事件之前,后面的都还没有显示。可去掉 wait=true 先看已有的内容;"
            f"请运维看 {name}-consume 进程日志中的 stream_parked 或 reader_stuck,修好后自动续上。"
        )
        en = (
            f"The lists of {name} stand still before an event of order {order}; nothing behind it is shown yet."
            f" Without wait=true you see what there is. Operators: the log of the {name}-consume process says why"
            " (stream_parked or reader_stuck); once that is mended, it goes on by itself."
        )
        said = {"field": "wait", "rule": "tables_stand_still", "zh": zh, "en": en}
        raise Refusal("unavailable", errors=[said], service=name, order_id=order) from None


def json(value: Any, status: int = 200, **headers: str) -> web.Response:
    """A JSON answer."""
    return web.Response(
        status=status, body=msgspec.json.encode(value), content_type="application/json", headers=headers or None
    )


def _asked(request: web.Request, listing: Listing) -> dict[str, str]:
    asked = dict(parameters(request, [*listing.filters, *(parameter.name for parameter in _PAGING)]))
    check_wait(asked)
    check_yes_or_no(asked, "count")
    return asked


def parameters(request: web.Request, known: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The parameters of a request with their values; raises `Refusal` at one that is not known, or there twice."""
    seen: set[str] = set()
    for name, value in request.query.items():
        if name not in known:
            names = ", ".join(known)
            raise invalid(
                name[:64], "known_filter", f"没有这个参数;可用:{names}", f"no such parameter; there are: {names}"
            )
        if name in seen:
            raise invalid(name, "unique", "参数重复", "is there twice")
        seen.add(name)
        yield name, value


def check_wait(asked: Mapping[str, str]) -> None:
    """Raises `Refusal` where it is not said clearly whether to wait."""
    check_yes_or_no(asked, "wait")


def check_yes_or_no(asked: Mapping[str, str], name: str) -> None:
    """Raises `Refusal` where a parameter is neither true nor false."""
    if asked.get(name, "true") not in ("true", "false"):
        raise invalid(name, "one_of", "只能是 true 或 false", "must be true or false")


def _conditions(asked: Mapping[str, str], listing: Listing) -> tuple[list[str], list[Any]]:
    conditions: list[str] = []
    params: list[Any] = []
    for name, filter in listing.filters.items():
        if name not in asked:
            continue
        value = _value(name, filter, asked[name])
        if isinstance(filter, Choices):
            conditions.append(filter.conditions[asked[name]])
        else:
            conditions.append(filter.condition)
            params.append(value)
    return conditions, params


def _where(conditions: Sequence[str]) -> str:
    return " WHERE " + " AND ".join(conditions) if conditions else ""


def _value(name: str, filter: Filter | Choices, text: str) -> str:
    if filter.type == Moment:
        return _moment(name, text)
    try:
        msgspec.convert(text, filter.type)
    except msgspec.ValidationError:
        choices = ", ".join(str(choice) for choice in get_args(filter.type)) if filter.type != Word else ""
        zh, en = (
            (f"只能是:{choices}", f"must be one of: {choices}") if choices else ("长度不对", "has the wrong length")
        )
        raise invalid(name, "one_of" if choices else "length", zh, en) from None
    if isinstance(filter, Choices) or not filter.pattern:
        return text
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")


def _moment(name: str, text: str) -> str:
    try:
        return utc(msgspec.convert(text, Moment))
    except (msgspec.ValidationError, OverflowError):
        zh = "须为带时区的时间,如 2026-10-05T18:00:00+08:00(网址中 + 写作 %2B)"
        en = "must be a time with its offset: 2026-10-05T18:00:00+08:00 (in an address, + is written %2B)"
        raise invalid(name, "moment", zh, en) from None


def limit_of(asked: Mapping[str, str]) -> int:
    """How many rows a page has; raises `Refusal`."""
    return whole_number(asked, "limit", 1, MAX_ROWS, DEFAULT_ROWS)


def whole_number(asked: Mapping[str, str], name: str, least: int, most: int, unsaid: int) -> int:
    """A parameter that is a whole number, `unsaid` where it is not there; raises `Refusal`."""
    text = asked.get(name, str(unsaid))
    if not text.isascii() or not text.isdecimal() or len(text) > len(str(most)) or not least <= int(text) <= most:
        raise invalid(name, "range", f"须为 {least} 到 {most} 的整数", f"must be a whole number from {least} to {most}")
    return int(text)


def _cursor(place: Sequence[Any]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode()


def _place(cursor: str, columns: int) -> list[Any]:
    try:
        place = msgspec.json.decode(base64.b64decode(cursor, altchars=b"-_", validate=True), type=list[str | _Integer])
    except (binascii.Error, ValueError, RecursionError):
        place = []
    if len(place) != columns:
        raise invalid("after", "cursor", "须为上一页返回的 after", "must be the `after` of an earlier page")
    return place
