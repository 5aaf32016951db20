"""What each rule of the policy would have changed in a history that is known to the fen."""

from typing import Any

import msgspec
import pytest

from contracts.policy import load_policy
from services.histories import Logs
from services.kernel.long_work import CalledOff
from services.kernel.refusal import Refusal
from services.whatif.cases import NOBODY, Approval
from services.whatif.report import Amount, Report
from services.whatif.run import Question, what_if
from tests.whatif.conftest import NOW, Ask

#: What the parties of the history bear.
WAS = {"courier/YTO": 2_000, "none": 900, "production": 4_000}


def _borne(report: Report) -> dict[str, int]:
    """What the parties would bear; nothing is left out."""
    assert {one.name: one.was_fen for one in report.parties if one.was_fen} == WAS
    return {one.name: one.would_be_fen for one in report.parties if one.would_be_fen}


def _differ(report: Report) -> list[str]:
    return sorted(case.case_id for case in report.differ)


async def test_nothing_differs_under_the_same_rules(ask: Ask) -> None:
    """The policy in force gives the history as it is: who bears what, and not one case that differs."""
    report = await ask({})
    assert _borne(report) == WAS
    assert (report.net, report.cases_that_differ) == (Amount("net", 6_900, 6_900, 0), 0)
    assert (report.keys, report.approvals, report.orders, report.cases) == ([], [], 6, 6)
    assert (report.policy, report.in_force) == (report.decided_under[0].version,) * 2
    assert report.decisions == sum(one.decisions for one in report.decided_under) == 6 + 5 + 4


async def test_another_party_for_a_cause(ask: Ask) -> None:
    """The loss of a cause goes to another party, in its problem, its month and its case; the net stays."""
    report = await ask({"causes": {"transit_damage": {"party": "warehouse"}}})
    assert _borne(report) == {"none": 900, "production": 4_000, "warehouse": 2_000}
    moved = [Amount("courier/YTO", 2_000, 0, -2_000), Amount("warehouse", 0, 2_000, 2_000)]
    assert [(one.name, one.parties) for one in report.problems if one.parties] == [("logistics_delay", moved)]
    assert [(one.name, one.parties) for one in report.months if one.parties] == [("2026-10", moved)]
    [case] = report.differ
    assert (case.case_id, case.parties, case.difference_fen, case.entries) == ("WA-1", moved, 0, [])
    [change] = case.changes
    assert (change.what, change.item, change.was, change.would_be) == (
        "party",
        "transit_damage",
        "courier/YTO",
        "warehouse",
    )
    assert [(key.key, key.judged) for key in report.keys] == [("causes.transit_damage.party", True)]


async def test_a_loss_is_counted_in_the_month_in_which_it_is_posted(ask: Ask) -> None:
    """What was paid in October and charged in November is suspense in October, then and now."""
    report = await ask({"causes": {"packing_error": {"party": "warehouse"}}})
    assert [(one.name, one.was_fen, one.would_be_fen) for one in report.months] == [
        ("2026-10", 2_000 + 1_500 + 1_500 + 900, 5_900),
        ("2026-11", 1_000, 1_000),
    ]
    assert [one.name for one in report.months if one.parties] == ["2026-11"]
    assert _borne(report) == {"courier/YTO": 2_000, "none": 900, "production": 1_500, "warehouse": 2_500}


async def test_a_party_that_needs_a_name(ask: Ask) -> None:
    """Another party takes its name from the order; where nobody said one, the report says so, and who it would be."""
    report = await ask({"causes": {"packing_error": {"party": "supplier"}, "transit_damage": {"party": "supplier"}}})
    assert _borne(report) == {"none": 900, "production": 1_500, "supplier": 2_000, "supplier/永康五金": 2_500}
    assert report.undecided == 1
    [nameless] = [one for case in report.differ for one in case.undecided]
    assert (nameless.case_id, nameless.code, nameless.party) == ("WA-1", "party_name_required", "supplier")


async def test_the_buyer_would_have_borne_the_freight(ask: Ask) -> None:
    """No freight is reimbursed: its payout is gone, its loss too, and the rest of the refund stays."""
    report = await ask({"causes": {"accessory_defective": {"freight": "buyer"}}})
    assert _borne(report) == {"courier/YTO": 2_000, "none": 900, "production": 2_500}
    assert report.net.difference_fen == -1_500
    [case] = report.differ
    assert case.entries == [Amount("return_freight", 1_500, 0, -1_500)]
    assert case.payouts == [Amount("WC-1:freight_reimbursement:RT1", 1_500, 0, -1_500)]
    assert [(one.item, one.would_be) for one in case.changes] == [("accessory_defective", "buyer"), ("RT1", "buyer")]
    assert {one.name: one.difference_fen for one in report.payouts} == {"freight_reimbursement": -1_500, "refund": 0}


