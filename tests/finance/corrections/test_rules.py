"""Corrections: one person proposes, another one approves, and only then is anything posted or closed."""

from datetime import timedelta
from typing import Any, cast

import pytest

from contracts.events import finance as f
from contracts.policy import load_policy
from services.finance.domain.books import BOOKS, Books
from services.finance.domain.corrections import LegGiven, check_claims, check_parties
from services.finance.domain.domain import FinanceDomain
from services.kernel.decider import Domain
from services.kernel.refusal import Refusal
from tests.finance.signed import Signed
from tests.given import START

POLICY = load_policy()
MAKER, CHECKER, MANAGER = "finance/老钱", "finance/小周", "store_manager/老板"
LEGS = [
    {"account": "promotion", "amount_fen": 120},
    {"account": "channel", "party": "taobao", "amount_fen": -120, "case_id": "TB1-1", "item": "2026100522"},
]
LEFT = {"reason": "已核实", "discrepancies": ["D1"]}


def books() -> Signed:
    """The books with two open discrepancies and a closed one."""
    told = Signed(cast("Domain[Books]", FinanceDomain(POLICY)), BOOKS)
    told.given(*map(_found, ("D1", "D2", "D3")), f.DiscrepancyClosed(discrepancy="D3", correction="K0"))
    return told


def _found(discrepancy: str) -> f.DiscrepancyFound:
    return f.DiscrepancyFound(
        discrepancy=discrepancy, kind="fee", channel="taobao", day="2026-10-05", expected_fen=0, found_fen=-120
    )


def proposed(**said: Any) -> Signed:
    """The books with one correction that waits."""
    told = books()
    told.do("propose_correction", "", MAKER, **{"reason": "手续费", "legs": LEGS, "discrepancies": ["D1"], **said})
    return told


def test_what_two_persons_agree_on_is_posted() -> None:
    """The event of the approval carries the legs as they were proposed, and closes the discrepancies by name."""
    told = proposed()
    approved, closed = told.do("approve_correction", "", CHECKER, correction="K1")
    assert isinstance(approved, f.CorrectionApproved)
    assert [(leg.account, leg.party, leg.amount_fen) for leg in approved.legs] == [
        ("promotion", "", 120),
        ("channel", "taobao", -120),
    ]
    assert closed == f.DiscrepancyClosed(discrepancy="D1", correction="K1")
    assert not told.file.discrepancies.is_open("D1")
    assert told.file.corrections.all["K1"].state == "approved"
    assert told.replayed().corrections.all == told.file.corrections.all


def test_postings_of_a_correction_are_dated_by_its_approval() -> None:
    """It is posted on the day on which it was approved, so never into a month that was closed before."""
    told = proposed()
    assert told.file.corrections.posted == {}
    told.now += timedelta(days=40)
    told.do("approve_correction", "", CHECKER, correction="K1")
    event_id, [debit, credit] = told.file.corrections.posted["K1"]
    assert (debit.account, debit.amount_fen, debit.item, debit.order_id) == ("promotion", 120, "K1", "")
    assert (credit.party, credit.amount_fen, credit.item) == ("taobao", -120, "2026100522")
    assert (credit.order_id, credit.case_id, credit.memo, credit.type) == (
        "TB1",
        "TB1-1",
        "correction",
        "correction.approved",
    )
    assert {debit.event_id, credit.event_id} == {event_id}
    assert {debit.time, credit.time} == {told.now}


def test_a_correction_may_belong_to_a_day_of_an_open_month() -> None:
    """A fee of October that is noticed in November is booked in October, while that is open."""
    told = proposed(booked_on="2026-10-01")
    told.now += timedelta(days=40)
    told.do("approve_correction", "", CHECKER, correction="K1")
    _, [debit, credit] = told.file.corrections.posted["K1"]
    assert debit.time == credit.time
    assert debit.time.isoformat() == "2026-10-01T23:59:59.999999+08:00"


@pytest.mark.parametrize(("day", "rule"), [("2026-02-30", "day"), ("2099-01-01", "future"), ("1.10.2026", "")])
def test_a_day_that_nothing_can_be_booked_on(day: str, rule: str) -> None:
    """One that there is not, or not yet, or that is written otherwise, is refused at its field."""
    told = books()
    assert told.refusal("propose_correction", "", MAKER, reason="r", legs=LEGS, booked_on=day) == "invalid"
    assert told.file.corrections.all == {}
    if rule:
        with pytest.raises(Refusal) as refused:
            told.do("propose_correction", "", MAKER, reason="r", legs=LEGS, booked_on=day)
        assert [(one["field"], one["rule"]) for one in refused.value.errors] == [("booked_on", rule)]


