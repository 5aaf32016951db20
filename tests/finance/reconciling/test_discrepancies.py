"""What is wrong with what no rule puts together: a kind for each fault, and nothing where there is none."""

from typing import Any

import pytest

from services.finance.reconciling.classifying import Known
from services.finance.reconciling.outcome import What
from services.finance.reconciling.run import Run
from tests.finance.reconciling.made import BOTH, DAYS, day, done, fund, posting, scope, trade

F1 = "TB1-1:refund:F1"
CASH: dict[str, Any] = {"type": "compensation.paid"}


@pytest.mark.parametrize(
    ("found", "postings", "rows"),
    [
        ([("missing_with_us", 0, -100)], [], [trade(F1, -100), fund(F1, -100)]),
        ([("missing_with_us", 0, -100)], [], [fund("HB1", -100, kind="transfer")]),
        ([("missing_at_channel", -100, 0)], [posting(F1, -100)], []),
        ([("amount", -100, -90)], [posting(F1, -100)], [trade(F1, -90), fund(F1, -90)]),
        ([("amount", -100, -90)], [posting(F1, -100)], [trade(F1, -100), fund(F1, -90)]),
        ([("amount", -100, -90)], [posting(F1, -100)], [trade("", -90, order_ref="TB1")]),
        ([("amount", 300, 290)], [posting("PAY-1", 300, type="buyer.paid")], [trade("PAY-1", 290), fund("PAY-1", 290)]),
        ([("currency", -100, -100)], [posting(F1, -100)], [trade(F1, -100, currency="USD")]),
        ([("currency", 0, -100)], [], [trade(F1, -100, currency="USD")]),
        ([("status", -100, 0)], [posting(F1, -100)], [trade(F1, -100, status="failed", channel_status="CHANGE")]),
        (
            [("closed_after_acceptance", -100, 0)],
            [posting(F1, -100)],
            [trade(F1, -100, status="failed", channel_status="REFUNDCLOSE")],
        ),
        (
            [("closed_after_acceptance", -100, 0)],
            [posting(F1, -100)],
            [trade(F1, -100), fund(F1, -100), fund(F1, 100, at=3, kind="refund", refund_ref=F1)],
        ),
        ([], [], [fund(F1, -100), fund(F1, 100, at=3, kind="refund", refund_ref=F1)]),
        ([("duplicate", 0, -100)], [posting(F1, -100)], [fund(F1, -100), fund(F1, -100, at=4)]),
        (
            [("missing_with_us", 0, -100), ("duplicate", 0, -100)],
            [],
            [fund("x", -100), fund("x", -100, at=3)],
        ),
        ([("accepted_not_settled", -100, 0)], [posting(F1, -100)], [trade(F1, -100)]),
        ([("accepted_not_settled", 900, 0)], [], [trade("TB7", 500), trade("TB8", 400)]),
        ([("cut_off", -100, -100)], [posting(F1, -100, at=0)], [trade(F1, -100, at=3), fund(F1, -100, at=3)]),
        (
            [("compensation_paid_twice", 0, -100)],
            [posting("HB1", -100, **CASH)],
            [fund("HB1", -100), fund("HB1", -100, 3)],
        ),
        (
            [("compensation_paid_twice", -100, 0)],
            [posting("HB1", -100, **CASH), posting("HB1", -100, event_id="again", **CASH)],
            [fund("HB1", -100)],
        ),
    ],
)
def test_each_fault_is_named(found: list[Any], postings: list[Any], rows: list[Any]) -> None:
    """The kind says what is wrong, with our amount and the bill's."""
    assert done(scope(fund_days=BOTH), postings, rows).found() == found


