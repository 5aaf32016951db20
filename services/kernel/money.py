"""Exact money: amounts are integer fen, and a division never loses or invents one."""

from collections.abc import Sequence


def allocate(amount_fen: int, weights: Sequence[int]) -> list[int]:
    """Split an amount by weights: largest remainder first, ties by order of weights; the parts sum to the amount.

    A negative amount is split by its absolute value. Where all weights are zero the amount is split evenly.
    Raises `ValueError` for no weights, or a negative one.
    """
    if not weights or min(weights) < 0:
        raise ValueError("weights must be given and not negative")
    whole = sum(weights)
    if whole == 0:
        weights, whole = [1] * len(weights), len(weights)
    sign = -1 if amount_fen < 0 else 1
    shares = [divmod(abs(amount_fen) * weight, whole) for weight in weights]
    parts = [quotient for quotient, _ in shares]
    by_remainder = sorted(range(len(shares)), key=lambda index: -shares[index][1])
    for index in by_remainder[: abs(amount_fen) - sum(parts)]:
        parts[index] += 1
    return [sign * part for part in parts]


def yuan(amount_fen: int) -> str:
    """An amount for people, e.g. `-1 299.00`."""
    sign = "-" if amount_fen < 0 else ""
    whole, rest = divmod(abs(amount_fen), 100)
    return f"{sign}{whole:,}.{rest:02d}".replace(",", " ")
