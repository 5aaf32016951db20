"""What happened in the cases of an order (topic `aftersales.cases.v1`); `domain.md` §6."""

from contracts.event import CaseEvent, CodeOrFreeText, Event, Fen, FreeText, Moment, Part, TextLock, Units


class LineQuantity(Part, frozen=True, kw_only=True):
    """Some units of an order line."""

    line_id: str
    quantity: Units


class LineAmount(Part, frozen=True, kw_only=True):
    """The part of an amount that belongs to an order line."""

    line_id: str
    amount_fen: Fen


class CaseOpened(CaseEvent, frozen=True, kw_only=True, tag="case.opened"):
    """A buyer's problem became a case. `lines` names every unit concerned, also where the opener named none."""

    order_id: str
    problem: str
    lines: tuple[LineQuantity, ...]
    description: FreeText
    reason: CodeOrFreeText = ""
    urgent: bool = False
    channel_refund_id: str = ""
    text_lock: TextLock = ""


class PromiseMade(CaseEvent, frozen=True, kw_only=True, tag="promise.made"):
    """The buyer was promised a first answer and a solution."""

    first_answer_due_at: Moment
    solution_due_at: Moment


class PromiseBroken(CaseEvent, frozen=True, kw_only=True, tag="promise.broken"):
    """A promised time passed: `promise` is `first_answer` or `solution`."""

    promise: str
    due_at: Moment


class CaseReclassified(CaseEvent, frozen=True, kw_only=True, tag="case.reclassified"):
    """The problem turned out to be another one."""

    problem: str
    previous: str
    reason: CodeOrFreeText = ""


class CaseAssigned(CaseEvent, frozen=True, kw_only=True, tag="case.assigned"):
    """An agent has the case now."""

    to: str


class EvidenceSubmitted(CaseEvent, frozen=True, kw_only=True, tag="evidence.submitted"):
    """A file was added; `sha256` is the hash of what is stored."""

    evidence: str
    kind: str
    sha256: str
    media_type: str
    size_bytes: int


class EvidenceAccepted(CaseEvent, frozen=True, kw_only=True, tag="evidence.accepted"):
    """The evidence shows what it should."""

    evidence: str


class EvidenceRejected(CaseEvent, frozen=True, kw_only=True, tag="evidence.rejected"):
    """The evidence does not show what it should."""

    evidence: str


class CauseAssessed(CaseEvent, frozen=True, kw_only=True, tag="cause.assessed"):
    """Why it happened, and which party that points to (`production`, `courier/YTO`)."""

    cause: str
    party: str
    freight_borne_by: str
    in_warranty: bool
    human_caused: bool
    affects_use: bool


class GuidanceGiven(CaseEvent, frozen=True, kw_only=True, tag="guidance.given"):
    """The buyer was told how to install, use or care for the product."""

    topic: FreeText = ""


class InstallerContacted(CaseEvent, frozen=True, kw_only=True, tag="installer.contacted"):
    """The installer was urged or replaced (`action`)."""

    action: str


class ParcelTraced(CaseEvent, frozen=True, kw_only=True, tag="parcel.traced"):
    """The carrier was asked where a parcel is."""

    tracking_no: str
    status: FreeText


class PickupArranged(CaseEvent, frozen=True, kw_only=True, tag="pickup.arranged"):
    """A courier fetches goods at the shop's expense."""

    freight_fen: Fen
    carrier: str = ""
    tracking_no: str = ""


class CompensationProposed(CaseEvent, frozen=True, kw_only=True, tag="compensation.proposed"):
    """An amount was offered. `approver_role` is the lowest role that may approve it, empty where none is needed."""

    proposal: str
    kind: str
    amount_fen: Fen
    allocation: tuple[LineAmount, ...]
    proposed_by: str
    approver_role: str = ""


class ApprovalRequested(CaseEvent, frozen=True, kw_only=True, tag="approval.requested"):
    """The order's compensation is above what the proposer may give."""

    proposal: str
    role: str
    order_total_fen: Fen


class ApprovalGranted(CaseEvent, frozen=True, kw_only=True, tag="approval.granted"):
    """Somebody with the authority agreed."""

    proposal: str


