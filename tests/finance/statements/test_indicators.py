"""The indicators that leads watch: exact rates, and alarms where an article piles up."""

import msgspec
import pytest

from contracts.events import cases as c
from services.finance.statements.indicators import DefectRules, Indicators, alarms, indicators, piled_up
from services.finance.statements.ratio import Ratio, ratio
from tests.finance.statements.shop import SmallShop, assessed, charged, opened, order, paid, recovered, settled


@pytest.mark.parametrize(
    ("numerator", "denominator", "bp"),
    [(1, 2, 5_000), (1, 3, 3_333), (2, 3, 6_667), (1, 20_000, 1), (0, 7, 0), (3, 2, 15_000), (-1, 3, -3_333)],
)
def test_rates_are_whole_numbers(numerator: int, denominator: int, bp: int) -> None:
    """Rounded half up, without a float on the way."""
    assert ratio(numerator, denominator) == Ratio(numerator, denominator, bp)
    assert ratio(numerator, 0).bp is None


@pytest.fixture
async def october(shop: SmallShop) -> SmallShop:
    """Four orders, three cases: one refunded and escalated, one answered late, one open."""
    for number in range(1, 5):
        shop.tell(f"2026-10-0{number}", order(f"TB{number}", carrier="SF" if number == 4 else "YTO"))
    for number in (1, 2, 3):
        shop.tell("2026-10-10T10:00:00+08:00", opened(f"TB{number}-1"), promised(f"TB{number}-1"), by="service/app")
    shop.tell("2026-10-10T10:30:00+08:00", c.GuidanceGiven(case_id="TB1-1"), by="agent/小李")
    shop.tell("2026-10-10T13:00:00+08:00", c.GuidanceGiven(case_id="TB2-1"), by="agent/小王")
    shop.tell("2026-10-11", c.CaseEscalated(case_id="TB1-1", role="team_lead", reason="sealed:…"), by="agent/小李")
    shop.tell("2026-10-11", *paid("TB1-1", 2_000), *paid("TB1-1", 300, "good_review_reward"))
    shop.tell("2026-10-12", *paid("TB2-1", 700, "voucher", by="agent/小王"))
    shop.tell("2026-10-13", assessed("TB1-1"), charged("TB1-1", 5_000), recovered("TB1-1", 1_000))
    shop.tell("2026-10-14", settled("TB1-1", "L1", deducted_fen=2_000))
    shop.tell("2026-10-14", c.CaseClosed(case_id="TB2-1", resolution="sealed:…"), by="agent/小王")
    shop.tell("2026-11-02", c.CaseRated(case_id="TB2-1", score=4), c.CaseRated(case_id="TB1-1", score=2))
    shop.tell("2026-11-03", *paid("TB3-1", 100))
    await shop.write()
    return shop


def promised(case_id: str) -> c.PromiseMade:
    """Two hours and two days from ten o'clock."""
    times = {"first_answer_due_at": "2026-10-10T12:00:00+08:00", "solution_due_at": "2026-10-12T10:00:00+08:00"}
    return msgspec.convert({"type": "promise.made", "case_id": case_id, **times}, c.PromiseMade)


async def of_october(shop: SmallShop) -> Indicators:
    return await indicators(shop.store, await shop.scope("2026-10"), DefectRules())


async def test_rates_of_a_month(october: SmallShop) -> None:
    """Each says how many of how many."""
    told = await of_october(october)
    assert told.refund_rate == Ratio(1, 4, 2_500)
    assert told.refund_amount_rate == ratio(127_900, 4 * 129_900)
    assert told.case_rate == Ratio(3, 4, 7_500)
    assert told.dispute_rate == Ratio(1, 3, 3_333)


async def test_promises_count_once_they_are_kept_or_broken(october: SmallShop) -> None:
    """A case that nobody answered yet is pending; times are of those that were answered."""
    told = await of_october(october)
    assert (told.first_answer.kept, told.first_answer.pending) == (Ratio(1, 2, 5_000), 1)
    assert (told.first_answer.median_seconds, told.first_answer.p90_seconds) == (1_800, 10_800)
    assert (told.solution.kept, told.solution.pending) == (Ratio(0, 1, 0), 2)
    assert told.solution.median_seconds == 98 * 3_600


