"""Which refusal comes first when several apply (`domain.md` §3 Order of refusals)."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.cases.shop import AGENT, FINANCE, LEAD, OTHER_AGENT, SERVICE, WAREHOUSE, Shop, shipping, units_of
from tests.given import line

#: The order of §3; after `approval_required` come the other states, `invalid_transition` last.
ORDER = (
    "unknown_case",
    "unknown_item",
    "unknown_line",
    "invalid_transition on a closed case",
    "invalid",
    "party_name_required",
    "forbidden",
    "self_approval",
    "remedy_not_allowed",
    "evidence_required",
    "cause_required",
    "exceeds_quantity",
    "exceeds_paid",
    "authority_exceeded",
    "already_paid",
    "approval_required",
    "return_not_accepted",
    "return_not_received",
    "return_carrier_refused",
    "not_released",
    "invalid_transition",
)

Try = tuple[str, str, dict[str, Any]]
LOCKS = [{"sku": "SKU-L1", "quantity": 9, "unit_cost_fen": 900_000}]


def shop_with(problem: str, paid_fen: int) -> Shop:
    shop = Shop(line(quantity=2, paid_fen=paid_fen))
    shop.open(problem)
    return shop


def closed(shop: Shop) -> None:
    shop.close()


def judged(shop: Shop) -> None:
    shop.do("assess_cause", cause="goodwill", in_warranty=False)


def proven(shop: Shop) -> None:
    shop.photo()


def offered(shop: Shop) -> None:
    shop.offer(2_001)


def offered_little(shop: Shop) -> None:
    shop.offer(1_000)


def approved(shop: Shop) -> None:
    shop.do("approve", LEAD, proposal="P1")


def agreed_and_paid(shop: Shop) -> None:
    shop.pay("P1")


def reclassified(shop: Shop) -> None:
    shop.do("reclassify", problem="handover")


def reshipped(shop: Shop) -> None:
    shop.reship(trigger="on_receipt")


def paid(shop: Shop) -> None:
    shop.give(100)


def bad_return(shop: Shop) -> None:
    shop.back(accepted=False)


def dear(_: Shop) -> None:
    """The order cost so much that no amount exceeds it."""


#: first code, second code, problem, what happened before, what is tried; the second applies as well.
PAIRS: list[tuple[str, str, str, list[Callable[[Shop], None]], Try]] = [
    ("unknown_case", "unknown_item", "wrong_product", [], ("approve", AGENT, {"case": "TB1-9", "proposal": "P9"})),
    ("unknown_item", "invalid", "wrong_product", [], ("approve", AGENT, {"proposal": "P9", "surprise": 1})),
    ("unknown_item", "forbidden", "wrong_product", [], ("approve", FINANCE, {"proposal": "P9"})),
    ("unknown_item", "invalid_transition", "wrong_product", [closed], ("approve", AGENT, {"proposal": "P9"})),
    (
        "unknown_line",
        "invalid_transition",
        "wrong_product",
        [closed],
        ("authorise_return", AGENT, {"lines": units_of(1, "L9")}),
    ),
    ("unknown_line", "invalid", "wrong_product", [], ("authorise_return", AGENT, {"lines": units_of(-1, "L9")})),
    ("unknown_line", "forbidden", "wrong_product", [], ("authorise_return", WAREHOUSE, {"lines": units_of(1, "L9")})),
    ("invalid_transition", "invalid", "wrong_product", [closed], ("authorise_return", AGENT, {"lines": []})),
    (
        "invalid_transition",
        "forbidden",
        "wrong_product",
        [closed],
        ("authorise_return", WAREHOUSE, {"lines": units_of(1)}),
    ),
    (
        "invalid",
        "party_name_required",
        "wrong_product",
        [],
        ("assess_cause", AGENT, {"cause": "installer_failed", "x": 1}),
    ),
    ("invalid", "forbidden", "wrong_product", [], ("propose_compensation", FINANCE, {"kind": "cash", "amount_fen": 0})),
    ("party_name_required", "forbidden", "wrong_product", [], ("assess_cause", FINANCE, {"cause": "installer_failed"})),
    ("forbidden", "remedy_not_allowed", "excess_goods", [], ("give_guidance", FINANCE, {})),
    (
        "forbidden",
        "remedy_not_allowed",
        "excess_goods",
        [],
        ("request_refund", AGENT, {"lines": units_of(1), "refund_only": True}),
    ),
    (
        "forbidden",
        "evidence_required",
        "wrong_product",
        [],
        ("authorise_return", AGENT, {"lines": units_of(1), "freight_borne_by": "buyer"}),
    ),
    (
        "forbidden",
        "already_paid",
        "return_request",
        [paid],
        ("withdraw_proposal", OTHER_AGENT, {"proposal": "P1", "reason": "错"}),
    ),
    ("forbidden", "invalid_transition", "return_request", [], ("forfeit_deposit", AGENT, {"reason": "无"})),
    ("self_approval", "authority_exceeded", "return_request", [offered], ("approve", AGENT, {"proposal": "P1"})),
    ("self_approval", "invalid_transition", "return_request", [paid], ("approve", AGENT, {"proposal": "P1"})),
    (
        "authority_exceeded",
        "invalid_transition",
        "return_request",
        [offered, approved],
        ("approve", OTHER_AGENT, {"proposal": "P1"}),
    ),
    (
        "remedy_not_allowed",
        "evidence_required",
        "missing_accessory",
        [],
        ("authorise_return", AGENT, {"lines": units_of(1)}),
    ),
    (
        "remedy_not_allowed",
        "evidence_required",
        "accessory_failure",
        [judged],
        ("propose_compensation", AGENT, {"kind": "cash", "amount_fen": 1}),
    ),
    ("remedy_not_allowed", "exceeds_quantity", "handover", [], ("authorise_return", AGENT, {"lines": units_of(9)})),
    (
        "remedy_not_allowed",
        "exceeds_paid",
        "handover",
        [],
        ("propose_compensation", AGENT, {"kind": "cash", "amount_fen": 9_000_000}),
    ),
    (
        "remedy_not_allowed",
        "return_not_accepted",
        "return_request",
        [bad_return, reclassified],
        ("request_refund", AGENT, {"lines": units_of(1)}),
    ),
    (
        "evidence_required",
        "cause_required",
        "accessory_failure",
        [],
        ("propose_compensation", AGENT, {"kind": "cash", "amount_fen": 1}),
    ),
    (
        "evidence_required",
        "exceeds_quantity",
        "wrong_product",
        [],
        ("order_reshipment", AGENT, {"items": LOCKS, "trigger": "now"}),
    ),
    ("evidence_required", "exceeds_quantity", "wrong_product", [], ("authorise_return", AGENT, {"lines": units_of(9)})),
    (
        "evidence_required",
        "exceeds_quantity",
        "wrong_product",
        [],
        ("request_refund", LEAD, {"lines": units_of(9), "refund_only": True}),
    ),
    (
        "evidence_required",
        "authority_exceeded",
        "wrong_product",
        [dear],
        ("propose_compensation", AGENT, {"kind": "cash", "amount_fen": 99_999}),
    ),
    (
        "evidence_required",
        "authority_exceeded",
        "wrong_product",
        [],
        ("propose_compensation", AGENT, {"kind": "good_review_reward", "amount_fen": 1_001}),
    ),
    (
        "cause_required",
        "exceeds_quantity",
        "accessory_failure",
        [proven],
        ("order_reshipment", AGENT, {"items": LOCKS, "trigger": "now"}),
    ),
    (
        "cause_required",
        "exceeds_paid",
        "accessory_failure",
        [proven],
        ("propose_compensation", AGENT, {"kind": "cash", "amount_fen": 9_000_000}),
    ),
    (
        "exceeds_quantity",
        "exceeds_paid",
        "exchange_request",
        [],
        ("order_reshipment", AGENT, {"items": LOCKS, "trigger": "now"}),
    ),
    (
        "exceeds_quantity",
        "return_not_received",
        "return_request",
        [],
        ("request_refund", AGENT, {"lines": units_of(3)}),
    ),
    (
        "exceeds_quantity",
        "return_not_accepted",
        "return_request",
        [bad_return],
        ("authorise_return", AGENT, {"lines": units_of(3)}),
    ),
    (
        "exceeds_quantity",
        "return_not_accepted",
        "return_request",
        [bad_return],
        ("request_refund", AGENT, {"lines": units_of(3)}),
    ),
    (
        "exceeds_paid",
        "authority_exceeded",
        "return_request",
        [],
        ("propose_compensation", AGENT, {"kind": "cash", "amount_fen": 300_000}),
    ),
    (
        "exceeds_paid",
        "return_not_received",
        "return_request",
        [offered_little],
        ("request_refund", AGENT, {"lines": units_of(2)}),
    ),
    (
        "already_paid",
        "approval_required",
        "return_request",
        [offered, approved, agreed_and_paid],
        ("pay_compensation", FINANCE, {"proposal": "P1", "payment_ref": "A"}),
    ),
    (
        "approval_required",
        "invalid_transition",
        "return_request",
        [offered],
        ("pay_compensation", AGENT, {"proposal": "P1", "payment_ref": "A"}),
    ),
    (
        "return_not_accepted",
        "return_not_received",
        "return_request",
        [bad_return],
        ("request_refund", AGENT, {"lines": units_of(1)}),
    ),
    (
        "return_carrier_refused",
        "invalid_transition",
        "return_request",
        [],
        ("ship_return", SERVICE, {"carrier": "SF", "tracking_no": "1", "freight_fen": 0}),
    ),
    ("not_released", "invalid_transition", "exchange_request", [reshipped], ("ship_reshipment", WAREHOUSE, shipping())),
]


@pytest.mark.parametrize(("first", "second", "problem", "before", "tried"), PAIRS)
def test_the_first_of_two(
    first: str, second: str, problem: str, before: list[Callable[[Shop], None]], tried: Try
) -> None:
    """The earlier one of the list is told, though the later one applies as well."""
    shop = shop_with(problem, 10_000_000 if dear in before else 259_800)
    for happened in before:
        happened(shop)
    command, by, body = tried
    assert shop.refused(command, by, **body) == first
    place = {code: index for index, code in enumerate(ORDER)}
    closed_case = first == "invalid_transition"
    assert place["invalid_transition on a closed case" if closed_case else first] < place[second]


def test_opening_knows_its_order_first() -> None:
    """An unknown order comes before everything that is wrong with the case."""
    shop = Shop()
    assert shop.refused("open_case", FINANCE, order_id="TB9", problem="x", surprise=1) == "unknown_order"
    body: dict[str, Any] = {"order_id": "TB1", "problem": "x", "lines": units_of(1, "L9")}
    assert shop.refused("open_case", FINANCE, **body) == "unknown_line"


@pytest.mark.parametrize("body", [[], "text", None, 7])
def test_a_body_that_is_no_object(body: Any) -> None:
    """Garbage is refused, never an error of the program."""
    shop = Shop()
    shop.open()
    for command in ("authorise_return", "approve", "order_reshipment"):
        for field in ("lines", "items", "proposal", "return_id"):
            assert shop.refused(command, **{field: body}) in ("invalid", "unknown_item")