class ApprovalDeclined(CaseEvent, frozen=True, kw_only=True, tag="approval.declined"):
    """Somebody with the authority said no."""

    proposal: str
    reason: FreeText = ""


class CompensationAccepted(CaseEvent, frozen=True, kw_only=True, tag="compensation.accepted"):
    """The buyer agreed to the offer."""

    proposal: str


class CompensationDeclined(CaseEvent, frozen=True, kw_only=True, tag="compensation.declined"):
    """The buyer wants something else."""

    proposal: str


class CompensationPaid(CaseEvent, frozen=True, kw_only=True, tag="compensation.paid"):
    """The offer was paid; `allocation` says which lines it belongs to."""

    proposal: str
    kind: str
    amount_fen: Fen
    allocation: tuple[LineAmount, ...]
    payment_ref: str


class CompensationWithdrawn(CaseEvent, frozen=True, kw_only=True, tag="compensation.withdrawn"):
    """The offer was taken back before it was paid."""

    proposal: str
    reason: FreeText


class BuyerCharged(CaseEvent, frozen=True, kw_only=True, tag="buyer.charged"):
    """The buyer is to pay for an accessory or an exchange."""

    charge: str
    amount_fen: Fen
    purpose: FreeText


class BuyerPaid(CaseEvent, frozen=True, kw_only=True, tag="buyer.paid"):
    """The buyer paid a charge."""

    charge: str
    amount_fen: Fen
    payment_ref: str


class ReshipmentItem(Part, frozen=True, kw_only=True):
    """Goods to send. `stands_for`: the units of order lines that it replaces, none for an accessory."""

    sku: str
    quantity: Units
    unit_cost_fen: Fen
    stands_for: tuple[LineQuantity, ...] = ()


class ReshipmentRequested(CaseEvent, frozen=True, kw_only=True, tag="reshipment.requested"):
    """Goods are to be sent once `trigger` is met."""

    reshipment: str
    items: tuple[ReshipmentItem, ...]
    trigger: str


class ReshipmentReleased(CaseEvent, frozen=True, kw_only=True, tag="reshipment.released"):
    """The warehouse may ship it; its stock is reserved."""

    reshipment: str


class ReshipmentBackordered(CaseEvent, frozen=True, kw_only=True, tag="reshipment.backordered"):
    """There is no stock: it waits on the tracking list."""

    reshipment: str


class ReshipmentShipped(CaseEvent, frozen=True, kw_only=True, tag="reshipment.shipped"):
    """It left the warehouse. `goods_cost_fen` is unit cost × quantity of all items."""

    reshipment: str
    carrier: str
    tracking_no: str
    freight_fen: Fen
    goods_cost_fen: Fen
    items: tuple[ReshipmentItem, ...]


class ReshipmentDelivered(CaseEvent, frozen=True, kw_only=True, tag="reshipment.delivered"):
    """The buyer has it."""

    reshipment: str


class ReshipmentCancelled(CaseEvent, frozen=True, kw_only=True, tag="reshipment.cancelled"):
    """It will not be sent. What the buyer paid for it (`charge`) goes back."""

    reshipment: str
    reason: FreeText = ""
    charge: str = ""
    charge_return_fen: Fen = 0


class DepositRequested(CaseEvent, frozen=True, kw_only=True, tag="deposit.requested"):
    """The buyer is to leave a deposit so that goods can go out first."""

    deposit: str
    amount_fen: Fen


class DepositCollected(CaseEvent, frozen=True, kw_only=True, tag="deposit.collected"):
    """The deposit is in."""

    deposit: str
    amount_fen: Fen
    payment_ref: str


class DepositForfeited(CaseEvent, frozen=True, kw_only=True, tag="deposit.forfeited"):
    """The shop keeps the deposit."""

    deposit: str
    amount_fen: Fen
    reason: FreeText


class DepositReturned(CaseEvent, frozen=True, kw_only=True, tag="deposit.returned"):
    """The deposit was paid back."""

    deposit: str
    amount_fen: Fen


class ReturnAuthorised(CaseEvent, frozen=True, kw_only=True, tag="return.authorised"):
    """The buyer may send goods back; `freight_borne_by` is `buyer` or `merchant`."""

    return_id: str
    lines: tuple[LineQuantity, ...]
    freight_borne_by: str


