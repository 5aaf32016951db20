"""What after-sales cost by group and month: to the fen what statements and the ledger say, and what cases sum to."""

import random
from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta

import pytest

from contracts.events import liability as li
from contracts.events.finance import Leg
from services.finance.statements import losses as module
from services.finance.statements.losses import GROUPINGS, Asked, LossCase, Losses, Place, loss_cases, losses
from services.finance.statements.months import months_before, months_of
from services.finance.statements.party import parties
from services.finance.statements.recoveries import recoveries
from services.finance.statements.scope import AsAt
from services.finance.statements.suspense import suspense
from services.kernel.refusal import Refusal
from tests.finance.statements.shop import (
    EXTERNAL,
    NOW,
    SmallShop,
    assessed,
    charged,
    opened,
    order,
    recorded,
    recovered,
    reversed_,
)

YTO = "courier/YTO"
SPAN = ("2026-09", "2026-11")
SUMS = ("loss_fen", "charged_fen", "suspense_fen", "recovered_fen", "corrected_fen", "net_fen")


async def told(shop: SmallShop, by: str, span: tuple[str, str] = SPAN, **filters: str) -> Losses:
    """The losses of a span."""
    as_at = AsAt(shop.position, NOW)
    return await losses(shop.store, await months_of(shop.store, *span, as_at), as_at, Asked(by, filters))


async def cases(shop: SmallShop, by: str, group: str, limit: int = 500, **filters: str) -> list[LossCase]:
    """All cases of a group, page by page; they sum to the group's row."""
    as_at = AsAt(shop.position, NOW)
    months, after, every = await months_of(shop.store, *SPAN, as_at), None, list[LossCase]()
    while True:
        page = await loss_cases(shop.store, months, as_at, Asked(by, filters), group, limit, after)
        every += page.items
        assert [sum(getattr(one, name) for one in every) for name in SUMS] == sums(page.total) or page.has_more
        if page.after is None:
            return every
        fen, _, case_id = page.after.partition(":")
        after = Place(int(fen), case_id)


def sums(figures: object) -> list[int]:
    """All sums of a row."""
    return [getattr(figures, name) for name in SUMS]


