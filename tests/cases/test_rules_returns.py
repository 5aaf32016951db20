"""Goods that come back (`domain.md` §3 Returns, Who bears return freight)."""

from typing import Any

import pytest

from contracts.events import cases as c
from tests.cases.shop import AGENT, LEAD, ONE, SERVICE, WAREHOUSE, Shop, names, units_of
from tests.given import line


def open_shop(units: int = 2, quantity: int = 2, problem: str = "return_request", **body: Any) -> Shop:
    shop = Shop(line(quantity=quantity))
    shop.open(problem, lines=units_of(units), **body)
    return shop


def authorised(units: int = 1, return_id: str = "RT1", borne_by: str = "merchant") -> c.ReturnAuthorised:
    return c.ReturnAuthorised(
        case_id=ONE,
        return_id=return_id,
        lines=(c.LineQuantity(line_id="L1", quantity=units),),
        freight_borne_by=borne_by,
    )


def test_a_return_from_end_to_end() -> None:
    """Authorised, shipped, received: each step says all that others need to know."""
    shop = open_shop()
    assert shop.authorise(2) == [authorised(2)]
    assert shop.send_back(freight_fen=1_500) == [
        c.ReturnShipped(case_id=ONE, return_id="RT1", carrier="ZTO", tracking_no="Z1", freight_fen=1_500)
    ]
    lines = [
        {"line_id": "L1", "quantity": 1, "resalable": True},
        {"line_id": "L1", "quantity": 1, "resalable": False},
    ]
    assert shop.do("receive_return", WAREHOUSE, lines=lines, accepted=True) == [
        c.ReturnReceived(
            case_id=ONE,
            return_id="RT1",
            accepted=True,
            lines=(
                c.ReceivedLine(line_id="L1", quantity=1, resalable=True, unit_cost_fen=60_000),
                c.ReceivedLine(line_id="L1", quantity=1, resalable=False, unit_cost_fen=60_000),
            ),
            freight_fen=1_500,
            freight_borne_by="merchant",
        )
    ]
    assert shop.case().accepted_units("L1") == 2


@pytest.mark.parametrize(
    ("reason", "cause", "borne_by"),
    [
        (None, None, "merchant"),
        ("quality", None, "merchant"),
        ("no_reason_7_days", None, "buyer"),
        ("no_reason_7_days", "page_mismatch", "merchant"),
        ("no_reason_7_days", "goodwill", "merchant"),
        ("quality", "buyer_changed_mind", "buyer"),
        ("quality", "human_caused", "buyer"),
    ],
)
def test_who_bears_freight(reason: str | None, cause: str | None, borne_by: str) -> None:
    """By the assessed cause; before there is one, by the reason. Decided when the return is authorised."""
    shop = open_shop(reason=reason)
    if cause:
        shop.do("assess_cause", cause=cause)
    assert shop.authorise() == [authorised(borne_by=borne_by)]
    shop.do("assess_cause", cause="human_caused" if borne_by == "merchant" else "packing_error")
    shop.send_back()
    (received,) = shop.receive()
    assert isinstance(received, c.ReturnReceived)
    assert received.freight_borne_by == borne_by


@pytest.mark.parametrize("borne_by", ["buyer", "merchant"])
def test_a_lead_may_say_who_bears_freight(borne_by: str) -> None:
    """Whatever the cause says; an agent may not say it at all."""
    shop = open_shop(reason="quality" if borne_by == "buyer" else "no_reason_7_days")
    body: dict[str, Any] = {"lines": units_of(1), "freight_borne_by": borne_by}
    assert shop.refused("authorise_return", AGENT, **body) == "forbidden"
    assert shop.do("authorise_return", LEAD, **body) == [authorised(borne_by=borne_by)]


@pytest.mark.parametrize(
    ("carrier", "freight_collect", "refused"),
    [("SF", False, True), ("sf", False, True), ("ZTO", True, True), ("SF", True, True), ("YTO", False, False)],
)
def test_carriers(carrier: str, freight_collect: bool, refused: bool) -> None:
    """Freight-collect parcels and SF are refused, also before there is a return."""
    shop = open_shop()
    body: dict[str, Any] = {
        "carrier": carrier,
        "tracking_no": "1",
        "freight_fen": 0,
        "freight_collect": freight_collect,
    }
    assert shop.refused("ship_return", **body) == ("return_carrier_refused" if refused else "invalid_transition")
    shop.authorise()
    if refused:
        assert shop.refused("ship_return", **body) == "return_carrier_refused"
    else:
        shop.do("ship_return", SERVICE, **body)
        assert shop.refused("ship_return", **body) == "invalid_transition"


def test_no_more_than_the_cases_units() -> None:
    """Accepted back plus under way, whether authorised at once or in parts; cancelled ones make room."""
    shop = open_shop(units=2, quantity=3)
    assert shop.refused("authorise_return", lines=units_of(3)) == "exceeds_quantity"
    shop.authorise(1)
    assert shop.refused("authorise_return", lines=units_of(2)) == "exceeds_quantity"
    shop.send_back()
    shop.receive()
    shop.authorise(1)
    assert shop.refused("authorise_return", lines=units_of(1)) == "exceeds_quantity"
    shop.do("cancel_return", reason="不退了")
    shop.authorise(1)


def test_never_more_than_the_buyer_has() -> None:
    """Over all cases: units bought plus replacements sent, less what came back or is under way."""
    shop = Shop(line(quantity=2))
    for _ in range(2):
        shop.open("exchange_request", lines=units_of(2))
    shop.authorise(1)
    assert shop.refused("authorise_return", case="TB1-2", lines=units_of(2)) == "exceeds_quantity"
    shop.send_back()
    shop.receive()
    assert shop.refused("authorise_return", case="TB1-2", lines=units_of(2)) == "exceeds_quantity"
    shop.reship()
    assert shop.refused("authorise_return", case="TB1-2", lines=units_of(2)) == "exceeds_quantity"
    shop.ship()
    shop.authorise(2, case="TB1-2")


