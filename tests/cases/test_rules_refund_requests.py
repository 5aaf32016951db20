"""What may be refunded, and when (`domain.md` §4)."""

from typing import Any

import pytest

from contracts.events import cases as c
from tests.cases.shop import AGENT, LEAD, MANAGER, ONE, WAREHOUSE, Shop, units_of
from tests.given import line


def open_shop(units: int = 1, quantity: int = 1, problem: str = "return_request", paid_fen: int = 129_900) -> Shop:
    shop = Shop(line(quantity=quantity, paid_fen=paid_fen), line("S1", kind="service", paid_fen=9_900, unit_cost_fen=0))
    shop.open(problem, lines=[*units_of(units), *units_of(1, "S1")])
    return shop


def asked(refund: str = "F1", refund_only: bool = False, **units: int) -> c.RefundRequested:
    return c.RefundRequested(
        case_id=ONE,
        refund=refund,
        lines=tuple(c.LineQuantity(line_id=key, quantity=count) for key, count in (units or {"L1": 1}).items()),
        refund_only=refund_only,
    )


def test_accepted_units_are_refunded() -> None:
    """After the warehouse accepted them, in parts or at once, no unit twice."""
    shop = open_shop(units=3, quantity=3)
    assert shop.refused("request_refund", lines=units_of(1)) == "return_not_received"
    shop.back(2)
    assert shop.refused("request_refund", lines=units_of(3)) == "return_not_received"
    assert shop.refund(1) == [asked()]
    assert shop.refused("request_refund", lines=units_of(2)) == "return_not_received"
    assert shop.refund(1) == [asked("F2")]
    assert shop.refused("request_refund", lines=units_of(1)) == "return_not_received"
    assert shop.refused("request_refund", lines=units_of(2)) == "exceeds_quantity"


def test_goods_under_way_are_not_refunded() -> None:
    """Neither authorised nor shipped is received."""
    shop = open_shop()
    shop.authorise()
    assert shop.refused("request_refund", lines=units_of(1)) == "return_not_received"
    shop.send_back()
    assert shop.refused("request_refund", lines=units_of(1)) == "return_not_received"


def test_a_service_has_nothing_to_return() -> None:
    """It is refunded at once, together with goods only when those are back, and once."""
    shop = open_shop()
    both = [*units_of(1), *units_of(1, "S1")]
    assert shop.refused("request_refund", lines=both) == "return_not_received"
    shop.back()
    assert shop.do("request_refund", lines=both) == [asked(L1=1, S1=1)]
    assert shop.refused("request_refund", lines=units_of(1, "S1")) == "exceeds_quantity"


def test_a_service_is_refunded_after_an_unaccepted_return() -> None:
    """The wrong goods in a parcel do not keep the installation fee."""
    shop = open_shop()
    shop.back(accepted=False)
    shop.refund(1, "S1")
    assert shop.refused("request_refund", lines=units_of(1)) == "return_not_accepted"


def test_refund_only() -> None:
    """Goods stay with the buyer: a lead's decision, once, and never together with a refund of the same unit."""
    shop = open_shop(units=2, quantity=2)
    body: dict[str, Any] = {"lines": units_of(1), "refund_only": True}
    assert shop.refused("request_refund", AGENT, **body) == "forbidden"
    assert shop.do("request_refund", LEAD, **body) == [asked(refund_only=True)]
    shop.back(1)
    assert shop.refund(1) == [asked("F2")]
    assert shop.refused("request_refund", MANAGER, **body) == "exceeds_quantity"


def test_refund_only_of_what_came_back_later() -> None:
    """Money went out without the goods; when they come all the same, there is no second refund."""
    shop = open_shop()
    shop.refund(by=LEAD, refund_only=True)
    shop.back()
    assert shop.refused("request_refund", lines=units_of(1)) == "exceeds_quantity"


def test_refund_only_needs_evidence_where_marked() -> None:
    """`evidence_required` comes before all that is about amounts."""
    shop = open_shop(problem="damaged_on_arrival")
    body: dict[str, Any] = {"lines": units_of(2), "refund_only": True}
    assert shop.refused("request_refund", LEAD, **body) == "evidence_required"
    shop.photo()
    assert shop.refused("request_refund", LEAD, **body) == "exceeds_quantity"
    shop.refund(by=LEAD, refund_only=True)


