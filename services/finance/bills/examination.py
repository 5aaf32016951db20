"""What a bill is checked for while its rows pass: whose it is, repeated rows, balances, and what its footer says."""

from collections import Counter
from datetime import datetime

import msgspec

from services.finance.bills.keys import SeenKeys
from services.finance.bills.lines import Lines
from services.finance.bills.mistakes import MOST, Mistakes, Wrong
from services.finance.bills.rows import Expected, Row, RowKind
from services.kernel.money import yuan


class Sum(msgspec.Struct):
    """The rows of one kind."""

    kind: RowKind
    rows: int = 0
    amount_fen: int = 0
    fee_fen: int = 0


class Check(msgspec.Struct, frozen=True):
    """A figure that the bill says of itself, and what its rows give: fen, or a number of rows."""

    figure: str
    says: int
    found: int
    is_count: bool

    @property
    def agrees(self) -> bool:
        """Whether they are the same."""
        return self.says == self.found


class Balances:
    """Whether each balance follows from the one before it.

    Bills list movements oldest first or newest first; the bill is taken in the order in which fewer balances are wrong.
    """

    def __init__(self) -> None:
        self.opening: int | None = None
        self.closing: int | None = None
        self._before: tuple[int, int] | None = None
        self._first = self._last_opening = 0
        self._oldest_first: list[tuple[int, str, int, int]] = []
        self._newest_first: list[tuple[int, str, int, int]] = []
        self._wrong = [0, 0]

    def take(self, row: Row) -> None:
        """The next row."""
        if row.balance_fen is None:
            return
        amount, balance = row.amount_fen, row.balance_fen
        if self.opening is None:
            self.opening, self._first = balance - amount, balance
        if self._before is not None:
            amount_before, balance_before = self._before
            self._follow(0, self._oldest_first, row, balance_before + amount)
            self._follow(1, self._newest_first, row, balance_before - amount_before)
        self._before = (amount, balance)
        self.closing, self._last_opening = balance, balance - amount

    def miss_one(self) -> None:
        """A row is left out: the next balance follows from nothing."""
        self._before = None

    def finish(self, mistakes: Mistakes, field: str) -> None:
        """Note every balance that does not follow."""
        newest_first = self._wrong[1] < self._wrong[0]
        if newest_first:
            self.opening, self.closing = self._last_opening, self._first
        breaks = self._newest_first if newest_first else self._oldest_first
        for line, part, wanted, found in breaks:
            mistakes.add(Wrong("balance", field, wanted=yuan(wanted), found=yuan(found)), line, part)
        mistakes.count += self._wrong[newest_first] - len(breaks)

    def _follow(self, order: int, breaks: list[tuple[int, str, int, int]], row: Row, wanted: int) -> None:
        assert row.balance_fen is not None
        if row.balance_fen != wanted:
            self._wrong[order] += 1
            if len(breaks) < MOST:
                breaks.append((row.line, row.part, wanted, row.balance_fen))


class Examination:
    """What one reading finds out about a bill."""

    def __init__(self, mistakes: Mistakes, expected: Expected) -> None:
        self.mistakes = mistakes
        self.merchant = expected.merchant
        self.currency = expected.currency
        self.variant = ""
        self.period: tuple[datetime, datetime] | None = None
        """What the bill says that it covers, its end not included."""
        self.rows = 0
        self.left_out = 0
        """Rows with a mistake: sums and balances that miss them are no mistakes of their own."""
        self.sums: dict[RowKind, Sum] = {}
        self.figures: Counter[str] = Counter()
        """What the rows give for figures that a file beside them repeats: fen, or numbers of rows."""
        self.checks: list[Check] = []
        self.balances = Balances()
        self.first: datetime | None = None
        self.last: datetime | None = None
        self._seen = SeenKeys()

    def whose(self, merchant: str, field: str) -> str:
        """The merchant of a row, or of the bill: the one expected, or else the first one named. Raises `Wrong`."""
        if not self.merchant:
            self.merchant = merchant
        if merchant and merchant != self.merchant:
            raise Wrong("other_merchant", field, found=merchant, wanted=self.merchant)
        return self.merchant

    def in_currency(self, currency: str, field: str) -> str:
        """The currency of a row; raises `Wrong`."""
        if currency != self.currency:
            raise Wrong("other_currency", field, found=currency, wanted=self.currency)
        return currency

    def take(self, row: Row) -> Row:
        """The next sound row; raises `Wrong` for one that came before."""
        if first := self._seen.first(row.key, row.line):
            raise Wrong("duplicate", first=first)
        self.rows += 1
        total = self.sums.setdefault(row.kind, Sum(row.kind))
        total.rows += 1
        total.amount_fen += row.amount_fen
        total.fee_fen += row.fee_fen
        self.balances.take(row)
        self.first = min(self.first or row.occurred_at, row.occurred_at)
        self.last = max(self.last or row.occurred_at, row.occurred_at)
        return row

    def leave_out(self, lines: Lines, wrong: Wrong, line: int) -> None:
        """A row that is not to be used, and why."""
        lines.wrong(wrong, line)
        self.left_out += 1
        self.balances.miss_one()

    def check(self, lines: Lines, figure: str, says: int, found: int, *, is_count: bool = False) -> None:
        """Compare a figure that the bill says of itself, in the line that was read last, with what its rows give."""
        self.checks.append(Check(figure, says, found, is_count))
        if says != found and not self.left_out:
            shown = (str(says), str(found)) if is_count else (yuan(says), yuan(found))
            lines.wrong(Wrong("footer_differs", figure, says=shown[0], found=shown[1]))
