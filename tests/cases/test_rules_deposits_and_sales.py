"""What the buyer leaves or pays: deposits, and sales of accessories or an exchange (`domain.md` §3)."""

from typing import Any

from contracts.events import cases as c
from contracts.policy import load_policy
from services.cases.domain.domain import CasesDomain
from tests.cases.shop import AGENT, FINANCE, LEAD, ONE, SERVICE, WAREHOUSE, Shop, names, shipping, units_of
from tests.given import line


def exchange(quantity: int = 1, **kwargs: Any) -> Shop:
    shop = Shop(line(quantity=quantity), **kwargs)
    shop.open("exchange_request")
    return shop


def sale() -> Shop:
    """A case whose cause says: sell."""
    shop = Shop()
    shop.open("accessory_failure")
    shop.photo()
    shop.do("assess_cause", cause="human_caused", affects_use=True)
    return shop


def charge(shop: Shop, amount_fen: int = 1_500) -> list[Any]:
    return shop.do("charge_buyer", amount_fen=amount_fen, purpose="配件")


def pay(shop: Shop, payment_ref: str = "BUY-1", by: str = AGENT) -> list[Any]:
    return shop.do("record_buyer_payment", by, payment_ref=payment_ref)


def sell(shop: Shop) -> list[Any]:
    return shop.reship("BATTERY", cost_fen=900, trigger="on_payment")


# -- deposits


def test_a_deposit_releases_and_comes_back() -> None:
    """Asked for by default 10 000, collected, released; returned when the payout succeeded."""
    shop = exchange()
    assert shop.refused("record_deposit", payment_ref="D") == "invalid_transition"
    assert shop.do("request_deposit") == [c.DepositRequested(case_id=ONE, deposit="D1", amount_fen=10_000)]
    assert shop.refused("request_deposit") == "invalid_transition"
    assert names(shop.reship(trigger="on_deposit")) == ["reshipment.requested"]
    assert shop.refused("ship_reshipment", WAREHOUSE, **shipping()) == "not_released"
    assert shop.do("record_deposit", FINANCE, payment_ref="D") == [
        c.DepositCollected(case_id=ONE, deposit="D1", amount_fen=10_000, payment_ref="D"),
        c.ReshipmentReleased(case_id=ONE, reshipment="R1"),
    ]
    assert shop.refused("record_deposit", payment_ref="D") == "already_paid"
    assert shop.refused("record_deposit", payment_ref="D2") == "already_paid"
    assert shop.refused("request_deposit") == "invalid_transition"
    shop.back()
    for outcome in ("requested", "unknown", "failed"):
        assert shop.payout("deposit_return", "D1", outcome, 10_000) == []
    assert shop.payout("deposit_return", "D1", amount_fen=10_000) == [
        c.DepositReturned(case_id=ONE, deposit="D1", amount_fen=10_000)
    ]
    assert shop.refused("record_deposit", payment_ref="D3") == "invalid_transition"


def test_amount_of_a_deposit() -> None:
    """What is asked for, else what the policy says."""
    shop = exchange(domain=CasesDomain(load_policy({"deposit_fen": 5_000})))
    assert shop.do("request_deposit", amount_fen=7) == [c.DepositRequested(case_id=ONE, deposit="D1", amount_fen=7)]
    other = exchange(domain=CasesDomain(load_policy({"deposit_fen": 5_000})))
    assert other.do("request_deposit") == [c.DepositRequested(case_id=ONE, deposit="D1", amount_fen=5_000)]
    assert other.refused("request_deposit", amount_fen=0) == "invalid"


def test_a_deposit_for_every_exchange() -> None:
    """Each return of a deposit makes room for the next, under a new id and a new payment."""
    shop = exchange()
    shop.do("request_deposit")
    shop.do("record_deposit", payment_ref="D")
    shop.reship(trigger="on_deposit")
    shop.deliver()
    shop.back()
    shop.payout("deposit_return", "D1")
    shop.authorise()
    assert shop.do("request_deposit") == [c.DepositRequested(case_id=ONE, deposit="D2", amount_fen=10_000)]
    assert shop.refused("record_deposit", payment_ref="D") == "already_paid"
    shop.do("record_deposit", SERVICE, payment_ref="E")


def test_a_deposit_paid_late() -> None:
    """After the goods were accepted it still releases, and waits only for its way back."""
    shop = exchange()
    shop.do("request_deposit")
    shop.reship(trigger="on_deposit")
    shop.back()
    assert names(shop.do("record_deposit", payment_ref="D")) == ["deposit.collected", "reshipment.released"]
    assert shop.refused("forfeit_deposit", LEAD, reason="晚") == "invalid_transition"
    assert names(shop.payout("deposit_return", "D1")) == ["deposit.returned"]


def test_forfeiting() -> None:
    """A lead, with a reason, while it is held and the goods are not back."""
    shop = exchange()
    assert shop.refused("forfeit_deposit", LEAD, reason="无") == "invalid_transition"
    shop.do("request_deposit")
    assert shop.refused("forfeit_deposit", LEAD, reason="无") == "invalid_transition"
    shop.do("record_deposit", payment_ref="D")
    assert shop.refused("forfeit_deposit", AGENT, reason="不寄回") == "forbidden"
    assert shop.refused("forfeit_deposit", LEAD) == "invalid"
    assert shop.refused("forfeit_deposit", LEAD, reason=" ") == "invalid"
    shop.back(accepted=False)
    assert shop.do("forfeit_deposit", LEAD, reason="不寄回") == [
        c.DepositForfeited(case_id=ONE, deposit="D1", amount_fen=10_000, reason="不寄回")
    ]
    assert shop.refused("forfeit_deposit", LEAD, reason="不寄回") == "invalid_transition"
    assert names(shop.reship("SCREW", trigger="on_deposit")) == ["reshipment.requested"]


