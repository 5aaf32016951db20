"""The books: what finance itself decided, one file for all of it, so that it is decided in one place."""

from typing import Final

from services.finance.domain.bills import Bills
from services.finance.domain.corrections import Corrections
from services.finance.domain.discrepancies import Discrepancies
from services.finance.domain.mappings import Mappings
from services.finance.domain.periods import Periods
from services.finance.domain.runs import Runs
from services.kernel.decider import Fact
from services.kernel.naming import NO_ORDER

#: The stream of the books.
BOOKS: Final = f"{NO_ORDER}books"


class Books:
    """Mappings, bills, reconciliations, discrepancies, corrections and closed months."""

    def __init__(self) -> None:
        self.mappings = Mappings()
        self.bills = Bills()
        self.runs = Runs()
        self.discrepancies = Discrepancies()
        self.corrections = Corrections()
        self.periods = Periods()

    def evolve(self, fact: Fact) -> None:
        """Fold one event."""
        for subject in (
            self.mappings,
            self.bills,
            self.runs,
            self.discrepancies,
            self.corrections,
            self.periods,
        ):
            subject.evolve(fact)