class ReturnShipped(CaseEvent, frozen=True, kw_only=True, tag="return.shipped"):
    """The buyer sent them and advanced `freight_fen`."""

    return_id: str
    carrier: str
    tracking_no: str
    freight_fen: Fen


class ReceivedLine(Part, frozen=True, kw_only=True):
    """Units that came back and whether they can be sold again."""

    line_id: str
    quantity: Units
    resalable: bool
    unit_cost_fen: Fen


class ReturnReceived(CaseEvent, frozen=True, kw_only=True, tag="return.received"):
    """The warehouse inspected what came: not accepted where it is the wrong item or short."""

    return_id: str
    accepted: bool
    lines: tuple[ReceivedLine, ...]
    freight_fen: Fen
    freight_borne_by: str


class ReturnCancelled(CaseEvent, frozen=True, kw_only=True, tag="return.cancelled"):
    """It will not come."""

    return_id: str
    reason: FreeText


class InsurancePaid(CaseEvent, frozen=True, kw_only=True, tag="insurance.paid"):
    """The freight insurer paid the buyer."""

    amount_fen: Fen


class InsuranceFailed(CaseEvent, frozen=True, kw_only=True, tag="insurance.failed"):
    """The freight insurer refused."""


class RefundRequested(CaseEvent, frozen=True, kw_only=True, tag="refund.requested"):
    """Units are to be refunded; with `refund_only` the goods stay with the buyer."""

    refund: str
    lines: tuple[LineQuantity, ...]
    refund_only: bool = False


class CaseEscalated(CaseEvent, frozen=True, kw_only=True, tag="case.escalated"):
    """A higher role is asked to look."""

    role: str
    reason: FreeText


class IssueReported(CaseEvent, frozen=True, kw_only=True, tag="issue.reported"):
    """A department was told; `person` is who it is about."""

    department: str
    summary: FreeText
    person: str = ""


class FindingRecorded(CaseEvent, frozen=True, kw_only=True, tag="finding.recorded"):
    """What the asked department found."""

    finding: FreeText


class CaseClosed(CaseEvent, frozen=True, kw_only=True, tag="case.closed"):
    """Solved."""

    resolution: FreeText


class CaseReopened(CaseEvent, frozen=True, kw_only=True, tag="case.reopened"):
    """It was not solved after all."""

    reason: FreeText = ""


class FollowUpRecorded(CaseEvent, frozen=True, kw_only=True, tag="follow_up.recorded"):
    """The buyer was asked how it went."""


class ReviewInvited(CaseEvent, frozen=True, kw_only=True, tag="review.invited"):
    """The buyer was asked for a review."""


class CaseRated(CaseEvent, frozen=True, kw_only=True, tag="case.rated"):
    """The buyer rated the service, 1 to 5."""

    score: int


class PersonalDataErased(Event, frozen=True, kw_only=True, tag="personal_data.erased"):
    """The key of what people had written about an order was destroyed: nobody can read those texts any more."""

    order_id: str
    reason: str
    text_lock: TextLock = ""

    @property
    def subject(self) -> str:
        return self.order_id


class SkuQuantity(Part, frozen=True, kw_only=True):
    """Some units of an article."""

    sku: str
    quantity: Units


class StockReported(Event, frozen=True, kw_only=True, tag="stock.reported"):
    """So many more units are on the shelf."""

    sku: str
    quantity: Units

    @property
    def subject(self) -> str:
        return self.sku


class StockReserved(CaseEvent, frozen=True, kw_only=True, tag="stock.reserved"):
    """These units belong to a reshipment now."""

    order_id: str
    reshipment: str
    items: tuple[SkuQuantity, ...]


class StockAwaited(CaseEvent, frozen=True, kw_only=True, tag="stock.awaited"):
    """A reshipment is on the tracking list until these units are there; `ordered_at` and then its id give its place."""

    order_id: str
    reshipment: str
    items: tuple[SkuQuantity, ...]
    ordered_at: Moment


class StockFreed(CaseEvent, frozen=True, kw_only=True, tag="stock.freed"):
    """A cancelled reshipment left the tracking list or gave these units back."""

    order_id: str
    reshipment: str
    items: tuple[SkuQuantity, ...]
