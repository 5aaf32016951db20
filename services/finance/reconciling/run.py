"""One run of a reconciliation: days come in, what they say of the same money is put together, and told."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from services.finance.reconciling.classifying import Known, Wanted, classified, wanted_of
from services.finance.reconciling.fees import Fees
from services.finance.reconciling.items import (
    CURRENCY,
    FAILED,
    FEE,
    PAYMENT,
    REFUND,
    TRANSFER,
    BillRow,
    OurPosting,
    posting_order,
    row_order,
)
from services.finance.reconciling.matching import Open
from services.finance.reconciling.movement import Movement
from services.finance.reconciling.outcome import Outcome, Tally, Telling
from services.finance.reconciling.rules import by_number, put_together
from services.finance.reconciling.scope import Scope
from services.finance.reconciling.telling import outside, told_match

#: Kinds of rows that our books must know.
_OURS: Final = frozenset({REFUND, TRANSFER})


class Run:
    """One run. Give it every day of `scope.days` in order, then what it `wants`, and it is finished.

    A day is looked at once the next is there: what the books say of one day and the bills of its neighbour is put
    together, and what is missing on its own day may come with the next.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._open = Open()
        self._fees = Fees(scope)
        self._telling = Telling(scope)
        self._last: list[Movement] = []
        """Movements that began with the last day that came."""
        self._rest: list[Movement] = []
        """Open ones of the day before that."""
        self._left: list[Movement] = []
        """Those of earlier days."""
        self._aside: list[BillRow] = []
        """Rows that move nothing of ours: failed, or in another currency."""
        self._told_last: list[Outcome] = []
        self._awaited: set[str] = set()
        """References under which the books hold money that came in, and no bill does."""
        self._day = ""

    @property
    def tally(self) -> Tally:
        """How many there are of what."""
        return self._telling.tally

    @property
    def result(self) -> str:
        """The hash of all that was told."""
        return self._telling.result

    def take(self, day: str, postings: Iterable[OurPosting], rows: Iterable[BillRow]) -> list[Outcome]:
        """The next day, in any order of its rows; what is known of the days before."""
        if day <= self._day:
            raise ValueError(f"{day} came behind {self._day}")
        self._day = day
        enter_posting = self._open.enter_posting
        for posting in sorted(postings, key=posting_order):
            enter_posting(posting)
        self._enter(*_apart(rows))
        return self._telling.take(chain(self._settle(), self._fees.settle()))

    def _enter(self, trade: list[BillRow], fund: list[BillRow]) -> None:
        enter_trade, enter_fund, fees = self._open.enter_trade, self._open.enter_fund, self._fees
        for row in trade:
            if row.currency != CURRENCY or row.status == FAILED:
                self._aside.append(row)
                continue
            enter_trade(row, row.amount_fen)
            if row.fee_fen:
                fees.enter_trade(row)
        for row in fund:
            if row.currency != CURRENCY or row.status == FAILED:
                self._aside.append(row)
            elif row.kind == FEE:
                fees.enter_fund(row)
            else:
                enter_fund(row)

    def _settle(self) -> Iterator[Outcome]:
        """Look at the day before the last one that came, together with the one before it."""
        born, self._last = self._last, self._open.born()
        made = self._put_together(chain(self._rest, born))
        if self._open.late:
            yield from self._told_late()
        waiting: list[Movement] = []
        for one in chain(born, made):
            if one.gone:
                self._open.forget(one)
            elif one.postings and self._is_complete(one):
                yield self._told(one)
            else:
                waiting.append(one)
                if one.amount_fen > 0:
                    self._awaited.update(posting.item for posting in one.postings)
        for one in self._rest:
            if one.gone:
                self._open.forget(one)
            elif not one.postings and self._is_outside(one):
                self._open.forget(one)
                yield outside(one)
            else:
                one.settled = True
                self._left.append(one)
        self._rest = waiting

    def _told_late(self) -> Iterator[Outcome]:
        """What got its last witness when its days were over."""
        for one in self._open.late:
            if not one.gone and self._is_complete(one):
                yield self._told(one)
        self._open.late.clear()
        self._left = [one for one in self._left if not one.gone]

    def _put_together(self, window: Iterable[Movement]) -> list[Movement]:
        ours, theirs = list[Movement](), list[Movement]()
        for one in window:
            if one.gone:
                continue
            if not one.postings:
                theirs.append(one)
            elif not self._is_complete(one):
                ours.append(one)
        if not (ours and theirs):
            return []
        made = put_together(ours, theirs)
        self._open.again(made)
        return made

    def _is_complete(self, one: Movement) -> bool:
        """Whether all spoke of ours that may still speak: a fund bill says what a transaction comes to."""
        if one.fund:
            return bool(one.postings)
        return bool(one.postings and one.trade) and not self._scope.fund.reaches(one.trade[-1].day)

    def _is_outside(self, one: Movement) -> bool:
        """Whether it is nothing that our books must know, and all is said of it."""
        row = one.first_row
        if row.kind in _OURS or not self._awaited.isdisjoint(one.references()):
            return False
        if row.kind == PAYMENT and one.trade and not one.fund:
            return not self._scope.fund.reaches(row.day)
        return True

    def _told(self, one: Movement) -> Outcome:
        self._open.forget(one)
        return told_match(one)

    def wanted(self) -> Wanted:
        """Behind the last day: what is open, for somebody to look up what else is known of it."""
        self._told_last = self._telling.take(chain(self._settle(), self._settle(), self._settle()))
        left = self._left
        ours = [one for one in left if one.postings]
        made = list(by_number(ours, [one for one in left if not one.postings]))
        theirs = [one for one in left if not (one.gone or one.postings)]
        made += by_number([one for one in theirs if one.trade], [one for one in theirs if not one.trade])
        self._left = [one for one in chain(left, made) if not one.gone]
        unsettled = {row.key for one in self._left if not one.fund for row in one.trade}
        self._told_last += self._telling.take(self._fees.finish(unsettled))
        return wanted_of(self._left)

    def finish(self, known: Known) -> list[Outcome]:
        """What became of all that is open, by what else is known of it."""
        last = self._telling.take(classified(self._scope, self._left, self._aside, known))
        self._left, self._aside = [], []
        return self._told_last + last


def _apart(rows: Iterable[BillRow]) -> tuple[list[BillRow], list[BillRow]]:
    """Rows of transactions, and of what moved, each in the order of time."""
    ordered = sorted(rows, key=row_order)
    return [row for row in ordered if row.is_trade], [row for row in ordered if not row.is_trade]
