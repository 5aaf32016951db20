"""Movements that are open, found by our reference and the amount as their witnesses come."""

from collections.abc import Iterable

from services.finance.reconciling.items import BillRow, OurPosting, reference_of
from services.finance.reconciling.movement import Movement


class Open:
    """Movements that may still get a witness. `late` are those that got one when their days were over."""

    def __init__(self) -> None:
        self.late: list[Movement] = []
        self._born: list[Movement] = []
        self._by_reference: dict[tuple[str, int], list[Movement]] = {}

    def enter_posting(self, posting: OurPosting) -> None:
        """We say that it moved."""
        key = (posting.item, posting.amount_fen)
        for one in self._by_reference.get(key, ()):
            if not (one.postings or one.gone):
                one.postings = (posting,)
                if one.settled:
                    self.late.append(one)
                return
        self._new(Movement(posting.amount_fen, posting.day, postings=(posting,)), key)

    def enter_trade(self, row: BillRow, amount_fen: int) -> None:
        """The channel says that it took it on."""
        key = (reference_of(row), amount_fen)
        for one in self._by_reference.get(key, ()):
            if not (one.trade or one.gone):
                one.trade = (row,)
                if one.settled:
                    self.late.append(one)
                return
        self._new(Movement(amount_fen, row.day, trade=(row,)), key)

    def enter_fund(self, row: BillRow) -> None:
        """It moved on the account there."""
        key = (reference_of(row), row.amount_fen)
        for one in self._by_reference.get(key, ()):
            if not (one.fund or one.gone):
                one.fund = (row,)
                if one.settled:
                    self.late.append(one)
                return
        self._new(Movement(row.amount_fen, row.day, fund=(row,)), key)

    def born(self) -> list[Movement]:
        """The movements that are new since this was asked last."""
        born, self._born = self._born, []
        return born

    def again(self, movements: Iterable[Movement]) -> None:
        """What was put together may still get a witness."""
        for one in movements:
            for key in _keys(one):
                self._by_reference.setdefault(key, []).append(one)

    def forget(self, one: Movement) -> None:
        """It is told, or part of another."""
        one.gone = True
        for key in (one.key,) if one.key else _keys(one):
            known = self._by_reference.get(key)
            if known is None:
                continue
            if len(known) == 1:
                if known[0] is one:
                    del self._by_reference[key]
            elif one in known:
                known.remove(one)

    def _new(self, one: Movement, key: tuple[str, int]) -> None:
        self._born.append(one)
        if key[0]:
            one.key = key
            known = self._by_reference.get(key)
            if known is None:
                self._by_reference[key] = [one]
            else:
                known.append(one)


def _keys(one: Movement) -> set[tuple[str, int]]:
    return {(reference, one.amount_fen) for reference in one.references() if reference}
