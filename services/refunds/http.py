"""The HTTP routes of the refunds service, and the provider's callbacks."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any, Literal

import msgspec
from aiohttp import web

from contracts.events.refunds import Settlement
from contracts.policy import Policy
from services.kernel.history import AsOf
from services.kernel.http import lists
from services.kernel.http.body import read_command
from services.kernel.http.case_commands import case_command_route
from services.kernel.http.commands import CommandAnswer, CommandDesk, stream_of_case
from services.kernel.http.lists import Filter
from services.kernel.http.openapi import Operation, Parameter, command, describe
from services.kernel.http.past import AS_OF, Explained, Seen, read_explanation, read_file
from services.kernel.refusal import Refusal, invalid
from services.kernel.service import Service
from services.refunds.cashier import Cashier
from services.refunds.domain.commands import COMMANDS
from services.refunds.domain.explanation import explain
from services.refunds.domain.file import RefundsFile
from services.refunds.gateway import CallbackRefused, verify_callback

EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "confirm_payout": {"payout": "TB1001-1:refund:F1", "status": "succeeded", "channel_ref": "WX-1"},
    "retry_payout": {"payout": "TB1001-1:refund:F1"},
}

_Status = Literal["requested", "succeeded", "failed", "unknown"]
_Kind = Literal["refund", "freight_reimbursement", "deposit_return", "charge_return"]


class PayoutRow(msgspec.Struct, frozen=True):
    """Money on its way to a buyer. `item` is what it pays (a refund, a return, a deposit, a charge)."""

    payout: str
    case_id: str
    order_id: str
    kind: _Kind
    item: str
    amount_fen: int
    status: _Status
    attempt: int
    reason: str
    channel_ref: str
    channel_refund_id: str
    requested_at: datetime
    updated_at: datetime


class SettlementFigures(msgspec.Struct, frozen=True):
    """What a buyer finally gets (`domain.md` §4)."""

    goods_fen: int
    compensation_deducted_fen: int
    price_difference_deducted_fen: int
    refund_fen: int
    carried_deduction_fen: int
    freight_advanced_fen: int
    insurance_deducted_fen: int
    freight_reimbursed_fen: int
    freight_pending: bool
    net_fen: int


class CaseSettlement(msgspec.Struct, frozen=True):
    """The settlement of one case; `as_of`: of when it is, null for now."""

    case_id: str
    settlement: SettlementFigures
    as_of: AsOf | None = None


class SettlementRow(SettlementFigures, frozen=True, kw_only=True):
    """The settlement of a case in a list."""

    case_id: str
    order_id: str


class ExceptionRow(msgspec.Struct, frozen=True):
    """Something that finance must look at; it changes no settlement."""

    case_id: str
    number: int
    order_id: str
    kind: Literal["insurance_late", "insurance_second"]
    amount_fen: int
    raised_at: datetime


class Received(msgspec.Struct, frozen=True):
    """A callback was taken; `received` repeats its event id."""

    received: str


_OF_CASE = {"case_id": Filter("case_id = ?"), "order_id": Filter("order_id = ?")}

PAYOUTS = lists.Listing(
    table="payout_view",
    row=PayoutRow,
    order=("requested_at", "payout"),
    filters={
        "status": Filter("status = ?", _Status),
        "kind": Filter("kind = ?", _Kind),
        **_OF_CASE,
        "channel_ref": Filter("channel_ref = ?"),
    },
)
SETTLEMENTS = lists.Listing(table="settlement_view", row=SettlementRow, order=("case_id",), filters=_OF_CASE)
EXCEPTIONS = lists.Listing(
    table="exception_view",
    row=ExceptionRow,
    order=("raised_at", "case_id", "number"),
    filters={"kind": Filter("kind = ?", Literal["insurance_late", "insurance_second"]), **_OF_CASE},
)


class RefundsHttp:
    """Commands and reads of the refunds service, and the provider's callbacks."""

    def __init__(self, service: Service[RefundsFile], policy: Policy, cashier: Cashier, secret: str) -> None:
        self._service = service
        self._policy = policy
        self._cashier = cashier
        self._secret = secret
        self._desk = CommandDesk(service, policy)

    def routes(self) -> list[web.RouteDef]:
        """Every route of this service."""
        return [
            *(case_command_route(name, self._command(name, spec)) for name, spec in COMMANDS.items()),
            web.get("/v1/payouts", PAYOUTS.handler(self._service, "Payouts, newest first", "refunds")),
            web.get("/v1/settlements", SETTLEMENTS.handler(self._service, "Settlements by case", "refunds")),
            web.get("/v1/exceptions", EXCEPTIONS.handler(self._service, "What finance must look at", "refunds")),
            web.get("/v1/cases/{case_id}/settlement", self.read_settlement),
            web.get("/v1/cases/{case_id}/settlement/explanation", self.explain_settlement),
            web.post("/v1/gateway/callbacks", self.call_back),
        ]

    def _command(self, name: str, spec: Any) -> Any:
        operation = command(self._policy, name, spec, CommandAnswer, "refunds", EXAMPLES[name])
        return describe(operation)(self._desk.case_command(name))

    @describe(
        Operation(
            summary="What the buyer of a case gets, now or as of a moment",
            tag="refunds",
            answer=CaseSettlement,
            refusals=(404, 422),
            query=(AS_OF,),
            etag=True,
        )
    )
    async def read_settlement(self, request: web.Request) -> web.Response:
        """What the buyer of a case finally gets, as of now or of the moment that is asked for."""
        case_id = request.match_info["case_id"]

        def settlement(seen: Seen[RefundsFile]) -> CaseSettlement | None:
            case = seen.file.cases.get(case_id)
            return None if case is None else CaseSettlement(case_id, _figures(case.settlement), seen.as_of)

        unknown = Refusal("unknown_case", case_id=case_id)
        read = await read_file(request, self._service, stream_of_case(case_id), settlement, unknown)
        return lists.json(read.body, ETag=read.etag)

    @describe(
        Operation(
            summary="How what the buyer of a case gets comes about, down to the events, now or as of a moment",
            description="A tree: the amount of each node is the signed sum of those below it.",
            tag="refunds",
            answer=Explained,
            refusals=(404, 422),
            query=(
                Parameter(
                    "item",
                    str,
                    "One amount: a refund (F1), a return's freight (RT1), a deposit (D1), a payment for a sale (B1);"
                    " the settlement where it is not said",
                ),
                AS_OF,
            ),
            etag=True,
        )
    )
    async def explain_settlement(self, request: web.Request) -> web.Response:
        """Where the money comes from that the buyer of a case gets, or one amount of it."""
        case_id = request.match_info["case_id"]
        item = request.query.get("item", "")
        of_case = partial(explain, case_id=case_id, item=item)
        read = await read_explanation(request, self._service, stream_of_case(case_id), of_case)
        return lists.json(read.body, ETag=read.etag)

    @describe(
        Operation(
            summary="What the payment provider reports by itself",
            description="Proved by a Standard Webhooks signature (`webhook-id`, `webhook-timestamp`, "
            "`webhook-signature`) instead of a token.",
            tag="refunds",
            answer=Received,
            refusals=(401, 404, 413, 415, 422),
            secured=False,
        )
    )
    async def call_back(self, request: web.Request) -> web.Response:
        """What the provider reports by itself: believed only when signed; without a provider there is nobody to ask."""
        if not self._secret:
            raise Refusal("not_found")
        try:
            callback = verify_callback(request.headers, await read_command(request), self._secret)
        except CallbackRefused as refused:
            if refused.code == "signature":
                error = {
                    "field": "webhook-signature",
                    "rule": "signed",
                    "zh": "签名无效",
                    "en": "the signature is wrong",
                }
                raise Refusal("unauthenticated", errors=[error]) from None
            raise invalid("body", "callback", "回调内容不对", "is not a callback") from None
        if not await self._cashier.called_back(callback):
            raise Refusal("unknown_item", item=callback.reference)
        return lists.json(Received(callback.event_id))


def _figures(settlement: Settlement) -> SettlementFigures:
    return SettlementFigures(**msgspec.structs.asdict(settlement))
