"""What can be done next is what the rules would accept, and why not is what they would answer (`domain.md` §2)."""

from collections.abc import Callable
from time import perf_counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.events import liability as li
from services.cases.domain.domain import CASE_COMMANDS
from services.cases.domain.next_actions import NextAction, next_actions, probes
from services.finance.domain.domain import FinanceDomain
from services.kernel.actor import ROLES, Actor
from services.kernel.decider import Context
from services.kernel.intake import intake
from services.kernel.refusal import Refusal
from tests.cases.shop import AGENT, DOMAIN, FINANCE, LEAD, ONE, OTHER_AGENT, POLICY, SERVICE, WAREHOUSE, Shop
from tests.given import line

ELSEWHERE = {"confirm_payout", "retry_payout", "assign_liability", "record_recovery"}


def told(shop: Shop, by: str = AGENT, case: str = ONE) -> dict[str, NextAction]:
    context = Context(shop.now, Actor.parse(by))
    return {action.command: action for action in next_actions(DOMAIN, shop.order, case, context)}


def code(shop: Shop, command: str, by: str = AGENT) -> str:
    """The code of a command that is not allowed, empty for one that is."""
    return told(shop, by)[command].code


def open_shop(problem: str = "return_request", quantity: int = 2) -> Shop:
    shop = Shop(line(quantity=quantity), line("S1", kind="service"))
    shop.open(problem)
    return shop


def test_every_command_is_told_with_its_texts() -> None:
    """All commands on a case, those of the other services too, in both languages; refused ones say why."""
    shop = open_shop()
    actions = told(shop)
    assert set(actions) == {*CASE_COMMANDS, *ELSEWHERE}
    of_no_case = {"open_case", "record_order", "report_stock", "erase_personal_data", *FinanceDomain(POLICY).commands}
    assert set(actions) == set(POLICY.texts.commands) - of_no_case
    for action in actions.values():
        assert action.label_zh == POLICY.texts.commands[action.command].zh
        assert action.label_en == POLICY.texts.commands[action.command].en
        assert action.allowed == (not action.code) == (not action.reason_zh) == (not action.reason_en)
    assert "邀请评价" in actions["invite_review"].label_zh


def test_it_changes_nothing() -> None:
    """Trying a command leaves no trace."""
    shop = busy_shop()
    before = shop.state()
    for role in ROLES:
        told(shop, f"{role}/某")
    assert shop.state() == before


@pytest.mark.parametrize(
    ("problem", "by", "command", "expected"),
    [
        ("wrong_product", AGENT, "authorise_return", "evidence_required"),
        ("wrong_product", AGENT, "propose_compensation", "evidence_required"),
        ("excess_goods", AGENT, "authorise_return", "remedy_not_allowed"),
        ("excess_goods", AGENT, "arrange_pickup", ""),
        ("excess_goods", AGENT, "propose_compensation", ""),
        ("return_request", AGENT, "request_refund", ""),
        ("return_request", AGENT, "approve", "unknown_item"),
        ("return_request", FINANCE, "close_case", "forbidden"),
        ("return_request", AGENT, "close_case", ""),
        ("return_request", AGENT, "follow_up", "invalid_transition"),
        ("return_request", AGENT, "forfeit_deposit", "forbidden"),
        ("return_request", LEAD, "forfeit_deposit", "invalid_transition"),
        ("return_request", AGENT, "confirm_payout", "unknown_item"),
        ("return_request", AGENT, "assign_liability", "forbidden"),
        ("return_request", LEAD, "assign_liability", ""),
        ("return_request", AGENT, "record_recovery", "forbidden"),
        ("return_request", FINANCE, "record_recovery", "exceeds_charged"),
        ("service_attitude", AGENT, "close_case", "unfinished_business"),
    ],
)
def test_of_a_new_case(problem: str, by: str, command: str, expected: str) -> None:
    """What the first look at a case shows."""
    assert code(open_shop(problem), command, by) == expected