async def test_ratings_count_where_the_case_was_opened(october: SmallShop) -> None:
    """October's case that was rated in November is October's."""
    told = (await of_october(october)).satisfaction
    assert (told.satisfied, told.rated, told.mean_hundredths) == (Ratio(1, 2, 5_000), Ratio(2, 3, 6_667), 300)
    assert told.scores == {1: 0, 2: 1, 3: 0, 4: 1, 5: 0}


async def test_compensation_by_agent_is_what_the_ledger_holds(october: SmallShop) -> None:
    """Each payment counts with whoever proposed it, in the month in which it was paid."""
    told = (await of_october(october)).agents
    assert [(row.agent, row.payments, row.cash_fen, row.voucher_fen, row.reward_fen) for row in told] == [
        ("agent/小李", 2, 2_000, 0, 300),
        ("agent/小王", 1, 0, 700, 0),
    ]
    accounts = ("cost.cash", "cost.price_difference", "cost.voucher", "promotion")
    held = await october.held(*accounts, condition="month = '2026-10' AND type = 'compensation.paid'")
    assert sum(row.total_fen for row in told) == held


async def test_losses_by_carrier(october: SmallShop) -> None:
    """Cases of orders and losses of what was paid; what was recovered makes the loss no smaller."""
    rows = {row.carrier: row for row in (await of_october(october)).carriers}
    assert rows["YTO"].cases == Ratio(1, 3, 3_333)
    assert rows["YTO"].loss == ratio(5_000, 3 * 129_900)
    assert rows["YTO"].recovered_fen == 1_000
    assert rows["SF"].cases == Ratio(0, 1, 0)


async def test_a_month_without_anything_has_no_rates(shop: SmallShop) -> None:
    """Nothing of nothing is no rate."""
    await shop.write()
    told = await of_october(shop)
    assert told.refund_rate == Ratio(0, 0, None)
    assert (told.first_answer.median_seconds, told.satisfaction.mean_hundredths) == (None, None)
    assert (told.agents, told.carriers, told.batch_defects.alarms) == ([], [], [])


async def test_an_article_that_piles_up_with_one_cause_is_an_alarm(shop: SmallShop) -> None:
    """Enough cases within the days, and enough of the article's orders; buyers who changed their mind are no defect."""
    for number in range(1, 10):
        skus = ("LOCK-A1", "LOCK_A1") if number < 4 else ("LOCK-A1",)
        shop.tell("2026-10-01", order(f"TB{number}", *skus, on="2026-10-03"))
        cause, party = ("buyer_changed_mind", "none") if number > 7 else ("accessory_defective", "production")
        day = "2026-09-30" if number == 7 else "2026-10-20"
        case_id = f"TB{number}-1"
        shop.tell(day, opened(case_id, "accessory_failure", len(skus)), assessed(case_id, cause, party))
    await shop.write()
    scope = await shop.scope("2026-10")
    told = (await indicators(shop.store, scope, DefectRules(cases=6))).batch_defects
    assert [(one.sku, one.cause, one.share) for one in told.alarms] == [
        ("LOCK-A1", "accessory_defective", Ratio(6, 9, 6_667))
    ]
    assert told.alarms[0].cases == [f"TB{number}-1" for number in range(1, 7)]
    assert (told.first_day, told.last_day) == ("2026-10-02", "2026-10-31")
    fewer = (await indicators(shop.store, scope, DefectRules(cases=3))).batch_defects
    assert [(one.sku, one.share.denominator) for one in fewer.alarms] == [("LOCK-A1", 9), ("LOCK_A1", 3)]
    assert not (await indicators(shop.store, scope, DefectRules(cases=7))).batch_defects.alarms
    assert not (await indicators(shop.store, scope, DefectRules(cases=6, share_bp=6_667))).batch_defects.alarms


def test_a_pile_is_an_alarm_by_its_share() -> None:
    """An article that nobody ordered in these days is one whatever the share."""
    rows = [{"case_id": f"C{number}", "cause": "wear", "skus": "|A|B|"} for number in range(3)]
    piles = piled_up([*rows, {"case_id": "C9", "cause": "wear", "skus": "|B|"}], 3)
    assert {key: len(cases) for key, cases in piles.items()} == {("A", "wear"): 3, ("B", "wear"): 4}
    found = alarms(piles, {"A": 0, "B": 8}, 5_000)
    assert [(one.sku, one.share.bp) for one in found] == [("B", 5_000), ("A", None)]
    assert [one.sku for one in alarms(piles, {"A": 0, "B": 9}, 5_000)] == ["A"]
