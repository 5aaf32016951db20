"""Compensation: authority over the whole order, approvals, the buyer's reply, payment once (`domain.md` §3, §4)."""

from typing import Any

import pytest

from contracts.events import cases as c
from contracts.policy import load_policy
from services.cases.domain.domain import CasesDomain
from tests.cases.shop import AGENT, FINANCE, LEAD, MANAGER, ONE, OTHER_AGENT, Shop, units_of
from tests.given import line


def open_shop(problem: str = "return_request", **order: Any) -> Shop:
    shop = Shop(line(quantity=2, paid_fen=259_800), **order)
    shop.open(problem)
    return shop


def proposed(amount_fen: int, role: str, by: str = AGENT, proposal: str = "P1", kind: str = "cash") -> Any:
    return c.CompensationProposed(
        case_id=ONE,
        proposal=proposal,
        kind=kind,
        amount_fen=amount_fen,
        allocation=(c.LineAmount(line_id="L1", amount_fen=amount_fen),),
        proposed_by=by,
        approver_role=role,
    )


@pytest.mark.parametrize("kind", ["cash", "price_difference", "voucher"])
@pytest.mark.parametrize(
    ("by", "amount_fen", "role"),
    [
        (AGENT, 2_000, ""),
        (AGENT, 2_001, "team_lead"),
        (AGENT, 10_000, "team_lead"),
        (AGENT, 10_001, "store_manager"),
        (AGENT, 50_000, "store_manager"),
        (AGENT, 50_001, None),
        (LEAD, 10_000, ""),
        (LEAD, 10_001, "store_manager"),
        (LEAD, 50_001, None),
        (MANAGER, 50_000, ""),
        (MANAGER, 50_001, None),
    ],
)
def test_limits(by: str, amount_fen: int, role: str | None, kind: str) -> None:
    """To the limit one decides alone; a fen above it waits for the lowest role that covers it; none covers 50 001."""
    shop = open_shop()
    body: dict[str, Any] = {"kind": kind, "amount_fen": amount_fen}
    if role is None:
        assert shop.refused("propose_compensation", by, **body) == "authority_exceeded"
        return
    asked = [c.ApprovalRequested(case_id=ONE, proposal="P1", role=role, order_total_fen=amount_fen)] if role else []
    assert shop.do("propose_compensation", by, **body) == [proposed(amount_fen, role, by, kind=kind), *asked]


def test_small_ones_do_not_slip_past() -> None:
    """The sum over all cases of the order counts, of all kinds together."""
    shop = open_shop()
    shop.open("logistics_delay")
    shop.offer(1_000)
    shop.offer(900, "voucher", case="TB1-2")
    assert shop.do("propose_compensation", case="TB1-2", kind="price_difference", amount_fen=101)[1:] == [
        c.ApprovalRequested(case_id="TB1-2", proposal="P2", role="team_lead", order_total_fen=2_001)
    ]
    other = Shop()
    other.record_order()
    other.open()


def test_what_was_declined_or_withdrawn_does_not_count() -> None:
    """Declined by the buyer, declined by the approver, withdrawn: the room is free again."""
    shop = open_shop()
    shop.do("record_buyer_reply", proposal=shop.offer(2_000), accepted=False)
    shop.do("withdraw_proposal", proposal=shop.offer(2_000), reason="错了")
    shop.do("decline_approval", LEAD, proposal=shop.offer(2_001))
    assert len(shop.do("propose_compensation", kind="cash", amount_fen=2_000)) == 1
    assert shop.order.compensation_fen() == 2_000


def test_a_sum_above_every_limit_is_refused() -> None:
    """50 000 in all is the end, also in parts."""
    shop = open_shop()
    shop.offer(49_999, by=MANAGER)
    assert shop.refused("propose_compensation", MANAGER, kind="voucher", amount_fen=2) == "authority_exceeded"
    shop.offer(1, by=AGENT)


def test_good_review_rewards_have_their_own_limit() -> None:
    """1 000 a case for everybody; they take no room of compensation and leave it none."""
    shop = open_shop()
    shop.offer(2_000)
    shop.offer(600, "good_review_reward")
    body: dict[str, Any] = {"kind": "good_review_reward", "amount_fen": 401}
    for by in (AGENT, MANAGER):
        assert shop.refused("propose_compensation", by, **body) == "authority_exceeded"
    shop.offer(400, "good_review_reward")
    shop.open("logistics_delay")
    shop.offer(1_000, "good_review_reward", case="TB1-2")
    assert shop.order.compensation_fen() == 2_000
    shop.do("record_buyer_reply", proposal="P3", accepted=False)
    shop.offer(400, "good_review_reward")


