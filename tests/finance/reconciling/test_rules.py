"""What the rules put together, and in which order they are asked."""

from typing import Any

import pytest

from services.finance.reconciling.outcome import What
from tests.finance.reconciling.made import BOTH, done, fund, posting, scope, trade

F1, F2 = "TB1-1:refund:F1", "TB1-1:refund:F2"
#: What a fund bill of Alipay says of a refund: the order, and no reference of ours.
NAMELESS: dict[str, Any] = {"refund_ref": "", "order_ref": "TB1", "channel_order_ref": "", "key": "alipay-fund:1"}


@pytest.mark.parametrize(
    ("rule", "postings", "rows"),
    [
        ("exact", [posting(F1, -100)], [trade(F1, -100)]),
        ("channel_ref", [posting(F1, -100, channel_ref="W-x")], [trade("x", -100, order_ref="TB9")]),
        ("channel_ref", [posting("W-x", -100)], [trade("x", -100, order_ref="TB9")]),
        ("order_sum", [posting(F1, -100)], [trade("", -100, order_ref="TB1")]),
        ("order_sum", [posting(F1, -100)], [trade(F1, -60, key="a"), trade(F1, -40, key="b")]),
        ("order_sum", [posting(F1, -100)], [trade("x", -60, order_ref="TB1"), trade("y", -40, order_ref="TB1")]),
        (
            "order_sum",
            [posting("TB1-1:deposit_return:D1", -100, channel_ref="N1")],
            [
                trade("S1", -60, key="a", order_ref="YJ1", channel_order_ref="N1"),
                trade("S2", -40, key="b", order_ref="YJ1", channel_order_ref="N1"),
            ],
        ),
        ("roll_up", [posting(F1, -60), posting(F2, -40)], [trade("batch", -100, order_ref="TB1")]),
        (
            "roll_up",
            [posting("HB7", -60, event_id="e1"), posting("HB7", -40, event_id="e2")],
            [trade("HB7", -100)],
        ),
        (
            "roll_up",
            [posting(F1, -60), posting("TB2-1:refund:F1", -40)],
            [trade("", -100, order_ref="B1", kind="transfer")],
        ),
        (
            "roll_up",
            [posting(F1, -60), posting(F2, -40)],
            [trade("x", -70, order_ref="TB1"), trade("y", -30, order_ref="TB1")],
        ),
        ("cut_off", [posting(F1, -100, at=1)], [trade(F1, -100, at=2)]),
        ("cut_off", [posting(F1, -100, at=2)], [trade("", -100, at=1, order_ref="TB1")]),
    ],
)
def test_each_rule_puts_together(rule: str, postings: list[Any], rows: list[Any]) -> None:
    """One match of all that is there, by the rule that explains it, and nothing is left."""
    [match] = done(scope(), postings, rows).outcomes
    assert (match.what, match.name) == (What.MATCHED, rule)
    assert (len(match.postings), len(match.rows)) == (len(postings), len(rows))


def test_references_come_before_orders() -> None:
    """A row that only names the order does not take the posting whose own row comes the next day."""
    other = trade("", -100, order_ref="TB1", key="a")
    told = done(scope(), [posting(F1, -100)], [other, trade(F1, -100, at=2)])
    assert [[row.key for row in one.rows] for one in told.outcomes if one.what is What.MATCHED] == [[trade(F1, -1).key]]
    assert told.found() == [("duplicate", 0, -100)]


def test_row_that_names_another_payout_is_no_proof_of_this_one() -> None:
    """The same order and amount is not enough where the row says that it pays something else."""
    told = done(scope(), [posting(F1, -100)], [trade(F2, -100)])
    assert told.found() == [("missing_at_channel", -100, 0), ("missing_with_us", 0, -100)]


def test_both_bills_are_witnesses_of_one_movement() -> None:
    """A transaction and what moved on the account agree with one posting; a fund bill may know the order alone."""
    nameless = fund("x", -100, **NAMELESS)
    for row in (fund(F1, -100), nameless):
        [match] = done(scope(fund_days=BOTH), [posting(F1, -100)], [trade(F1, -100), row]).outcomes
        assert (match.what, len(match.rows)) == (What.MATCHED, 2)


def test_payments_of_the_sale_are_outside() -> None:
    """What buyers paid for the sale is no after-sales money; what they paid in a case is, by its reference."""
    rows = [trade("TB7", 900), fund("TB7", 900), trade("PAY-1", 300), fund("PAY-1", 300)]
    told = done(scope(fund_days=BOTH), [posting("PAY-1", 300, type="buyer.paid")], rows)
    assert told.named() == [("matched", "exact"), ("outside", "")]


def test_money_taken_to_the_bank_is_outside() -> None:
    """The shop's own transfers are no business of after-sales."""
    out = fund("", -5_000, kind="transfer", channel_status="提现", order_ref="")
    assert done(scope(fund_days=BOTH), [], [out]).named() == [("outside", "")]


def test_fees_agree_with_their_transactions() -> None:
    """A fee is one row of the fund bill and a column of the transaction; they are put together by the transaction."""
    fee = fund("TB7", -6, kind="fee", order_ref="TB7", key="fee")
    back = fund(F1, 1, kind="fee", order_ref=F1, key="back")
    rows = [trade("TB7", 900, fee_fen=6), fund("TB7", 900), fee]
    rows += [trade(F1, -100, fee_fen=-1), fund(F1, -100), back]
    told = done(scope(fund_days=BOTH, lists_fees=True), [posting(F1, -100)], rows)
    assert told.tally.by_rule == {"exact": 1, "fee": 2}
    assert told.found() == []
