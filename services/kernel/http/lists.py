"""Lists of rows of a read table: filters by name, newest first, an opaque cursor to go on from."""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from aiohttp import web

from services.kernel.refusal import invalid
from services.kernel.service import Service

MAX_ROWS = 500
DEFAULT_ROWS = 50


class Listing(msgspec.Struct, frozen=True):
    """What may be asked of a table: `filters` maps a query parameter to a condition with one `?`.

    `order` are the columns that rows are sorted by, newest first; together they are unique.
    """

    table: str
    order: Sequence[str]
    filters: Mapping[str, str]
    columns: str = "*"
    present: Callable[[dict[str, Any]], dict[str, Any]] = dict


async def answer(request: web.Request, service: Service[Any], listing: Listing) -> web.Response:
    """A page of the list that a request asks for."""
    await caught_up(request, service)
    limit = _limit(request)
    where, params = _conditions(request, listing)
    order = ", ".join(f"{column} DESC" for column in listing.order)
    sql = f"SELECT {listing.columns} FROM {listing.table}{where} ORDER BY {order} LIMIT ?"
    rows = await service.store.query(sql, [*params, limit + 1])
    page, has_more = rows[:limit], len(rows) > limit
    after = _cursor([page[-1][column] for column in listing.order]) if has_more else None
    return json({"items": [listing.present(row) for row in page], "has_more": has_more, "after": after})


async def caught_up(request: web.Request, service: Service[Any]) -> None:
    """With `?wait=true`, let the read tables see everything that is committed by now."""
    if request.query.get("wait") == "true":
        await service.views_caught_up()


def json(value: Any, status: int = 200, **headers: str) -> web.Response:
    """A JSON answer."""
    return web.Response(
        status=status, body=msgspec.json.encode(value), content_type="application/json", headers=headers or None
    )


def _conditions(request: web.Request, listing: Listing) -> tuple[str, list[Any]]:
    conditions: list[str] = []
    params: list[Any] = []
    for name, value in request.query.items():
        if name in ("limit", "after", "wait"):
            continue
        if name not in listing.filters:
            known = ", ".join(listing.filters)
            raise invalid(name, "known_filter", f"没有这个筛选;可用:{known}", f"no such filter; there are: {known}")
        conditions.append(listing.filters[name])
        params.append(value)
    if "after" in request.query:
        conditions.append(f"({', '.join(listing.order)}) < ({', '.join('?' * len(listing.order))})")
        params += _place(request.query["after"], len(listing.order))
    return (" WHERE " + " AND ".join(conditions) if conditions else ""), params


def _limit(request: web.Request) -> int:
    text = request.query.get("limit", str(DEFAULT_ROWS))
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:9]) <= MAX_ROWS:
        raise invalid("limit", "range", f"须为 1 到 {MAX_ROWS} 的整数", f"must be a whole number from 1 to {MAX_ROWS}")
    return int(text)


def _cursor(place: Sequence[Any]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode()


def _place(cursor: str, columns: int) -> list[Any]:
    try:
        place = msgspec.json.decode(base64.b64decode(cursor, altchars=b"-_", validate=True), type=list[str | int])
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        place = []
    if len(place) != columns:
        raise invalid("after", "cursor", "须为上一页返回的 after", "must be the `after` of an earlier page")
    return place
