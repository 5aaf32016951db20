"""The table of problems: which remedies each allows, and where evidence comes first (`domain.md` §2)."""

from typing import Any

import pytest

from services.kernel.refusal import Refusal
from tests.cases.shop import AGENT, LEAD, ONE, POLICY, Shop, units_of
from tests.given import line

#: What a command tries that needs each remedy: the command, who gives it, its body.
PROBES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "guide": ("give_guidance", AGENT, {"topic": "日常保养"}),
    "compensate": ("propose_compensation", AGENT, {"kind": "cash", "amount_fen": 100}),
    "contact_installer": ("contact_installer", AGENT, {"action": "urge"}),
    "trace_parcel": ("trace_parcel", AGENT, {"tracking_no": "Y1", "status": "派送中"}),
    "arrange_pickup": ("arrange_pickup", AGENT, {"freight_fen": 900}),
    "report": ("report_issue", AGENT, {"department": "qc", "summary": "有问题"}),
    "reship": (
        "order_reshipment",
        AGENT,
        {"items": [{"sku": "SCREW", "quantity": 1, "unit_cost_fen": 100}], "trigger": "now"},
    ),
    "return": ("authorise_return", AGENT, {"lines": units_of(1)}),
    "refund": ("request_refund", LEAD, {"lines": units_of(1), "refund_only": True}),
    "refund_service": ("request_refund", AGENT, {"lines": units_of(1, "S1")}),
    "sell": ("charge_buyer", AGENT, {"amount_fen": 100, "purpose": "配件"}),
}

REFUND = "refund refund_service"
EXCHANGE = "reship return"

#: §2, row by row: E or not, and what the remedies of the row let through.
TABLE: dict[str, tuple[bool, str]] = {
    "installation_help": (False, "guide compensate"),
    "installer_no_show": (False, "contact_installer refund_service compensate"),
    "no_installer": (False, "refund_service"),
    "installer_price_dispute": (False, "compensate"),
    "home_delivery": (False, "trace_parcel compensate"),
    "missing_product": (False, f"trace_parcel reship {REFUND}"),
    "missing_accessory": (True, "reship compensate"),
    "excess_goods": (False, "arrange_pickup"),
    "wrong_product": (True, f"reship return {REFUND} compensate"),
    "wrong_accessory": (True, "reship compensate"),
    "damaged_on_arrival": (True, f"compensate {EXCHANGE} {REFUND}"),
    "scratch_on_arrival": (True, f"compensate {EXCHANGE} {REFUND}"),
    "scratch_after_use": (True, "guide compensate sell return"),
    "accessory_failure": (True, "guide compensate reship sell"),
    "size_deviation": (False, "compensate report return"),
    "function_preference": (False, "guide compensate return"),
    "function_defect": (True, f"report compensate {EXCHANGE}"),
    "service_attitude": (False, "compensate report"),
    "logistics_delay": (False, f"trace_parcel compensate {REFUND}"),
    "parcel_confiscated": (False, f"trace_parcel reship {REFUND} compensate"),
    "bad_review_threat": (False, "compensate"),
    "exchange_request": (False, "return reship compensate"),
    "return_request": (False, f"return {REFUND} compensate"),
    "handover": (False, "reship report"),
}
#: What needs accepted evidence where the problem is marked E.
PROVEN = {"compensate", "reship", "return", "refund"}
#: Where the cause decides who pays, it must be known.
JUDGED = ("accessory_failure", "scratch_after_use")


def tried(shop: Shop, remedy: str) -> str:
    """The code with which a remedy is refused, empty where it is allowed."""
    command, by, body = PROBES[remedy]
    try:
        shop.do(command, by, **body)
    except Refusal as refusal:
        return refusal.code
    return ""


def shop_with(problem: str) -> Shop:
    shop = Shop(line(quantity=2), line("S1", kind="service", unit_cost_fen=0))
    shop.open(problem)
    return shop


def test_the_table_is_the_policy() -> None:
    """Every problem of §2 is known, no other, each in its group and with its mark E."""
    assert set(POLICY.problems) == set(TABLE)
    assert {name for name, (evidence, _) in TABLE.items() if evidence} == {
        name for name, problem in POLICY.problems.items() if problem.evidence
    }
    for problem in POLICY.problems.values():
        assert problem.steps
        assert problem.questions
        assert problem.phrases


@pytest.mark.parametrize("remedy", PROBES)
@pytest.mark.parametrize("problem", TABLE)
def test_remedies(problem: str, remedy: str) -> None:
    """Each problem allows its remedies, with evidence where it is marked E, and refuses all others."""
    marked, allowed = TABLE[problem]
    shop = shop_with(problem)
    if remedy not in allowed.split():
        assert tried(shop, remedy) == "remedy_not_allowed"
        return
    if marked and remedy in PROVEN:
        assert tried(shop, remedy) == "evidence_required"
        shop.photo()
    if problem in JUDGED and remedy != "guide":
        assert tried(shop, remedy) == "cause_required"
        sold = remedy in ("sell", "return")
        shop.do("assess_cause", cause="accessory_failed_in_use", in_warranty=not sold, human_caused=False)
    assert tried(shop, remedy) == ""


@pytest.mark.parametrize("problem", TABLE)
def test_good_review_rewards_suit_any_problem(problem: str) -> None:
    """Only the evidence is asked for, never the remedy nor the cause."""
    marked, _ = TABLE[problem]
    shop = shop_with(problem)
    if marked:
        body: dict[str, Any] = {"kind": "good_review_reward", "amount_fen": 1000}
        assert shop.refused("propose_compensation", **body) == "evidence_required"
        shop.photo()
    assert shop.offer(1000, "good_review_reward") == "P1"


@pytest.mark.parametrize(("problem", "allowed"), [(name, row[1].split()) for name, row in TABLE.items()])
def test_deposits_where_goods_are_exchanged(problem: str, allowed: list[str]) -> None:
    """A deposit suits where reship or return is allowed."""
    shop = shop_with(problem)
    if {"reship", "return"} & set(allowed) and problem != "scratch_after_use":
        shop.do("request_deposit")
    else:
        assert shop.refused("request_deposit") == "remedy_not_allowed"


@pytest.mark.parametrize("problem", ["installer_no_show", "no_installer"])
def test_the_installation_line_only(problem: str) -> None:
    """These two refund the service line, never goods; and it has nothing to return."""
    shop = shop_with(problem)
    assert shop.refused("request_refund", LEAD, lines=units_of(1), refund_only=True) == "remedy_not_allowed"
    assert shop.refused("request_refund", lines=units_of(1) + units_of(1, "S1")) == "remedy_not_allowed"
    shop.refund(1, "S1")


def test_a_refusal_names_what_is_allowed() -> None:
    """Whoever is refused a remedy learns which ones there are."""
    shop = shop_with("excess_goods")
    refusal = shop.refusal("give_guidance", case=ONE)
    assert (refusal.code, refusal.params["allowed"]) == ("remedy_not_allowed", ("arrange_pickup",))
