"""Who is charged what, and what people decide about it (`domain.md` §5)."""

from typing import Any

import pytest

from contracts.events import cases as c
from contracts.events import liability as li
from services.kernel.refusal import Refusal
from services.liability.domain import LiabilityFile
from tests.given import Story, compensated, opened
from tests.liability.facts import LEAD, assessed, charged, reversed_, shares, story


def assign(told: Story[LiabilityFile], **basis_points: int) -> list[Any]:
    return told.do("assign_liability", "TB1-1", LEAD, shares=shares(**basis_points), reason="改判")


def recover(told: Story[LiabilityFile], amount_fen: int, payment_ref: str = "CLAIM-1") -> list[Any]:
    return told.do("record_recovery", "TB1-1", party="courier/YTO", amount_fen=amount_fen, payment_ref=payment_ref)


def test_cause_charges_what_was_in_suspense() -> None:
    """The loss stands in suspense until the cause is known; then the service charges it by itself."""
    told = story().given(compensated(2_000))
    assert told.file.cases["TB1-1"].suspense_fen == 2_000
    assert told.hear(assessed("courier/YTO", "transit_damage")) == [
        li.LiabilityDetermined(
            case_id="TB1-1", cause="transit_damage", shares=(li.Share(party="courier/YTO", share_bp=10_000),)
        ),
        charged("courier/YTO", 2_000),
    ]
    assert told.file.cases["TB1-1"].suspense_fen == 0


def test_new_entry_posts_the_difference() -> None:
    """An entry after the cause charges just what it adds."""
    told = story().given(assessed("production"), compensated(2_000))
    assert told.hear(compensated(500, proposal="P2"))[1:] == [charged("production", 500)]


def test_new_cause_moves_the_charge() -> None:
    """Assessing anew reverses the one party, then charges the other; nothing is edited."""
    told = story().given(compensated(2_000), assessed("production"))
    assert told.hear(assessed("warehouse"))[1:] == [reversed_("production", 2_000), charged("warehouse", 2_000)]
    assert told.file.cases["TB1-1"].charged == {"production": 0, "warehouse": 2_000}


def test_nobody_bears_goodwill() -> None:
    """`none` is charged like any party, so that suspense is empty."""
    told = story().given(compensated(2_000))
    assert told.hear(assessed("none", "goodwill"))[1:] == [charged("none", 2_000)]


def test_split_and_reassign() -> None:
    """The split of scenario 07: a later entry changes each party's charge by the difference only, to the fen."""
    told = story().given(compensated(1_001, "voucher"), assessed("order_printer/小张", "order_review_late"))
    events = assign(told, courier__YTO=3_334, warehouse=3_333, order_printer__小张=3_333)
    assert events == [
        li.LiabilityAssigned(
            case_id="TB1-1",
            shares=(
                li.Share(party="courier/YTO", share_bp=3_334),
                li.Share(party="warehouse", share_bp=3_333),
                li.Share(party="order_printer/小张", share_bp=3_333),
            ),
            reason="改判",
        ),
        reversed_("order_printer/小张", 668),
        charged("courier/YTO", 334),
        charged("warehouse", 334),
    ]
    assert told.hear(compensated(500, proposal="P2"))[1:] == [
        charged("order_printer/小张", 167),
        charged("courier/YTO", 167),
        charged("warehouse", 166),
    ]
    assert told.file.cases["TB1-1"].charged == {"order_printer/小张": 500, "courier/YTO": 501, "warehouse": 500}


def test_assignment_overrides_causes() -> None:
    """Shares that were assigned stay in force when a cause is assessed afterwards."""
    told = story().given(compensated(1_000))
    assign(told, warehouse=10_000)
    (determined,) = told.hear(assessed("production"))
    assert isinstance(determined, li.LiabilityDetermined)
    assert told.file.cases["TB1-1"].charged == {"warehouse": 1_000}


def test_same_shares_are_a_decision() -> None:
    """Assigning what is in force already is recorded and charges nothing."""
    told = story().given(compensated(1_000), assessed("warehouse"))
    (assigned,) = assign(told, warehouse=10_000)
    assert isinstance(assigned, li.LiabilityAssigned)


