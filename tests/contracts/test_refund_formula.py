"""The refund formula that refunds pays by and cases refuses by (`domain.md` §4)."""

from hypothesis import given
from hypothesis import strategies as st

from contracts.refund_formula import LineAccount, Taken, units_value


@given(
    st.integers(min_value=0, max_value=10**11),
    st.lists(st.integers(min_value=0, max_value=50), min_size=1).filter(lambda parts: sum(parts) > 0),
)
def test_parts_sum_to_the_whole(paid_fen: int, parts: list[int]) -> None:
    """However the units of a line are split, their values sum to what was paid, and each is near its fair share."""
    quantity, first, values = sum(parts), 0, []
    for units in parts:
        value = units_value(paid_fen, quantity, first, units)
        assert abs(value * quantity - paid_fen * units) < quantity
        values.append(value)
        first += units
    assert sum(values) == paid_fen


def test_preview_changes_nothing() -> None:
    """Looking what a refund would come to leaves the account as it was; deciding it gives the same figures."""
    account = LineAccount(3_000, 3)
    account.pay("cash", "C1", "P1", 1_500)
    preview = account.preview(1)
    assert preview == account.preview(1)
    assert account.refund(1) == preview
    assert preview.taken == (Taken("C1", "P1", "cash", 1_000),)
    assert (account.refunded_units, account.refunded_fen, account.undeducted_fen) == (1, 0, 500)


def test_recording_is_refunding() -> None:
    """Noting a decided refund leaves the same account as deciding it did."""
    one, other = LineAccount(3_000, 3), LineAccount(3_000, 3)
    for account in (one, other):
        account.pay("price_difference", "C1", "P1", 100)
        account.pay("cash", "C1", "P2", 100)
        account.pay("cash", "C2", "P1", 1_000)
    other.record(2, one.refund(2))
    assert one == other
    assert one.undeducted_fen == 0


def test_single_fen() -> None:
    """The last fen is deducted like any other, and nothing is taken from a line that is worth nothing."""
    account = LineAccount(1, 1)
    account.pay("cash", "C1", "P1", 1)
    assert account.refund(1).taken == (Taken("C1", "P1", "cash", 1),)
    gift = LineAccount(0, 1)
    gift.pay("cash", "C1", "P1", 1)
    assert gift.refund(1).taken == ()


def test_order_of_deduction() -> None:
    """Cash goes first, then the price difference; within a kind, what was paid first."""
    account = LineAccount(1_000, 1)
    account.pay("price_difference", "C1", "P1", 700)
    account.pay("cash", "C1", "P2", 300)
    account.pay("cash", "C2", "P1", 200)
    account.pay("voucher", "C1", "P3", 900)
    account.pay("good_review_reward", "C1", "P4", 900)
    account.pay("cash", "C1", "P5", 0)
    result = account.refund(1)
    assert result.taken == (
        Taken("C1", "P2", "cash", 300),
        Taken("C2", "P1", "cash", 200),
        Taken("C1", "P1", "price_difference", 500),
    )
    assert (result.refund_fen, result.carried_deduction_fen) == (0, 200)