@pytest.mark.parametrize("problem", ["exchange_request", "function_preference", "size_deviation", "function_defect"])
def test_return_includes_refunding_what_came_back(problem: str) -> None:
    """Where `return` is allowed and `refund` is not: accepted units, and a lead's refund after a bad return."""
    shop = open_shop(units=2, quantity=2, problem=problem)
    shop.photo()
    assert shop.refused("request_refund", LEAD, lines=units_of(1), refund_only=True) == "remedy_not_allowed"
    assert shop.refused("request_refund", LEAD, lines=units_of(1, "S1")) == "remedy_not_allowed"
    shop.back()
    shop.refund()
    assert shop.refused("request_refund", LEAD, lines=units_of(1), refund_only=True) == "remedy_not_allowed"
    shop.back(accepted=False)
    shop.refund(by=LEAD, refund_only=True)


def test_other_cases_count() -> None:
    """Two cases about one unit refund it once; what came back in one is not refunded in the other."""
    shop = open_shop(units=1, quantity=2)
    shop.open("return_request", lines=units_of(1))
    shop.back()
    assert shop.refused("request_refund", case="TB1-2", lines=units_of(1)) == "return_not_received"
    shop.refund()
    shop.back(case="TB1-2")
    shop.refund(case="TB1-2")
    shop.open("return_request", lines=units_of(1))
    assert shop.refused("request_refund", case="TB1-3", lines=units_of(1)) == "exceeds_quantity"


def test_units_refunded_are_never_more_than_bought() -> None:
    """Also where sold replacements came back: the buyer paid for the order's units only here."""
    shop = Shop(line(paid_fen=0))
    shop.open("scratch_after_use")
    shop.photo()
    shop.do("assess_cause", cause="goodwill", in_warranty=False)
    shop.do("charge_buyer", amount_fen=1, purpose="换")
    shop.do("record_buyer_payment", payment_ref="A")
    shop.reship(trigger="on_payment")
    shop.ship()
    shop.back(2)
    shop.do("reclassify", problem="return_request")
    assert shop.refused("request_refund", lines=units_of(2)) == "exceeds_quantity"
    shop.refund(1)
    assert shop.refused("request_refund", lines=units_of(1)) == "exceeds_quantity"


def test_offers_that_stand_are_money_too() -> None:
    """Paid cash is deducted; an offer not paid yet and not taken back keeps the refund above the price."""
    shop = open_shop(paid_fen=10_000)
    shop.give(1_000, lines=["L1"])
    shop.offer(500, lines=["L1"])
    shop.back()
    assert shop.refused("request_refund", lines=units_of(1)) == "exceeds_paid"
    shop.do("withdraw_proposal", proposal="P2", reason="改退款")
    shop.refund()
    assert shop.order.accounts["L1"].refunded_fen == 9_000


def test_vouchers_and_rewards_do_not_matter() -> None:
    """They are neither deducted nor counted."""
    shop = open_shop(paid_fen=10_000)
    shop.give(2_000, "voucher")
    shop.give(1_000, "good_review_reward")
    shop.back()
    shop.refund()
    assert shop.order.accounts["L1"].refunded_fen == 10_000


def test_parts_sum_to_the_whole() -> None:
    """Three units of 100 000 in single refunds: never a fen too much for the last one."""
    shop = open_shop(units=3, quantity=3, paid_fen=100_000)
    shop.give(2_000, lines=["L1"])
    shop.back(3)
    for _ in range(3):
        shop.refund()
    assert shop.order.accounts["L1"].refunded_fen == 98_000


@pytest.mark.parametrize("lines", [[], units_of(0), units_of(1) * 2])
def test_what_is_no_refund(lines: list[dict[str, Any]]) -> None:
    """Nothing, or a line twice: invalid before the role."""
    shop = open_shop()
    for by in (AGENT, WAREHOUSE):
        assert shop.refused("request_refund", by, lines=lines) == "invalid"
