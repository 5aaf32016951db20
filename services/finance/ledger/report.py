"""What a check of the ledger came to."""

from collections.abc import Sequence

import msgspec

from services.finance.ledger.identities import Break
from services.finance.ledger.trial import Trial


class Check(msgspec.Struct, frozen=True):
    """How much was looked at, and how much does not hold; `breaks` holds the first of what was found."""

    orders: int
    postings: int
    accounts: int
    days: int
    debit_fen: int
    credit_fen: int
    found: int
    breaks: Sequence[Break]

    @property
    def sound(self) -> bool:
        """Whether everything holds."""
        return self.found == 0


def check_of(trial: Trial, orders: int, found: int, breaks: Sequence[Break]) -> Check:
    """The breaks that orders have, and with them the days that differ."""
    days, sums = list(trial.days_that_differ()), trial.balance()
    return Check(
        orders=orders,
        postings=trial.postings,
        accounts=trial.accounts,
        days=trial.days,
        debit_fen=sums.debit_fen,
        credit_fen=sums.credit_fen,
        found=found + len(days),
        breaks=[*breaks, *days],
    )
