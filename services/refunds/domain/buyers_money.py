"""Money of the buyer that goes back: deposits, and payments for a sale that is cancelled (`domain.md` §3)."""

from collections.abc import Sequence

from contracts.event import Event
from services.refunds.domain.file import CHARGE_RETURN, DEPOSIT_RETURN, Case, RefundsFile
from services.refunds.domain.payout import request


def deposits_due(file: RefundsFile, case: Case) -> Sequence[Event]:
    """Deposits go back in full once the last return that was not cancelled is accepted."""
    last = case.last_return
    if last is None or not last.accepted:
        return ()
    return [
        request(case, DEPOSIT_RETURN, deposit, state.amount_fen)
        for deposit, state in case.deposits.items()
        if not state.forfeited and file.payout(case.case_id, DEPOSIT_RETURN, deposit) is None
    ]


def charge_returns_due(file: RefundsFile, case: Case) -> Sequence[Event]:
    """What the buyer paid for a sale goes back when it is cancelled."""
    return [
        request(case, CHARGE_RETURN, charge, amount_fen)
        for charge, amount_fen in case.charge_returns.items()
        if file.payout(case.case_id, CHARGE_RETURN, charge) is None
    ]
