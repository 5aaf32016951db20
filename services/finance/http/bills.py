"""Bills over HTTP: taken in, listed, and row by row; and the saved mappings that other tables are read by."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal

import msgspec
import structlog
from aiohttp import web

from contracts.events.finance import BillImported
from contracts.policy import Policy
from services.finance.bills.rows import BillKind
from services.finance.bills.unpacking import MAX_BYTES
from services.finance.domain.bills import FileName, ImportedBill
from services.finance.domain.books import BOOKS
from services.finance.domain.mappings import MAX_CONTENT, MappingName
from services.finance.http.files import Answer, FileDesk, received
from services.finance.importing import Importer, Upload, mapping_in
from services.finance.originals import Originals, OriginalsAway
from services.finance.reading import reading_books
from services.kernel.event_store import StoreUnavailable
from services.kernel.fields import Code, Reference
from services.kernel.files import Decided
from services.kernel.http import lists
from services.kernel.http.app import actor_of
from services.kernel.http.commands import CommandAnswer, RecordedEvent
from services.kernel.http.lists import Filter
from services.kernel.http.openapi import Operation, Parameter, describe
from services.kernel.intake import field_errors, wrong_fields
from services.kernel.refusal import Refusal, invalid
from services.kernel.service import Service
from services.kernel.settings import Settings

log = structlog.get_logger(__name__)

_FINANCE: Final = "finance"
_Kind = Literal["wechat-trade", "wechat-fund", "alipay-trade", "alipay-fund", "mapped"]
_RowKind = Literal["payment", "refund", "fee", "transfer", "other"]
_Status = Literal["succeeded", "accepted", "failed"]
#: What is sent is UTF-8: a letter has four bytes at most.
_MAX_MAPPING_BYTES: Final = 4 * MAX_CONTENT
#: What a file is called whose sender does not say it.
_NAMELESS: Final = "bill"


class BillRow(msgspec.Struct, frozen=True):
    """A bill that was taken in; `bill` is the SHA-256 of the file. Sums are of all its rows, as they moved for the
    shop. `known_rows` of its rows were listed by an earlier bill, and stand there.
    """

    bill: str
    file_name: str
    kind: str
    channel: str
    merchant: str
    currency: str
    first_day: str
    last_day: str
    row_count: int
    known_rows: int
    in_fen: int
    out_fen: int
    fee_fen: int
    imported_at: datetime | None
    imported_by: str
    mapping: str


class BilledRow(msgspec.Struct, frozen=True):
    """A row of a bill. Amounts are as they moved for the shop; `day` is the shop's day. `raw` is what the file says."""

    channel: str
    row_key: str
    bill: str
    line: int
    part: str
    merchant: str
    kind: str
    order_ref: str
    refund_ref: str
    channel_order_ref: str
    channel_ref: str
    amount_fen: int
    gross_fen: int
    fee_fen: int
    currency: str
    status: str
    channel_status: str
    occurred_at: datetime
    day: str
    balance_fen: int | None
    raw: dict[str, str]


