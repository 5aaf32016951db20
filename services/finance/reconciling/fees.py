"""Fees: what a transaction says of its fee, beside what the account was charged for it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain

from services.finance.reconciling.items import BillRow
from services.finance.reconciling.matching import Open
from services.finance.reconciling.movement import Movement
from services.finance.reconciling.outcome import Kind, Outcome, What
from services.finance.reconciling.rules import FEE, by_number
from services.finance.reconciling.scope import Scope


class Fees:
    """The fees of one run, day by day. A fee has two witnesses, and none of ours: our books hold no fees."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._open = Open()
        self._last: list[Movement] = []
        self._rest: list[Movement] = []
        self._left: list[Movement] = []

    def enter_trade(self, row: BillRow) -> None:
        """What a transaction says of its fee."""
        if row.fee_fen and self._scope.lists_fees and self._scope.fund.closes(row.day):
            self._open.enter_trade(row, -row.fee_fen)

    def enter_fund(self, row: BillRow) -> None:
        """What the account was charged."""
        self._open.enter_fund(row)

    def settle(self) -> Iterator[Outcome]:
        """Tell of the fees that agree, a day after they came."""
        born, self._last = self._last, self._open.born()
        self._open.late.clear()
        window = [one for one in chain(self._rest, born) if not one.gone]
        said = [one for one in window if not one.fund]
        charged = [one for one in window if not one.trade]
        made = list(by_number(said, charged))
        for one in chain(window, made):
            if not one.gone and one.trade and one.fund:
                self._open.forget(one)
                yield Outcome(What.MATCHED, FEE, rows=one.fund, beside=one.trade)
        for one in self._rest:
            if not one.gone:
                self._left.append(one)
        self._rest = [one for one in born if not one.gone]

    def finish(self, unsettled: Collection[str]) -> Iterator[Outcome]:
        """Tell of the fees that do not agree; what was charged for nothing that is listed is no after-sales fee.

        `unsettled`: transactions that did not move; nor did their fee, and that is told already.
        """
        for _ in range(3):
            yield from self.settle()
        said = [one for one in self._left if one.trade and not one.gone]
        charged = [one for one in self._left if one.fund and not one.gone]
        by_name: dict[str, list[Movement]] = {}
        for one in charged:
            for name in dict.fromkeys(one.numbers()):
                if name:
                    by_name.setdefault(name, []).append(one)
        for one in said:
            found = _charged(one, by_name)
            if found is not None or one.trade[0].key not in unsettled:
                yield _differs(one, found)
        yield from (Outcome(What.OUTSIDE, "", rows=one.fund) for one in charged if not one.gone)


def _charged(one: Movement, by_name: Mapping[str, Sequence[Movement]]) -> Movement | None:
    """What was charged, or given back, for the same transaction."""
    for name in dict.fromkeys(one.numbers()):
        for other in by_name.get(name, ()) if name else ():
            if not other.gone and (other.amount_fen < 0) == (one.amount_fen < 0):
                other.gone = True
                return other
    return None


def _differs(one: Movement, found: Movement | None) -> Outcome:
    rows, found_fen = (found.fund, found.amount_fen) if found is not None else ((), 0)
    return Outcome(
        What.DISCREPANCY, Kind.FEE, rows=rows, expected_fen=one.amount_fen, found_fen=found_fen, beside=one.trade
    )
