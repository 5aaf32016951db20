"""The commands of the cases service as they arrive: every field, its type and its bounds (`domain.md` §6)."""

from typing import Annotated, Literal

import msgspec

from services.kernel.decider import Command
from services.kernel.fields import (
    Amount,
    AmountOrZero,
    Code,
    Moment,
    Name,
    OrderId,
    Quantity,
    Sha256,
    Text,
    Word,
)


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value inside a command."""


class LineQuantity(Part, frozen=True, kw_only=True):
    line_id: Code
    quantity: Quantity


class ReceivedLine(Part, frozen=True, kw_only=True):
    line_id: Code
    quantity: Quantity
    resalable: bool


class ReshipmentItem(Part, frozen=True, kw_only=True):
    sku: Code
    quantity: Quantity
    unit_cost_fen: AmountOrZero
    replaces: Code | None = None


class OrderLine(Part, frozen=True, kw_only=True):
    line_id: Code
    sku: Code
    kind: Word
    quantity: Quantity
    paid_fen: AmountOrZero
    unit_cost_fen: AmountOrZero


class FreightInsurance(Part, frozen=True, kw_only=True):
    payer: Code
    cover_fen: AmountOrZero


class RecordOrder(Command, frozen=True, kw_only=True):
    order_id: OrderId
    channel: Code
    buyer_id: Code
    ordered_at: Moment
    lines: Annotated[tuple[OrderLine, ...], msgspec.Meta(min_length=1, max_length=500)]
    delivered_at: Moment | None = None
    warranty_months: Annotated[int, msgspec.Meta(ge=0, le=600)] = 0
    carrier: Annotated[str, msgspec.Meta(max_length=64)] = ""
    people: dict[Code, Name] = {}
    freight_insurance: FreightInsurance | None = None


class ErasePersonalData(Command, frozen=True, kw_only=True):
    """The words of people about the order are to be readable by nobody any more; `reason` is kept, and readable."""

    order_id: OrderId
    reason: Text


class OpenCase(Command, frozen=True, kw_only=True):
    order_id: OrderId
    problem: Code
    description: Text
    reason: Name | None = None
    lines: Annotated[tuple[LineQuantity, ...], msgspec.Meta(min_length=1, max_length=500)] | None = None
    urgent: bool = False
    channel_refund_id: Code | None = None


class Reclassify(Command, frozen=True, kw_only=True):
    problem: Code
    reason: Name | None = None


class AssignCase(Command, frozen=True, kw_only=True):
    to: Name


class SubmitEvidence(Command, frozen=True, kw_only=True):
    """`file` is what `POST /v1/files` answered; the border adds what the store knows of it."""

    kind: Literal["photo", "video", "chat_log", "waybill", "weight"]
    file: Sha256
    media_type: str = ""
    size_bytes: int = 0


class ReviewEvidence(Command, frozen=True, kw_only=True):
    evidence: Code
    accepted: bool


class AssessCause(Command, frozen=True, kw_only=True):
    cause: Code
    party_name: Name | None = None
    in_warranty: bool | None = None
    human_caused: bool | None = None
    affects_use: bool | None = None


class GiveGuidance(Command, frozen=True, kw_only=True):
    topic: Text | None = None


class ContactInstaller(Command, frozen=True, kw_only=True):
    action: Literal["urge", "replace"]


class TraceParcel(Command, frozen=True, kw_only=True):
    tracking_no: Code
    status: Text


class ArrangePickup(Command, frozen=True, kw_only=True):
    freight_fen: AmountOrZero
    carrier: Code | None = None
    tracking_no: Code | None = None


class ProposeCompensation(Command, frozen=True, kw_only=True):
    kind: Literal["cash", "price_difference", "voucher", "good_review_reward"]
    amount_fen: Amount
    lines: Annotated[tuple[Code, ...], msgspec.Meta(min_length=1, max_length=500)] | None = None


class Approve(Command, frozen=True, kw_only=True):
    proposal: Code


class DeclineApproval(Command, frozen=True, kw_only=True):
    proposal: Code
    reason: Text | None = None


class RecordBuyerReply(Command, frozen=True, kw_only=True):
    proposal: Code
    accepted: bool


class PayCompensation(Command, frozen=True, kw_only=True):
    proposal: Code
    payment_ref: Name


class WithdrawProposal(Command, frozen=True, kw_only=True):
    proposal: Code
    reason: Text


class ChargeBuyer(Command, frozen=True, kw_only=True):
    amount_fen: Amount
    purpose: Text


class RecordBuyerPayment(Command, frozen=True, kw_only=True):
    payment_ref: Name


class OrderReshipment(Command, frozen=True, kw_only=True):
    items: Annotated[tuple[ReshipmentItem, ...], msgspec.Meta(min_length=1, max_length=100)]
    trigger: Literal["now", "on_tracking", "on_receipt", "on_deposit", "on_payment"]


class ShipReshipment(Command, frozen=True, kw_only=True):
    reshipment: Code
    carrier: Code
    tracking_no: Code
    freight_fen: AmountOrZero


class ConfirmDelivery(Command, frozen=True, kw_only=True):
    reshipment: Code


class CancelReshipment(Command, frozen=True, kw_only=True):
    reshipment: Code
    reason: Text | None = None


class RequestDeposit(Command, frozen=True, kw_only=True):
    amount_fen: Amount | None = None


class RecordDeposit(Command, frozen=True, kw_only=True):
    payment_ref: Name


class ForfeitDeposit(Command, frozen=True, kw_only=True):
    reason: Text


class AuthoriseReturn(Command, frozen=True, kw_only=True):
    lines: Annotated[tuple[LineQuantity, ...], msgspec.Meta(min_length=1, max_length=500)]
    freight_borne_by: Literal["buyer", "merchant"] | None = None


class ShipReturn(Command, frozen=True, kw_only=True):
    """`return_id` is needed only where several returns are under way at once."""

    carrier: Code
    tracking_no: Code
    freight_fen: AmountOrZero
    freight_collect: bool = False
    return_id: Code | None = None


class ReceiveReturn(Command, frozen=True, kw_only=True):
    lines: Annotated[tuple[ReceivedLine, ...], msgspec.Meta(max_length=500)]
    accepted: bool
    return_id: Code | None = None


class CancelReturn(Command, frozen=True, kw_only=True):
    reason: Text
    return_id: Code | None = None


class RecordInsuranceResult(Command, frozen=True, kw_only=True):
    result: Literal["paid", "failed"]
    amount_fen: AmountOrZero = 0


class RequestRefund(Command, frozen=True, kw_only=True):
    lines: Annotated[tuple[LineQuantity, ...], msgspec.Meta(min_length=1, max_length=500)]
    refund_only: bool = False


class Escalate(Command, frozen=True, kw_only=True):
    role: Literal["team_lead", "store_manager"]
    reason: Text


class ReportIssue(Command, frozen=True, kw_only=True):
    department: Name
    summary: Text
    person: Name | None = None


class RecordFinding(Command, frozen=True, kw_only=True):
    finding: Text


class CloseCase(Command, frozen=True, kw_only=True):
    resolution: Text


class ReopenCase(Command, frozen=True, kw_only=True):
    reason: Text | None = None


class FollowUp(Command, frozen=True, kw_only=True):
    """The buyer was asked how it went; what was said is the `note`."""


class InviteReview(Command, frozen=True, kw_only=True):
    """The buyer was asked for a review."""


class Rate(Command, frozen=True, kw_only=True):
    score: Annotated[int, msgspec.Meta(ge=1, le=5)]


class ReportStock(Command, frozen=True, kw_only=True):
    sku: Code
    quantity: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
