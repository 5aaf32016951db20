"""Return freight that the merchant bears, and what the freight insurance takes off it (`domain.md` §4)."""

from collections.abc import Sequence

from contracts.event import Event
from contracts.events.refunds import ExceptionRaised, ReturnFreightReimbursed
from services.refunds.domain.file import FREIGHT_REIMBURSEMENT, Case, RefundsFile, Return
from services.refunds.domain.payout import request

INSURANCE_LATE = "insurance_late"
INSURANCE_SECOND = "insurance_second"


def freight_due(file: RefundsFile, case: Case) -> Sequence[Event]:
    """What is due on the case's freight: what a payout settled, then decisions, one at a time."""
    return _settled(file, case) or _decided(file, case)


def insurance_exceptions(case: Case) -> Sequence[Event]:
    """The exception that the payout just recorded is: a second result, or one after the freight was decided.

    A late one stays available to freight of a return that is accepted later.
    """
    result = case.insurance[-1]
    if len(case.insurance) > 1:
        kind = INSURANCE_SECOND
    elif _freight_was_decided(case):
        kind = INSURANCE_LATE
    else:
        return ()
    return (ExceptionRaised(case_id=case.case_id, kind=kind, amount_fen=result.amount_fen),)


def _freight_was_decided(case: Case) -> bool:
    owed = [one for one in case.accepted_returns if one.owes_freight]
    return bool(owed) and not any(one.freight_undecided for one in owed)


def _settled(file: RefundsFile, case: Case) -> Sequence[Event]:
    return [
        _reimbursed(case, one, one.insurance_deducted_fen)
        for one in case.accepted_returns
        if one.insurance_deducted_fen is not None and not one.settled and _is_paid(file, case, one)
    ]


def _is_paid(file: RefundsFile, case: Case, one: Return) -> bool:
    payout = file.payout(case.case_id, FREIGHT_REIMBURSEMENT, one.return_id)
    return payout is not None and payout.succeeded


def _decided(file: RefundsFile, case: Case) -> Sequence[Event]:
    """The oldest acceptance comes first; while an insured order's claim is undecided, freight waits."""
    if file.insured and not case.claim_decided:
        return ()
    waiting = next((one for one in case.accepted_returns if one.freight_undecided), None)
    if waiting is None:
        return ()
    deducted = min(case.insurance_left_fen, waiting.freight_fen)
    if deducted == waiting.freight_fen:
        return (_reimbursed(case, waiting, deducted),)
    return (request(case, FREIGHT_REIMBURSEMENT, waiting.return_id, waiting.freight_fen - deducted),)


def _reimbursed(case: Case, one: Return, deducted_fen: int) -> ReturnFreightReimbursed:
    return ReturnFreightReimbursed(
        case_id=case.case_id,
        return_id=one.return_id,
        freight_advanced_fen=one.freight_fen,
        insurance_deducted_fen=deducted_fen,
        amount_fen=one.freight_fen - deducted_fen,
    )