def test_a_waiting_proposal_is_paid_only_when_approved() -> None:
    """Approval by the role that was fixed, by somebody else; then the buyer's word; then paid once."""
    shop = open_shop()
    shop.offer(2_001)
    assert shop.refused("pay_compensation", proposal="P1", payment_ref="A") == "approval_required"
    shop.do("record_buyer_reply", proposal="P1", accepted=True)
    assert shop.refused("pay_compensation", proposal="P1", payment_ref="A") == "approval_required"
    assert shop.refused("approve", AGENT, proposal="P1") == "self_approval"
    assert shop.refused("approve", "team_lead/小李", proposal="P1") == "self_approval"
    assert shop.refused("approve", OTHER_AGENT, proposal="P1") == "authority_exceeded"
    assert shop.do("approve", LEAD, proposal="P1") == [c.ApprovalGranted(case_id=ONE, proposal="P1")]
    assert shop.refused("approve", MANAGER, proposal="P1") == "invalid_transition"
    assert shop.do("pay_compensation", FINANCE, proposal="P1", payment_ref="A") == [
        c.CompensationPaid(
            case_id=ONE,
            proposal="P1",
            kind="cash",
            amount_fen=2_001,
            allocation=(c.LineAmount(line_id="L1", amount_fen=2_001),),
            payment_ref="A",
        )
    ]
    assert shop.refused("pay_compensation", proposal="P1", payment_ref="B") == "already_paid"
    for command in ("approve", "decline_approval"):
        assert shop.refused(command, MANAGER, proposal="P1") == "already_paid"


def test_which_role_approves_is_fixed_when_proposed() -> None:
    """It stays the store manager's even when the sum falls; a lead is above his limit."""
    shop = open_shop()
    shop.offer(9_000)
    shop.offer(2_000)
    shop.do("withdraw_proposal", proposal="P1", reason="错了")
    assert shop.refused("approve", LEAD, proposal="P2") == "authority_exceeded"
    assert shop.refused("decline_approval", LEAD, proposal="P2") == "authority_exceeded"
    shop.do("approve", MANAGER, proposal="P2")


def test_who_may_approve_may_decline() -> None:
    """Not the proposer, not a lower role; and what is declined is never paid."""
    shop = open_shop()
    shop.offer(2_001, by=LEAD)
    assert shop.refused("decline_approval", MANAGER, proposal="P1") == "invalid_transition"
    shop.offer(10_001, by=LEAD)
    assert shop.refused("decline_approval", LEAD, proposal="P2") == "self_approval"
    assert shop.refused("decline_approval", AGENT, proposal="P2") == "authority_exceeded"
    assert shop.do("decline_approval", MANAGER, proposal="P2", reason="太多") == [
        c.ApprovalDeclined(case_id=ONE, proposal="P2", reason="太多")
    ]
    assert shop.refused("pay_compensation", proposal="P2", payment_ref="A") == "invalid_transition"
    assert shop.refused("record_buyer_reply", proposal="P2", accepted=True) == "invalid_transition"
    assert shop.refused("withdraw_proposal", LEAD, proposal="P2", reason="晚了") == "invalid_transition"
    assert shop.refused("approve", MANAGER, proposal="P2") == "invalid_transition"


def test_what_needs_no_approval_gets_none() -> None:
    """Within the limit there is nothing to approve; one's own is still one's own."""
    shop = open_shop()
    shop.offer(2_000)
    assert shop.refused("approve", AGENT, proposal="P1") == "self_approval"
    assert shop.refused("approve", OTHER_AGENT, proposal="P1") == "invalid_transition"
    assert shop.refused("approve", LEAD, proposal="P9") == "unknown_item"


def test_the_buyer_replies_once() -> None:
    """A reply is final, and only an accepted offer is paid."""
    shop = open_shop()
    shop.offer(100)
    shop.offer(100)
    assert shop.refused("pay_compensation", proposal="P1", payment_ref="A") == "invalid_transition"
    assert shop.do("record_buyer_reply", proposal="P1", accepted=True) == [
        c.CompensationAccepted(case_id=ONE, proposal="P1")
    ]
    assert shop.refused("record_buyer_reply", proposal="P1", accepted=False) == "invalid_transition"
    assert shop.do("record_buyer_reply", proposal="P2", accepted=False) == [
        c.CompensationDeclined(case_id=ONE, proposal="P2")
    ]
    assert shop.refused("pay_compensation", proposal="P2", payment_ref="A") == "invalid_transition"
    shop.do("pay_compensation", proposal="P1", payment_ref="A")
    assert shop.refused("record_buyer_reply", proposal="P1", accepted=False) == "already_paid"