def test_ties_go_by_order_of_shares() -> None:
    """The odd fen goes to the party that was named first."""
    told = story().given(compensated(1))
    assert assign(told, production=5_000, warehouse=5_000)[1:] == [charged("production", 1)]
    assert assign(told, warehouse=5_000, production=5_000)[1:] == [
        reversed_("production", 1),
        charged("warehouse", 1),
    ]


def test_smallest_share() -> None:
    """A share may be as small as one basis point."""
    told = story().given(compensated(10_000))
    assert assign(told, warehouse=9_999, production=1)[1:] == [charged("warehouse", 9_999), charged("production", 1)]


def test_net_below_zero() -> None:
    """A party may bear less than nothing for a while: it is reversed beyond what it was charged."""
    told = story().given(assessed("none"), compensated(1_000))
    events = told.hear(c.BuyerPaid(case_id="TB1-1", charge="B1", amount_fen=1_500, payment_ref="ALI"))
    assert events[1:] == [reversed_("none", 1_500)]
    assert told.file.cases["TB1-1"].charged == {"none": -500}
    assert told.hear(compensated(500, proposal="P2"))[1:] == [charged("none", 500)]


def test_cases_are_kept_apart() -> None:
    """A cause concerns its own case only."""
    told = story().given(opened("TB1-2"), compensated(1_000), compensated(2_000, case_id="TB1-2"))
    told.hear(assessed("production"))
    assert told.file.cases["TB1-2"].suspense_fen == 2_000


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"shares": shares(warehouse=10_000)}, "invalid"),
        ({"shares": shares(warehouse=10_000), "reason": " "}, "invalid"),
        ({"shares": shares(warehouse=10_000), "reason": "x" * 4_001}, "invalid"),
        ({"shares": [], "reason": "x"}, "invalid"),
        ({"shares": shares(martians=10_000), "reason": "x"}, "invalid"),
        ({"shares": shares(warehouse=0, production=10_000), "reason": "x"}, "invalid"),
        ({"shares": shares(warehouse=-1, production=10_001), "reason": "x"}, "invalid"),
        ({"shares": shares(warehouse=5_000) + shares(warehouse=5_000), "reason": "x"}, "invalid"),
        ({"shares": shares(warehouse__西仓=10_000), "reason": "x"}, "invalid"),
        ({"shares": shares(courier__=10_000), "reason": "x"}, "invalid"),
        ({"shares": [{"party": "courier/ YTO", "share_bp": 10_000}], "reason": "x"}, "invalid"),
        ({"shares": [{"party": "courier/  ", "share_bp": 10_000}], "reason": "x"}, "invalid"),
        ({"shares": shares(warehouse=10_000), "reason": "x", "case_id": "TB1-2"}, "invalid"),
        ({"shares": shares(martians=9_000), "reason": "x"}, "invalid"),
        ({"shares": [{"party": "warehouse", "share_bp": 10_000, "name": "x"}], "reason": "x"}, "invalid"),
        ({"shares": shares(courier=5_000, warehouse=4_000), "reason": "x"}, "shares_not_whole"),
        ({"shares": shares(warehouse=20_000), "reason": "x"}, "shares_not_whole"),
        ({"shares": shares(courier=10_000), "reason": "x"}, "party_name_required"),
    ],
)
@pytest.mark.parametrize("by", [LEAD, "agent/小李"])
def test_assignment_refused(body: dict[str, Any], code: str, by: str) -> None:
    """What is wrong with shares is refused in the order of §3, before anybody's role is asked for."""
    assert story().refusal("assign_liability", "TB1-1", by, **body) == code


@pytest.mark.parametrize("by", ["agent/小李", "finance/老钱", "warehouse/西仓", "service/erp"])
def test_assignment_is_for_leads(by: str) -> None:
    """Only a lead or the store manager assigns a loss."""
    body = {"shares": shares(warehouse=10_000), "reason": "x"}
    told = story()
    assert told.refusal("assign_liability", "TB1-1", by, **body) == "forbidden"
    assert told.do("assign_liability", "TB1-1", "store_manager/老总", case_id="TB1-1", **body)


def test_unknown_case() -> None:
    """A case that nobody opened is unknown, whatever else is wrong."""
    assert story().refusal("assign_liability", "TB1-9", LEAD) == "unknown_case"
    assert story().refusal("record_recovery", "TB1-9", LEAD, party=3) == "unknown_case"


