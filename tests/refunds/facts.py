"""Facts and expected events that the tests of refunds share."""

from collections.abc import Sequence
from typing import Any

from contracts.event import Event
from contracts.events import cases as c
from contracts.events import refunds as r
from contracts.policy import load_policy
from services.refunds.domain import RefundsDomain, RefundsFile
from services.refunds.gateway.protocol import Outcome
from tests.given import Story, opened, order

DOMAIN = RefundsDomain(load_policy())
PAYOUT = "TB1-1:refund:F1"


def story(*lines: Any, insured: bool = False) -> Story[RefundsFile]:
    """Order TB1 with its case TB1-1."""
    return Story(DOMAIN).given(order(*lines, insured=insured), opened())


def authorised(return_id: str = "RT1", case_id: str = "TB1-1") -> c.ReturnAuthorised:
    return c.ReturnAuthorised(
        case_id=case_id,
        return_id=return_id,
        lines=(c.LineQuantity(line_id="L1", quantity=1),),
        freight_borne_by="merchant",
    )


def asked(refund: str = "F1", case_id: str = "TB1-1", **units: int) -> c.RefundRequested:
    """A requested refund, of one unit of L1 unless units by line are given."""
    return c.RefundRequested(
        case_id=case_id,
        refund=refund,
        lines=tuple(c.LineQuantity(line_id=key, quantity=count) for key, count in (units or {"L1": 1}).items()),
    )


def insurance(amount_fen: int | None, case_id: str = "TB1-1") -> Event:
    """What the insurer answered; None is a refusal."""
    return (
        c.InsuranceFailed(case_id=case_id)
        if amount_fen is None
        else c.InsurancePaid(case_id=case_id, amount_fen=amount_fen)
    )


def collected(deposit: str = "D1", amount_fen: int = 10_000) -> c.DepositCollected:
    return c.DepositCollected(case_id="TB1-1", deposit=deposit, amount_fen=amount_fen, payment_ref=f"ALI-{deposit}")


def requested(
    kind: str, item: str, amount_fen: int, attempt: int = 1, case_id: str = "TB1-1", channel_refund_id: str = ""
) -> r.PayoutRequested:
    return r.PayoutRequested(
        case_id=case_id,
        payout=f"{case_id}:{kind}:{item}",
        kind=kind,
        item=item,
        amount_fen=amount_fen,
        attempt=attempt,
        channel_refund_id=channel_refund_id,
    )


def succeeded(kind: str, item: str, amount_fen: int, channel_ref: str = "CH-1", attempt: int = 1) -> r.PayoutSucceeded:
    return r.PayoutSucceeded(
        case_id="TB1-1",
        payout=f"TB1-1:{kind}:{item}",
        kind=kind,
        item=item,
        amount_fen=amount_fen,
        channel_ref=channel_ref,
        attempt=attempt,
    )


def failed(kind: str, item: str, amount_fen: int, reason: str = "refused", attempt: int = 1) -> r.PayoutFailed:
    return r.PayoutFailed(
        case_id="TB1-1",
        payout=f"TB1-1:{kind}:{item}",
        kind=kind,
        item=item,
        amount_fen=amount_fen,
        reason=reason,
        attempt=attempt,
    )


def reimbursed(advanced_fen: int, deducted_fen: int = 0, return_id: str = "RT1") -> r.ReturnFreightReimbursed:
    return r.ReturnFreightReimbursed(
        case_id="TB1-1",
        return_id=return_id,
        freight_advanced_fen=advanced_fen,
        insurance_deducted_fen=deducted_fen,
        amount_fen=advanced_fen - deducted_fen,
    )


def updated(case_id: str = "TB1-1", **figures: Any) -> r.SettlementUpdated:
    return r.SettlementUpdated(case_id=case_id, settlement=r.Settlement(**figures))


def says(told: Story[RefundsFile], outcome: Outcome, attempt: int = 1) -> Sequence[Event]:
    """What follows from the gateway's word about an attempt to pay F1."""
    return told.decide(lambda file, context: DOMAIN.record_outcome(file, PAYOUT, attempt, outcome, context), "TB1-1")
