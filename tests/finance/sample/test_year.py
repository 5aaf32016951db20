"""The generated shop: the same for the same seed, of one mind with the ledger, and wrong only where it says so."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from contracts.policy import Text
from services.finance.bills.reading import Bill
from services.finance.bills.rows import Expected, Row, RowKind, Status
from services.sample.bills import ALIPAY_MERCHANT, CHANNELS, MERCHANT, MonthOfBills, Written, listed, written
from services.sample.channel import Channels
from services.sample.faults import IN_BILLS, IN_FILES, Deliveries, TooFewMovements
from services.sample.finding import Refused, Reported, compared
from services.sample.stories import USUAL
from services.sample.year import FAULTY, Planted
from tests.finance.sample.shops import Played, a_season, played


def _read(folder: Path, file: Written) -> tuple[list[Row], list[str]]:
    """The rows of a file, and the rules that it breaks."""
    merchant = MERCHANT if file.channel == "wechat" else ALIPAY_MERCHANT
    bill = Bill(file.put(folder), expected=Expected(merchant, file.currency))
    rows = list(bill.rows())
    return rows, [mistake.rule for mistake in bill.report.mistakes]


def _by_people(shop: Played) -> dict[str, list[tuple[str, str, str]]]:
    """The events of each stream that commands made, to the second."""
    return {stream: [one for one in told if not one[2].startswith("system/")] for stream, told in shop.events.items()}


def _by_services(shop: Played) -> dict[str, list[tuple[str, str]]]:
    """The other events of each stream and their days; when a promise was broken is noted a day later at times."""
    return {
        stream: sorted(
            (type_, "" if type_ == "promise.broken" else time[:10])
            for type_, time, actor in told
            if actor.startswith("system/")
        )
        for stream, told in shop.events.items()
    }


def test_the_same_seed_gives_the_same_plan() -> None:
    """A fault that somebody found with a seed can be looked for again."""
    assert a_season() == a_season()
    assert a_season().steps != a_season(seed=8).steps


def test_a_year_has_cases_of_every_kind() -> None:
    """No story is written that never comes about."""
    done = Counter(step.fields["problem"] for step in a_season(orders=600).steps if step.do == "open_case")
    assert sum(done.values()) > 150
    assert len(done) > len(USUAL) * 0.6


def test_the_same_seed_gives_the_same_events_and_bills(tmp_path: Path) -> None:
    """Played twice: each order's events are the same but for ids, and the bills are so to the byte. What services do by
    themselves may follow a little later, on the same day."""
    year = a_season(orders=12, months=1, faults=0)
    one, other = (asyncio.run(played(tmp_path / name, year, 0)) for name in ("one", "other"))
    assert [_by_people(one), _by_services(one)] == [_by_people(other), _by_services(other)]
    assert one.deliveries == other.deliveries


def test_the_ledger_of_the_shop_balances(season: Played) -> None:
    """What was played is whole: every identity of every order holds."""
    assert [broken for order in season.ledger for broken in order.breaks] == []
    assert len(season.ledger) == season.year.orders


def test_sound_bills_are_sound_and_hold_what_was_paid(season: Played, tmp_path: Path) -> None:
    """Without faults, the bills list what the ledger holds on its channel accounts, and the buyers' own payments."""
    posted = Counter(
        (posting.party, posting.item, posting.amount_fen)
        for order in season.ledger
        for posting in order.postings
        if posting.account == "channel"
    )
    orders = {step.order_id for step in season.year.steps if step.do == "record_order"}
    billed: Counter[tuple[str, str, int]] = Counter()
    moved: Counter[str] = Counter()
    for month in (*season.year.months, season.year.months[-1].next):
        for channel in CHANNELS:
            every = [one for one in season.movements if one.channel == channel and month.first <= one.at < month.end]
            for file in written(MonthOfBills(channel=channel, month=month, listed=[*map(listed, every)])):
                rows, mistakes = _read(tmp_path, file)
                assert mistakes == []
                for row in rows:
                    if file.kind.endswith("fund"):
                        moved[channel] += row.amount_fen if row.kind in (RowKind.PAYMENT, RowKind.REFUND) else 0
                    else:
                        moved[channel] -= row.amount_fen
                        billed[channel, row.refund_ref or row.order_ref, row.amount_fen] += 1
    bought = Counter({key: count for key, count in billed.items() if key[1] in orders})
    assert len(bought) == len(orders)
    by_hand = [step for step in season.year.steps if step.paid_as]
    ours = {key: key[2] for key in posted - billed if key[1] in {step.fields["payout"] for step in by_hand}}
    theirs = {
        key: key[2] for key in billed - posted if key[1] in {number for step in by_hand for number in step.paid_as}
    }
    assert {len(step.paid_as) for step in by_hand} == {1, 2}  # paid in one with another, and split
    assert len(ours) == len(by_hand)
    assert sum(ours.values()) == sum(theirs.values())
    assert billed - bought - posted == Counter(theirs.keys())
    [entered_twice] = (posted - billed - Counter(ours.keys())).elements()
    [planted] = [one for one in season.year.planted if one.kind == "compensation_paid_twice"]
    assert planted.case_id.replace("-", "") in entered_twice[1]
    assert moved == dict.fromkeys(CHANNELS, 0)