async def test_the_shop_would_have_borne_the_freight(ask: Ask) -> None:
    """A payout that history did not have counts as paid, less what the insurance paid. Where a lead had said who bears
    the freight, that stays."""
    report = await ask({"causes": {"buyer_changed_mind": {"freight": "merchant"}}})
    assert _borne(report) == {**WAS, "none": 900 + 1_200 - 800}
    assert {one.name: one.difference_fen for one in report.payouts} == {"freight_reimbursement": 400, "refund": 0}
    by_case = {case.case_id: case for case in report.differ}
    assert by_case.keys() == {"WD-1", "WE-1"}
    assert [one.item for one in by_case["WD-1"].changes] == ["buyer_changed_mind", "RT1"]
    assert [one.item for one in by_case["WE-1"].changes] == ["buyer_changed_mind"]
    assert (by_case["WE-1"].payouts, by_case["WE-1"].parties) == ([], [])


@pytest.mark.parametrize(
    ("authority", "approvals"),
    [
        ({"agent": 3_000}, {"PB2": ("team_lead", "")}),
        ({"agent": 1_000}, {"PA": ("", "team_lead"), "PB1": ("", "team_lead")}),
        ({"team_lead": 2_400}, {"PB2": ("team_lead", "store_manager")}),
        ({"good_review_reward": 799}, {"PB3": ("", NOBODY)}),
        (
            {"agent": 999, "team_lead": 999, "store_manager": 999},
            {"PA": ("", NOBODY), "PB1": ("", NOBODY), "PB2": ("team_lead", NOBODY)},
        ),
    ],
)
async def test_other_limits(ask: Ask, authority: dict[str, int], approvals: dict[str, tuple[str, str]]) -> None:
    """Who would have had to approve each offer: none any more, another role, a role at all, or nobody who could. The
    money stays where it was."""
    report = await ask({"authority": authority})
    assert _borne(report) == WAS
    offers = {("WA-1", "P1"): "PA", ("WB-1", "P1"): "PB1", ("WB-1", "P2"): "PB2", ("WB-1", "P3"): "PB3"}
    told: list[Approval] = [one for case in report.differ for one in case.approvals]
    assert {offers[one.case_id, one.proposal]: (one.was, one.would_be) for one in told} == approvals
    assert {(one.was, one.would_be) for one in report.approvals} == set(approvals.values())
    assert sum(one.offers for one in report.approvals) == len(approvals)
    assert sum(one.amount_fen for one in report.approvals) == sum(one.amount_fen for one in told)


@pytest.mark.parametrize(
    ("promise", "first_answer", "solution", "cases"),
    [
        ({}, (1, 1, 0, 0), (1, 1, 0, 0), []),
        ({"first_answer_hours": 4}, (1, 0, 0, 1), (1, 1, 0, 0), ["WB-1"]),
        ({"solution_hours": 20}, (1, 1, 0, 0), (1, 3, 2, 0), ["WA-1", "WF-1"]),
        ({"solution_hours": 24}, (1, 1, 0, 0), (1, 1, 0, 0), []),
        ({"solution_hours": 5_000}, (1, 1, 0, 0), (1, 0, 0, 1), ["WB-1"]),
    ],
)
async def test_other_promises(
    ask: Ask, promise: dict[str, int], first_answer: tuple[int, ...], solution: tuple[int, ...], cases: list[str]
) -> None:
    """Promises that would have been broken and kept, to the minute, also one that nobody has kept yet."""
    report = await ask({"promise": promise})
    told = {one.promise: one for one in report.promises}
    for name, expected in (("first_answer", first_answer), ("solution", solution)):
        one = told[name]
        assert (one.was_broken, one.would_be_broken, one.newly_broken, one.no_longer_broken) == expected
    assert _differ(report) == cases
    assert report.net.difference_fen == 0


async def test_only_what_was_decided_in_the_period_is_decided_again(ask: Ask, logs: Logs) -> None:
    """What was decided before or after it stands as it was recorded; sums are over the cases that it concerns."""
    rules = {"causes": {"transit_damage": {"party": "warehouse"}, "packing_error": {"party": "warehouse"}}}
    assert _differ(await ask(rules)) == ["WA-1", "WB-1"]
    november = await ask(rules, begin="2026-11-01")
    assert (_differ(november), november.cases, november.decisions) == (["WB-1"], 2, 4)
    assert {one.name for one in november.parties} == {"production", "warehouse"}
    assert _differ(await ask(rules, end="2026-10-31")) == ["WA-1"]
    assert _differ(await ask(rules, begin="2026-10-07", end="2026-11-01T00:00:00+08:00")) == []
    [assessed] = [one for one in await logs.cases.read_stream("WA") if one.type == "cause.assessed"]
    place = str(assessed.position)
    assert _differ(await ask(rules, begin=place, end=place)) == ["WA-1"]
    assert _differ(await ask(rules, begin=str(assessed.position + 1))) == ["WB-1"]


