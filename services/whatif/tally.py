"""What a what-if adds up, order by order; it grows with parties, problems and months, and with the cases to be told."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from services.whatif.order import CaseAgain, OrderAgain, amounts, by_party, differing
from services.whatif.report import (
    Amount,
    Approvals,
    CaseThatDiffers,
    Group,
    PromiseChange,
    Promises,
    Version,
)

#: (party, problem, month) → fen.
Cells = Counter[tuple[str, str, str]]

_PROBLEM: Final = 1
_MONTH: Final = 2


class Tally:
    """Sums over cases, and the cases that differ the most: `most` of them, all where it is 0."""

    def __init__(self, most: int) -> None:
        self.orders = 0
        self.cases = 0
        self.cases_that_differ = 0
        self.undecided = 0
        self._most = most
        self._differ: list[CaseThatDiffers] = []
        self._versions: Counter[str] = Counter()
        self._was: Cells = Counter()
        self._would: Cells = Counter()
        self._paid: Counter[str] = Counter()
        self._would_pay: Counter[str] = Counter()
        self._offers: Counter[tuple[str, str]] = Counter()
        self._offered: Counter[tuple[str, str]] = Counter()
        self._promises: Counter[PromiseChange] = Counter()

    def add(self, order: OrderAgain, only: str = "") -> None:
        """Count an order; `only` one of its cases where that is named."""
        self.orders += 1
        self._versions.update(version for version, case_id in order.cases.judged if only in ("", case_id))
        for case in order.told():
            if only in ("", case.case.case_id):
                self._count(case)

    def _count(self, one: CaseAgain) -> None:
        self.cases += 1
        for cells, money in ((self._was, one.was), (self._would, one.would)):
            for (party, month), fen in money.borne.items():
                cells[party, one.case.problem, month] += fen
        self._paid.update(one.was.kinds)
        self._would_pay.update(one.would.kinds)
        self._promises.update(one.promises)
        if one.differs is not None:
            self._keep(one.differs)

    def _keep(self, case: CaseThatDiffers) -> None:
        self.cases_that_differ += 1
        self.undecided += len(case.undecided)
        for approval in case.approvals:
            self._offers[approval.was, approval.would_be] += 1
            self._offered[approval.was, approval.would_be] += approval.amount_fen
        self._differ.append(case)
        if self._most and len(self._differ) > 2 * self._most:
            self._differ = self.differ

    # -- what it comes to

    @property
    def decisions(self) -> int:
        """How many decisions were taken again."""
        return self._versions.total()

    @property
    def decided_under(self) -> list[Version]:
        """The versions of the policy that they had been taken under."""
        return [Version(version, number) for version, number in sorted(self._versions.items())]

    @property
    def differ(self) -> list[CaseThatDiffers]:
        """The cases that differ, those with the most money first."""
        cases = sorted(self._differ, key=lambda case: (-case.weight, case.case_id))
        return cases[: self._most] if self._most else cases

    @property
    def net(self) -> Amount:
        """The net loss of all cases."""
        return Amount.of("net", self._was.total(), self._would.total())

    @property
    def parties(self) -> list[Amount]:
        """What each party bears, suspense among them."""
        return amounts(by_party(self._was.items()), by_party(self._would.items()))

    @property
    def problems(self) -> list[Group]:
        """The net loss by problem."""
        return self._groups(_PROBLEM)

    @property
    def months(self) -> list[Group]:
        """The net loss by month."""
        return self._groups(_MONTH)

    @property
    def payouts(self) -> list[Amount]:
        """What went to buyers, by kind of payout."""
        return amounts(self._paid, self._would_pay)

    @property
    def approvals(self) -> list[Approvals]:
        """Offers that would have needed another approval."""
        return [
            Approvals(was, would, offers, self._offered[was, would])
            for (was, would), offers in sorted(self._offers.items())
        ]

    @property
    def promises(self) -> list[Promises]:
        """Promises that were broken, and would have been."""
        return [self._promise(name) for name in sorted({one.promise for one in self._promises})]

    def _promise(self, name: str) -> Promises:
        def cases(was: Iterable[bool], would: Iterable[bool]) -> int:
            return sum(self._promises[PromiseChange(name, before, after)] for before in was for after in would)

        both, yes, no = (False, True), (True,), (False,)
        return Promises(name, cases(yes, both), cases(both, yes), cases(no, yes), cases(yes, no))

    def _groups(self, place: int) -> list[Group]:
        was, would = _sorted_by(place, self._was), _sorted_by(place, self._would)
        groups = []
        for name in sorted({*was, *would}):
            before, after = was.get(name, Counter()), would.get(name, Counter())
            net = Amount.of(name, before.total(), after.total())
            parties = differing(before, after)
            if net.was_fen or net.would_be_fen or parties:
                groups.append(Group(name, net.was_fen, net.would_be_fen, net.difference_fen, parties))
        return groups


def _sorted_by(place: int, cells: Cells) -> dict[str, Counter[str]]:
    """What parties bear in each group."""
    groups: dict[str, Counter[str]] = {}
    for key, fen in cells.items():
        groups.setdefault(key[place], Counter())[key[0]] += fen
    return groups