def test_reasons_name_what_is_missing() -> None:
    """A reason is filled from the state, not a phrase for all cases."""
    closing = told(open_shop("service_attitude"))["close_case"]
    assert POLICY.texts.terms["rude_agent_unnamed"].zh in closing.reason_zh
    assert POLICY.texts.terms["rude_agent_unnamed"].en in closing.reason_en


def test_items_of_proposals() -> None:
    """Each command names the proposals that it may be given for, by who asks."""
    shop = open_shop()
    shop.offer(2_001)
    shop.offer(100)
    shop.do("record_buyer_reply", proposal="P2", accepted=True)
    assert told(shop, LEAD)["approve"].items == ("P1", "P2")
    assert code(shop, "approve") == "self_approval"
    assert code(shop, "approve", OTHER_AGENT) == "authority_exceeded"
    assert told(shop)["record_buyer_reply"].items == ("P1",)
    assert told(shop, FINANCE)["pay_compensation"].code == "approval_required"
    shop.do("approve", LEAD, proposal="P2")
    assert told(shop, FINANCE)["pay_compensation"].items == ("P2",)
    assert code(shop, "withdraw_proposal", OTHER_AGENT) == "forbidden"
    assert told(shop, LEAD)["withdraw_proposal"].items == ("P1", "P2")
    shop.do("pay_compensation", proposal="P2", payment_ref="A")
    shop.do("withdraw_proposal", proposal="P1", reason="错")
    assert code(shop, "pay_compensation") == "invalid_transition"
    assert code(shop, "approve", LEAD) == "invalid_transition"


def test_items_of_goods() -> None:
    """Lines to send back or refund, parcels to ship, deliver, receive or cancel."""
    shop = open_shop()
    assert told(shop)["authorise_return"].items == ("L1",)
    assert told(shop)["request_refund"].items == ("S1",)
    assert told(shop, LEAD)["request_refund"].items == ("L1", "S1")
    shop.authorise()
    shop.authorise()
    assert code(shop, "authorise_return") == "exceeds_quantity"
    assert told(shop, SERVICE)["ship_return"].items == ("RT1", "RT2")
    assert code(shop, "receive_return", WAREHOUSE) == "invalid_transition"
    shop.send_back()
    assert told(shop, WAREHOUSE)["receive_return"].items == ("RT1",)
    assert told(shop)["cancel_return"].items == ("RT1", "RT2")
    shop.receive()
    assert told(shop)["request_refund"].items == ("L1", "S1")
    shop.do("reclassify", problem="exchange_request")
    shop.reship(trigger="on_deposit")
    assert code(shop, "ship_reshipment", WAREHOUSE) == "not_released"
    assert told(shop)["cancel_reshipment"].items == ("R1",)
    shop.do("request_deposit")
    shop.do("record_deposit", payment_ref="D")
    assert told(shop, WAREHOUSE)["ship_reshipment"].items == ("R1",)
    shop.ship()
    assert told(shop, SERVICE)["confirm_delivery"].items == ("R1",)
    assert code(shop, "cancel_reshipment") == "invalid_transition"


def test_sales_where_the_matrix_says_sell() -> None:
    """Ordering is allowed as a sale though not as a gift."""
    shop = open_shop("accessory_failure")
    shop.photo()
    assert code(shop, "order_reshipment") == "cause_required"
    shop.do("assess_cause", cause="human_caused", affects_use=True)
    assert code(shop, "order_reshipment") == ""
    assert code(shop, "charge_buyer") == ""
    assert code(shop, "record_buyer_payment", FINANCE) == "invalid_transition"


def test_a_closed_case() -> None:
    """Only what comes after closing is left."""
    shop = open_shop()
    shop.close()
    allowed = {action.command for action in told(shop, LEAD).values() if action.allowed}
    assert allowed == {
        "record_insurance_result",
        "reopen_case",
        "follow_up",
        "invite_review",
        "rate",
        "assign_liability",
    }


