"""What a run is about: a channel, days, and how far books and bills reach."""

from collections.abc import Iterable

import msgspec

from services.finance.reconciling.items import OurPosting, day_of, next_day, ordinal

#: Events that only bills of what moved list, if the channel paid by transfer.
_TRANSFERRED = frozenset({"compensation.paid"})


class Coverage(msgspec.Struct, frozen=True):
    """The days that the bills of one sort cover."""

    days: frozenset[str] = frozenset()
    last: str = ""

    @classmethod
    def of(cls, spans: Iterable[tuple[str, str]]) -> "Coverage":
        """From the first and last day of each bill."""
        days = {
            day_of(number)
            for first, last in spans
            if first and last
            for number in range(ordinal(first), ordinal(last) + 1)
        }
        return cls(frozenset(days), max(days, default=""))

    def closes(self, day: str) -> bool:
        """Whether a day is covered and the next one too, so that nothing of it can still come."""
        return day in self.days and next_day(day) in self.days

    def reaches(self, day: str) -> bool:
        """Whether something of the day may stand in a bill, of this day or a later one."""
        return self.last >= day


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `books_day` is the day that the books have come to: what a bill lists of it may not be posted yet.

    `lists_fees`: whether the fund bills list fees at all; where they do not, fees leave another account.
    """

    channel: str
    first_day: str
    last_day: str
    books_day: str
    trade: Coverage = Coverage()
    fund: Coverage = Coverage()
    lists_fees: bool = False

    @property
    def opening_day(self) -> str:
        """The day before the first, which the run before had to leave open: it is decided here too."""
        return day_of(ordinal(self.first_day) - 1)

    @property
    def days(self) -> list[str]:
        """The days that are read, with one more at each end."""
        numbers = range(ordinal(self.first_day) - 2, ordinal(self.last_day) + 2)
        return [day_of(number) for number in numbers]

    def reads(self, day: str) -> bool:
        """Whether a day is among those that are read."""
        return ordinal(self.first_day) - 2 <= ordinal(day) <= ordinal(self.last_day) + 1

    def decides(self, day: str) -> bool:
        """Whether the run says what became of a day."""
        return self.opening_day <= day <= self.last_day

    def is_missed(self, posting: OurPosting) -> bool:
        """Whether the bills of a posting's day are complete, so that it should stand there."""
        listed_in_trade = posting.type not in _TRANSFERRED
        return self.fund.closes(posting.day) or (listed_in_trade and self.trade.closes(posting.day))

    def books_close(self, day: str) -> bool:
        """Whether the books have gone beyond the end of a day."""
        return day < self.books_day
