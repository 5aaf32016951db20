"""The trial balance: what each account held before, what moved and what it holds, over all orders or one month."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from services.finance.ledger.accounts import CHART
from services.finance.ledger.identities import TEXTS, Break
from services.finance.ledger.postings import Posting
from services.kernel.shop_time import shop_day, shop_month

_MONTH: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
_PLACES: Final = {code: place for place, code in enumerate(CHART)}


def is_month(text: str) -> bool:
    """Whether it is written like a month: `2026-10`."""
    return _MONTH.fullmatch(text) is not None


class Row(msgspec.Struct, frozen=True):
    """An account and what it is kept by, in fen. Opening and closing are debits above zero, credits below."""

    account: str
    party: str
    opening_fen: int
    debit_fen: int
    credit_fen: int
    closing_fen: int


class TrialBalance(msgspec.Struct, frozen=True):
    """Every account that was touched, in the order of the chart, and the sums. `month` is empty for all time."""

    month: str
    rows: Sequence[Row]
    opening_fen: int
    debit_fen: int
    credit_fen: int
    closing_fen: int
    orders: int
    breaks: int

    @property
    def balances(self) -> bool:
        """Whether debits are credits, and all that the accounts hold makes nothing."""
        return self.debit_fen == self.credit_fen and self.opening_fen == self.closing_fen == 0


class Trial:
    """A trial balance that grows posting by posting; it holds a figure for each account and party, and each day."""

    def __init__(self, month: str = "") -> None:
        self._month = month
        self._opening: Counter[tuple[str, str]] = Counter()
        self._debit: Counter[tuple[str, str]] = Counter()
        self._credit: Counter[tuple[str, str]] = Counter()
        self._days: Counter[str] = Counter()
        self.postings = 0

    def add(self, postings: Iterable[Posting]) -> None:
        """Take the postings of one order."""
        for posting in postings:
            self.postings += 1
            self._days[shop_day(posting.time)] += posting.amount_fen
            month = shop_month(posting.time) if self._month else ""
            key = posting.account, posting.party
            if month < self._month:
                self._opening[key] += posting.amount_fen
            elif month == self._month:
                side = self._debit if posting.amount_fen > 0 else self._credit
                side[key] += abs(posting.amount_fen)

    @property
    def days(self) -> int:
        """Days on which something was booked."""
        return len(self._days)

    @property
    def accounts(self) -> int:
        """Accounts that were touched."""
        return len({code for code, _ in (*self._opening, *self._debit, *self._credit)})

    def days_that_differ(self) -> Iterator[Break]:
        """Days of the shop's on which debits are not credits."""
        text = TEXTS["day_unbalanced"]
        for day, left in sorted(self._days.items()):
            if left:
                yield Break("day_unbalanced", "", "", f"{text.zh} {day}", f"{text.en} {day}", 0, left, [])

    def balance(self, orders: int = 0, breaks: int = 0) -> TrialBalance:
        """What it comes to."""
        keys = sorted({*self._opening, *self._debit, *self._credit}, key=lambda key: (_PLACES[key[0]], key[1]))
        rows = [row for row in map(self._row, keys) if row.opening_fen or row.debit_fen or row.credit_fen]
        return TrialBalance(
            self._month,
            rows,
            sum(row.opening_fen for row in rows),
            sum(row.debit_fen for row in rows),
            sum(row.credit_fen for row in rows),
            sum(row.closing_fen for row in rows),
            orders,
            breaks,
        )

    def _row(self, key: tuple[str, str]) -> Row:
        opening, debit, credit = self._opening[key], self._debit[key], self._credit[key]
        return Row(*key, opening, debit, credit, opening + debit - credit)