def test_a_closed_month_takes_no_correction() -> None:
    """Neither when it is proposed, nor when the month was closed before somebody approved it."""
    told = proposed(booked_on="2026-09-30")
    told.given(_closed("2026-09"))
    assert told.refusal("approve_correction", "", CHECKER, correction="K1") == "period_closed"
    assert (
        told.refusal("propose_correction", "", MAKER, reason="r", legs=LEGS, booked_on="2026-08-31") == "period_closed"
    )
    told.do("propose_correction", "", MAKER, reason="r", legs=LEGS, booked_on="2026-10-01")


def _closed(month: str) -> f.PeriodClosed:
    return f.PeriodClosed(month=month, position=1, root="a" * 64, report="b" * 64, postings=0, cut_off_at=START)


def test_ids_are_counted() -> None:
    """K1, K2, whatever became of the ones before: computed, never drawn."""
    told = proposed()
    told.do("decline_correction", "", CHECKER, correction="K1", reason="不对")
    told.do("propose_correction", "", MAKER, reason="再提", legs=LEGS)
    assert list(told.file.corrections.all) == ["K1", "K2"]
    assert [one.correction for one in told.file.corrections.waiting] == ["K2"]


def test_a_discrepancy_may_be_left_as_it_is() -> None:
    """Without postings a correction says that nothing is to be mended; that too takes two persons."""
    told = books()
    told.do("propose_correction", "", MAKER, **LEFT)
    events = told.do("approve_correction", "", MANAGER, correction="K1")
    assert events[1:] == [f.DiscrepancyClosed(discrepancy="D1", correction="K1")]
    assert told.file.corrections.posted["K1"][1] == []


@pytest.mark.parametrize("who", ["finance/老钱", "store_manager/老钱"])
def test_nobody_approves_their_own(who: str) -> None:
    """Not in another role either: it is the person that counts."""
    assert proposed().refusal("approve_correction", "", who, correction="K1") == "own_correction"


def test_who_proposed_it_may_take_it_back() -> None:
    """Declining needs no second person: nothing is posted, and its discrepancies may be in another one."""
    told = proposed()
    assert told.do("decline_correction", "", MAKER, correction="K1", reason="填错") == [
        f.CorrectionDeclined(correction="K1", reason="填错")
    ]
    one = told.file.corrections.all["K1"]
    assert (one.state, one.answer, one.decided_by) == ("declined", "填错", MAKER)
    assert told.file.discrepancies.is_open("D1")
    told.do("propose_correction", "", MAKER, **LEFT)


@pytest.mark.parametrize("decision", ["approve_correction", "decline_correction"])
def test_what_is_decided_is_decided(decision: str) -> None:
    """A correction is approved or declined once."""
    said = {"reason": "不对"} if decision == "decline_correction" else {}
    for first in ("approve_correction", "decline_correction"):
        told = proposed()
        told.do(first, "", CHECKER, correction="K1", **({"reason": "不对"} if first == "decline_correction" else {}))
        assert told.refusal(decision, "", CHECKER, correction="K1", **said) == "invalid_transition"


@pytest.mark.parametrize(
    ("command", "who", "said"),
    [
        ("propose_correction", "agent/小李", {"reason": "r", "legs": LEGS}),
        ("propose_correction", "store_manager/老板", {"reason": "r", "legs": LEGS}),
        ("approve_correction", "team_lead/老陈", {"correction": "K1"}),
        ("decline_correction", "warehouse/阿强", {"correction": "K1", "reason": "r"}),
    ],
)
def test_who_may(command: str, who: str, said: dict[str, Any]) -> None:
    """Finance proposes; finance or the store manager decides."""
    assert proposed().refusal(command, "", who, **said) == "forbidden"


def _one(**leg: Any) -> dict[str, Any]:
    """A proposal with one leg that may be wrong, and one that makes it balance."""
    fen = leg.get("amount_fen", 120)
    return {"legs": [{"amount_fen": 120, **leg}, {"account": "bank", "amount_fen": -fen or 1}]}


