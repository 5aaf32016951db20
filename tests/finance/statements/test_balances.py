"""Deposits, suspense and refunds: rows sum to what the ledger holds, to the fen."""

import pytest

from contracts.events import cases as c
from contracts.events.finance import Leg
from services.finance.statements.ageing import Ageing
from services.finance.statements.deposits import deposits
from services.finance.statements.refunds import GROUPINGS, refunds
from services.finance.statements.suspense import suspense
from tests.finance.statements.shop import SmallShop, assessed, charged, opened, order, recorded, settled


def collected(case_id: str, amount_fen: int = 10_000, deposit: str = "D1") -> c.DepositCollected:
    return c.DepositCollected(case_id=case_id, deposit=deposit, amount_fen=amount_fen, payment_ref=f"WX-{case_id}")


async def test_deposits_are_held_until_they_go_back_or_are_kept(shop: SmallShop) -> None:
    """A month tells what moved in it too; of all time, only what is held."""
    shop.tell("2026-10-05", order("TB1"), collected("TB1-1"), collected("TB2-1", 8_000), collected("TB3-1", 500))
    shop.tell("2026-11-06", c.DepositReturned(case_id="TB1-1", deposit="D1", amount_fen=10_000))
    forfeited = c.DepositForfeited(case_id="TB2-1", deposit="D1", amount_fen=8_000, reason="sealed:…")
    shop.tell("2026-11-07", forfeited, collected("TB3-1", 700, "D2"))
    await shop.write()
    told = await deposits(shop.store, await shop.scope("2026-11"))
    assert [
        (one.case_id, one.deposit, one.opening_fen, one.returned_fen, one.forfeited_fen, one.closing_fen, one.age_days)
        for one in told.deposits
    ] == [
        ("TB1-1", "D1", 10_000, 10_000, 0, 0, None),
        ("TB2-1", "D1", 8_000, 0, 8_000, 0, None),
        ("TB3-1", "D1", 500, 0, 0, 500, 56),
        ("TB3-1", "D2", 0, 0, 0, 700, 23),
    ]
    assert told.ageing == Ageing(days_0_30_fen=700, days_31_60_fen=500)
    assert (told.total.opening_fen, told.total.collected_fen) == (18_500, 700)
    assert told.total.closing_fen == sum(one.closing_fen for one in told.deposits) == -await shop.held("deposits_held")
    held = await deposits(shop.store, await shop.scope())
    assert [(one.case_id, one.deposit) for one in held.deposits] == [("TB3-1", "D1"), ("TB3-1", "D2")]
    assert held.total.collected_fen == 19_200


async def test_suspense_has_an_age(shop: SmallShop) -> None:
    """A loss that nobody bears stands there from the day on which it was recorded until somebody is charged."""
    shop.tell("2026-10-01", order("TB1"), opened("TB1-1"), recorded("TB1-1", 4_000))
    shop.tell("2026-10-02", order("TB2"), opened("TB2-1"), recorded("TB2-1", 600))
    shop.tell("2026-11-20", assessed("TB2-1"), charged("TB2-1", 600), recorded("TB1-1", 50))
    shop.correct("2026-11-21", *(Leg(account=name, amount_fen=fen, case_id="TB1-1") for name, fen in MENDED))
    await shop.write()
    told = await suspense(shop.store, await shop.scope("2026-11"))
    assert [
        (one.case_id, one.opening_fen, one.recorded_fen, one.assigned_fen, one.corrected_fen, one.closing_fen)
        for one in told.cases
    ] == [("TB1-1", 4_000, 50, 0, -7, 4_043), ("TB2-1", 600, 0, 600, 0, 0)]
    assert [(one.cause, one.since, one.age_days) for one in told.cases] == [
        ("", "2026-10-01", 60),
        ("transit_damage", None, None),
    ]
    assert told.ageing == Ageing(days_0_30_fen=50, days_31_60_fen=3_993)
    assert told.total.closing_fen == sum(one.closing_fen for one in told.cases) == await shop.held("suspense")


MENDED = (("suspense", -7), ("cost.cash", 7))


@pytest.fixture
async def refunded(shop: SmallShop) -> SmallShop:
    """Two refunds of October, one of two articles with compensation taken back, and one of November."""
    shop.tell("2026-10-01", order("TB1", "LOCK-A1", "LOCK-B2"), opened("TB1-1", "return_request", 2))
    shop.tell("2026-10-02", assessed("TB1-1", "buyer_changed_mind", "none"))
    shop.tell("2026-10-05", settled("TB1-1", "L1", "L2", deducted_fen=2_000))
    shop.tell("2026-10-06", order("TB2", channel="tmall"), opened("TB2-1"), settled("TB2-1", "L1"))
    shop.tell("2026-11-01", order("TB3"), opened("TB3-1"), settled("TB3-1", "L1"))
    await shop.write()
    return shop


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("problem", {"return_request": (1, 2, 257_800), "logistics_delay": (1, 1, 129_900)}),
        ("cause", {"buyer_changed_mind": (1, 2, 257_800), "": (1, 1, 129_900)}),
        ("sku", {"LOCK-A1": (2, 2, 257_800), "LOCK-B2": (1, 1, 129_900)}),
        ("channel", {"taobao": (1, 2, 257_800), "tmall": (1, 1, 129_900)}),
    ],
)
async def test_refunds_are_told_apart(refunded: SmallShop, by: str, expected: dict[str, tuple[int, int, int]]) -> None:
    """Refunds, units and fen of each group; a refund of two articles counts with both, its money with each."""
    told = await refunds(refunded.store, await refunded.scope("2026-10"), by)
    assert {row.key: (row.refunds, row.units, row.refunded_fen) for row in told.rows} == expected
    assert (told.total.refunds, told.total.cases, told.total.units) == (2, 2, 3)
    assert told.total.deducted_fen == 2_000


@pytest.mark.parametrize("by", GROUPINGS)
async def test_refunds_are_what_the_ledger_holds(refunded: SmallShop, by: str) -> None:
    """Goods and corrections make the account, whatever they are grouped by; what buyers got is what was decided."""
    legs = [Leg(account="sales_returned", amount_fen=-100, case_id="TB3-1"), Leg(account="bank", amount_fen=100)]
    refunded.correct("2026-11-02", *legs)
    await refunded.write()
    told = await refunds(refunded.store, await refunded.scope(), by)
    total = told.total
    assert total.goods_fen + total.corrected_fen == await refunded.held("sales_returned") == 4 * 129_900 - 100
    assert total.refunded_fen - total.corrected_fen == -await refunded.held("obligations")
    for name in ("units", "goods_fen", "deducted_fen", "corrected_fen", "refunded_fen"):
        assert sum(getattr(row, name) for row in told.rows) == getattr(total, name)


async def test_nothing_refunded_is_zero(shop: SmallShop) -> None:
    """Sums of nothing are zeros, not an error."""
    await shop.write()
    assert (await refunds(shop.store, await shop.scope("2026-11"), "sku")).total.refunded_fen == 0
    assert (await deposits(shop.store, await shop.scope("2026-11"))).total.closing_fen == 0
    assert (await suspense(shop.store, await shop.scope("2026-11"))).total.closing_fen == 0
