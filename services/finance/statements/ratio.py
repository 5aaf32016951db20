"""Rates, exact: how many of how many."""

import msgspec


class Ratio(msgspec.Struct, frozen=True):
    """So many of so many, and that in 1/10000, rounded half up; null where there are none to be of."""

    numerator: int
    denominator: int
    bp: int | None


def ratio(numerator: int, denominator: int) -> Ratio:
    """The rate of two figures; the denominator is not below 0."""
    bp = (20_000 * numerator + denominator) // (2 * denominator) if denominator else None
    return Ratio(numerator, denominator, bp)
