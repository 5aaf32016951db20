"""A movement of money and its witnesses, put together step by step."""

from collections.abc import Iterator
from typing import Final

import msgspec

from services.finance.reconciling.items import (
    BillRow,
    OurPosting,
    numbers_of,
    order_of_row,
    ordinal,
    reference_of,
)

#: The first rule: our reference and the amount.
EXACT: Final = "exact"


class Movement(msgspec.Struct, gc=False, eq=False):
    """Money that moved once; all its witnesses of one sort come to `amount_fen` together."""

    amount_fen: int
    born: str
    """The day of its first witness."""
    postings: tuple[OurPosting, ...] = ()
    trade: tuple[BillRow, ...] = ()
    fund: tuple[BillRow, ...] = ()
    rule: str = EXACT
    key: tuple[str, int] | None = None
    """What it is found by, where that is one reference and its amount."""
    settled: bool = False
    """Its day is over and something is missing still."""
    gone: bool = False
    """It is told, or became part of another."""

    @property
    def rows(self) -> tuple[BillRow, ...]:
        """What bills say of it."""
        return self.trade + self.fund

    @property
    def first_row(self) -> BillRow:
        """The row that speaks for all of them."""
        return self.trade[0] if self.trade else self.fund[0]

    def takes(self, other: "Movement") -> bool:
        """Whether no sort of witness would be there twice."""
        return not ((self.postings and other.postings) or (self.trade and other.trade) or (self.fund and other.fund))

    def references(self) -> Iterator[str]:
        """Our references that its witnesses name."""
        for posting in self.postings:
            yield posting.item
        for row in self.rows:
            yield reference_of(row)

    def numbers(self) -> Iterator[str]:
        """Every number that could be the channel's: people note either of them as their reference."""
        for posting in self.postings:
            yield posting.channel_ref
            yield posting.item
        for row in self.rows:
            yield from numbers_of(row)
            yield reference_of(row)

    def orders(self) -> Iterator[str]:
        """The orders that its witnesses name."""
        for posting in self.postings:
            yield posting.order_id
        for row in self.rows:
            yield order_of_row(row)

    def is_of_one_day(self) -> bool:
        """Whether all its witnesses are of the day of its first one."""
        for items in (self.postings, self.trade, self.fund):
            for item in items:
                if item.day != self.born:
                    return False
        return True

    def days_apart(self) -> int:
        """How many days lie between one sort of witness and the next: from us to the bills, from trade to fund."""
        sorts = [[ordinal(item.day) for item in items] for items in (self.postings, self.trade, self.fund) if items]
        if len(sorts) == 3:
            ours, trade, fund = sorts
            nearest = min(_apart(ours, trade), _apart(ours, fund))
            return max(nearest, _apart(trade, fund))
        return _apart(*sorts) if len(sorts) == 2 else 0


def _apart(some: list[int], others: list[int]) -> int:
    """Days between two groups at the most."""
    return max(max(some) - min(others), max(others) - min(some), 0)


def merged(rule: str, amount_fen: int, movements: list[Movement]) -> Movement:
    """One movement of all of these, which are gone then."""
    for one in movements:
        one.gone = True
    return Movement(
        amount_fen=amount_fen,
        born=min(one.born for one in movements),
        postings=tuple(posting for one in movements for posting in one.postings),
        trade=tuple(row for one in movements for row in one.trade),
        fund=tuple(row for one in movements for row in one.fund),
        rule=rule,
        settled=all(one.settled for one in movements),
    )
