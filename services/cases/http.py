"""The HTTP routes of the cases service."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import structlog
from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from contracts.event import Moment
from contracts.policy import Policy
from services.cases.case_timeline import count_since, last_of
from services.cases.changes import OrderChanges
from services.cases.difference import CaseDifference, difference
from services.cases.documents import CaseInFull, OrderDocument, TimelinePage, case_in_full, order_document, timeline
from services.cases.domain.commands import OpenCase, RecordOrder, SubmitEvidence
from services.cases.domain.domain import CASE_COMMANDS, CasesDomain
from services.cases.domain.file import OrderFile
from services.cases.domain.next_actions import NextAction, next_actions
from services.cases.domain.stages import QUEUES, STAGES
from services.cases.domain.stock import STOCK
from services.cases.examples import EXAMPLES
from services.cases.media import MediaAway, MediaStore, StoredFile, UnknownFile, UploadRefused
from services.cases.search import Search
from services.kernel.actor import LADDER, Actor
from services.kernel.decider import Context
from services.kernel.event_store import StoreUnavailable
from services.kernel.history import Past, Point, file_as_of, the_end
from services.kernel.http import lists
from services.kernel.http.app import actor_of
from services.kernel.http.case_commands import case_command_route
from services.kernel.http.commands import CommandAnswer, CommandDesk, Target, stream_of_case, stream_of_order
from services.kernel.http.lists import Choices, Filter
from services.kernel.http.openapi import Operation, Parameter, command, describe
from services.kernel.http.past import AS_OF, POINT, Seen, asked_point, not_yet, read_file
from services.kernel.intake import Unfit, field_errors, wrong_fields
from services.kernel.refusal import Refusal, invalid
from services.kernel.service import Service

#: Fields of `submit_evidence` that the border fills in from the stored file; nobody may say them.
_FROM_FILE = frozenset({"media_type", "size_bytes"})

log = structlog.get_logger(__name__)


class CaseRow(msgspec.Struct, frozen=True):
    """A case in a list. `approver`: the roles whose approval it waits for; `waits_for`: what keeps it open; `stages`:
    what is to be done next."""

    case_id: str
    order_id: str
    opened_at: datetime
    updated_at: datetime
    status: Literal["open", "closed"]
    problem: str
    promise: Literal["kept", "broken"]
    urgent: bool
    assignee: str
    approver: list[str]
    parties: list[str]
    waits_for: list[str]
    next_due_at: datetime | None
    stages: list[str]


class StockRow(msgspec.Struct, frozen=True):
    """An article that is kept count of: units on the shelf, reserved, and waited for."""

    sku: str
    available: int
    reserved: int
    awaited: int


class UploadedFile(msgspec.Struct, frozen=True):
    """A file as stored. `file` (the SHA-256 of the cleaned bytes) is what `submit-evidence` wants."""

    file: str
    sha256: str
    media_type: str
    size_bytes: int
    width: int
    height: int
    duration_ms: int


def _listed(column: str, codes: str = "") -> str:
    """A condition on a column that holds several codes, each between bars. `codes`: what is looked at of it."""
    return f"{column} <> '' AND {codes or column} LIKE '%|' || ? || '|%' ESCAPE '!'"


def _holds(column: str, code: str) -> str:
    """The same for a code that is known."""
    return f"{column} <> '' AND {column} LIKE '%|{code}|%'"


def _at(stage: str) -> str:
    """A condition for what is to be done next. A queue has an index of its own, which holds just what fits: SQLite
    would rather take the one of all stages, could it tell that that one does, too."""
    return "status = 'open' AND " + (f"stages LIKE '%|{stage}|%'" if stage in QUEUES else _holds("stages", stage))


def _unlisted(row: dict[str, Any]) -> dict[str, Any]:
    """The row with such columns as lists."""
    listed = ("approver", "parties", "waits_for", "stages")
    return row | {name: row[name].strip("|").split("|") if row[name] else [] for name in listed}


CASES = lists.Listing(
    table="case_view",
    row=CaseRow,
    order=("opened_at", "case_id"),
    filters={
        "status": Choices({one: f"status = '{one}'" for one in ("open", "closed")}),
        "problem": Filter("problem = ?"),
        "promise": Choices({one: f"promise = '{one}'" for one in ("kept", "broken")}),
        "party": Filter(_listed("parties", "REPLACE(parties, '/', '|') || parties"), pattern=True),
        "approver": Choices({role: _holds("approver", role) for role in ("team_lead", "store_manager")}),
        "waits_for": Filter(_listed("waits_for"), pattern=True),
        "stage": Choices({stage: _at(stage) for stage in STAGES}, "What is to be done next; open cases only"),
        "assignee": Filter("assignee = ?"),
        "assigned": Choices({"yes": "assignee <> ''", "no": "assignee = ''"}),
        "urgent": Choices({"yes": "urgent = 1", "no": "urgent = 0"}),
        "due_before": Filter(
            "status = 'open' AND next_due_at <= ?",
            Moment,
            description="Open cases with a promise that is broken by then if it is not kept",
        ),
        "opened_from": Filter("opened_at >= ?", Moment, description="Opened at this time or later"),
        "opened_before": Filter("opened_at < ?", Moment, description="Opened before this time"),
        "order_id": Filter("order_id = ?"),
    },
    present=_unlisted,
)
STOCKED = lists.Listing(table="stock_view", row=StockRow, order=("sku",), filters={"sku": Filter("sku = ?")})

_TIMELINE = Parameter(
    "timeline",
    Annotated[int, msgspec.Meta(ge=0, le=lists.MAX_ROWS)],
    "How many happenings, the last ones, the timeline tells of; all where it is not said",
)

#: How long closing a case waits for what other services have just decided.
NEWS_SECONDS = 2.0


class CasesHttp:
    """Commands and reads of the cases service."""

    def __init__(self, service: Service[OrderFile], domain: CasesDomain, policy: Policy, media: MediaStore) -> None:
        self._service = service
        self._domain = domain
        self._policy = policy
        self._media = media
        self._desk = CommandDesk(service, policy, self._prepare, self._next_actions)

    def routes(self) -> list[web.RouteDef]:
        """Every route of this service."""
        return [
            web.put("/v1/orders/{order_id}", self._told("record_order", self._record_order, "orders", (200, 201))),
            web.get("/v1/orders/{order_id}", self.read_order),
            web.post("/v1/orders/{order_id}/erasure", self._told("erase_personal_data", self._erase, "orders")),
            web.post("/v1/cases", self._told("open_case", self._open_case, "cases", (201,))),
            web.get("/v1/cases", CASES.handler(self._service, "Cases, newest first", "cases")),
            web.get("/v1/cases/{case_id}", self.read_case),
            web.get("/v1/cases/{case_id}/timeline", self.read_timeline),
            web.get("/v1/cases/{case_id}/difference", self.read_difference),
            *(
                case_command_route(name, self._told(name, self._desk.case_command(name), "cases"))
                for name in CASE_COMMANDS
            ),
            web.post("/v1/stock/{sku}", self._told("report_stock", self._report_stock, "stock")),
            web.get("/v1/stock", STOCKED.handler(self._service, "Articles that are kept count of", "stock")),
            web.post("/v1/files", self.upload),
            web.get("/v1/files/{sha256}", self.download),
            web.get("/v1/policy", self.read_policy),
            *Search(self._service).routes(),
            *OrderChanges(self._service).routes(),
        ]

    # -- commands

    def _told(self, name: str, take: Any, tag: str, statuses: Sequence[int] = (200,)) -> Any:
        """A command's handler with its description."""
        hidden = _FROM_FILE if name == "submit_evidence" else frozenset()
        spec = self._domain.commands[name]
        operation = command(
            self._policy, name, spec, CommandAnswer, tag, EXAMPLES[name], statuses=statuses, hidden=hidden
        )

        @describe(operation)
        async def handler(request: web.Request) -> web.Response:
            answer: web.Response = await take(request)
            return answer

        return handler

    async def _record_order(self, request: web.Request) -> web.Response:
        order_id = request.match_info["order_id"]

        def locate(body: dict[str, Any] | Unfit) -> Target:
            try:
                return Target(stream_of_order(order_id), fields={"order_id": order_id})
            except Refusal:
                fields = {} if isinstance(body, Unfit) else body
                raise wrong_fields(field_errors(RecordOrder, {**fields, "order_id": order_id})) from None

        return await self._desk.take(request, "record_order", locate)

    async def _open_case(self, request: web.Request) -> web.Response:
        def locate(body: dict[str, Any] | Unfit) -> Target:
            if isinstance(body, Unfit):
                raise body.refusal
            order_id = body.get("order_id")
            if not isinstance(order_id, str):
                raise wrong_fields(field_errors(OpenCase, body))
            return Target(stream_of_order(order_id))

        return await self._desk.take(request, "open_case", locate)

    async def _erase(self, request: web.Request) -> web.Response:
        order_id = request.match_info["order_id"]
        return await self._desk.take(
            request,
            "erase_personal_data",
            lambda _: Target(stream_of_order(order_id), fields={"order_id": order_id}),
        )

    async def _report_stock(self, request: web.Request) -> web.Response:
        fields = {"sku": request.match_info["sku"]}
        return await self._desk.take(request, "report_stock", lambda _: Target(STOCK, fields=fields))

    async def _prepare(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Complete the evidence command with what the store knows of the file, which no client may say itself.

        Closing waits for news that is on its way: a payout just confirmed must not keep the case open. (Where another
        process hears it, there is nobody to wait for; then the refusal stands, and a later request is accepted.)
        """
        if name == "close_case":
            with suppress(TimeoutError, StoreUnavailable):
                async with asyncio.timeout(NEWS_SECONDS):
                    await self._service.heard()
        if name != "submit_evidence":
            return body
        forbidden = [field for field in body if field in _FROM_FILE]
        errors = field_errors(SubmitEvidence, {k: value for k, value in body.items() if k not in _FROM_FILE})
        for field in forbidden:
            errors += invalid(field, "known_field", "没有这个字段", "is not a field of this command").errors
        file = body.get("file")
        with _files_within_reach():
            stored = await self._media.describe(file) if isinstance(file, str) else None
        if isinstance(file, str) and stored is None and not any(error["field"] == "file" for error in errors):
            raise Refusal("unknown_item", item=file, field="file")
        if errors or stored is None:
            raise wrong_fields(errors)
        return {**body, "media_type": stored.media_type, "size_bytes": stored.size_bytes}

    async def _next_actions(self, stream: str, case_id: str, actor: Actor) -> Sequence[NextAction]:
        async with self._service.files.reading(stream) as (file, _):
            if not isinstance(file, OrderFile) or case_id not in file.cases:
                return []
            return next_actions(self._domain, file, case_id, Context(now=self._service.clock.now(), actor=actor))

    # -- reads

    @describe(
        Operation(
            summary="A case with timeline, money and next actions, now or as of a moment",
            tag="cases",
            answer=CaseInFull,
            refusals=(404, 422),
            query=(AS_OF, _TIMELINE),
            etag=True,
        )
    )
    async def read_case(self, request: web.Request) -> web.Response:
        """A case with timeline, money and next actions, as of now or of the moment that is asked for."""
        case_id, actor = request.match_info["case_id"], actor_of(request)
        stream = stream_of_case(case_id)
        wanted = _wanted_of_timeline(request)

        def in_full(seen: Seen[OrderFile]) -> CaseInFull | None:
            case = seen.file.cases.get(case_id)
            if case is None:
                return None
            actions = next_actions(self._domain, seen.file, case_id, Context(self._service.clock.now(), actor))
            return case_in_full(self._policy, seen, case, actions)

        read = await read_file(request, self._service, stream, in_full, Refusal("unknown_case", case_id=case_id))
        log, happenings = self._service.store, read.body.earlier
        limit = happenings if wanted is None else min(wanted, happenings)
        records = await last_of(log, stream, case_id, read.version, limit)
        told = timeline(self._policy, records)
        body = msgspec.structs.replace(read.body, timeline=told, earlier=happenings - len(told))
        return lists.json(body, ETag=read.etag)

    @describe(
        Operation(
            summary="A part of a case's timeline, from its end backwards",
            tag="cases",
            answer=TimelinePage,
            refusals=(404, 422),
            query=(
                Parameter("before", lists.Version, "The `before` of the part that follows; from the end if not said"),
                Parameter("limit", lists.Limit, f"Happenings; {lists.DEFAULT_ROWS} where it is not said"),
            ),
        )
    )
    async def read_timeline(self, request: web.Request) -> web.Response:
        """The happenings before a version of the order's file."""
        case_id, log = request.match_info["case_id"], self._service.store
        stream = stream_of_case(case_id)
        asked = dict(lists.parameters(request, ("before", "limit")))
        limit = lists.limit_of(asked)
        before = lists.whole_number(asked, "before", 0, lists.VERSION_MOST, lists.VERSION_MOST)
        async with self._service.files.reading(stream) as (file, version):
            if case_id not in file.cases:
                raise Refusal("unknown_case", case_id=case_id)
            happenings = file.cases[case_id].happenings
        records = await last_of(log, stream, case_id, min(before - 1, version), limit)
        since = await count_since(log, stream, case_id, records[0].version, version) if records else happenings
        page = TimelinePage(
            case_id=case_id,
            items=timeline(self._policy, records),
            earlier=happenings - since,
            before=records[0].version if happenings > since else None,
        )
        return lists.json(page)

    @describe(
        Operation(
            summary="What became of a case between two moments",
            description="What happened, the money that moved, who was charged and what changed. Where the case was"
            " opened in between, it begins with nothing.",
            tag="cases",
            answer=CaseDifference,
            refusals=(404, 422),
            query=(
                Parameter("from", str, f"What happened up to then is left out. {POINT}"),
                Parameter("to", str, f"What happened behind it is left out; now where it is not said. {POINT}"),
            ),
        )
    )
    async def read_difference(self, request: web.Request) -> web.Response:
        """What became of a case between two moments."""
        case_id, store = request.match_info["case_id"], self._service.store
        begin = await asked_point(request, self._service, "from")
        if begin is None:
            raise invalid("from", "required", "缺少起点", "is required")
        end = await asked_point(request, self._service, "to") or await the_end(store)
        before, after = [await self._as_of(case_id, point) for point in (begin, end)]
        if begin.is_behind(end) or before.version > after.version:
            raise invalid("from", "upside_down", "起点晚于终点,请对调", "is later than `to`; exchange the two")
        if case_id not in after.file.cases:
            await self._must_be_known(case_id)
            raise not_yet("to", end)
        records = await store.read_stream(stream_of_case(case_id), before.version, after.version)
        between = [record for record in records if record.subject == case_id]
        return lists.json(difference(self._policy, case_id, before, after, between))

    async def _as_of(self, case_id: str, point: Point) -> Past[OrderFile]:
        return await file_as_of(self._domain, self._service.store, stream_of_case(case_id), point)

    async def _must_be_known(self, case_id: str) -> None:
        async with self._service.files.reading(stream_of_case(case_id)) as (file, _):
            if case_id not in file.cases:
                raise Refusal("unknown_case", case_id=case_id)

    @describe(
        Operation(
            summary="An order with all its cases, now or as of a moment",
            tag="orders",
            answer=OrderDocument,
            refusals=(404, 422),
            query=(AS_OF,),
            etag=True,
        )
    )
    async def read_order(self, request: web.Request) -> web.Response:
        """An order with all its cases, as of now or of the moment that is asked for."""
        order_id = request.match_info["order_id"]

        def document(seen: Seen[OrderFile]) -> OrderDocument | None:
            order = seen.file.order
            return None if order is None else order_document(self._policy, seen, order)

        unknown = Refusal("unknown_order", order_id=order_id)
        read = await read_file(request, self._service, stream_of_order(order_id), document, unknown)
        return lists.json(read.body, ETag=read.etag)

    @describe(Operation(summary="The policy in force", tag="cases", answer=Policy))
    async def read_policy(self, request: web.Request) -> web.Response:
        """The policy in force."""
        return lists.json(self._policy)

    # -- files

    @describe(
        Operation(
            summary="Upload a photo or a short video",
            description="Roles: agent, service, store_manager, team_lead. JPEG, PNG, WebP (15 MB), MP4, WebM (50 MB, "
            "one minute), told by content. Pictures are encoded anew, without metadata; the same file is stored once, "
            "so the request can be repeated and needs no Idempotency-Key.",
            tag="files",
            answer=UploadedFile,
            statuses=(201,),
            refusals=(403, 413, 415, 422),
            uploads=True,
        )
    )
    async def upload(self, request: web.Request) -> web.Response:
        """Take a photo or a short video; the answer's `file` is what `submit-evidence` wants."""
        if actor_of(request).role not in (*LADDER, "service"):
            raise Refusal("forbidden", command="submit_evidence", role="agent")
        try:
            with _files_within_reach():
                stored = await self._media.put(await _content(request))
        except UploadRefused as refused:
            error = {"field": "file", "rule": refused.code, "zh": refused.detail_zh, "en": refused.detail_en}
            raise Refusal(refused.code, errors=[error]) from None
        return lists.json(UploadedFile(file=stored.sha256, **msgspec.structs.asdict(stored)), status=201)

    @describe(Operation(summary="A stored file", tag="files", answer="*/*", refusals=(404,), etag=True))
    async def download(self, request: web.Request) -> web.Response:
        """A stored file, as a download that no browser runs."""
        sha256 = request.match_info["sha256"]
        try:
            with _files_within_reach():
                stored, content = await self._media.open(sha256)
        except UnknownFile:
            raise Refusal("unknown_item", item=sha256[:64]) from None
        return web.Response(body=content, content_type=stored.media_type, headers=_file_headers(stored))


def _wanted_of_timeline(request: web.Request) -> int | None:
    """How many happenings the timeline is to tell of; None for all of them."""
    asked = request.query.getall(_TIMELINE.name, [])
    if len(asked) > 1:
        raise invalid(_TIMELINE.name, "unique", "参数重复", "is there twice")
    return lists.whole_number({_TIMELINE.name: asked[0]}, _TIMELINE.name, 0, lists.MAX_ROWS, 0) if asked else None


@contextmanager
def _files_within_reach() -> Iterator[None]:
    """Whoever asks for a file that cannot be reached for now is told to ask again."""
    try:
        yield
    except MediaAway as away:
        log.warning("files_away", place=away.place, reason=away.reason)
        raise Refusal("unavailable") from None


def _file_headers(stored: StoredFile) -> dict[str, str]:
    return {
        "ETag": f'"{stored.sha256}"',
        "Cache-Control": "private, max-age=31536000, immutable",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'",
    }


async def _content(request: web.Request) -> bytes:
    """The uploaded bytes: the body itself, or the first file of a form."""
    if not request.content_type.startswith("multipart/"):
        return await request.read()
    try:
        part = await (await request.multipart()).next()
        if isinstance(part, BodyPartReader):
            return await _bounded(part, request)
    except (ValueError, AssertionError, HttpProcessingError):
        pass
    raise invalid("file", "form", "表单里没有文件", "the form holds no file")


async def _bounded(part: BodyPartReader, request: web.Request) -> bytes:
    content = bytearray()
    limit = request.app._client_max_size
    while chunk := await part.read_chunk(1 << 18):
        content += chunk
        if len(content) > limit:
            raise web.HTTPRequestEntityTooLarge(limit, len(content))
    return bytes(content)