def test_payouts() -> None:
    """Finance confirms what is not paid and retries what failed, as the refunds service would let them."""
    shop = open_shop()
    shop.payout("refund", "F1", "requested")
    refund = "TB1-1:refund:F1"
    assert told(shop, FINANCE)["confirm_payout"].items == (refund,)
    assert told(shop, SERVICE)["confirm_payout"].items == (refund,)
    assert code(shop, "confirm_payout", LEAD) == "forbidden"
    assert code(shop, "retry_payout", FINANCE) == "payout_not_failed"
    shop.payout("refund", "F1", "failed")
    assert told(shop, FINANCE)["retry_payout"].items == (refund,)
    assert code(shop, "retry_payout", SERVICE) == "forbidden"
    shop.hear(shop.case().payouts[refund])
    shop.refund(1, "S1")
    shop.payout("refund", "F1")
    assert code(shop, "confirm_payout", FINANCE) == "already_paid"
    assert code(shop, "retry_payout", FINANCE) == "payout_not_failed"


def test_recoveries() -> None:
    """From parties outside the business, as long as they owe something."""
    shop = open_shop()
    shop.hear(li.LossCharged(case_id=ONE, party="courier/YTO", amount_fen=500))
    shop.hear(li.LossCharged(case_id=ONE, party="production", amount_fen=500))
    assert told(shop, FINANCE)["record_recovery"].items == ("courier/YTO",)
    shop.hear(li.LossRecovered(case_id=ONE, party="courier/YTO", amount_fen=500, payment_ref="Y"))
    assert code(shop, "record_recovery", FINANCE) == "exceeds_charged"


# -- what is told is true, whatever happened before

Step = Callable[[Shop], Any]
STEPS: list[Step] = [
    lambda shop: shop.photo(),
    lambda shop: shop.do("submit_evidence", kind="photo", file="c" * 64, media_type="image/png"),
    lambda shop: shop.offer(1_500),
    lambda shop: shop.offer(9_000, "voucher"),
    lambda shop: shop.offer(900, "good_review_reward", by=LEAD),
    lambda shop: shop.pay("P1"),
    lambda shop: shop.do("approve", LEAD, proposal="P2"),
    lambda shop: shop.do("record_buyer_reply", proposal="P2", accepted=False),
    lambda shop: shop.do("assess_cause", cause="human_caused", affects_use=True),
    lambda shop: shop.do("assess_cause", cause="packing_error"),
    lambda shop: shop.do("charge_buyer", amount_fen=5, purpose="配件"),
    lambda shop: shop.do("record_buyer_payment", payment_ref="B"),
    lambda shop: shop.reship(trigger="on_payment"),
    lambda shop: shop.reship(trigger="on_deposit"),
    lambda shop: shop.reship(),
    lambda shop: shop.ship(),
    lambda shop: shop.do("confirm_delivery", reshipment="R1"),
    lambda shop: shop.do("cancel_reshipment", reshipment="R1"),
    lambda shop: shop.do("request_deposit"),
    lambda shop: shop.do("record_deposit", payment_ref="D"),
    lambda shop: shop.authorise(),
    lambda shop: shop.authorise(by=LEAD),
    lambda shop: shop.send_back(),
    lambda shop: shop.receive(),
    lambda shop: shop.receive(accepted=False),
    lambda shop: shop.do("cancel_return", reason="不退了"),
    lambda shop: shop.refund(),
    lambda shop: shop.refund(by=LEAD, refund_only=True),
    lambda shop: shop.refund(1, "S1"),
    lambda shop: shop.do("assign_case", to="小李"),
    lambda shop: shop.do("reclassify", problem="return_request"),
    lambda shop: shop.do("reclassify", problem="exchange_request"),
    lambda shop: shop.do("reclassify", problem="accessory_failure"),
    lambda shop: shop.close(),
    lambda shop: shop.do("reopen_case"),
]


