"""What the buyer finally gets, and how each payout fared (topic `aftersales.refunds.v1`); `domain.md` §4."""

from contracts.event import CaseEvent, Fen, Part, Units


def payout_id(case_id: str, kind: str, item: str) -> str:
    """The id of a payout, which is also its reference: computed, so that nothing is paid twice."""
    return f"{case_id}:{kind}:{item}"


class RefundedLine(Part, frozen=True, kw_only=True):
    """A refund's share of one order line."""

    line_id: str
    quantity: Units
    kind: str
    unit_cost_fen: Fen
    goods_fen: Fen
    compensation_deducted_fen: Fen
    price_difference_deducted_fen: Fen
    refund_fen: Fen
    carried_deduction_fen: Fen = 0


class Deduction(Part, frozen=True, kw_only=True):
    """Compensation that a refund takes back, and the case that had paid it."""

    case_id: str
    proposal: str
    line_id: str
    kind: str
    amount_fen: Fen


class RefundCalculated(CaseEvent, frozen=True, kw_only=True, tag="refund.calculated"):
    """How much a refund is worth, and why."""

    refund: str
    lines: tuple[RefundedLine, ...]
    deductions: tuple[Deduction, ...]
    goods_fen: Fen
    compensation_deducted_fen: Fen
    price_difference_deducted_fen: Fen
    refund_fen: Fen
    carried_deduction_fen: Fen


class PayoutRequested(CaseEvent, frozen=True, kw_only=True, tag="payout.requested"):
    """Money is to leave. `payout` is computed from what it pays, so that no retry can pay twice."""

    payout: str
    kind: str
    item: str
    amount_fen: Fen
    attempt: int = 1
    channel_refund_id: str = ""


class PayoutSucceeded(CaseEvent, frozen=True, kw_only=True, tag="payout.succeeded"):
    """The buyer has the money."""

    payout: str
    kind: str
    item: str
    amount_fen: Fen
    channel_ref: str
    attempt: int = 1


class PayoutFailed(CaseEvent, frozen=True, kw_only=True, tag="payout.failed"):
    """The gateway or a person said that it was not paid."""

    payout: str
    kind: str
    item: str
    amount_fen: Fen
    reason: str
    attempt: int = 1


class PayoutUnknown(CaseEvent, frozen=True, kw_only=True, tag="payout.unknown"):
    """Nobody knows yet whether it was paid: it is not tried again until somebody does."""

    payout: str
    kind: str
    item: str
    amount_fen: Fen
    reason: str
    attempt: int = 1


class ReturnFreightReimbursed(CaseEvent, frozen=True, kw_only=True, tag="return_freight.reimbursed"):
    """The freight that the buyer advanced is settled, less what the insurance paid."""

    return_id: str
    freight_advanced_fen: Fen
    insurance_deducted_fen: Fen
    amount_fen: Fen


class RefundSettled(CaseEvent, frozen=True, kw_only=True, tag="refund.settled"):
    """The refund reached the buyer: the sale of these units is undone."""

    refund: str
    refund_fen: Fen
    lines: tuple[RefundedLine, ...]
    deductions: tuple[Deduction, ...]


class Settlement(Part, frozen=True, kw_only=True):
    """What the buyer of a case finally gets; the fields of `domain.md` §4."""

    goods_fen: Fen = 0
    compensation_deducted_fen: Fen = 0
    price_difference_deducted_fen: Fen = 0
    refund_fen: Fen = 0
    carried_deduction_fen: Fen = 0
    freight_advanced_fen: Fen = 0
    insurance_deducted_fen: Fen = 0
    freight_reimbursed_fen: Fen = 0
    freight_pending: bool = False
    net_fen: Fen = 0


class SettlementUpdated(CaseEvent, frozen=True, kw_only=True, tag="settlement.updated"):
    """The case's settlement as it stands now."""

    settlement: Settlement


class ExceptionRaised(CaseEvent, frozen=True, kw_only=True, tag="exception.raised"):
    """Finance must look: `kind` is `insurance_late` or `insurance_second`."""

    kind: str
    amount_fen: Fen
