"""The HTTP routes of the refunds service."""

from typing import Any

from aiohttp import web

from contracts.policy import Policy
from services.kernel.http import lists
from services.kernel.http.commands import CommandDesk
from services.kernel.naming import order_of
from services.kernel.refusal import Refusal
from services.kernel.service import Service
from services.refunds.cashier import Cashier
from services.refunds.domain.commands import COMMANDS
from services.refunds.domain.file import RefundsFile
from services.refunds.gateway import CallbackRefused, verify_callback

PAYOUTS = lists.Listing(
    table="payout_view",
    order=("requested_at", "payout"),
    filters={
        "status": "status = ?",
        "kind": "kind = ?",
        "case_id": "case_id = ?",
        "order_id": "order_id = ?",
        "channel_ref": "channel_ref = ?",
    },
)
SETTLEMENTS = lists.Listing(
    table="settlement_view",
    order=("case_id",),
    filters={"case_id": "case_id = ?", "order_id": "order_id = ?"},
    present=lambda row: {**row, "freight_pending": bool(row["freight_pending"])},
)
EXCEPTIONS = lists.Listing(
    table="exception_view",
    order=("raised_at", "case_id", "number"),
    filters={"kind": "kind = ?", "case_id": "case_id = ?", "order_id": "order_id = ?"},
)


class RefundsHttp:
    """Commands and reads of the refunds service, and the provider's callbacks."""

    def __init__(self, service: Service[RefundsFile], policy: Policy, cashier: Cashier, secret: str) -> None:
        self._service = service
        self._cashier = cashier
        self._secret = secret
        self._desk = CommandDesk(service, policy)

    def routes(self) -> list[web.RouteDef]:
        """Every route of this service."""
        return [
            *(web.post(f"/v1/cases/{{case_id}}/{name.replace('_', '-')}", self._command(name)) for name in COMMANDS),
            web.get("/v1/payouts", self._list(PAYOUTS)),
            web.get("/v1/settlements", self._list(SETTLEMENTS)),
            web.get("/v1/exceptions", self._list(EXCEPTIONS)),
            web.get("/v1/cases/{case_id}/settlement", self.read_settlement),
            web.post("/v1/gateway/callbacks", self.call_back),
        ]

    def _command(self, name: str) -> Any:
        async def take(request: web.Request) -> web.Response:
            case_id = request.match_info["case_id"]
            return await self._desk.take(request, order_of(case_id), case_id, name)

        return take

    def _list(self, listing: lists.Listing) -> Any:
        async def answer(request: web.Request) -> web.Response:
            return await lists.answer(request, self._service, listing)

        return answer

    async def read_settlement(self, request: web.Request) -> web.Response:
        """What the buyer of a case finally gets, as of this moment."""
        case_id = request.match_info["case_id"]
        async with self._service.files.reading(order_of(case_id)) as (file, version):
            case = file.cases.get(case_id)
            if case is None:
                raise Refusal("unknown_case", case_id=case_id)
            return lists.json({"case_id": case_id, "settlement": case.settlement}, ETag=f'"{version}"')

    async def call_back(self, request: web.Request) -> web.Response:
        """What the provider reports by itself: believed only when signed."""
        try:
            callback = verify_callback(request.headers, await request.read(), self._secret)
        except CallbackRefused as refused:
            raise Refusal("unauthenticated" if refused.code == "signature" else "invalid", field="body") from None
        if not await self._cashier.called_back(callback):
            raise Refusal("unknown_item", item=callback.reference)
        return lists.json({"received": callback.event_id})
