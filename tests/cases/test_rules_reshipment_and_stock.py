"""Goods that go out: triggers, stock, and how much a case may be sent (`domain.md` §3, §4)."""

from typing import Any

import pytest

from contracts.events import cases as c
from tests.cases.shop import AGENT, LEAD, ONE, SERVICE, WAREHOUSE, Shop, names, shipping, units_of
from tests.given import line


def open_shop(units: int = 1, quantity: int = 1, problem: str = "exchange_request", **kwargs: Any) -> Shop:
    shop = Shop(line(quantity=quantity, paid_fen=129_900 * quantity), **kwargs)
    shop.open(problem, lines=units_of(units))
    return shop


def item(sku: str, quantity: int = 1, cost_fen: int = 100, **more: Any) -> dict[str, Any]:
    return {"sku": sku, "quantity": quantity, "unit_cost_fen": cost_fen, **more}


def stood_for(events: list[Any]) -> list[dict[str, int]]:
    """The units of lines that each item of a requested reshipment replaces."""
    return [{part.line_id: part.quantity for part in one.stands_for} for one in events[0].items]


def test_an_item_of_the_order_stands_for_its_line() -> None:
    """Its own SKU does, another one by `replaces`; anything else is an accessory."""
    shop = open_shop(units=3, quantity=3)
    items = [item("SKU-L1"), item("OTHER-COLOUR", replaces="L1"), item("SCREW", 2)]
    assert shop.do("order_reshipment", items=items, trigger="now") == [
        c.ReshipmentRequested(
            case_id=ONE,
            reshipment="R1",
            items=(
                c.ReshipmentItem(
                    sku="SKU-L1",
                    quantity=1,
                    unit_cost_fen=100,
                    stands_for=(c.LineQuantity(line_id="L1", quantity=1),),
                ),
                c.ReshipmentItem(
                    sku="OTHER-COLOUR",
                    quantity=1,
                    unit_cost_fen=100,
                    stands_for=(c.LineQuantity(line_id="L1", quantity=1),),
                ),
                c.ReshipmentItem(sku="SCREW", quantity=2, unit_cost_fen=100),
            ),
            trigger="now",
        ),
        c.ReshipmentReleased(case_id=ONE, reshipment="R1"),
    ]
    assert shop.refused("order_reshipment", items=[item("X", replaces="L2")], trigger="now") == "unknown_line"


def test_two_lines_of_one_sku() -> None:
    """An item fills one line's units, then the next one's, the case's own lines only."""
    lines = [
        {"line_id": key, "sku": "LOCK", "kind": "product", "quantity": 2, "paid_fen": 9_000, "unit_cost_fen": 1}
        for key in ("L1", "L2", "L3")
    ]
    shop = Shop(lines=lines)
    shop.open("exchange_request", lines=units_of(1, "L2") + units_of(2, "L1"))
    body: dict[str, Any] = {"items": [item("LOCK", 2), item("LOCK", 2)], "trigger": "now"}
    assert shop.refused("order_reshipment", **body) == "exceeds_quantity"
    events = shop.do("order_reshipment", items=[item("LOCK", 2), item("LOCK", 1)], trigger="now")
    assert stood_for(events) == [{"L1": 2}, {"L2": 1}]
    assert shop.refused("order_reshipment", items=[item("LOCK")], trigger="now") == "exceeds_quantity"


def test_a_line_of_the_order_that_is_not_the_cases() -> None:
    """A case about one line ships no unit of another."""
    shop = Shop(line("L1"), line("L2"))
    shop.open("exchange_request", lines=units_of(1))
    assert shop.refused("order_reshipment", items=[item("SKU-L2")], trigger="now") == "exceeds_quantity"
    assert shop.refused("order_reshipment", items=[item("X", replaces="L2")], trigger="now") == "unknown_line"


def test_no_more_units_than_the_case_has() -> None:
    """A cancelled one makes room again; accessories count no units."""
    shop = open_shop(units=1, quantity=2)
    shop.reship()
    assert shop.refused("order_reshipment", items=[item("SKU-L1")], trigger="now") == "exceeds_quantity"
    shop.reship("SCREW", 20)
    shop.do("cancel_reshipment", reshipment="R1")
    shop.reship()


def test_over_all_cases_no_more_units_than_bought() -> None:
    """Two cases about the same unit do not both replace it."""
    shop = open_shop()
    shop.open("exchange_request")
    shop.reship()
    body: dict[str, Any] = {"items": [item("SKU-L1")], "trigger": "now"}
    assert shop.refused("order_reshipment", case="TB1-2", **body) == "exceeds_quantity"
    shop.do("cancel_reshipment", reshipment="R1")
    shop.reship(case="TB1-2")