# -- sales


def test_a_sale_goes_when_it_is_paid() -> None:
    """Charged, ordered, paid, released; a payment is recorded once."""
    shop = sale()
    assert shop.refused("record_buyer_payment", payment_ref="A") == "invalid_transition"
    assert charge(shop) == [c.BuyerCharged(case_id=ONE, charge="B1", amount_fen=1_500, purpose="配件")]
    assert names(sell(shop)) == ["reshipment.requested"]
    assert shop.refused("ship_reshipment", WAREHOUSE, **shipping()) == "not_released"
    assert pay(shop, by=SERVICE) == [
        c.BuyerPaid(case_id=ONE, charge="B1", amount_fen=1_500, payment_ref="BUY-1"),
        c.ReshipmentReleased(case_id=ONE, reshipment="R1"),
    ]
    assert shop.refused("record_buyer_payment", payment_ref="BUY-1") == "already_paid"
    assert shop.refused("record_buyer_payment", payment_ref="BUY-2") == "already_paid"


def test_in_whatever_order_it_happens() -> None:
    """Paid before ordered, or ordered before charged: it goes once both are there."""
    shop = sale()
    charge(shop)
    pay(shop)
    assert names(sell(shop)) == ["reshipment.requested", "reshipment.released"]
    other = sale()
    sell(other)
    assert names(charge(other)) == ["buyer.charged"]
    assert names(pay(other)) == ["buyer.paid", "reshipment.released"]


def test_one_sale_a_charge() -> None:
    """Each payment releases its own sale; the same payment does not pay twice."""
    shop = sale()
    charge(shop)
    charge(shop)
    sell(shop)
    sell(shop)
    pay(shop, "A")
    assert (shop.status("R1"), shop.status("R2")) == ("released", "requested")
    assert shop.refused("record_buyer_payment", payment_ref="A") == "already_paid"
    pay(shop, "B")
    assert shop.status("R2") == "released"


def test_a_cancelled_sale_is_paid_back() -> None:
    """What was paid for it goes back, once; a later sale needs a charge of its own."""
    shop = sale()
    charge(shop)
    sell(shop)
    pay(shop)
    assert shop.do("cancel_reshipment", reshipment="R1") == [
        c.ReshipmentCancelled(case_id=ONE, reshipment="R1", charge="B1", charge_return_fen=1_500)
    ]
    assert names(sell(shop)) == ["reshipment.requested"]
    assert shop.refused("record_buyer_payment", payment_ref="C") == "already_paid"
    charge(shop, 1_600)
    assert names(pay(shop, "D")) == ["buyer.paid", "reshipment.released"]
    assert shop.unfinished() == ["reshipment_open", "payout_open"]
    shop.payout("charge_return", "B1", amount_fen=1_500)
    assert shop.unfinished() == ["reshipment_open"]


def test_a_sale_cancelled_before_it_is_paid() -> None:
    """Nothing goes back, and its charge serves the next sale."""
    shop = sale()
    charge(shop)
    sell(shop)
    assert shop.do("cancel_reshipment", reshipment="R1") == [c.ReshipmentCancelled(case_id=ONE, reshipment="R1")]
    sell(shop)
    assert names(pay(shop)) == ["buyer.paid", "reshipment.released"]
    assert shop.case().charge_of("R2") == "B1"


def test_a_new_price_replaces_the_old_one() -> None:
    """A charge whose sale was cancelled unpaid ends when the buyer is charged anew: nobody pays both."""
    shop = sale()
    charge(shop, 1_500)
    sell(shop)
    shop.do("cancel_reshipment", reshipment="R1")
    charge(shop, 2_000)
    sell(shop)
    assert pay(shop)[0] == c.BuyerPaid(case_id=ONE, charge="B2", amount_fen=2_000, payment_ref="BUY-1")
    assert shop.status("R2") == "released"
    assert shop.refused("record_buyer_payment", payment_ref="X") == "already_paid"


def test_cancelling_one_of_two_sales_leaves_the_other_its_price() -> None:
    """A pair of charge and sale stays a pair."""
    shop = sale()
    charge(shop, 1_000)
    charge(shop, 2_000)
    sell(shop)
    sell(shop)
    shop.do("cancel_reshipment", reshipment="R1")
    assert pay(shop)[0] == c.BuyerPaid(case_id=ONE, charge="B2", amount_fen=2_000, payment_ref="BUY-1")
    assert shop.do("cancel_reshipment", reshipment="R2") == [
        c.ReshipmentCancelled(case_id=ONE, reshipment="R2", charge="B2", charge_return_fen=2_000)
    ]


def test_a_sale_waits_for_stock_after_it_is_paid() -> None:
    """Paid and out of stock: it is backordered; cancelled then, the money goes back and its place is free."""
    shop = sale()
    shop.do("report_stock", WAREHOUSE, sku="BATTERY", quantity=0)
    charge(shop)
    sell(shop)
    assert names(pay(shop)) == ["buyer.paid", "stock.awaited", "reshipment.backordered"]
    assert names(shop.do("cancel_reshipment", reshipment="R1")) == ["reshipment.cancelled", "stock.freed"]


def test_a_sale_is_not_limited_by_what_was_paid_for_the_order() -> None:
    """The buyer pays for it: neither units nor cost of free goods count."""
    shop = sale()
    shop.reship("SKU-L1", 3, 200_000, trigger="on_payment")
    assert shop.refused("authorise_return", lines=units_of(1)) == "remedy_not_allowed"