@settings(max_examples=60, deadline=None)
@given(
    problem=st.sampled_from(sorted(POLICY.problems)),
    steps=st.lists(st.sampled_from(STEPS), max_size=14),
    by=st.sampled_from([AGENT, OTHER_AGENT, LEAD, WAREHOUSE, FINANCE, SERVICE]),
)
def test_what_is_told_is_what_happens(problem: str, steps: list[Step], by: str) -> None:
    """An allowed command is accepted with a probe; one that is not allowed is refused, once with the code told."""
    shop = open_shop(problem)
    for step in steps:
        try:
            step(shop)
        except Refusal:
            continue
    for command, action in told(shop, by).items():
        if command in ELSEWHERE:
            continue
        situation = DOMAIN.situation(shop.order, ONE, Context(shop.now, Actor.parse(by)))
        answers = {
            (probe.item, repr(probe.body)): answer(shop, command, by, probe.body)
            for probe in probes(situation, command)
        }
        accepted = {item for (item, _), refused in answers.items() if not refused}
        assert action.allowed == bool(accepted)
        assert set(action.items) == {item for item in accepted if item}
        assert action.allowed or action.code in answers.values()


def answer(shop: Shop, command: str, by: str, body: Any) -> str:
    """What the rules say to a command."""
    try:
        assert intake(DOMAIN, shop.order, ONE, command, body, Context(shop.now, Actor.parse(by)))
    except Refusal as refusal:
        return refusal.code
    return ""


def busy_shop() -> Shop:
    """A case of some 60 events with a bit of everything."""
    shop = Shop(line(quantity=6), line("L2", quantity=6), line("S1", kind="service"))
    shop.open("wrong_product")
    for _ in range(3):
        shop.photo()
    shop.do("assess_cause", cause="wrong_goods_shipped")
    for amount_fen in (500, 500, 500, 3_000):
        shop.offer(amount_fen)
    shop.pay("P1")
    shop.pay("P2")
    for _ in range(3):
        shop.back(freight_fen=1_000)
        shop.reship()
        shop.deliver(f"R{len(shop.case().reshipments)}")
        shop.authorise(1, "L2", by=LEAD)
        shop.do("cancel_return", reason="不退了")
    shop.do("request_deposit")
    shop.do("record_deposit", payment_ref="D")
    shop.reship("BOLT")
    shop.do("withdraw_proposal", proposal="P3", reason="错")
    shop.do("withdraw_proposal", proposal="P4", reason="错")
    shop.refund(1, "S1")
    for outcome in ("requested", "failed", "requested", "unknown"):
        shop.payout("refund", "F1", outcome)
    return shop


def test_it_is_quick() -> None:
    """About a millisecond for a case of 60 events; the bound leaves room for a busy machine."""
    shop = busy_shop()
    assert len(shop.told["TB1"]) >= 50
    context = Context(shop.now, Actor.parse(AGENT))

    def seconds() -> float:
        started = perf_counter()
        next_actions(DOMAIN, shop.order, ONE, context)
        return perf_counter() - started

    best = min(seconds() for _ in range(30))
    assert best < 0.006


def test_what_is_settled_is_not_tried_again_and_again() -> None:
    """A long case is answered as quickly as a short one: of many offers that came to nothing, one stands for all."""
    shop = open_shop("logistics_delay")
    for _ in range(20):
        shop.do("record_buyer_reply", proposal=shop.offer(1, "voucher"), accepted=False)
    last = shop.offer(1, "voucher")
    situation = DOMAIN.situation(shop.order, ONE, Context(shop.now, Actor.parse(AGENT)))
    assert [probe.item for probe in probes(situation, "withdraw_proposal")] == [last, "P1"]
    assert told(shop)["record_buyer_reply"].items == (last,)