def test_a_refund_in_another_case_leaves_less_to_replace() -> None:
    """Units refunded and units replaced count together over all cases."""
    shop = Shop(line(quantity=2))
    shop.open("return_request", lines=units_of(1))
    shop.open("exchange_request", lines=units_of(2))
    shop.refund(by=LEAD, refund_only=True)
    body: dict[str, Any] = {"items": [item("SKU-L1", 2)], "trigger": "now"}
    assert shop.refused("order_reshipment", case="TB1-2", **body) == "exceeds_quantity"
    shop.reship(case="TB1-2")


def test_free_goods_cost_no_more_than_was_paid() -> None:
    """To the fen, over all free reshipments of the case that are not cancelled."""
    shop = Shop(line(quantity=3, paid_fen=1_000))
    shop.open("exchange_request", lines=units_of(2))
    shop.reship("SCREW", 3, 222)
    body: dict[str, Any] = {"items": [item("SCREW", 1, 1)], "trigger": "now"}
    assert shop.refused("order_reshipment", **body) == "exceeds_paid"
    shop.do("cancel_reshipment", reshipment="R1")
    assert shop.refused("order_reshipment", items=[item("SCREW", 1, 667)], trigger="now") == "exceeds_paid"
    shop.reship("SCREW", 1, 666)


def test_exchange_after_exchange() -> None:
    """A faulty replacement that came back can be remedied again, in units and in money, and again."""
    shop = open_shop()
    for round_ in (1, 2, 3):
        shop.back()
        events = shop.reship(cost_fen=129_900)
        assert names(events) == ["reshipment.requested", "reshipment.released"]
        more: dict[str, Any] = {"items": [item("SKU-L1", 1, 1)], "trigger": "now"}
        assert shop.refused("order_reshipment", **more) == "exceeds_quantity"
        assert shop.refused("order_reshipment", items=[item("SCREW", 1, 1)], trigger="now") == "exceeds_paid"
        assert shop.refused("authorise_return", lines=units_of(1)) == "exceeds_quantity"
        shop.deliver(f"R{round_}")
    shop.back()
    shop.refund()
    assert shop.refused("request_refund", lines=units_of(1)) == "exceeds_quantity"
    assert shop.refused("order_reshipment", items=[item("SKU-L1", 1, 1)], trigger="now") == "exceeds_quantity"


def test_nobody_gets_both_a_new_lock_and_the_money() -> None:
    """A unit that was replaced is not refunded, one that was refunded is not replaced."""
    shop = open_shop()
    shop.back()
    shop.reship()
    assert shop.refused("request_refund", lines=units_of(1)) == "exceeds_quantity"
    shop.do("cancel_reshipment", reshipment="R1")
    shop.refund()
    assert shop.refused("order_reshipment", items=[item("SKU-L1")], trigger="now") == "exceeds_quantity"


@pytest.mark.parametrize("trigger", ["on_tracking", "on_receipt"])
def test_return_triggers(trigger: str) -> None:
    """Released by the tracking number, or when the warehouse accepted; not before."""
    shop = open_shop()
    assert names(shop.reship(trigger=trigger)) == ["reshipment.requested"]
    assert shop.refused("ship_reshipment", WAREHOUSE, **shipping()) == "not_released"
    shop.authorise()
    assert shop.refused("ship_reshipment", WAREHOUSE, **shipping()) == "not_released"
    released = ["reshipment.released"]
    assert names(shop.send_back()) == ["return.shipped", *(released if trigger == "on_tracking" else [])]
    assert names(shop.receive()) == ["return.received", *(released if trigger == "on_receipt" else [])]
    shop.ship()


def test_what_is_not_accepted_releases_nothing() -> None:
    """Nor does it count as a tracking number; the next return decides."""
    shop = open_shop()
    shop.back(accepted=False)
    shop.reship("SCREW", trigger="on_tracking")
    shop.reship("BOLT", trigger="on_receipt")
    assert (shop.status("R1"), shop.status("R2")) == ("requested", "requested")
    shop.authorise(by="team_lead/老陈")
    assert names(shop.send_back()) == ["return.shipped", "reshipment.released"]
    assert names(shop.receive()) == ["return.received", "reshipment.released"]


def test_the_last_return_decides() -> None:
    """With several returns an older acceptance triggers nothing, unless the newer one is cancelled."""
    shop = open_shop(units=2, quantity=2)
    shop.back()
    shop.authorise()
    assert names(shop.reship(trigger="on_receipt")) == ["reshipment.requested"]
    assert names(shop.do("cancel_return", reason="不退了")) == ["return.cancelled", "reshipment.released"]