@pytest.mark.parametrize(
    ("said", "code", "field", "rule"),
    [
        ({"legs": [{"account": "bank", "amount_fen": 5}]}, "legs_unbalanced", "", ""),
        ({"legs": [*LEGS, {"account": "bank", "amount_fen": -1}]}, "legs_unbalanced", "", ""),
        ({}, "invalid", "legs", "required"),
        (_one(account="cash"), "invalid", "legs[0].account", "unknown_account"),
        (_one(account="promotion", amount_fen=0), "invalid", "legs[0].amount_fen", "not_zero"),
        (_one(account="losses"), "invalid", "legs[0].party", "required"),
        (_one(account="channel", party=" "), "invalid", "legs[0].party", "required"),
        (_one(account="promotion", party="production"), "invalid", "legs[0].party", "not_kept_by"),
        ({"discrepancies": ["D9"]}, "invalid", "discrepancies[0]", "unknown_discrepancy"),
        ({"discrepancies": ["D1", "D1"]}, "invalid", "discrepancies[1]", "duplicate"),
        ({"discrepancies": ["D3"]}, "discrepancy_closed", "", ""),
    ],
)
def test_what_cannot_be_proposed(said: dict[str, Any], code: str, field: str, rule: str) -> None:
    """Each mistake is named by its field and rule, and nothing is recorded."""
    told = books()
    with pytest.raises(Refusal) as refused:
        told.do("propose_correction", "", MAKER, reason="r", **said)
    assert refused.value.code == code
    assert [(error["field"], error["rule"]) for error in refused.value.errors] == ([(field, rule)] if field else [])
    assert told.file.corrections.all == {}


@pytest.mark.parametrize(
    "said",
    [
        {"legs": LEGS},
        {"legs": LEGS, "reason": "  "},
        {"legs": [{"account": "bank", "amount_fen": 1.5}], "reason": "r"},
        {"legs": [{"account": "bank", "amount_fen": "1,234.50"}], "reason": "r"},
        {"legs": [{"account": "bank", "amount_fen": 10**12}], "reason": "r"},
        {"legs": [{"account": "bank", "amount_fen": 1, "case_id": "TB1"}], "reason": "r"},
        {"legs": [{"account": "bank", "amount_fen": 1, "debit": True}], "reason": "r"},
    ],
)
def test_a_body_that_says_something_else(said: dict[str, Any]) -> None:
    """A reason is required, amounts are whole fen, a case is written as one, and no field is made up."""
    assert books().refusal("propose_correction", "", MAKER, **said) == "invalid"


def test_a_discrepancy_waits_in_one_correction_only() -> None:
    """Else the second one would post what the first has mended."""
    told = proposed()
    assert told.refusal("propose_correction", "", CHECKER, **LEFT) == "discrepancy_claimed"
    told.do("propose_correction", "", CHECKER, reason="r", discrepancies=["D2"])


@pytest.mark.parametrize("command", ["approve_correction", "decline_correction"])
def test_a_correction_that_is_not_there(command: str) -> None:
    """Unknown comes before who may."""
    said = {"reason": "r"} if command == "decline_correction" else {}
    assert books().refusal(command, "", "agent/小李", correction="K7", **said) == "unknown_correction"


@pytest.mark.parametrize(
    ("account", "party", "rule"),
    [
        ("losses", "courier/YTO", ""),
        ("losses", "production", ""),
        ("carrier_payables", "courier/YTO", ""),
        ("channel", "taobao", ""),
        ("losses", "weather", "unknown_party"),
        ("losses", "courier", "party_name"),
        ("losses", "courier/", "party_name"),
        ("losses", "production/A", "party_name"),
        ("carrier_payables", "production", "unknown_party"),
    ],
)
def test_parties_are_those_of_the_policy(account: str, party: str, rule: str) -> None:
    """A loss goes to a party that there is, named where it has names; a carrier is a courier."""
    legs = [LegGiven(account=account, amount_fen=1, party=party)]
    assert [error["rule"] for error in check_parties(POLICY, legs)] == ([rule] if rule else [])


@pytest.mark.parametrize(
    ("legs", "wrong"),
    [
        ([("losses", "courier/JD", -300), ("suspense", "", 300)], True),
        ([("losses", "courier/JD", -300), ("claims", "courier/JD", 300)], False),
        ([("losses", "production", -300), ("suspense", "", 300)], False),
        ([("recoverable", "courier/JD", -500), ("bank", "", 500)], False),
    ],
)
def test_what_a_party_bears_is_a_claim_on_it(legs: list[tuple[str, str, int]], wrong: bool) -> None:
    """A party outside the business is never left with a statement that says something else than what it owes."""
    given = [LegGiven(account=account, party=party, amount_fen=fen) for account, party, fen in legs]
    assert [error["rule"] for error in check_claims(POLICY, given)] == (["claims_unbalanced"] if wrong else [])


def test_suspense_is_corrected_by_case() -> None:
    """A loss that nobody bears is some case's: without one, it would stand in no statement."""
    legs = [{"account": "suspense", "amount_fen": 5}, {"account": "differences", "amount_fen": -5}]
    with pytest.raises(Refusal) as refused:
        books().do("propose_correction", "", MAKER, reason="r", legs=legs)
    assert [(one["field"], one["rule"]) for one in refused.value.errors] == [("legs[0].case_id", "required")]
