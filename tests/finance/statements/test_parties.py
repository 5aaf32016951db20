"""What parties are charged, what is open of it and how old that is: to the fen what the ledger holds."""

import random
from collections import defaultdict, deque
from datetime import date, timedelta

import pytest

from contracts.events import liability as li
from contracts.events.finance import Leg
from services.finance.statements import party
from services.finance.statements.ageing import Ageing, OpenItem, age_of, ageing_of
from services.finance.statements.party import PartyRow, parties, party_statement
from services.kernel.refusal import Refusal
from tests.finance.statements.shop import SmallShop, charged, opened, order, recorded, recovered, reversed_

YTO = "courier/YTO"


def figures(row: PartyRow) -> dict[str, int]:
    """What is not zero of a row."""
    told = {name.removesuffix("_fen"): getattr(row, name) for name in row.__struct_fields__ if name.endswith("_fen")}
    return {name: fen for name, fen in told.items() if fen}


async def test_a_month_opens_with_what_the_last_one_left(shop: SmallShop) -> None:
    """Opening + charged − reversed − credited − recovered + corrected is closing, of a party and of all."""
    shop.tell("2026-10-01", order("TB1"), opened("TB1-1"), recorded("TB1-1", 5_000), charged("TB1-1", 5_000))
    shop.tell("2026-11-02", recovered("TB1-1", 2_000), charged("TB1-1", 700), charged("TB1-1", 40, "production"))
    assign = li.LiabilityAssigned(case_id="TB1-1", shares=(), reason="sealed:…")
    shop.tell("2026-11-03", recorded("TB1-1", -100), reversed_("TB1-1", 100), assign, reversed_("TB1-1", 300))
    shop.correct("2026-11-04", *(Leg(account=name, amount_fen=fen, party=YTO) for name, fen in WRITTEN_OFF))
    await shop.write()
    told = await parties(shop.store, await shop.scope("2026-11"))
    assert {row.party: figures(row) for row in told.parties} == {
        YTO: {
            "opening": 5_000,
            "charged": 700,
            "credited": 100,
            "reversed": 300,
            "recovered": 2_000,
            "corrected": -50,
            "closing": 3_250,
        },
        "production": {"charged": 40, "closing": 40},
    }
    assert (told.total.opening_fen, told.total.closing_fen) == (5_000, 3_290)
    assert told.as_at.position == shop.position


#: What is not worth chasing is a cost of the shop.
WRITTEN_OFF = (("recoverable", -50), ("bank", 50))


async def test_what_is_owed_is_what_the_ledger_holds(shop: SmallShop) -> None:
    """What a party outside the business owes is its account `recoverable`, what one inside bears is `losses`."""
    shop.tell("2026-10-01", order("TB1"), charged("TB1-1", 5_000), recovered("TB1-1", 1_200))
    shop.tell("2026-10-02", charged("TB1-1", 900, "production"), reversed_("TB1-1", 250, "production"))
    await shop.write()
    told = await parties(shop.store, await shop.scope())
    owed = {row.party: row.closing_fen for row in told.parties}
    assert owed[YTO] == await shop.held("recoverable", party=YTO) == 3_800
    assert owed["production"] == await shop.held("losses", party="production") == 650
    assert told.total.closing_fen == await shop.held("losses", "recoverable", "claims")


async def test_a_statement_goes_down_to_case_and_event(shop: SmallShop) -> None:
    """Cases and events sum to the party's figures, and each event says what was owed after it."""
    shop.tell("2026-10-01", order("TB1"), opened("TB1-1", "damaged_on_arrival"), charged("TB1-1", 5_000))
    shop.tell("2026-10-03", order("TB2"), opened("TB2-1"), charged("TB2-1", 800), charged("TB2-1", 9, "production"))
    shop.tell("2026-11-05", recovered("TB1-1", 5_000))
    await shop.write()
    told = await party_statement(shop.store, await shop.scope(), YTO)
    assert [(one.move, one.case_id, one.amount_fen, one.balance_fen) for one in told.moves] == [
        ("charged", "TB1-1", 5_000, 5_000),
        ("charged", "TB2-1", 800, 5_800),
        ("recovered", "TB1-1", -5_000, 800),
    ]
    assert [(one.case_id, one.problem, one.closing_fen, one.open_since) for one in told.cases] == [
        ("TB2-1", "logistics_delay", 800, "2026-10-03"),
        ("TB1-1", "damaged_on_arrival", 0, None),
    ]
    assert sum(one.closing_fen for one in told.cases) == told.total.closing_fen == told.moves[-1].balance_fen
    november = await party_statement(shop.store, await shop.scope("2026-11"), YTO)
    assert [one.case_id for one in november.cases] == ["TB1-1"]
    assert (november.total.opening_fen, november.moves[0].balance_fen, november.left_out) == (5_800, 800, 0)