def test_triggers_that_are_met_already_release_at_once() -> None:
    """Goods that are back, or a deposit that is in, need no second event."""
    shop = open_shop(units=2, quantity=2)
    shop.back()
    for trigger in ("on_tracking", "on_receipt"):
        assert names(shop.reship(trigger=trigger)) == ["reshipment.requested", "reshipment.released"]


def test_shipping() -> None:
    """Requested → released → shipped → delivered; what was sent is neither sent again nor cancelled."""
    shop = open_shop()
    shop.reship(cost_fen=500)
    (shipped,) = shop.ship(freight_fen=800)
    assert isinstance(shipped, c.ReshipmentShipped)
    assert (shipped.goods_cost_fen, shipped.freight_fen, shipped.items[0].sku) == (500, 800, "SKU-L1")
    assert shop.refused("ship_reshipment", WAREHOUSE, **shipping()) == "invalid_transition"
    assert shop.refused("cancel_reshipment", reshipment="R1") == "invalid_transition"
    assert shop.do("confirm_delivery", SERVICE, reshipment="R1") == [
        c.ReshipmentDelivered(case_id=ONE, reshipment="R1")
    ]
    for command in ("confirm_delivery", "cancel_reshipment"):
        assert shop.refused(command, reshipment="R1") == "invalid_transition"
    assert shop.refused("ship_reshipment", WAREHOUSE, **shipping("R2")) == "unknown_item"


def test_cancelling() -> None:
    """What is cancelled is not shipped, delivered or cancelled again, and its trigger no longer matters."""
    shop = open_shop()
    shop.reship(trigger="on_receipt")
    assert shop.do("cancel_reshipment", reshipment="R1", reason="不要了") == [
        c.ReshipmentCancelled(case_id=ONE, reshipment="R1", reason="不要了")
    ]
    assert names(shop.back()) == ["return.received"]
    assert shop.refused("ship_reshipment", WAREHOUSE, **shipping()) == "invalid_transition"
    for command in ("confirm_delivery", "cancel_reshipment"):
        assert shop.refused(command, reshipment="R1") == "invalid_transition"


def test_without_stock_it_waits() -> None:
    """Backordered and on the tracking list; the delivery of stock releases it and reserves its units."""
    shop = open_shop()
    shop.do("report_stock", WAREHOUSE, sku="SKU-L1", quantity=0)
    events = shop.reship()
    assert events[1:] == [
        c.StockAwaited(
            case_id=ONE,
            order_id="TB1",
            reshipment="R1",
            items=(c.SkuQuantity(sku="SKU-L1", quantity=1),),
            ordered_at=shop.now,
        ),
        c.ReshipmentBackordered(case_id=ONE, reshipment="R1"),
    ]
    assert shop.refused("ship_reshipment", WAREHOUSE, **shipping()) == "not_released"
    assert shop.do("report_stock", SERVICE, sku="SKU-L1", quantity=5) == [
        c.StockReported(sku="SKU-L1", quantity=5),
        c.StockReserved(case_id=ONE, order_id="TB1", reshipment="R1", items=(c.SkuQuantity(sku="SKU-L1", quantity=1),)),
        c.ReshipmentReleased(case_id=ONE, reshipment="R1"),
    ]
    assert shop.stock.available["SKU-L1"] == 4
    shop.ship()


def test_nobody_waits_for_what_is_not_counted() -> None:
    """A SKU that nobody ever reported is there in plenty."""
    shop = open_shop()
    shop.do("report_stock", WAREHOUSE, sku="OTHER", quantity=0)
    assert names(shop.reship()) == ["reshipment.requested", "reshipment.released"]


def test_a_trigger_comes_before_stock() -> None:
    """Stock is reserved when a reshipment is released, not when it is ordered."""
    shop = open_shop()
    shop.do("report_stock", WAREHOUSE, sku="SKU-L1", quantity=1)
    shop.reship(trigger="on_receipt")
    assert shop.stock.available["SKU-L1"] == 1
    assert names(shop.back()) == ["return.received", "stock.reserved", "reshipment.released"]
    assert shop.stock.available["SKU-L1"] == 0


def several_orders(*order_ids: str) -> Shop:
    """Orders that each wait for units of one SKU, in this order."""
    shop = Shop()
    for order_id in order_ids:
        shop.record_order(order_id=order_id)
        shop.open("exchange_request", order_id=order_id)
    return shop