def test_replacements_shipped_may_come_back() -> None:
    """In the case that shipped them, once they are shipped."""
    shop = open_shop(units=1, quantity=1, problem="exchange_request")
    shop.back()
    shop.reship()
    assert shop.refused("authorise_return", lines=units_of(1)) == "exceeds_quantity"
    shop.ship()
    shop.authorise(1)


@pytest.mark.parametrize("lines", [units_of(1) * 2, units_of(1, "S1"), [], units_of(0)])
def test_what_cannot_be_authorised(lines: list[dict[str, Any]]) -> None:
    """A line twice, a service, nothing at all: invalid, before the role."""
    shop = Shop(line(quantity=2), line("S1", kind="service"))
    shop.open("return_request")
    for by in (AGENT, WAREHOUSE):
        assert shop.refused("authorise_return", by, lines=lines) == "invalid"


def test_other_lines_are_unknown() -> None:
    """A line that is the order's but not the case's is unknown to the case."""
    shop = Shop(line(), line("L2"))
    shop.open("return_request", lines=units_of(1))
    for command in ("authorise_return", "request_refund"):
        assert shop.refused(command, lines=units_of(1, "L2")) == "unknown_line"
    received = [{"line_id": "L2", "quantity": 1, "resalable": True}]
    assert shop.refused("receive_return", WAREHOUSE, lines=received, accepted=True) == "unknown_line"


def test_what_is_short_is_not_accepted() -> None:
    """`accepted: true` needs every unit; more than was authorised is too many."""
    shop = open_shop()
    shop.authorise(2)
    shop.send_back()

    def received(quantity: int) -> dict[str, Any]:
        return {"lines": [{"line_id": "L1", "quantity": quantity, "resalable": True}], "accepted": True}

    assert shop.refused("receive_return", WAREHOUSE, **received(1)) == "invalid"
    assert shop.refused("receive_return", WAREHOUSE, lines=[], accepted=True) == "invalid"
    assert shop.refused("receive_return", WAREHOUSE, **received(3)) == "exceeds_quantity"
    assert names(shop.receive(1, accepted=False)) == ["return.received"]
    assert shop.case().accepted_units("L1") == 0


def test_an_unaccepted_return_needs_a_lead() -> None:
    """It refunds nothing, and only a lead authorises another one, or a refund without goods."""
    shop = open_shop(units=1, quantity=1)
    shop.back(accepted=False)
    assert shop.refused("request_refund", lines=units_of(1)) == "return_not_accepted"
    assert shop.refused("authorise_return", lines=units_of(1)) == "return_not_accepted"
    assert shop.authorise(by=LEAD) == [authorised(return_id="RT2")]
    assert shop.refused("request_refund", lines=units_of(1)) == "return_not_received"
    shop.send_back()
    shop.receive()
    shop.refund()


def test_a_cancelled_second_return_leaves_the_first_refusal() -> None:
    """Cancelling the lead's return brings back what the last one that stands says."""
    shop = open_shop(units=1, quantity=1)
    shop.back(accepted=False)
    shop.authorise(by=LEAD)
    shop.do("cancel_return", reason="不寄了")
    assert shop.refused("authorise_return", lines=units_of(1)) == "return_not_accepted"


def test_the_last_return_refuses_what_an_earlier_one_allowed() -> None:
    """With several returns the last one decides refusals too."""
    shop = open_shop()
    shop.back()
    shop.back(accepted=False)
    assert shop.refused("request_refund", lines=units_of(1)) == "return_not_accepted"


def test_states_of_a_return() -> None:
    """Each step once, in order."""
    shop = open_shop()
    received: dict[str, Any] = {"lines": [{"line_id": "L1", "quantity": 1, "resalable": True}], "accepted": True}
    assert shop.refused("receive_return", WAREHOUSE, **received) == "invalid_transition"
    assert shop.refused("cancel_return", reason="无") == "invalid_transition"
    shop.authorise()
    assert shop.refused("receive_return", WAREHOUSE, **received) == "invalid_transition"
    shop.send_back()
    shop.receive()
    assert shop.refused("receive_return", WAREHOUSE, **received) == "invalid_transition"
    assert shop.refused("cancel_return", reason="晚了") == "invalid_transition"
    shop.authorise()
    shop.send_back()
    assert shop.do("cancel_return", reason="丢件") == [c.ReturnCancelled(case_id=ONE, return_id="RT2", reason="丢件")]
    assert shop.refused("ship_return", carrier="ZTO", tracking_no="1", freight_fen=0) == "invalid_transition"


def test_several_returns_under_way() -> None:
    """The one that is named, else the one that fits what came, else the oldest; cancelled is the newest."""
    shop = open_shop(units=6, quantity=6)
    for units in (1, 2, 3):
        shop.authorise(units)
    assert shop.refused("ship_return", carrier="ZTO", tracking_no="1", freight_fen=0, return_id="RT9") == "unknown_item"
    shop.send_back(return_id="RT3")
    shop.send_back()
    shop.send_back()
    (received,) = shop.receive(2)
    assert isinstance(received, c.ReturnReceived)
    assert received.return_id == "RT2"
    assert shop.do("cancel_return", reason="不退了") == [
        c.ReturnCancelled(case_id=ONE, return_id="RT3", reason="不退了")
    ]
    assert shop.refused("receive_return", WAREHOUSE, lines=[], accepted=False, return_id="RT3") == "invalid_transition"
    shop.receive(1, return_id="RT1")
