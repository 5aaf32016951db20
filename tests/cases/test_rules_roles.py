"""Who may do what: every role against every command (`domain.md` §3 Roles)."""

from typing import Any

import pytest

from services.cases.domain.domain import CASE_COMMANDS
from services.kernel.refusal import Refusal
from tests.cases.shop import DOMAIN, PHOTO, POLICY, Shop, order_body, shipping, units_of

LADDER = ("agent", "team_lead", "store_manager")
EVERY_ROLE = (*LADDER, "warehouse", "finance", "service")
#: What agents, and so everybody above them, may not.
LEADS_ONLY = {"forfeit_deposit"}
#: What is a store manager's alone.
MANAGERS_ONLY = {"erase_personal_data"}
NOBODY_IN_THE_LADDER = {"receive_return"}
#: §3, role by role.
BESIDES = {
    "warehouse": {"receive_return", "ship_reshipment", "confirm_delivery", "report_stock"},
    "finance": {"record_deposit", "record_buyer_payment", "pay_compensation"},
    "service": {
        "open_case",
        "submit_evidence",
        "ship_return",
        "confirm_delivery",
        "record_insurance_result",
        "report_stock",
        "record_buyer_payment",
        "record_deposit",
        "rate",
        "record_order",
    },
}

#: A valid body for every command.
BODIES: dict[str, dict[str, Any]] = {
    "record_order": order_body(carrier="STO"),
    "open_case": {"order_id": "TB1", "problem": "handover", "description": "赠品"},
    "report_stock": {"sku": "SKU-L1", "quantity": 1},
    "erase_personal_data": {"order_id": "TB1", "reason": "买家要求"},
    "reclassify": {"problem": "handover"},
    "assign_case": {"to": "小孙"},
    "submit_evidence": PHOTO,
    "review_evidence": {"evidence": "E1", "accepted": False},
    "assess_cause": {"cause": "goodwill"},
    "give_guidance": {},
    "contact_installer": {"action": "replace"},
    "trace_parcel": {"tracking_no": "Y1", "status": "在途"},
    "arrange_pickup": {"freight_fen": 0},
    "propose_compensation": {"kind": "cash", "amount_fen": 1},
    "approve": {"proposal": "P1"},
    "decline_approval": {"proposal": "P1"},
    "record_buyer_reply": {"proposal": "P1", "accepted": True},
    "pay_compensation": {"proposal": "P1", "payment_ref": "ALI"},
    "withdraw_proposal": {"proposal": "P1", "reason": "错了"},
    "charge_buyer": {"amount_fen": 1, "purpose": "配件"},
    "record_buyer_payment": {"payment_ref": "ALI"},
    "order_reshipment": {"items": [{"sku": "X", "quantity": 1, "unit_cost_fen": 1}], "trigger": "now"},
    "ship_reshipment": shipping(),
    "confirm_delivery": {"reshipment": "R1"},
    "cancel_reshipment": {"reshipment": "R1"},
    "request_deposit": {},
    "record_deposit": {"payment_ref": "ALI"},
    "forfeit_deposit": {"reason": "旧货不回"},
    "authorise_return": {"lines": units_of(1)},
    "ship_return": {"carrier": "ZTO", "tracking_no": "Z1", "freight_fen": 0},
    "receive_return": {"lines": [], "accepted": False},
    "cancel_return": {"reason": "不退了"},
    "record_insurance_result": {"result": "failed", "amount_fen": 0},
    "request_refund": {"lines": units_of(1)},
    "escalate": {"role": "team_lead", "reason": "难"},
    "report_issue": {"department": "qc", "summary": "坏"},
    "record_finding": {"finding": "是批次问题"},
    "close_case": {"resolution": "好了"},
    "reopen_case": {},
    "follow_up": {},
    "invite_review": {},
    "rate": {"score": 5},
}


def may(role: str, command: str) -> bool:
    if role in LADDER:
        allowed = command not in NOBODY_IN_THE_LADDER and (role != "agent" or command not in LEADS_ONLY)
        return allowed and (role == "store_manager" or command not in MANAGERS_ONLY)
    return command in BESIDES[role]


def test_every_command_is_here() -> None:
    """No command is without a row, a body, and a name in both languages."""
    of_no_case = {"record_order", "open_case", "report_stock", "erase_personal_data"}
    assert set(BODIES) == set(DOMAIN.commands) == {*CASE_COMMANDS, *of_no_case}
    assert set(BODIES) <= set(POLICY.texts.commands)


@pytest.mark.parametrize("role", EVERY_ROLE)
@pytest.mark.parametrize("command", BODIES)
def test_roles(command: str, role: str) -> None:
    """A role's command is decided by the rules, another's is `forbidden`."""
    shop = Shop()
    shop.open("missing_accessory", by="agent/小孙")
    shop.photo()
    shop.offer(100, by="agent/小孙")
    shop.reship("BATTERY")
    name = "小孙" if command in ("withdraw_proposal", "assign_case") else "小周"  # who proposed P1, who takes the case
    code = ""
    before = shop.state()
    try:
        shop.do(command, f"{role}/{name}", **BODIES[command])
    except Refusal as refusal:
        code = refusal.code
    assert not code or shop.state() == before
    assert (code != "forbidden") == may(role, command)


@pytest.mark.parametrize("by", ["agent/小李", "team_lead/老陈", "store_manager/老王"])
def test_what_only_a_lead_may_say(by: str) -> None:
    """Saying who bears freight, refunds without goods and giving cases away need a team_lead."""
    expected = "forbidden" if by.startswith("agent") else ""
    tries: dict[str, dict[str, Any]] = {
        "authorise_return": {"lines": units_of(1), "freight_borne_by": "buyer"},
        "request_refund": {"lines": units_of(1), "refund_only": True},
        "assign_case": {"to": "小钱"},
    }
    for command, body in tries.items():
        shop = Shop()
        shop.open("return_request")
        if expected:
            assert shop.refused(command, by, **body) == expected
        else:
            assert shop.do(command, by, **body)


def test_what_another_service_decides_is_no_command_here() -> None:
    """Payout and liability commands belong to the services that own them."""
    assert not {"confirm_payout", "retry_payout", "assign_liability", "record_recovery"} & set(DOMAIN.commands)