def test_first_ordered_first_served() -> None:
    """By the time of ordering, over all orders; one that does not fit holds nobody up."""
    shop = several_orders("A", "B", "C", "D")
    shop.do("report_stock", WAREHOUSE, sku="SCREW", quantity=0)
    for order_id, quantity in (("A", 2), ("B", 3), ("C", 1), ("D", 2)):
        shop.reship("SCREW", quantity, case=f"{order_id}-1")
    assert names(shop.do("report_stock", WAREHOUSE, sku="SCREW", quantity=4)) == [
        "stock.reported",
        "stock.reserved",
        "stock.reserved",
        "reshipment.released",
        "reshipment.released",
    ]
    assert [shop.status(case=f"{one}-1") for one in "ABCD"] == ["released", "backordered", "released", "backordered"]
    shop.do("report_stock", WAREHOUSE, sku="SCREW", quantity=1)
    assert [shop.status(case=f"{one}-1") for one in "BD"] == ["backordered", "released"]


def test_ordered_first_but_triggered_later() -> None:
    """Among those that wait, the time of ordering counts, not the time of the trigger."""
    shop = several_orders("A", "B")
    shop.do("report_stock", WAREHOUSE, sku="SCREW", quantity=0)
    shop.reship("SCREW", case="A-1", trigger="on_receipt")
    shop.reship("SCREW", case="B-1")
    shop.back(case="A-1")
    shop.do("report_stock", WAREHOUSE, sku="SCREW", quantity=1)
    assert (shop.status(case="A-1"), shop.status(case="B-1")) == ("released", "backordered")


def test_a_cancelled_one_gives_its_stock_back() -> None:
    """Which releases another order's that waited, in the same moment."""
    shop = several_orders("A", "B")
    shop.do("report_stock", WAREHOUSE, sku="SCREW", quantity=1)
    shop.reship("SCREW", case="A-1")
    shop.reship("SCREW", case="B-1")
    events = shop.do("cancel_reshipment", case="A-1", reshipment="R1")
    freed = (c.SkuQuantity(sku="SCREW", quantity=1),)
    assert events == [
        c.ReshipmentCancelled(case_id="A-1", reshipment="R1"),
        c.StockFreed(case_id="A-1", order_id="A", reshipment="R1", items=freed),
        c.StockReserved(case_id="B-1", order_id="B", reshipment="R1", items=freed),
        c.ReshipmentReleased(case_id="B-1", reshipment="R1"),
    ]
    shop.ship(case="B-1")
    assert shop.stock.available["SCREW"] == 0


def test_who_waits_and_is_cancelled_leaves_the_list() -> None:
    """It gives nothing back, and no stock goes to it any more."""
    shop = several_orders("A")
    shop.do("report_stock", WAREHOUSE, sku="SCREW", quantity=0)
    shop.reship("SCREW", case="A-1")
    assert names(shop.do("cancel_reshipment", case="A-1", reshipment="R1")) == ["reshipment.cancelled", "stock.freed"]
    assert names(shop.do("report_stock", WAREHOUSE, sku="SCREW", quantity=2)) == ["stock.reported"]
    assert shop.stock.available["SCREW"] == 2
    assert names(shop.do("escalate", case="A-1", role="team_lead", reason="急")) == ["case.escalated"]


def test_freed_stock_goes_to_the_list_first() -> None:
    """Of one order too: a waiting reshipment comes before one that is triggered in the same moment."""
    shop = several_orders("A", "B")
    shop.do("report_stock", WAREHOUSE, sku="SCREW", quantity=1)
    shop.reship("SCREW", case="A-1")
    shop.reship("SCREW", case="A-1")
    shop.reship("SCREW", case="B-1")
    shop.do("cancel_reshipment", case="A-1", reshipment="R1")
    assert (shop.status("R2", "A-1"), shop.status(case="B-1")) == ("released", "backordered")


def test_several_items_fit_together_or_not_at_all() -> None:
    """A reshipment is one parcel: it waits until all of it is there; the same SKU twice counts twice."""
    shop = several_orders("A")
    shop.do("report_stock", WAREHOUSE, sku="SCREW", quantity=1)
    items = [item("SCREW"), item("BOLT"), item("SCREW")]
    shop.do("order_reshipment", AGENT, "A-1", items=items, trigger="now")
    assert shop.status(case="A-1") == "backordered"
    assert shop.stock.available["SCREW"] == 1
    shop.do("report_stock", WAREHOUSE, sku="SCREW", quantity=1)
    assert shop.status(case="A-1") == "released"
    assert (shop.stock.available["SCREW"], shop.stock.available["BOLT"]) == (0, 0)


def test_stock_reported_after_a_release() -> None:
    """What left uncounted gives nothing back when it is cancelled."""
    shop = several_orders("A")
    shop.reship("SCREW", case="A-1")
    shop.do("report_stock", WAREHOUSE, sku="SCREW", quantity=3)
    shop.do("cancel_reshipment", case="A-1", reshipment="R1")
    assert shop.stock.available["SCREW"] == 3
    assert shop.refused("report_stock", WAREHOUSE, sku="SCREW", quantity=-1) == "invalid"