async def test_a_long_statement_says_what_it_leaves_out(shop: SmallShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sums hold everything, whatever is told of it."""
    for number in (1, 2, 3):
        shop.tell(f"2026-10-0{number}", order(f"TB{number}"), charged(f"TB{number}-1", 100 * number))
    await shop.write()
    monkeypatch.setattr(party, "MOST", 2)
    told = await party_statement(shop.store, await shop.scope(), YTO)
    assert [one.case_id for one in told.cases] == ["TB3-1", "TB2-1"]
    assert [one.amount_fen for one in told.moves] == [100, 200]
    assert (told.total.closing_fen, told.left_out) == (600, 2)


async def test_a_party_that_never_bore_anything_has_an_empty_statement(shop: SmallShop) -> None:
    """Zeros, not an error."""
    await shop.write()
    told = await party_statement(shop.store, await shop.scope("2026-11"), YTO)
    assert (told.total.closing_fen, told.cases, told.moves) == (0, [], [])
    assert (await parties(shop.store, await shop.scope())).total.closing_fen == 0


async def test_what_comes_late_belongs_to_the_first_open_month(shop: SmallShop) -> None:
    """A closed month stays as it was; what is heard of it later moves the next one, which opens where it closed."""
    shop.tell("2026-10-01", order("TB1"), charged("TB1-1", 5_000))
    await shop.close_month("2026-10")
    shop.tell("2026-10-31", charged("TB1-1", 300))
    shop.tell("2026-11-01", charged("TB1-1", 10))
    await shop.write()
    figures_of = {}
    for month in ("2026-10", "2026-11", "2026-12"):
        total = (await parties(shop.store, await shop.scope(month))).total
        figures_of[month] = (total.opening_fen, total.charged_fen, total.closing_fen)
    assert figures_of == {
        "2026-10": (0, 5_000, 5_000),
        "2026-11": (5_000, 310, 5_310),
        "2026-12": (5_310, 0, 5_310),
    }


async def test_what_is_open_ages_by_the_day_on_which_it_was_charged(shop: SmallShop) -> None:
    """A case's oldest charges are settled first; too much collected is open the other way round."""
    for day, case_id, fen in (
        ("2026-08-01", "TB1-1", 100),
        ("2026-10-20", "TB1-1", 200),
        ("2026-11-15", "TB2-1", 400),
    ):
        shop.tell(day, charged(case_id, fen))
    shop.tell("2026-11-20", recovered("TB1-1", 150), charged("TB3-1", 50), recovered("TB3-1", 50))
    shop.tell("2026-11-25", reversed_("TB3-1", 20))
    await shop.write()
    told = await parties(shop.store, await shop.scope("2026-11"))
    assert told.total.ageing == Ageing(days_0_30_fen=400 - 20, days_31_60_fen=150)
    assert told.parties[0].ageing == told.total.ageing


@pytest.mark.parametrize(
    ("age", "bucket"),
    [(0, 0), (30, 0), (31, 1), (60, 1), (61, 2), (90, 2), (91, 3), (400, 3)],
)
def test_ages_are_counted_in_days(age: int, bucket: int) -> None:
    """Thirty days are still the first age."""
    day = (date(2026, 12, 31) - timedelta(days=age)).isoformat()
    expected = [0, 0, 0, 0]
    expected[bucket] = 7
    assert ageing_of([OpenItem("", day, 7)], "2026-12-31") == Ageing(*expected)
    assert age_of("2027-01-05", "2026-12-31") == 0


async def test_ages_are_those_of_a_queue(shop: SmallShop) -> None:
    """Whatever is charged, taken back and recovered, the database says what a queue of charges would."""
    draw = random.Random(7)
    entries: dict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
    first = date(2026, 8, 1)
    for step in range(300):
        day = (first + timedelta(days=step * 100 // 300)).isoformat()
        case_id, party = f"TB{draw.randrange(6)}-1", draw.choice([YTO, "production", "supplier/甲"])
        fen = draw.randrange(1, 500)
        event = draw.choice([charged, charged, reversed_, recovered])
        shop.tell(day, event(case_id, fen, party))
        entries[party, case_id].append((day, fen if event is charged else -fen))
    await shop.write()
    told = await parties(shop.store, await shop.scope("2026-11"))
    for row in told.parties:
        items = [item for key, some in entries.items() if key[0] == row.party for item in _queued(some)]
        assert row.ageing == ageing_of(items, "2026-11-30")
        assert sum(fen for _, _, fen in items) == row.closing_fen


def _queued(entries: list[tuple[str, int]]) -> list[OpenItem]:
    """What is left of charges that are settled first in, first out, or of settlements that nothing was charged for."""
    sides: dict[int, deque[tuple[str, int]]] = {1: deque(), -1: deque()}
    for day, fen in entries:
        sides[1 if fen > 0 else -1].append((day, abs(fen)))
    while sides[1] and sides[-1]:
        (due, owed), (day, settled) = sides[1].popleft(), sides[-1].popleft()
        if owed > settled:
            sides[1].appendleft((due, owed - settled))
        elif settled > owed:
            sides[-1].appendleft((day, settled - owed))
    return [OpenItem("", day, sign * fen) for sign, side in sides.items() for day, fen in side]


async def test_a_month_that_has_not_begun_is_refused(shop: SmallShop) -> None:
    """Unless something was posted in it, by a shop whose clock is ahead."""
    shop.tell("2027-01-02", charged("TB1-1", 5))
    await shop.write()
    assert (await parties(shop.store, await shop.scope("2027-01"))).total.charged_fen == 5
    with pytest.raises(Refusal, match="invalid"):
        await shop.scope("2027-02")
