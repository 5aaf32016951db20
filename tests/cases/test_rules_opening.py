"""Orders come in, cases are opened, sorted and given to somebody (`domain.md` §2, §3, §6)."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from contracts.events import cases as c
from contracts.events.orders import Line, Order, OrderRecorded
from tests.cases.shop import (
    AGENT,
    FINANCE,
    LEAD,
    MANAGER,
    ONE,
    OTHER_AGENT,
    POLICY,
    SERVICE,
    WAREHOUSE,
    Shop,
    order_body,
)
from tests.given import line

OPENING: dict[str, Any] = {"order_id": "TB1", "problem": "wrong_product", "description": "坏了"}


def snapshot(*lines: Line, **order: Any) -> OrderRecorded:
    return OrderRecorded(order=msgspec.convert(order_body(*lines, **order), Order))


def test_an_order_is_recorded_once() -> None:
    """The same snapshot again is no news."""
    shop = Shop()
    assert shop.record_order() == []
    at_once = order_body()["ordered_at"]
    assert shop.record_order(delivered_at=at_once) == [snapshot(delivered_at=at_once)]
    assert shop.record_order(carrier="ZTO") == [snapshot(carrier="ZTO")]


@pytest.mark.parametrize(
    "order",
    [
        {"ordered_at": "2999-01-01T00:00:00+08:00"},
        {"delivered_at": "2999-01-01T00:00:00+08:00"},
        {"delivered_at": "2001-01-01T00:00:00+08:00"},
        {"ordered_at": "2026-10-01T09:00:00"},
        {"lines": []},
        {"lines": msgspec.to_builtins([line(), line()])},
        {"lines": [{**msgspec.to_builtins(line()), "paid_fen": 0.5}]},
    ],
)
def test_a_snapshot_that_cannot_be_is_invalid(order: dict[str, Any]) -> None:
    """Nonsense never becomes a fact, and comes before the role."""
    shop = Shop()
    assert shop.refused("record_order", WAREHOUSE, **order_body(**order)) == "invalid"


def test_lines_stay_once_a_case_relies_on_them() -> None:
    """What was bought and paid cannot change under a case; the rest of the order, and new lines, can."""
    shop = Shop()
    shop.record_order(line(paid_fen=5_000))
    assert shop.order.accounts["L1"].paid_fen == 5_000
    shop.open()
    assert shop.refused("record_order", SERVICE, **order_body(line(paid_fen=6_000))) == "invalid"
    assert shop.refused("record_order", SERVICE, **order_body(line("L2"))) == "invalid"
    longer = (line(paid_fen=5_000), line("L2"))
    assert shop.record_order(*longer, carrier="ZTO") == [snapshot(*longer, carrier="ZTO")]
    assert shop.case().lines == {"L1": 1}


def test_upstream_snapshots_are_followed() -> None:
    """An `order.recorded` of an upstream system is recorded here too, but for lines that cases rely on."""
    shop = Shop()
    assert shop.hear(snapshot(carrier="ZTO")) == [snapshot(carrier="ZTO")]
    assert shop.hear(snapshot(carrier="ZTO")) == []
    shop.open()
    assert shop.hear(snapshot(line(paid_fen=1), line("L2"), carrier="STO")) == [
        snapshot(line(), line("L2"), carrier="STO")
    ]


def test_opening_promises_an_answer_and_a_solution() -> None:
    """2 h and 72 h, from the time of opening."""
    shop = Shop(line(quantity=3))
    events = shop.do(
        "open_case", SERVICE, **OPENING, lines=[{"line_id": "L1", "quantity": 2}], urgent=True, channel_refund_id="CR1"
    )
    assert events == [
        c.CaseOpened(
            case_id="TB1-1",
            order_id="TB1",
            problem="wrong_product",
            lines=(c.LineQuantity(line_id="L1", quantity=2),),
            description="坏了",
            urgent=True,
            channel_refund_id="CR1",
        ),
        c.PromiseMade(
            case_id="TB1-1",
            first_answer_due_at=shop.now + timedelta(hours=2),
            solution_due_at=shop.now + timedelta(hours=72),
        ),
    ]


def test_no_lines_means_all_lines() -> None:
    """A case that names no lines is about every unit of the order."""
    shop = Shop(line(quantity=3), line("S1", kind="service"))
    shop.open()
    assert shop.case().lines == {"L1": 3, "S1": 1}


def test_several_cases_of_an_order_are_numbered() -> None:
    """A case's id says its order and its place."""
    shop = Shop()
    assert [shop.open(), shop.open(), shop.open()] == ["TB1-1", "TB1-2", "TB1-3"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"order_id": "TB9"}, "unknown_order"),
        ({"lines": [{"line_id": "L9", "quantity": 1}]}, "unknown_line"),
        ({"problem": "no_such"}, "invalid"),
        ({"problem": "return_request", "reason": "no_such"}, "invalid"),
        ({"lines": [{"line_id": "L1", "quantity": 1}] * 2}, "invalid"),
        ({"lines": [{"line_id": "L1", "quantity": 0}]}, "invalid"),
        ({"lines": []}, "invalid"),
        ({"description": "  "}, "invalid"),
        ({"surprise": 1}, "invalid"),
    ],
)
def test_what_cannot_be_opened(change: dict[str, Any], code: str) -> None:
    """Unknown and invalid come before `forbidden`, whoever opens."""
    shop = Shop(line(quantity=2))
    for by in (AGENT, FINANCE):
        assert shop.refused("open_case", by, **{**OPENING, **change}) == code


