"""Exports over HTTP: written to a file of the moment first, then sent, so that what arrives is whole and of one state
of the books, however slow whoever fetches it is."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from tempfile import TemporaryFile
from typing import Any, BinaryIO, Final
from urllib.parse import quote

import msgspec
from aiohttp import web

from contracts.policy import Policy, Text
from services.finance.exports.making import MEDIA_TYPES, NAMES, Order, formats_of, make, order_of, title_of
from services.finance.exports.making import Format as ExportFormat
from services.finance.exports.tables import Lang
from services.finance.http.ledger import asked_month
from services.kernel.http import lists
from services.kernel.http.openapi import Operation, Parameter, describe
from services.kernel.refusal import Refusal
from services.kernel.service import Service

#: Exports made at a time: each holds one of the database's few readers while it is made.
AT_ONCE: Final = 2
_PIECE: Final = 1 << 18
_PARAMETERS: Final = (
    Parameter("format", ExportFormat, "xlsx, csv, jsonl; beancount for the journal, and for nothing else"),
    Parameter("month", str, "As 2026-10, as the month was closed or stands now; all time where it is not said"),
    Parameter("lang", Lang, "Of headers and names; both where it is not said"),
)


class ExportKind(msgspec.Struct, frozen=True):
    """Something that can be exported: `export` stands in its address, `title` is for people."""

    export: str
    title: Text
    formats: Sequence[ExportFormat]


class ExportKinds(msgspec.Struct, frozen=True):
    """All exports that there are."""

    items: Sequence[ExportKind]


class ExportsHttp:
    """Hands out tables of the books as files."""

    def __init__(self, service: Service[Any], policy: Policy) -> None:
        self._service = service
        self._making = asyncio.Semaphore(AT_ONCE)

    def routes(self) -> list[web.RouteDef]:
        """Every route of exports."""
        return [web.get("/v1/exports", self.read_kinds), web.get("/v1/exports/{export}", self.export)]

    @describe(Operation(summary="What can be exported, and in which formats", tag="finance", answer=ExportKinds))
    async def read_kinds(self, _: web.Request) -> web.Response:
        """Every export by its name."""
        return lists.json(ExportKinds([ExportKind(name, title_of(name), formats_of(name)) for name in NAMES]))

    @describe(
        Operation(
            summary="A table of the books as a file",
            description=f"`export` is one of: {', '.join(NAMES)}. Of one moment; the last events may not be in it yet."
            " In CSV, a text that a spreadsheet would take for a formula (one that begins with =, +, -, @, a tab or a"
            " line break) has an apostrophe before it; in XLSX it is a text as it is. JSON Lines has whole fen.",
            tag="finance",
            answer="*/*",
            refusals=(404, 422),
            query=_PARAMETERS,
        )
    )
    async def export(self, request: web.Request) -> web.StreamResponse:
        """Send an export as a file."""
        order = _ordered(request)
        with TemporaryFile() as file:
            async with self._making:
                await make(self._service.store, order, self._service.clock.now(), file)
            return await _sent(request, order, file)


def _ordered(request: web.Request) -> Order:
    """What a request asks for. Raises `Refusal`."""
    name = request.match_info["export"]
    if name not in NAMES:
        raise Refusal("not_found")
    given = dict(lists.parameters(request, [parameter.name for parameter in _PARAMETERS]))
    return order_of(name, given.get("format", ""), asked_month(request), given.get("lang", "both"))


async def _sent(request: web.Request, order: Order, file: BinaryIO) -> web.StreamResponse:
    response = web.StreamResponse(
        headers={"Content-Disposition": f'attachment; filename="{quote(order.file_name)}"', "Cache-Control": "no-store"}
    )
    response.content_type = MEDIA_TYPES[order.format]
    if order.format != "xlsx":
        response.charset = "utf-8"
    response.content_length = file.seek(0, 2)
    file.seek(0)
    with suppress(ConnectionError):  # whoever asked does not want it any more
        await response.prepare(request)
        while piece := await asyncio.to_thread(file.read, _PIECE):
            await response.write(piece)
        await response.write_eof()
    return response
