"""What channels really paid: every movement of money between shop and buyers, as the channels themselves know it."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Final

import msgspec

from services.kernel.money import allocate

#: A movement is known to us so many minutes after it was made.
_TOLD_AFTER: Final = (2, 9)


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """Money that moved: a payment of a buyer, or money that went back to one."""

    channel: str
    is_refund: bool
    of: str
    """Our number of the payment that it is, or that it belongs to."""
    ref: str
    """Our number of this movement."""
    amount_fen: int
    """Above zero, whichever way it went."""
    at: datetime
    number: str
    """The channel's number of this movement alone."""
    paid_number: str
    """The channel's number of the payment."""


class Channels:
    """What was paid through all channels, as it was told to them."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._known: dict[tuple[str, str], Movement] = {}

    @property
    def movements(self) -> Sequence[Movement]:
        """All of them, in order of time."""
        return in_order(self._known.values())

    def paid_in(self, channel: str, ref: str, amount_fen: int, told_at: datetime) -> Movement:
        """A buyer paid under one of our numbers, and we heard of it at a time."""
        return self._moved(channel, False, ref, ref, amount_fen, told_at)

    def paid_back(self, channel: str, of: str, ref: str, amount_fen: int, told_at: datetime) -> Movement:
        """A part of a payment went back to its buyer under a number of ours."""
        return self._moved(channel, True, of, ref, amount_fen, told_at)

    def paid_by_hand(self, channel: str, of: str, numbers: Sequence[str], amount_fen: int, told_at: datetime) -> None:
        """A part of a payment went back under numbers that are not ours: in as many parts as there are numbers, and
        together with what was paid under the same number before."""
        parts = allocate(amount_fen, range(1, len(numbers) + 1))
        for number, part_fen in zip(numbers, parts, strict=True):
            if known := self._known.get((channel, number)):
                whole = msgspec.structs.replace(known, amount_fen=known.amount_fen + part_fen)
                self._known[channel, number] = whole
            else:
                self._moved(channel, True, of, number, part_fen, told_at)

    def _moved(self, channel: str, is_refund: bool, of: str, ref: str, amount_fen: int, told_at: datetime) -> Movement:
        if known := self._known.get((channel, ref)):
            return known  # a channel pays nothing twice under one number of ours
        movement = Movement(
            channel=channel,
            is_refund=is_refund,
            of=of,
            ref=ref,
            amount_fen=amount_fen,
            at=told_at - timedelta(seconds=self._drawn(f"told {ref}", 60 * _TOLD_AFTER[0], 60 * _TOLD_AFTER[1])),
            number=self.number(channel, is_refund, of, ref),
            paid_number=self.number(channel, False, of, of),
        )
        self._known[channel, ref] = movement
        return movement

    def number(self, channel: str, is_refund: bool, of: str, ref: str) -> str:
        """The channel's number of a movement. Alipay's refunds have the number of their payment."""
        if channel == "alipay":
            return f"2026{self._digits(f'trade {of}', 24)}"
        return f"{'50300' if is_refund else '42000'}{self._digits(f'{is_refund} {ref}', 23)}"

    def _digits(self, text: str, count: int) -> str:
        """Digits that follow from a text and the seed."""
        drawn = int.from_bytes(blake2b(f"{self._seed} {text}".encode(), digest_size=16).digest(), "big")
        return f"{drawn % 10**count:0{count}d}"

    def _drawn(self, text: str, least: int, most: int) -> int:
        """A number from `least` to below `most` that follows from a text and the seed."""
        return least + int(self._digits(text, 9)) % (most - least)

    def within(self, channel: str, first: datetime, end: datetime) -> Sequence[Movement]:
        """What moved at a channel from a moment on, before another, in order of time."""
        return [one for one in self.movements if one.channel == channel and first <= one.at < end]


def in_order(movements: Iterable[Movement]) -> Sequence[Movement]:
    """In order of time, the same whichever way they came."""
    return sorted(movements, key=lambda one: (one.at, one.number, one.ref))