def test_a_case_is_about_no_more_than_was_bought() -> None:
    """One unit more than bought is refused, after the role."""
    shop = Shop(line(quantity=2))
    lines = [{"line_id": "L1", "quantity": 3}]
    assert shop.refused("open_case", AGENT, **OPENING, lines=lines) == "exceeds_quantity"
    assert shop.refused("open_case", FINANCE, **OPENING, lines=lines) == "forbidden"
    shop.open(lines=[{"line_id": "L1", "quantity": 2}])


@pytest.mark.parametrize("reason", POLICY.return_reasons)
def test_return_reasons(reason: str) -> None:
    """Each reason of §2 is taken."""
    shop = Shop()
    shop.open("return_request", reason=reason)
    assert shop.case().reason == reason


def test_reclassify_keeps_history() -> None:
    """The problem changes, what happened stays, and the new problem's remedies count from now on."""
    shop = Shop()
    shop.open("home_delivery")
    shop.give(100)
    assert shop.refused("authorise_return", lines=[{"line_id": "L1", "quantity": 1}]) == "remedy_not_allowed"
    assert shop.do("reclassify", problem="return_request", reason="quality") == [
        c.CaseReclassified(case_id=ONE, problem="return_request", previous="home_delivery", reason="quality")
    ]
    shop.authorise()
    assert shop.case().proposals["P1"].paid
    assert shop.refused("reclassify", problem="no_such") == "invalid"
    assert shop.refused("reclassify", FINANCE, problem="no_such") == "invalid"


def test_assign() -> None:
    """An agent may take a case that nobody has; only a lead gives one to another."""
    shop = Shop()
    shop.open()
    assert shop.refused("assign_case", AGENT, to="小赵") == "forbidden"
    assert shop.do("assign_case", AGENT, to="小李") == [c.CaseAssigned(case_id=ONE, to="小李")]
    assert shop.refused("assign_case", AGENT, to="agent/小李") == "invalid_transition"
    assert shop.refused("assign_case", OTHER_AGENT, to="小赵") == "forbidden"
    assert shop.do("assign_case", LEAD, to="agent/小赵") == [c.CaseAssigned(case_id=ONE, to="小赵")]
    assert shop.refused("assign_case", LEAD, to="小赵") == "invalid_transition"
    assert shop.refused("assign_case", LEAD, to="agent/") == "invalid"
    assert shop.refused("assign_case", FINANCE, to="agent/") == "invalid"


def test_a_note_is_kept_by_the_first_event() -> None:
    """A free remark is never lost."""
    shop = Shop()
    shop.open()
    assert shop.do("escalate", role="team_lead", reason="急", note="买家很急") == [
        c.CaseEscalated(case_id=ONE, role="team_lead", reason="急", note="买家很急")
    ]


def test_erasure_is_decided_once() -> None:
    """Personal data are erased of an order that is known, and again only after something happened."""
    shop = Shop()
    erased = c.PersonalDataErased(order_id="TB1", reason="买家要求")
    assert shop.do("erase_personal_data", MANAGER, order_id="TB1", reason="买家要求") == [erased]
    assert shop.do("erase_personal_data", MANAGER, order_id="TB1", reason="再来") == []
    shop.open("handover")
    assert shop.do("erase_personal_data", MANAGER, order_id="TB1", reason="买家要求") == [erased]