def test_recovery() -> None:
    """A collected claim settles what the party owes and changes nothing that it was charged."""
    told = story().given(compensated(1_000), assessed("courier/YTO"))
    assert recover(told, 400) == [
        li.LossRecovered(case_id="TB1-1", party="courier/YTO", amount_fen=400, payment_ref="CLAIM-1")
    ]
    case = told.file.cases["TB1-1"]
    assert (case.charged, case.suspense_fen, case.recovered_fen("courier/YTO")) == ({"courier/YTO": 1_000}, 0, 400)


def test_recovery_up_to_the_charge() -> None:
    """All recoveries together are at most what the party is charged now."""
    told = story().given(compensated(1_000), assessed("courier/YTO"))
    recover(told, 400)
    body = {"party": "courier/YTO", "payment_ref": "CLAIM-2"}
    assert told.refusal("record_recovery", "TB1-1", amount_fen=601, **body) == "exceeds_charged"
    told.given(compensated(1, proposal="P2"))
    recover(told, 601, "CLAIM-2")
    assign(told, warehouse=10_000)
    with pytest.raises(Refusal) as refused:
        told.do("record_recovery", "TB1-1", amount_fen=1, **body)
    assert (refused.value.code, refused.value.params) == ("exceeds_charged", {"party": "courier/YTO", "left_fen": 0})


def test_recovery_of_who_was_not_charged() -> None:
    """A party that was charged nothing owes nothing."""
    told = story().given(compensated(1_000), assessed("courier/YTO"))
    body = {"party": "courier/ZTO", "amount_fen": 1, "payment_ref": "X"}
    assert told.refusal("record_recovery", "TB1-1", **body) == "exceeds_charged"


def test_recovery_recorded_twice() -> None:
    """The same payment of the same party is not recorded twice; another amount or another payment is."""
    told = story().given(compensated(1_000), assessed("courier/YTO"))
    recover(told, 400)
    body = {"party": "courier/YTO", "amount_fen": 400, "payment_ref": " CLAIM-1"}
    assert told.refusal("record_recovery", "TB1-1", **body) == "already_paid"
    recover(told, 300, "CLAIM-1")
    recover(told, 300, "CLAIM-2")
    assert told.refusal("record_recovery", "TB1-1", **body) == "exceeds_charged"


@pytest.mark.parametrize(
    ("body", "by", "code"),
    [
        ({"party": "warehouse", "amount_fen": 1, "payment_ref": "X"}, "finance/老钱", "invalid"),
        ({"party": "operations/小王", "amount_fen": 1, "payment_ref": "X"}, "finance/老钱", "invalid"),
        ({"party": "martians", "amount_fen": 1, "payment_ref": "X"}, "finance/老钱", "invalid"),
        ({"party": "courier/", "amount_fen": 1, "payment_ref": "X"}, "finance/老钱", "invalid"),
        ({"party": "courier/YTO", "amount_fen": 0, "payment_ref": "X"}, "finance/老钱", "invalid"),
        ({"party": "courier/YTO", "amount_fen": 1, "payment_ref": " "}, "finance/老钱", "invalid"),
        ({"party": "courier/YTO", "amount_fen": 1}, "agent/小李", "invalid"),
        ({"party": "courier", "amount_fen": 1, "payment_ref": "X"}, "agent/小李", "party_name_required"),
        ({"party": "courier/YTO", "amount_fen": 99_999, "payment_ref": "X"}, "agent/小李", "forbidden"),
        ({"party": "courier/YTO", "amount_fen": 1, "payment_ref": "X"}, "store_manager/老总", "forbidden"),
        ({"party": "supplier/厂家", "amount_fen": 1, "payment_ref": "X"}, "finance/老钱", "exceeds_charged"),
        ({"party": "installer/老王", "amount_fen": 1, "payment_ref": "X"}, "finance/老钱", "exceeds_charged"),
    ],
)
def test_recovery_refused(body: dict[str, Any], by: str, code: str) -> None:
    """Claims are collected from named parties outside the business, by finance."""
    told = story().given(compensated(1_000), assessed("courier/YTO"))
    assert told.refusal("record_recovery", "TB1-1", by, **body) == code