class TakenBill(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a bill: it was `imported` now, was `known` already, or `sound` where nothing was to be changed."""

    outcome: Literal["imported", "known", "sound"]
    bill: BillRow
    version: int
    events: Sequence[RecordedEvent]


class MappingRow(msgspec.Struct, frozen=True):
    """A saved mapping: which column of a table is what, in YAML or JSON."""

    mapping: str
    content: str
    saved_at: datetime
    saved_by: str


class ImportUnderWay(msgspec.Struct, frozen=True):
    """A bill that is being read: bytes of its file so far, and in all the readings that it takes."""

    bill: str
    file_name: str
    done: int
    total: int


class ImportsUnderWay(msgspec.Struct, frozen=True):
    """What is being read by the process that answers."""

    items: Sequence[ImportUnderWay]


class _Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the sender of a bill says of it."""

    file_name: FileName = ""
    kind: _Kind | None = None
    mapping: MappingName = ""
    merchant: Reference = ""
    currency: Code = "CNY"
    dry_run: Literal["true", "false"] = "false"


_SAID: Final = (
    Parameter("file_name", FileName, "What the file is called, for people"),
    Parameter("kind", _Kind, "What it must be; recognised where it is not said"),
    Parameter("mapping", MappingName, "Read it by the saved mapping of this name"),
    Parameter("merchant", Reference, "Whose bill it must be; needed where no earlier bill of the channel was theirs"),
    Parameter("currency", Code, "The currency of all its rows; CNY where it is not said"),
    Parameter("dry_run", Literal["true", "false"], "true: say what would become of it, and change nothing"),
)

BILLS: Final = lists.Listing(
    table="bill_view",
    row=BillRow,
    order=("imported_at", "bill"),
    filters={
        "bill": Filter("bill LIKE ? || '%' ESCAPE '!'", pattern=True),
        "kind": Filter("kind = ?", _Kind),
        "channel": Filter("channel = ?"),
        "merchant": Filter("merchant = ?"),
        "day": Filter("? BETWEEN first_day AND last_day"),
    },
)
#: `table` is filled in: the rows of one bill.
ROWS: Final = lists.Listing(
    table="bill_row",
    row=BilledRow,
    order=("line", "row_key"),
    filters={
        "kind": Filter("kind = ?", _RowKind),
        "status": Filter("status = ?", _Status),
        "order_ref": Filter("order_ref = ?"),
        "refund_ref": Filter("refund_ref = ?"),
        "channel_ref": Filter("channel_ref = ?"),
        "day": Filter("day = ?"),
    },
    present=lambda row: row | {"raw": msgspec.json.decode(row["raw"])},
)
MAPPINGS: Final = lists.Listing(table="mapping_view", row=MappingRow, order=("mapping",), filters={})


class BillsHttp:
    """Bills and the mappings that they are read by."""

    def __init__(self, service: Service[Any], policy: Policy, settings: Settings) -> None:
        self._service = service
        self._originals = Originals(settings)
        self._importer = Importer(service, self._originals)
        self._desk = FileDesk(service, policy, BOOKS)

    def routes(self) -> list[web.RouteDef]:
        """Every route of this subject."""
        return [
            web.post("/v1/bills", self.import_bill),
            web.get("/v1/bills", BILLS.handler(self._service, "Bills that were taken in, newest first", _FINANCE)),
            web.get("/v1/bill-imports", self.read_imports),
            web.get("/v1/bills/{bill}", self.read_bill),
            web.get("/v1/bills/{bill}/rows", self.read_rows),
            web.get("/v1/bills/{bill}/file", self.read_file),
            web.put("/v1/bill-mappings/{mapping}", self.save_mapping),
            web.get("/v1/bill-mappings", MAPPINGS.handler(self._service, "Saved column mappings", _FINANCE)),
            web.get("/v1/bill-mappings/{mapping}", self.read_mapping),
        ]

    # -- commands

    @describe(
        Operation(
            summary="Import bill · 导入账单",
            description="Roles: finance. A bill of WeChat Pay or Alipay as downloaded (plain, gzip, zip), or any table"
            " by a saved mapping. It is taken in whole or not at all: every mistake is in `errors`, with its line. The"
            " same file again changes nothing and is answered 200; rows that an earlier bill listed are kept once.",
            tag=_FINANCE,
            answer=TakenBill,
            statuses=(200, 201),
            refusals=(400, 403, 404, 409, 412, 413, 422),
            query=_SAID,
            uploads=True,
            is_command=True,
        )
    )
    async def import_bill(self, request: web.Request) -> web.Response:
        """Take a bill in."""
        _must_be_finance(request, "import_bill")
        said = _said(request)
        with TemporaryDirectory(prefix="aftersales-bill-") as folder:
            file = Path(folder) / _NAMELESS
            arrived = await received(request, file, MAX_BYTES)
            name = said.file_name or _file_name(arrived.name)
            kind = None if said.kind is None or said.mapping else BillKind(said.kind)
            upload = Upload(file, arrived.sha256, name, kind, said.mapping, said.merchant, said.currency)
            return await (self._look(upload) if said.dry_run == "true" else self._take_in(request, upload))

    async def _look(self, upload: Upload) -> web.Response:
        told = await self._importer.look(upload)
        known, version = await self._imported(upload.bill)
        outcome: Literal["known", "sound"] = "known" if known else "sound"
        row = _imported_row(known) if known else _row(told, None, "")
        return lists.json(TakenBill(outcome=outcome, bill=row, version=version, events=()))

    async def _take_in(self, request: web.Request, upload: Upload) -> web.Response:
        before: list[ImportedBill] = []

        async def prepare() -> Mapping[str, Any]:
            known, _ = await self._imported(upload.bill)
            before.extend([known] if known else [])
            told = await self._importer.take_in(upload, turn)
            return {**msgspec.structs.asdict(told), "merchant_named": bool(upload.merchant)}

        def tell(decided: Decided) -> Answer:
            events = [RecordedEvent(one.id, one.type, one.time, msgspec.Raw(one.data)) for one in decided.records]
            if before:
                row = _imported_row(before[0])
                return Answer(200, TakenBill(outcome="known", bill=row, version=decided.version, events=events))
            [record] = decided.records
            assert isinstance(record.event, BillImported)
            row = _row(record.event, record.time, record.actor)
            return Answer(201, TakenBill(outcome="imported", bill=row, version=decided.version, events=events))

        as_sent = (upload.bill, upload.file_name, upload.kind, upload.mapping, upload.merchant, upload.currency)
        said = msgspec.json.encode(as_sent)
        async with self._importer.turn() as turn:
            return await self._desk.take(request, "import_bill", said, prepare, tell)

    @describe(
        Operation(
            summary="Save column mapping · 保存列映射",
            description="Roles: finance. YAML or JSON that says which column of a table is what; a later one of the"
            " same name replaces it. Every mistake is in `errors`, with its line.",
            tag=_FINANCE,
            answer=CommandAnswer,
            refusals=(400, 403, 409, 412, 413, 422),
            uploads=True,
            is_command=True,
        )
    )
    async def save_mapping(self, request: web.Request) -> web.Response:
        """Save how tables of one shape are read."""
        _must_be_finance(request, "save_mapping")
        name = request.match_info["mapping"]
        with TemporaryDirectory(prefix="aftersales-mapping-") as folder:
            file = Path(folder) / "mapping"
            arrived = await received(request, file, _MAX_MAPPING_BYTES)
            content = await asyncio.to_thread(file.read_bytes)
        said = msgspec.json.encode([name, arrived.sha256])

        async def prepare() -> Mapping[str, Any]:
            return {"mapping": name, "content": await asyncio.to_thread(_mapping_text, content)}

        def tell(decided: Decided) -> Answer:
            events = [RecordedEvent(one.id, one.type, one.time, msgspec.Raw(one.data)) for one in decided.records]
            return Answer(200, CommandAnswer(version=decided.version, events=events))

        return await self._desk.take(request, "save_mapping", said, prepare, tell)

    # -- reads

    @describe(
        Operation(summary="Bills that are being read", tag=_FINANCE, answer=ImportsUnderWay),
    )
    async def read_imports(self, _: web.Request) -> web.Response:
        """How far the imports of this process are."""
        under_way = self._importer.under_way.values()
        items = [ImportUnderWay(one.bill, one.file_name, one.done, one.total) for one in under_way]
        return lists.json(ImportsUnderWay(items))

    @describe(Operation(summary="A bill that was taken in", tag=_FINANCE, answer=BillRow, refusals=(404,)))
    async def read_bill(self, request: web.Request) -> web.Response:
        """A bill, as soon as it was taken in."""
        return lists.json(_imported_row(await self._bill(request)))

    @describe(
        msgspec.structs.replace(
            ROWS.operation("Rows of a bill, last line first", _FINANCE),
            description="Without those that an earlier bill listed: they are rows of that one.",
            refusals=(404, 422),
        )
    )
    async def read_rows(self, request: web.Request) -> web.Response:
        """What a bill lists."""
        bill = (await self._bill(request)).event.bill
        table = f"(SELECT * FROM bill_row WHERE bill = '{bill}') AS own"  # a hash, as the books have it
        return await lists.answer(request, self._service, msgspec.structs.replace(ROWS, table=table))

    @describe(
        Operation(
            summary="The file of a bill, to the byte as it was sent", tag=_FINANCE, answer="*/*", refusals=(404, 503)
        )
    )
    async def read_file(self, request: web.Request) -> web.StreamResponse:
        """The original, so that the import can be repeated."""
        bill = (await self._bill(request)).event.bill
        pieces = self._originals.pieces(bill)
        try:
            first = await anext(pieces, None)
        except OriginalsAway as away:
            log.warning("originals_away", place=away.place, reason=away.reason)
            raise StoreUnavailable("the files of bills cannot be read") from None
        if first is None:
            raise Refusal("not_found")
        headers = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'"}
        response = web.StreamResponse(headers={**headers, "Content-Type": "application/octet-stream"})
        await response.prepare(request)
        await response.write(first)
        async for piece in pieces:
            await response.write(piece)
        await response.write_eof()
        return response

    @describe(Operation(summary="A saved column mapping", tag=_FINANCE, answer=MappingRow, refusals=(404,)))
    async def read_mapping(self, request: web.Request) -> web.Response:
        """A mapping as it was saved last."""
        name = request.match_info["mapping"]
        async with reading_books(self._service) as (books, _):
            saved = books.mappings.saved.get(name)
        if saved is None:
            raise Refusal("unknown_mapping", mapping=name[:64])
        return lists.json(MappingRow(saved.mapping, saved.content, saved.saved_at.astimezone(UTC), saved.saved_by))

    async def _bill(self, request: web.Request) -> ImportedBill:
        bill = request.match_info["bill"]
        found, _ = await self._imported(bill)
        if found is None:
            raise Refusal("unknown_bill", bill=bill[:64])
        return found

    async def _imported(self, bill: str) -> tuple[ImportedBill | None, int]:
        """A bill that the books know, and their version."""
        async with reading_books(self._service) as (books, version):
            return books.bills.imported.get(bill), version


def _must_be_finance(request: web.Request, command: str) -> None:
    """Whoever may not is told so before a file is received."""
    if actor_of(request).role != _FINANCE:
        raise Refusal("forbidden", command=command, role=_FINANCE)


def _said(request: web.Request) -> _Said:
    asked = {name: text for name, text in lists.parameters(request, [one.name for one in _SAID]) if text}
    if errors := field_errors(_Said, asked):
        raise wrong_fields(errors)
    said = msgspec.convert(asked, _Said)
    if said.kind and (said.kind == "mapped") != bool(said.mapping):
        zh, en = "与 kind=mapped 同用,不与其他种类同用", "goes with kind=mapped, and with no other"
        raise invalid("mapping", "mapped", zh, en)
    return said


def _file_name(name: str) -> str:
    """What a form calls a file, without the folders of whoever sent it."""
    try:
        return msgspec.convert(name.replace("\\", "/").rpartition("/")[2], FileName)
    except msgspec.ValidationError:
        return _NAMELESS


def _mapping_text(content: bytes) -> str:
    """A mapping as text that can be read as one; raises `Refusal`."""
    mapping_in(content)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        error = {"field": "", "rule": "mapping_unreadable", "zh": "须为 UTF-8 编码。", "en": "It must be UTF-8."}
        raise Refusal("mapping_unsound", errors=[error], count=1) from None


def _imported_row(imported: ImportedBill) -> BillRow:
    return _row(imported.event, imported.imported_at, imported.imported_by)


def _row(told: BillImported, imported_at: datetime | None, imported_by: str) -> BillRow:
    return BillRow(
        bill=told.bill,
        file_name=told.file_name,
        kind=told.kind,
        channel=told.channel,
        merchant=told.merchant,
        currency=told.currency,
        first_day=told.first_day,
        last_day=told.last_day,
        row_count=told.rows,
        known_rows=told.known_rows,
        in_fen=told.in_fen,
        out_fen=told.out_fen,
        fee_fen=told.fee_fen,
        imported_at=imported_at and imported_at.astimezone(UTC),  # as lists say it
        imported_by=imported_by,
        mapping=told.mapping,
    )