async def test_one_order_or_case(ask: Ask) -> None:
    """Narrowed to an order or a case, the report speaks of that one only."""
    rules = {"authority": {"agent": 1_000}}
    for narrowed in ({"order": "WB"}, {"case": "WB-1"}):
        report = await ask(rules, **narrowed)
        assert (report.orders, report.cases, _differ(report), report.decisions) == (1, 1, ["WB-1"], 5)
    for unknown in ({"order": "WX"}, {"case": "WB-2"}, {"order": "~stock"}):
        with pytest.raises(Refusal) as refused:
            await ask(rules, **unknown)
        assert refused.value.code.startswith("unknown_")


@pytest.mark.parametrize(
    ("period", "field", "rule"),
    [
        ({"begin": "2026-11-02", "end": "2026-10-31"}, "from", "upside_down"),
        ({"begin": "9", "end": "8"}, "from", "upside_down"),
        ({"begin": "99999"}, "from", "position_past_end"),
        ({"end": "99999"}, "to", "position_past_end"),
        ({"begin": "2026-11-06"}, "from", "future"),
        ({"end": "2999-01-01"}, "to", "future"),
        ({"end": "yesterday"}, "to", "moment"),
    ],
)
async def test_a_period_that_cannot_be(ask: Ask, period: dict[str, str], field: str, rule: str) -> None:
    """Upside down, past the end, in the future or unreadable: refused, and which end is wrong."""
    with pytest.raises(Refusal) as refused:
        await ask({}, **period)
    assert [(one["field"], one["rule"]) for one in refused.value.errors] == [(field, rule)]


async def test_keys_that_are_not_judged_are_named(ask: Ask) -> None:
    """Nobody is misled: every key that differs is listed, with whether the report says what it changes."""
    changes: dict[str, Any] = {
        "authority": {"agent": 2_500},
        "deposit_fen": 5_000,
        "refused_carriers": ["SF", "JD"],
        "causes": {"own_cause": {"name": {"zh": "自定", "en": "Own"}, "party": "warehouse"}},
        "problems": {"home_delivery": {"evidence": True}},
        "parties": {"warehouse": {"named": True}},
    }
    report = await ask(changes)
    told = {key.key: (key.in_force, key.asked, key.judged) for key in report.keys}
    assert told["authority.agent"] == (2_000, 2_500, True)
    assert told["deposit_fen"] == (10_000, 5_000, False)
    assert told["refused_carriers"] == (("SF",), ("SF", "JD"), False)
    assert told["problems.home_delivery.evidence"] == (False, True, False)
    assert told["causes.own_cause.party"] == (None, "warehouse", True)
    assert told["causes.own_cause.name.zh"] == (None, "自定", False)
    assert told["parties.warehouse.named"] == (False, True, True)
    assert not [key for key in told if key == "version" or key.startswith("causes.wrong_goods_shipped")]


async def test_a_cause_that_the_policy_does_not_have(logs: Logs) -> None:
    """A cause of the shop's own that the file leaves out stands as it was recorded, and is told."""
    policy = load_policy({"causes": {"accessory_defective": {"party": "warehouse"}}})
    left = {code: cause for code, cause in policy.causes.items() if code != "packing_error"}
    question = Question(policy=msgspec.structs.replace(policy, causes=left), in_force=load_policy())
    report = await what_if(logs, question, NOW)
    assert _borne(report) == {"courier/YTO": 2_000, "none": 900, "production": 2_500, "warehouse": 1_500}
    assert [(one.code, one.cause) for case in report.differ for one in case.undecided] == [
        ("unknown_cause", "packing_error")
    ]


async def test_the_cases_that_differ_the_most_come_first(logs: Logs) -> None:
    """Only so many cases are told one by one, those with the most money; all are counted."""
    policy = load_policy(
        {"causes": {"transit_damage": {"party": "warehouse"}, "packing_error": {"party": "warehouse"}}}
    )
    report = await what_if(logs, Question(policy=policy, in_force=load_policy(), most=1), NOW)
    assert [case.case_id for case in report.differ] == ["WB-1"]
    assert report.cases_that_differ == 2


async def test_progress_is_told(logs: Logs) -> None:
    """Whoever watches hears how far it is, after each page, and may call it off there."""
    heard: list[tuple[int, int]] = []

    async def tell(done: int, total: int) -> None:
        heard.append((done, total))
        raise CalledOff

    with pytest.raises(CalledOff):
        await what_if(logs, Question(policy=load_policy(), in_force=load_policy()), NOW, tell)
    assert heard == [(await logs.cases.head_position(),) * 2]
