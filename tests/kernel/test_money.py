"""Exact division of money."""

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.kernel.money import allocate, yuan

amounts = st.integers(-(10**12), 10**12)
weights = st.lists(st.integers(0, 10**9), min_size=1, max_size=12)


@given(amounts, weights)
def test_parts_sum_to_the_amount(amount: int, weights: list[int]) -> None:
    """No division loses or invents a fen."""
    assert sum(allocate(amount, weights)) == amount


@given(amounts, weights)
def test_each_part_is_the_exact_share_within_one_fen(amount: int, weights: list[int]) -> None:
    """A part is its exact share rounded down or up, and nothing where its weight is nothing."""
    assume(sum(weights) > 0)
    for part, weight in zip(allocate(abs(amount), weights), weights, strict=True):
        share = Fraction(abs(amount) * weight, sum(weights))
        assert share - 1 < part < share + 1
        if weight == 0:
            assert part == 0


@given(amounts, weights)
def test_largest_remainders_get_the_odd_fen(amount: int, weights: list[int]) -> None:
    """Whoever is rounded up lost more by rounding down than whoever is not, or as much and stands before."""
    assume(sum(weights) > 0)
    shares = [divmod(abs(amount) * weight, sum(weights)) for weight in weights]
    up = [part > whole for part, (whole, _) in zip(allocate(abs(amount), weights), shares, strict=True)]
    ranked = sorted(range(len(weights)), key=lambda place: (-shares[place][1], place))
    assert [up[place] for place in ranked] == sorted(up, reverse=True)


@given(amounts, weights)
def test_negative_by_absolute_value(amount: int, weights: list[int]) -> None:
    """What is taken back is split exactly as it was given."""
    assert allocate(-amount, weights) == [-part for part in allocate(amount, weights)]


@given(amounts, st.integers(1, 12))
def test_all_zero_weights_split_evenly(amount: int, count: int) -> None:
    """Where nothing weighs anything, the parts differ by at most one fen, the first ones get it."""
    parts = allocate(abs(amount), [0] * count)
    assert parts == sorted(parts, reverse=True)
    assert parts[0] - parts[-1] <= 1


@given(st.integers(0, 10**12), weights)
def test_more_weight_never_gets_less(amount: int, weights: list[int]) -> None:
    """Parts are in the order of their weights."""
    parts = allocate(amount, weights)
    assume(sum(weights) > 0)
    by_weight = sorted(zip(weights, parts, strict=True))
    for (light, less), (heavy, more) in pairwise(by_weight):
        assert less <= more or light == heavy


@given(amounts, st.lists(st.integers(0, 10**9), min_size=1, max_size=8, unique=True), st.randoms())
def test_order_matters_for_ties_only(amount: int, weights: list[int], chance: object) -> None:
    """Whoever asks in another order gives each weight the same, as long as no two remainders are the same."""
    whole = sum(weights)
    assume(whole > 0 and len({abs(amount) * weight % whole for weight in weights}) == len(weights))
    shuffled = sorted(weights)
    assert dict(zip(weights, allocate(amount, weights), strict=True)) == dict(
        zip(shuffled, allocate(amount, shuffled), strict=True)
    )


@pytest.mark.parametrize(
    ("amount", "weights", "parts"),
    [
        (100, [1, 1, 1], [34, 33, 33]),
        (-100, [1, 1, 1], [-34, -33, -33]),
        (1, [0, 5, 5], [0, 1, 0]),
        (0, [3, 4], [0, 0]),
        (5, [0, 0], [3, 2]),
        (10, [7], [10]),
        (1_000, [129_900, 9_900, 5_900], [892, 68, 40]),
    ],
)
def test_worked_examples(amount: int, weights: list[int], parts: list[int]) -> None:
    """Figures that can be checked by hand."""
    assert allocate(amount, weights) == parts


@pytest.mark.parametrize("weights", [[], [1, -1]])
def test_senseless_weights_are_refused(weights: list[int]) -> None:
    """Nobody can be given a share among nobody, or a negative one."""
    with pytest.raises(ValueError, match="weights"):
        allocate(1, weights)


@pytest.mark.parametrize(
    ("fen", "text"), [(0, "0.00"), (5, "0.05"), (-129_900, "-1 299.00"), (123_456_789, "1 234 567.89"), (-1, "-0.01")]
)
def test_yuan_for_people(fen: int, text: str) -> None:
    """Amounts are shown in yuan, with their sign and every fen."""
    assert yuan(fen) == text