def test_withdrawing() -> None:
    """The proposer or a lead, as long as it is not paid, also when the buyer agreed."""
    shop = open_shop()
    shop.offer(100)
    shop.offer(100)
    shop.give(100)
    assert shop.refused("withdraw_proposal", OTHER_AGENT, proposal="P1", reason="错") == "forbidden"
    assert shop.refused("withdraw_proposal", OTHER_AGENT, proposal="P3", reason="错") == "forbidden"
    shop.do("record_buyer_reply", proposal="P1", accepted=True)
    assert shop.do("withdraw_proposal", AGENT, proposal="P1", reason="错") == [
        c.CompensationWithdrawn(case_id=ONE, proposal="P1", reason="错")
    ]
    assert shop.refused("withdraw_proposal", AGENT, proposal="P1", reason="错") == "invalid_transition"
    assert shop.refused("pay_compensation", proposal="P1", payment_ref="A") == "invalid_transition"
    shop.do("withdraw_proposal", LEAD, proposal="P2", reason="错")
    assert shop.refused("withdraw_proposal", LEAD, proposal="P3", reason="错") == "already_paid"


def test_allocation() -> None:
    """By `paid_fen`, largest remainder, ties by order of lines; named lines only, in the order's order."""
    shop = Shop(line("L1", paid_fen=10_000), line("L2", paid_fen=10_000), line("L3", paid_fen=5_000))
    shop.open("logistics_delay")
    shop.open("logistics_delay", lines=units_of(1, "L2") + units_of(1, "L3"))

    def parts(case: str, amount_fen: int, **body: Any) -> dict[str, int]:
        event = shop.do("propose_compensation", case=case, kind="voucher", amount_fen=amount_fen, **body)[0]
        assert isinstance(event, c.CompensationProposed)
        return {part.line_id: part.amount_fen for part in event.allocation}

    assert parts(ONE, 101) == {"L1": 41, "L2": 40, "L3": 20}
    assert parts(ONE, 1) == {"L1": 1, "L2": 0, "L3": 0}
    assert parts(ONE, 3, lines=["L3", "L1"]) == {"L1": 2, "L3": 1}
    assert parts("TB1-2", 100) == {"L2": 67, "L3": 33}
    assert shop.refused("propose_compensation", case="TB1-2", kind="cash", amount_fen=1, lines=["L1"]) == "unknown_line"
    assert shop.refused("propose_compensation", kind="cash", amount_fen=1, lines=["L9"]) == "unknown_line"
    assert shop.refused("propose_compensation", FINANCE, kind="cash", amount_fen=1, lines=["L1", "L1"]) == "invalid"
    assert shop.refused("propose_compensation", FINANCE, kind="cash", amount_fen=1, lines=[]) == "invalid"


def test_cash_and_price_difference_never_exceed_what_was_paid() -> None:
    """Per line and over all cases, to the fen; vouchers and rewards are another purse."""
    shop = Shop(line(paid_fen=1_000))
    shop.open("logistics_delay")
    shop.open("logistics_delay")
    shop.offer(600)
    shop.offer(1_500, "voucher", by=LEAD)
    body: dict[str, Any] = {"kind": "price_difference", "amount_fen": 401}
    assert shop.refused("propose_compensation", LEAD, "TB1-2", **body) == "exceeds_paid"
    shop.offer(400, "price_difference", by=LEAD, case="TB1-2")
    assert shop.refused("propose_compensation", LEAD, kind="cash", amount_fen=1) == "exceeds_paid"
    shop.offer(1_000, "good_review_reward")
    shop.do("withdraw_proposal", proposal="P1", reason="错")
    shop.offer(600, by=LEAD)


def test_one_full_line_refuses_the_whole() -> None:
    """An amount over two lines is refused if its part of one line is too much."""
    shop = Shop(line("L1", paid_fen=1_000), line("L2", paid_fen=1_000))
    shop.open("logistics_delay")
    shop.offer(900, lines=["L1"])
    assert shop.refused("propose_compensation", kind="cash", amount_fen=202) == "exceeds_paid"
    shop.offer(200)


def test_refunds_leave_less_for_cash() -> None:
    """Σ refunds + cash + price difference ≤ paid, also when the refund came first."""
    shop = Shop(line(quantity=2, paid_fen=1_001))
    shop.open("return_request")
    shop.give(100)
    shop.back()
    shop.refund()
    assert shop.order.accounts["L1"].refunded_fen == 400
    assert shop.refused("propose_compensation", kind="cash", amount_fen=502) == "exceeds_paid"
    shop.offer(501)


def test_a_shop_may_have_other_limits() -> None:
    """Authority is policy, not code."""
    policy = load_policy({"authority": {"agent": 10, "good_review_reward": 5}})
    shop = Shop(domain=CasesDomain(policy))
    shop.open("logistics_delay")
    assert len(shop.do("propose_compensation", kind="cash", amount_fen=10)) == 1
    assert len(shop.do("propose_compensation", kind="cash", amount_fen=1)) == 2
    assert shop.refused("propose_compensation", kind="good_review_reward", amount_fen=6) == "authority_exceeded"
