"""Bills of channels: taken in by drag and drop or from a form, one request a file, and what they list."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import IO, Any, Final, NamedTuple
from urllib.parse import quote

from aiohttp import StreamReader, web
from aiohttp.web import FileField

from services.console import forms
from services.console.api import LONG_PATIENCE, ApiRefused
from services.console.page import actor, ask, chosen, desk, render, say
from services.console.pages.finance.exports import passed_on
from services.console.pages.finance.reading import actions_of, names_of
from services.wording.books import ROW_KINDS, ROW_STATUSES

FILTERS: Final = ("kind", "channel", "merchant", "day")
KINDS: Final = ("wechat-trade", "wechat-fund", "alipay-trade", "alipay-fund", "mapped")
ROW_FILTERS: Final = ("kind", "status", "day", "order_ref", "refund_ref", "channel_ref")
#: What can be said of files besides what is in them.
SAID: Final = ("mapping", "merchant", "currency")
#: Files of one form; more are sent by several.
_FILES_MOST: Final = 50


class Taken(NamedTuple):
    """What became of a file: `bill` where it is in the books now, `refused` where it is not."""

    file_name: str
    outcome: str
    bill: Mapping[str, Any] | None
    refused: ApiRefused | None


async def page(request: web.Request) -> web.Response:
    """The bills that the filters choose, newest first, and where others are put."""
    return await _page(request, said=chosen(request.query, ("mapping",)))


async def take(request: web.Request) -> web.Response:
    """Take the files of a form in, each by a request of its own, and say what became of each."""
    posted = await request.post()
    said = chosen({name: str(posted.get(name, "")).strip() for name in SAID}, SAID)
    files = [one for one in posted.getall("file", []) if isinstance(one, FileField) and one.filename][:_FILES_MOST]
    if not files:
        return await _page(request, status=422, said=said, errors={"file": forms.REQUIRED})
    key = str(posted.get("key", ""))
    taken = [await _taken(request, one.filename, one.file, said, f"{key}-{n}") for n, one in enumerate(files)]
    refused = [one.refused.status for one in taken if one.refused is not None]
    return await _page(request, status=refused[0] if refused else 200, said=said, taken=taken)


async def take_one(request: web.Request) -> web.Response:
    """Take in the file that a request is, as the page's script sends them, and say what became of it."""
    said, name = chosen(request.query, SAID), request.query.get("file_name", "")
    one = await _taken(request, name, request.content, said, request.query.get("key", ""))
    return render(request, "finance/bill_taken.html", one=one)


async def _taken(
    request: web.Request, name: str, content: IO[bytes] | StreamReader, said: Mapping[str, str], key: str
) -> Taken:
    asked = {"file_name": name.replace("\\", "/").rpartition("/")[2], **said}
    headers = {"Content-Type": "application/octet-stream"}
    try:
        answer = await desk(request).api.send(
            actor(request),
            "/v1/bills",
            content,
            key=f"console-{key}",
            query=asked,
            headers=headers,
            patience=LONG_PATIENCE,
        )
    except ApiRefused as refused:
        return Taken(asked["file_name"], "refused", None, refused)
    return Taken(asked["file_name"], answer["outcome"], answer["bill"], None)


async def _page(
    request: web.Request,
    status: int = 200,
    said: Mapping[str, str] = {},
    taken: Sequence[Taken] = (),
    errors: forms.Mistakes | None = None,
) -> web.Response:
    filters = chosen(request.query, FILTERS)
    asked = {**filters, **chosen(request.query, ("after",)), "count": "true", "wait": "true"}
    bills, mappings, imports, actions = await asyncio.gather(
        ask(request, "/v1/bills", asked),
        ask(request, "/v1/bill-mappings", {"limit": 100, "wait": "true"}),
        ask(request, "/v1/bill-imports"),
        actions_of(request),
    )
    return render(
        request,
        "finance/bills.html",
        status,
        bills=bills,
        actions=actions,
        mappings=mappings["items"],
        mapping_choices=[(one["mapping"], one["mapping"]) for one in mappings["items"]],
        imports=imports["items"],
        filters=filters,
        kinds=[(kind, say(request, f"finance.bill_kinds.{kind}")) for kind in KINDS],
        said=said,
        taken=taken,
        errors=errors or {},
    )


async def bill(request: web.Request) -> web.Response:
    """A bill with its rows, last line first."""
    path, filters = _path(request), chosen(request.query, ROW_FILTERS)
    asked = {**filters, **chosen(request.query, ("after",)), "count": "true"}
    one, rows = await asyncio.gather(ask(request, path), ask(request, f"{path}/rows", asked))
    return render(
        request,
        "finance/bill.html",
        bill=one,
        rows=rows,
        filters=filters,
        row_kinds=names_of(request, ROW_KINDS),
        statuses=names_of(request, ROW_STATUSES),
    )


async def original(request: web.Request) -> web.StreamResponse:
    """The file of a bill, to the byte as it was sent."""
    one = await ask(request, _path(request))
    return await passed_on(request, f"{_path(request)}/file", file_name=one["file_name"])


def _path(request: web.Request) -> str:
    return f"/v1/bills/{quote(request.match_info['bill'], safe='')}"


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [
        web.get("/finance/bills", page),
        web.post("/finance/bills", take),
        web.post("/finance/bills/one", take_one),
        web.get("/finance/bills/{bill}", bill),
        web.get("/finance/bills/{bill}/file", original),
    ]