def test_every_kind_of_fault_is_planted(season: Played) -> None:
    """The list of what must be found has every kind, each about an order or a file of its own."""
    planted = season.planted
    assert sorted(one.kind for one in planted) == sorted([*FAULTY, *IN_BILLS, *IN_FILES])
    assert len({one.order_id or one.file for one in planted}) == len(planted)


def test_spoiled_files_are_refused_and_all_others_are_sound(season: Played, tmp_path: Path) -> None:
    """A fault in rows makes no bill unreadable, and a fault of a file is of the kind that it says."""
    rules = {"bill_footer_wrong": ["footer_differs"]}
    for delivery in season.deliveries:
        spoiled = {one.file: one.kind for one in delivery.planted if one.file}
        for file in delivery.files:
            _, mistakes = _read(tmp_path, file)
            assert mistakes == rules.get(spoiled.get(file.name, ""), [])


def test_faults_are_what_they_say(season: Played, tmp_path: Path) -> None:
    """Each planted row differs from what was paid in the way of its kind, and nothing else does."""
    paid = Counter((one.channel, one.ref, one.amount_fen, one.at.date()) for one in season.movements)
    spoiled = {one.file for delivery in season.deliveries for one in delivery.planted if one.file}
    rows = [
        row
        for delivery in season.deliveries
        for file in delivery.files
        if file.kind.endswith("trade") and file.name not in spoiled
        for row in _read(tmp_path, file)[0]
    ]
    billed = Counter(
        (row.channel, row.refund_ref or row.order_ref, abs(row.amount_fen), row.occurred_at.date())
        for row in rows
        if row.currency == "CNY"
    )
    last = season.year.months[-1].end.date()
    differs = {key[1] for key in (paid - billed) + (billed - paid) if key[3] < last}
    planted = {one.kind: one.ref for delivery in season.deliveries for one in delivery.planted}
    in_amounts = ("missing_with_us", "missing_at_channel", "amount", "duplicate", "cut_off", "currency")
    assert differs == {planted[kind] for kind in in_amounts}
    assert [row.refund_ref for row in rows if row.status is Status.FAILED] == [planted["status"]]


def test_every_fault_is_found_and_nothing_else_is_reported(season: Played) -> None:
    """Bills are imported and months reconciled and closed: finance finds each planted fault, and raises no false
    alarm."""
    outcome = season.outcome
    assert (outcome.missed, outcome.others, outcome.wrongly_refused) == ([], [], [])
    assert outcome.ok
    assert [found.planted for found in outcome.found] == [one for one in season.planted if not one.file]
    assert [closed.month for closed in season.closed] == [str(month) for month in season.year.months]


def test_too_few_movements_to_plant_faults_in_are_told() -> None:
    """A shop without a payout cannot show that a fault of one is found, and does not pretend to."""
    year = a_season(months=1)
    with pytest.raises(TooFewMovements):
        Deliveries(year, Channels(year.seed), 1).of(year.months[0])


def test_what_is_missed_or_too_much_is_told() -> None:
    """The comparison itself: a fault that nobody found, an alarm that nobody planted and a sound file that was refused
    are each told, so that a demonstration cannot be right by accident."""
    tells = Text(zh="多付", en="too much")
    fault = Planted(kind="amount", month="2026-01", order_id="TB1", tells=tells)
    alarm = Reported("D-1", "fee", "wechat", "2026-01-05", 100, 137, "TB1")
    spoiled = Planted(kind="bill_footer_wrong", month="2026-01", file="a.csv", tells=tells)
    refused = [Refused("a.csv", "bill_unsound", ()), Refused("b.csv", "bill_unsound", ())]
    outcome = compared([fault, spoiled], [alarm], refused)
    assert (outcome.found, outcome.spoiled, outcome.missed) == ([], [spoiled], [fault])
    assert (outcome.others, outcome.wrongly_refused) == ([alarm], refused[1:])
    assert not outcome.ok
