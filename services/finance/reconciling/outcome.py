"""What a run finds: each of its own postings and rows ends in exactly one outcome."""

import hashlib
from collections.abc import Iterable
from enum import StrEnum

import msgspec

from services.finance.reconciling.items import BillRow, Item, OurPosting
from services.finance.reconciling.scope import Scope


class What(StrEnum):
    """What became of postings and rows."""

    MATCHED = "matched"
    CARRIED = "carried"
    """At an edge of what bills or books cover: the next run says."""
    OUTSIDE = "outside"
    """No business of after-sales, and no mistake: what buyers paid for the sale, fees, money taken to the bank."""
    DISCREPANCY = "discrepancy"


class Kind(StrEnum):
    """Discrepancies, by what is wrong."""

    MISSING_WITH_US = "missing_with_us"
    MISSING_AT_CHANNEL = "missing_at_channel"
    AMOUNT = "amount"
    CURRENCY = "currency"
    STATUS = "status"
    DUPLICATE = "duplicate"
    ACCEPTED_NOT_SETTLED = "accepted_not_settled"
    CLOSED_AFTER_ACCEPTANCE = "closed_after_acceptance"
    FEE = "fee"
    CUT_OFF = "cut_off"
    INSURANCE_NOT_DEDUCTED = "insurance_not_deducted"
    INSURANCE_PAID_TWICE = "insurance_paid_twice"
    COMPENSATION_PAID_TWICE = "compensation_paid_twice"
    LIABILITY_UNASSIGNED = "liability_unassigned"
    BILL_FOOTER_WRONG = "bill_footer_wrong"


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """One thing that was found. `name` is the rule of a match, the kind of a discrepancy, else empty.

    `expected_fen` is ours, `found_fen` the bill's. `beside`: rows that belong to another outcome, and explain this one.
    """

    what: What
    name: str
    postings: tuple[OurPosting, ...] = ()
    rows: tuple[BillRow, ...] = ()
    expected_fen: int = 0
    found_fen: int = 0
    beside: tuple[BillRow, ...] = ()

    @property
    def day(self) -> str:
        """The first day that it is about."""
        items: tuple[Item, ...] = (*self.postings, *self.rows, *self.beside)
        return min(item.day for item in items)

    def line(self) -> str:
        """It as a line that says all of it, the same for the same."""
        ours = ",".join([f"{one.event_id}/{one.line}" for one in self.postings])
        theirs = ",".join([one.key for one in self.rows])
        amounts = f"{self.expected_fen} {self.found_fen}" if self.what is What.DISCREPANCY else ""
        return f"{self.what.value}\t{self.name}\t{ours}\t{theirs}\t{amounts}\n"


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A discrepancy as the books keep it. Its id follows from what it is about, so that nobody raises it twice."""

    discrepancy: str
    kind: str
    channel: str
    day: str
    expected_fen: int
    found_fen: int
    order_id: str = ""
    case_id: str = ""
    rows: tuple[str, ...] = ()
    events: tuple[str, ...] = ()


def discrepancy_id(kind: str, keys: Iterable[str]) -> str:
    """The id of a discrepancy of a kind about these rows, events or cases."""
    said = "\n".join([kind, *sorted(keys)])
    return f"D-{hashlib.sha256(said.encode()).hexdigest()[:16]}"


class Tally(msgspec.Struct, kw_only=True):
    """How many there are of what, and of postings and rows in each; only what is the run's own counts."""

    postings: dict[str, int] = {}
    rows: dict[str, int] = {}
    by_rule: dict[str, int] = {}
    by_kind: dict[str, int] = {}

    @property
    def matches(self) -> int:
        """Postings and rows that agree, put together."""
        return sum(self.by_rule.values())

    @property
    def discrepancies(self) -> int:
        """What does not agree."""
        return sum(self.by_kind.values())

    @property
    def carried(self) -> int:
        """Postings and rows that the next run will say more about."""
        return self.postings.get(What.CARRIED, 0) + self.rows.get(What.CARRIED, 0)


class Telling:
    """Takes outcomes as they come: drops what is no business of the run, counts the rest, and hashes it."""

    def __init__(self, scope: Scope) -> None:
        self.tally = Tally()
        self._scope = scope
        self._hash = hashlib.sha256()

    def take(self, outcomes: Iterable[Outcome]) -> list[Outcome]:
        """Those of them that the run tells."""
        told = [one for one in outcomes if self._counts(one)]
        self.add(one.line() for one in told)
        return told

    def _counts(self, one: Outcome) -> bool:
        """Count it; whether it is the run's to tell."""
        first, last, what, tally = self._scope.first_day, self._scope.last_day, one.what, self.tally
        own = own_rows = 0
        for posting in one.postings:
            if first <= posting.day <= last:
                own += 1
        for row in one.rows:
            if first <= row.day <= last:
                own_rows += 1
        if own:
            tally.postings[what] = tally.postings.get(what, 0) + own
        if own_rows:
            tally.rows[what] = tally.rows.get(what, 0) + own_rows
        is_own = bool(own or own_rows)
        if what is What.CARRIED or what is What.OUTSIDE:
            return is_own
        is_told = is_own or self._decides(one)
        if what is What.MATCHED and is_own:
            tally.by_rule[one.name] = tally.by_rule.get(one.name, 0) + 1
        elif what is What.DISCREPANCY and is_told:
            tally.by_kind[one.name] = tally.by_kind.get(one.name, 0) + 1
        return is_told

    def _decides(self, one: Outcome) -> bool:
        """Whether it is about the day that the run before had to leave open."""
        items: tuple[Item, ...] = (*one.postings, *one.rows) or one.beside
        return any(self._scope.decides(item.day) for item in items)

    def add(self, lines: Iterable[str]) -> None:
        """What else the result says."""
        self._hash.update("".join(lines).encode())

    @property
    def result(self) -> str:
        """The hash of all that was told."""
        return self._hash.hexdigest()
