"""The HTTP routes of the cases service."""

from collections.abc import Sequence
from typing import Any

import msgspec
from aiohttp import BodyPartReader, web

from contracts.policy import Policy
from services.cases.documents import case_document, order_document, timeline
from services.cases.domain.domain import CASE_COMMANDS, CasesDomain
from services.cases.domain.file import OrderFile
from services.cases.domain.next_actions import NextAction, next_actions
from services.cases.domain.stock import STOCK
from services.cases.media import MediaStore, StoredFile, UnknownFile, UploadRefused
from services.kernel.actor import LADDER, Actor
from services.kernel.decider import Context
from services.kernel.http import lists
from services.kernel.http.app import actor_of
from services.kernel.http.commands import CommandDesk
from services.kernel.intake import read_body
from services.kernel.naming import order_of
from services.kernel.refusal import Refusal, invalid
from services.kernel.service import Service

CASES = lists.Listing(
    table="case_view",
    order=("opened_at", "case_id"),
    filters={
        "status": "status = ?",
        "problem": "problem = ?",
        "promise": "promise = ?",
        "party": "REPLACE(parties, '/', '|') || parties LIKE '%|' || ? || '|%'",
        "approver": "approver LIKE '%|' || ? || '|%'",
        "waits_for": "waits_for LIKE '%|' || ? || '|%'",
        "assignee": "assignee = ?",
        "order_id": "order_id = ?",
    },
    present=lambda row: {
        **row,
        "urgent": bool(row["urgent"]),
        **{name: row[name].strip("|").split("|") if row[name] else [] for name in ("approver", "parties", "waits_for")},
    },
)
STOCKED = lists.Listing(table="stock_view", order=("sku",), filters={"sku": "sku = ?"})


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
        commands = [
            web.post(f"/v1/cases/{{case_id}}/{name.replace('_', '-')}", self._command(name)) for name in CASE_COMMANDS
        ]
        return [
            web.put("/v1/orders/{order_id}", self.record_order),
            web.get("/v1/orders/{order_id}", self.read_order),
            web.post("/v1/cases", self.open_case),
            web.get("/v1/cases", self.list_cases),
            web.get("/v1/cases/{case_id}", self.read_case),
            *commands,
            web.post("/v1/stock/{sku}", self.report_stock),
            web.get("/v1/stock", self.list_stock),
            web.post("/v1/files", self.upload),
            web.get("/v1/files/{sha256}", self.download),
            web.get("/v1/policy", self.read_policy),
        ]

    # -- commands

    def _command(self, name: str) -> Any:
        async def take(request: web.Request) -> web.Response:
            case_id = request.match_info["case_id"]
            return await self._desk.take(request, order_of(case_id), case_id, name)

        return take

    async def record_order(self, request: web.Request) -> web.Response:
        """Keep an order snapshot."""
        order_id = request.match_info["order_id"]
        return await self._desk.take(request, order_id, "", "record_order", path_fields={"order_id": order_id})

    async def open_case(self, request: web.Request) -> web.Response:
        """Open a case about an order."""
        body = read_body(await request.read())
        order_id = body.get("order_id") if isinstance(body, dict) else None
        if not isinstance(order_id, str) or not order_id:
            raise invalid("order_id", "required", "缺少订单号", "is required")
        return await self._desk.take(request, order_id, "", "open_case")

    async def report_stock(self, request: web.Request) -> web.Response:
        """Add units of an article to the shelf."""
        return await self._desk.take(request, STOCK, "", "report_stock", path_fields={"sku": request.match_info["sku"]})

    async def _prepare(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Complete the evidence command with what the store knows of the file, which no client may say itself."""
        if name != "submit_evidence" or not isinstance(body.get("file"), str):
            return body
        for field in ("media_type", "size_bytes"):
            if field in body:
                raise invalid(field, "known_field", "没有这个字段", "is not a field of this command")
        try:
            stored = await self._media.describe(body["file"])
        except (UnknownFile, ValueError):
            stored = None
        if stored is None:
            raise Refusal("unknown_item", item=body["file"], field="file")
        return {**body, "media_type": stored.media_type, "size_bytes": stored.size_bytes}

    async def _next_actions(self, stream: str, case_id: str, actor: Actor) -> Sequence[NextAction]:
        async with self._service.files.reading(stream) as (file, _):
            if case_id not in getattr(file, "cases", {}):
                return []
            return next_actions(self._domain, file, case_id, Context(now=self._service.clock.now(), actor=actor))

    # -- reads

    async def read_case(self, request: web.Request) -> web.Response:
        """A case with timeline, money and next actions."""
        case_id = request.match_info["case_id"]
        stream = order_of(case_id)
        async with self._service.files.reading(stream) as (file, version):
            if case_id not in file.cases:
                raise Refusal("unknown_case", case_id=case_id)
            document = case_document(self._policy, file, file.cases[case_id])
            context = Context(now=self._service.clock.now(), actor=actor_of(request))
            document["next_actions"] = next_actions(self._domain, file, case_id, context)
            document["version"] = version
            body = msgspec.json.encode(document)
        records = await self._service.store.read_stream(stream, upto=version, decode=False)
        document = {
            **msgspec.json.decode(body),
            "timeline": timeline(self._policy, (one for one in records if one.subject == case_id)),
        }
        return lists.json(document, ETag=f'"{version}"')

    async def read_order(self, request: web.Request) -> web.Response:
        """An order with all its cases."""
        order_id = request.match_info["order_id"]
        async with self._service.files.reading(order_id) as (file, version):
            if not isinstance(file, OrderFile) or file.order is None:
                raise Refusal("unknown_order", order_id=order_id)
            return lists.json({**order_document(self._policy, file), "version": version}, ETag=f'"{version}"')

    async def list_cases(self, request: web.Request) -> web.Response:
        """Cases by status, problem, promise, party, approver, what they wait for, assignee, order."""
        return await lists.answer(request, self._service, CASES)

    async def list_stock(self, request: web.Request) -> web.Response:
        """Articles that are kept count of."""
        return await lists.answer(request, self._service, STOCKED)

    async def read_policy(self, request: web.Request) -> web.Response:
        """The policy in force."""
        return lists.json(self._policy)

    # -- files

    async def upload(self, request: web.Request) -> web.Response:
        """Take a photo or a short video; the answer's `file` is what `submit-evidence` wants."""
        if actor_of(request).role not in (*LADDER, "service"):
            raise Refusal("forbidden", command="submit_evidence", role="agent")
        try:
            stored = await self._media.put(await _content(request))
        except UploadRefused as refused:
            error = {"field": "file", "rule": refused.code, "zh": refused.detail_zh, "en": refused.detail_en}
            raise Refusal(refused.code, errors=[error]) from None
        return lists.json({"file": stored.sha256, **msgspec.structs.asdict(stored)}, status=201)

    async def download(self, request: web.Request) -> web.Response:
        """A stored file, as a download that no browser runs."""
        try:
            stored, content = await self._media.open(request.match_info["sha256"])
        except (UnknownFile, ValueError):
            raise Refusal("unknown_item", item=request.match_info["sha256"]) from None
        return web.Response(body=content, content_type=stored.media_type, headers=_file_headers(stored))


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
    except (ValueError, AssertionError):
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