@pytest.mark.parametrize(("charged_fen", "found"), [(-5, [("fee", -6, -5)]), (None, [("fee", -6, 0)]), (-6, [])])
def test_fee_that_is_not_as_the_transaction_says(charged_fen: int | None, found: list[Any]) -> None:
    """What is charged for a transaction must be what it says, to the fen."""
    rows = [trade("TB7", 900, fee_fen=6), fund("TB7", 900)]
    if charged_fen is not None:
        rows.append(fund("TB7", charged_fen, kind="fee", order_ref="TB7", key="fee"))
    assert done(scope(fund_days=BOTH, lists_fees=True), [], rows).found() == found


@pytest.mark.parametrize(
    ("covered", "at", "told"),
    [
        (range(-2, 2), 1, [("carried", "")]),
        (range(-2, 3), 1, [("discrepancy", "missing_at_channel")]),
        (range(-2, DAYS), DAYS - 1, [("carried", "")]),
        ((), 1, [("carried", "")]),
    ],
)
def test_nothing_is_missing_before_the_next_days_bill_is_there(covered: Any, at: int, told: list[Any]) -> None:
    """A posting may stand in the bill of the next day: until that is covered it is carried, not missing."""
    assert done(scope(trade_days=covered), [posting(F1, -100, at=at)], []).named() == told


def test_compensation_needs_a_fund_bill_to_be_missing() -> None:
    """A transfer stands in no transaction bill."""
    assert done(scope(), [posting("HB1", -100, **CASH)], []).named() == [("carried", "")]


def test_row_of_a_day_that_the_books_have_not_passed_is_carried() -> None:
    """What the channel did just before the books end may not be posted yet."""
    told = done(scope(books_day=day(1)), [], [trade(F1, -100, at=1)])
    assert told.named() == [("carried", "")]


def test_day_before_the_first_is_decided_and_not_counted() -> None:
    """What the run before had to leave open is decided by the next one."""
    known = posting("TB2-1:refund:F1", -70, at=-1)
    told = done(scope(), [posting(F1, -100, at=-1), known], [trade("TB2-1:refund:F1", -70, at=-1)])
    assert told.found() == [("missing_at_channel", -100, 0)]
    assert ("matched", "exact") in told.named(), "so that it is noted"
    assert (told.tally.postings, told.tally.by_rule) == ({}, {})


def test_what_lies_outside_the_days_is_found_by_its_reference() -> None:
    """A refund that a person confirmed weeks later is a cut-off, not two things that are missing."""
    late = done(scope(), [posting(F1, -100, at=40)], [trade(F1, -100)])
    assert late.found() == [("cut_off", -100, -100)]
    early = done(scope(), [posting(F1, -100)], [trade(F1, -100, at=40)])
    assert early.found() == [("cut_off", -100, -100)]


def test_second_refund_that_names_the_order_alone_is_a_duplicate() -> None:
    """Alipay's account names the order and no refund: a second movement of an amount that the books hold is told."""
    nameless: dict[str, Any] = {"refund_ref": "", "order_ref": "TB1", "channel_order_ref": "2026"}
    rows = [fund("x", -100, key="a", **nameless), fund("x", -100, at=3, key="b", **nameless)]
    told = done(scope(fund_days=BOTH), [posting(F1, -100)], rows)
    assert told.found() == [("duplicate", 0, -100)]


def test_what_another_channel_lists_is_not_missing_on_this_one() -> None:
    """A posting whose reference is on the bill of another channel was paid there."""
    run = Run(scope())
    for one in scope().days:
        run.take(one, [posting(F1, -100)] if one == day(1) else [], [])
    assert run.wanted().items == (F1,)
    [outcome] = run.finish(Known(elsewhere=frozenset({F1})))
    assert outcome.what is What.OUTSIDE


def test_failed_attempt_beside_a_payout_is_nothing() -> None:
    """The channel tells of an attempt that failed; the money went out with the next."""
    rows = [trade(F1, -100, status="failed", key="first"), trade(F1, -100)]
    assert done(scope(), [posting(F1, -100)], rows).named() == [("matched", "exact"), ("outside", "")]