async def happens(shop: SmallShop) -> None:
    """Three months of cases of every kind, the first of them closed before everything was heard."""
    draw, first = random.Random(5), date(2026, 9, 10)
    for number in range(60):
        if number == 30:
            await shop.close_month("2026-09")
        day, case_id, fen = first + timedelta(days=draw.randrange(80)), f"TB{number}-1", draw.randrange(100, 9_000)
        on, party = day.isoformat(), draw.choice([YTO, "courier/ZTO", "production", "supplier/甲"])
        skus = draw.choice([("LOCK-A1",), ("LOCK-B2",), ("LOCK-A1", "INSTALL")])
        channel = draw.choice(["taobao", "tmall"])
        shop.tell(on, order(f"TB{number}", *skus, on=on, carrier=draw.choice(["YTO", "ZTO"]), channel=channel))
        problem = draw.choice(["logistics_delay", "damaged_on_arrival"])
        shop.tell(on, opened(case_id, problem, len(skus)), recorded(case_id, fen))
        if number % 4:
            shop.tell(on, assessed(case_id, party=party), charged(case_id, fen, party))
        if number % 5 == 1:
            shop.tell("2026-11-30", reversed_(case_id, fen // 3, party), charged(case_id, fen // 3, "warehouse"))
        if number % 3 == 1:
            shop.tell("2026-11-29", recovered(case_id, fen // 2))
    shop.correct(
        "2026-11-30", Leg(account="recoverable", party=YTO, amount_fen=-70), Leg(account="bank", amount_fen=70)
    )
    await shop.write()


@pytest.mark.parametrize("by", GROUPINGS)
async def test_sums_are_those_of_the_statements(shop: SmallShop, by: str) -> None:
    """However losses are grouped, they come to what parties and suspense moved by, month by month."""
    await happens(shop)
    found = await told(shop, by)
    by_month: dict[str, int] = {}
    for place, month in enumerate(found.months):
        scope = await shop.scope(month)
        own, waiting = (await parties(shop.store, scope)).total, (await suspense(shop.store, scope)).total
        lost = own.charged_fen - own.reversed_fen - own.credited_fen + waiting.closing_fen - waiting.opening_fen
        by_month[month] = own.closing_fen - own.opening_fen + waiting.closing_fen - waiting.opening_fen
        if by != "sku":
            assert sum(one.loss_fen[place] for one in found.trends) == lost
            assert sum(one.recovered_fen[place] for one in found.trends) == own.recovered_fen
    assert found.total.net_fen == sum(by_month.values()) != 0
    assert found.total.net_fen == await shop.held("losses", "recoverable", "claims", "suspense")
    if by != "sku":
        assert [sum(getattr(row, name) for row in found.rows) for name in SUMS] == sums(found.total)
    if by == "month":
        assert {row.key: row.net_fen for row in found.rows} == by_month


@pytest.mark.parametrize("by", GROUPINGS)
async def test_the_cases_behind_a_bar_sum_to_it(shop: SmallShop, by: str) -> None:
    """Every group, in pages of seven."""
    await happens(shop)
    for row in (await told(shop, by)).rows:
        behind = await cases(shop, by, row.key, limit=7)
        assert [sum(getattr(one, name) for one in behind) for name in SUMS] == sums(row)
        assert len({one.case_id for one in behind} - {""}) == row.cases
        assert [one.loss_fen for one in behind] == sorted((one.loss_fen for one in behind), reverse=True)


async def test_a_party_bears_what_its_statement_says(shop: SmallShop) -> None:
    """Each row by party agrees with the party's own statement; what nobody bears yet has no name."""
    await happens(shop)
    rows = {row.key: row for row in (await told(shop, "party", ("2026-10", "2026-10"))).rows}
    statement = await parties(shop.store, await shop.scope("2026-10"))
    for one in statement.parties:
        row = rows.pop(one.party, None)
        moved = one.charged_fen - one.reversed_fen - one.credited_fen
        assert (row.charged_fen, row.recovered_fen) == (moved, one.recovered_fen) if row else not moved
    assert list(rows) == [""]
    assert rows[""].loss_fen == rows[""].suspense_fen > 0


async def test_filters_cut_the_same_postings_out(shop: SmallShop) -> None:
    """A group that is asked for as a filter is the group; a kind of party holds all of its names."""
    await happens(shop)
    for by in ("party", "problem", "sku", "carrier", "cause", "channel"):
        for row in (await told(shop, by)).rows:
            if row.key:
                assert sums((await told(shop, "month", SPAN, **{by: row.key})).total) == sums(row)
    rows = (await told(shop, "party")).rows
    couriers = [row.loss_fen for row in rows if row.key.startswith("courier/")]
    assert (await told(shop, "month", party="courier")).total.loss_fen == sum(couriers)


async def test_a_case_goes_by_all_its_articles_and_parties(shop: SmallShop) -> None:
    """It counts with each article, and the total counts it once; a case says who was charged what."""
    shop.tell("2026-10-01", order("TB1", "LOCK-A1", "INSTALL"), opened("TB1-1", lines=2), recorded("TB1-1", 900))
    assign = li.LiabilityAssigned(case_id="TB1-1", shares=(), reason="sealed:…")
    shop.tell("2026-10-02", charged("TB1-1", 600), charged("TB1-1", 300, "warehouse"), assign, recovered("TB1-1", 200))
    await shop.write()
    found = await told(shop, "sku")
    assert [(row.key, row.loss_fen, row.cases) for row in found.rows] == [("INSTALL", 900, 1), ("LOCK-A1", 900, 1)]
    assert (found.total.loss_fen, found.total.cases, found.total.net_fen) == (900, 1, 700)
    [case] = await cases(shop, "sku", "LOCK-A1")
    assert [(one.party, one.charged_fen, one.recovered_fen) for one in case.parties] == [
        (YTO, 600, 200),
        ("warehouse", 300, 0),
    ]
    [case] = await cases(shop, "party", "warehouse")
    assert (case.order_id, case.loss_fen, [one.party for one in case.parties]) == ("TB1", 300, ["warehouse"])


async def test_what_nobody_bears_yet_is_of_the_cases_that_have_any_left(shop: SmallShop) -> None:
    """A loss that somebody bears altogether by now is no case of it; of the others it is told who bears the rest."""
    shop.tell("2026-10-01", recorded("TB1-1", 900), recorded("TB2-1", 500), recorded("TB3-1", 40))
    shop.tell("2026-10-02", charged("TB1-1", 900), charged("TB2-1", 200, "warehouse"))
    await shop.write()
    nobody = {row.key: row for row in (await told(shop, "party")).rows}[""]
    assert (nobody.loss_fen, nobody.cases) == (340, 2)
    assert [
        (one.case_id, one.loss_fen, [party.party for party in one.parties]) for one in await cases(shop, "party", "")
    ] == [
        ("TB2-1", 300, ["warehouse"]),
        ("TB3-1", 40, []),
    ]
    assert (await told(shop, "party")).total.cases == (await told(shop, "problem")).total.cases == 3


async def test_few_groups_have_trends_of_their_own(shop: SmallShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others share one, so that a chart of all trends holds everything."""
    for number, party in enumerate(("warehouse", "production", YTO, "supplier/甲")):
        shop.tell("2026-10-01", charged(f"TB{number}-1", 100 * (number + 1), party))
    await shop.write()
    monkeypatch.setattr(module, "TRENDS", 2)
    found = await told(shop, "party")
    assert [(one.key, one.others, one.groups, one.loss_fen) for one in found.trends] == [
        ("supplier/甲", False, 1, [0, 400, 0]),
        (YTO, False, 1, [0, 300, 0]),
        # Nobody had borne it before, so that it is taken out of suspense too.
        ("", True, 3, [0, 300 - 1_000, 0]),
    ]
    as_at = AsAt(shop.position, NOW)
    few = await losses(shop.store, await months_of(shop.store, *SPAN, as_at), as_at, Asked("party", {}), most=3)
    assert (few.rows, few.left_out) == (found.rows[:3], 2)


async def test_what_comes_late_is_of_the_first_open_month(shop: SmallShop) -> None:
    """As in every statement: a closed month stays as it was."""
    shop.tell("2026-09-01", recorded("TB1-1", 50))
    await shop.close_month("2026-09")
    shop.tell("2026-09-30", recorded("TB2-1", 3))
    await shop.write()
    assert [row.loss_fen for row in (await told(shop, "month")).rows] == [50, 3, 0]
    assert [one.case_id for one in await cases(shop, "month", "2026-10")] == ["TB2-1"]


async def test_what_parties_owe_is_what_the_ledger_holds(shop: SmallShop) -> None:
    """Of parties outside the business alone, with the age of it and in how many cases."""
    await happens(shop)
    found = await recoveries(shop.store, await shop.scope(), EXTERNAL)
    assert {row.party for row in found.parties} == {YTO, "courier/ZTO", "supplier/甲"}
    assert found.total.closing_fen == await shop.held("recoverable") == sum(row.closing_fen for row in found.parties)
    for row in found.parties:
        assert sum(getattr(row.ageing, name) for name in row.ageing.__struct_fields__) == row.closing_fen
        assert row.open_since is not None
        assert row.open_since >= (found.total.open_since or "")
    assert found.total.open_cases == sum(row.open_cases for row in found.parties) > 0


@pytest.mark.parametrize(
    ("first", "last", "field", "rule"),
    [
        ("2026-11", "2026-10", "first_month", "upside_down"),
        ("2021-11", "2026-11", "first_month", "too_long"),
        ("1969-12", "1970-02", "first_month", "range"),
        ("2026-12", "2027-01", "last_month", "future"),
    ],
)
async def test_a_span_that_is_none_is_refused(shop: SmallShop, first: str, last: str, field: str, rule: str) -> None:
    """Upside down, too long, or of months that are not there."""
    with pytest.raises(Refusal) as refused:
        await months_of(shop.store, first, last, AsAt(0, NOW))
    assert [(error["field"], error["rule"]) for error in refused.value.errors] == [(field, rule)]


def test_months_are_counted_back_over_years() -> None:
    """A usual span ends with its last month and is a year long."""
    expected: Sequence[tuple[str, int, str]] = [("2026-12", 11, "2026-01"), ("2026-01", 1, "2025-12")]
    assert [months_before(month, count) for month, count, _ in expected] == [first for *_, first in expected]
    assert Counter(months_before("2026-03", count)[:4] for count in range(12)) == {"2025": 9, "2026": 3}
