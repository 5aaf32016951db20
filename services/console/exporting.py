"""A list as a file: all that its filters choose, asked of the API page by page and passed on as it comes."""

import csv
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from io import StringIO
from typing import Any, Final

import msgspec
import structlog
from aiohttp import web
from yarl import URL

from services.console.api import ApiRefused
from services.console.page import ask, desk, language, moment_now, say
from services.kernel.delimited import ENCODING, harmless
from services.kernel.shop_time import SHOP_TIME
from services.wording.words import Words

#: Rows of a page: what memory holds at a time.
PAGE_ROWS: Final = 500
FORMATS: Final = ("csv", "jsonl")

Row = Mapping[str, Any]
#: How a field looks in a table for people.
Shown = Callable[[Words, Any], str]
#: The fields of a row in the order of the table.
Columns = Mapping[str, Shown]

log = structlog.get_logger(__name__)


def text(_: Words, value: Any) -> str:
    """As it is, but never a formula."""
    return harmless("" if value is None else value)


def term(words: Words, code: Any) -> str:
    """The name of a code, or of several."""
    codes = code if isinstance(code, list) else [code] if code else []
    return words.comma.join(words.term(one) for one in codes)


def problem(words: Words, code: Any) -> str:
    """The name of a problem."""
    return words.problem(code)


def parties(words: Words, codes: Any) -> str:
    """The names of parties."""
    return harmless(words.comma.join(words.party(one) for one in codes))


def yes_no(words: Words, value: Any) -> str:
    """Yes or no."""
    return words.say("是", "yes") if value else words.say("否", "no")


def money(_: Words, amount_fen: Any) -> str:
    """An amount in yuan, which a spreadsheet takes for a number."""
    sign, (whole, rest) = "-" if amount_fen < 0 else "", divmod(abs(amount_fen), 100)
    return f"{sign}{whole}.{rest:02d}"


def time(_: Words, moment: Any) -> str:
    """A moment by the shop's clock, to the second."""
    return f"{datetime.fromisoformat(moment).astimezone(SHOP_TIME):%Y-%m-%d %H:%M:%S}" if moment else ""


def number(_: Words, value: Any) -> str:
    """A whole number."""
    return str(value)


async def export(
    request: web.Request, path: str, filters: Mapping[str, str], columns: Columns, texts: str, name: str = ""
) -> web.StreamResponse:
    """The list at a path of the API as a file. `texts`: where the catalogue has a header for each column; `name`: what
    the file is called, where that is not how the path ends.

    Raises `ApiRefused` before anything is sent. A list that cannot be had to its end is cut off, so that browsers
    report a download that failed.
    """
    head, write = _format(request, columns, texts)
    page = await ask(request, path, {**filters, "limit": PAGE_ROWS, "wait": "true"})
    response = _response(request, name or path.rpartition("/")[2])
    await response.prepare(request)
    await response.write(head + write(page["items"]))
    while page["has_more"]:
        try:
            page = await ask(request, path, {**filters, "limit": PAGE_ROWS, "after": page["after"]})
        except ApiRefused as refused:
            log.warning("export_cut_off", path=path, code=refused.code)
            if request.transport is not None:
                request.transport.abort()
            return response
        await response.write(write(page["items"]))
    await response.write_eof()
    return response


async def export_rows(
    request: web.Request, name: str, rows: Sequence[Row], columns: Columns, texts: str
) -> web.StreamResponse:
    """Rows that the API told in one answer as a file."""
    head, write = _format(request, columns, texts)
    response = _response(request, name)
    await response.prepare(request)
    await response.write(head + write(rows))
    await response.write_eof()
    return response


def files_of(request: web.Request, filters: Mapping[str, str]) -> dict[str, str]:
    """Where all of a page's list is as a file, by format."""
    return {one: str(URL(f"{request.path}/export").with_query({**filters, "format": one})) for one in FORMATS}


def _wanted(request: web.Request) -> str:
    """The format that an address asks for."""
    wanted = request.query.get("format", FORMATS[0])
    if wanted not in FORMATS:
        raise web.HTTPNotFound
    return wanted


def _format(request: web.Request, columns: Columns, texts: str) -> tuple[bytes, Callable[[Sequence[Row]], bytes]]:
    """How a file begins, and what makes lines of rows."""
    return (b"", _json_lines) if _wanted(request) == "jsonl" else _table(request, columns, texts)


def _response(request: web.Request, name: str) -> web.StreamResponse:
    wanted = _wanted(request)
    stamp = f"{moment_now(request).astimezone(SHOP_TIME):%Y%m%d-%H%M}"
    response = web.StreamResponse(headers={"Content-Disposition": f'attachment; filename="{name}-{stamp}.{wanted}"'})
    response.content_type = "text/csv" if wanted == "csv" else "application/x-ndjson"
    response.charset = "utf-8"
    return response


def _json_lines(rows: Sequence[Row]) -> bytes:
    """Rows as the API gave them, one a line."""
    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)


def _table(request: web.Request, columns: Columns, texts: str) -> tuple[bytes, Callable[[Sequence[Row]], bytes]]:
    """The mark and the headers of a table for people, and what makes lines of rows."""
    words = desk(request).words[language(request)]

    def lines(rows: Sequence[Row]) -> bytes:
        return _written([[show(words, row[name]) for name, show in columns.items()] for row in rows]).encode()

    headers = [say(request, f"{texts}.{name}") for name in columns]
    return _written([headers]).encode(ENCODING), lines


def _written(rows: Sequence[Sequence[str]]) -> str:
    file = StringIO()
    csv.writer(file).writerows(rows)
    return file.getvalue()
