"""What is to be done next in an open case, and by whom: the codes that work lists are made of."""

from collections.abc import Iterator
from typing import Final

from services.cases.domain.case import Case, Proposal

#: How a payout stands, as cases has heard of it.
_PAYOUTS: Final = {
    "PayoutRequested": "payout_under_way",
    "PayoutFailed": "payout_failed",
    "PayoutUnknown": "payout_unknown",
}
_RESHIPMENTS: Final = {
    "requested": "reshipment_awaited",
    "backordered": "reshipment_backordered",
    "released": "reshipment_released",
    "shipped": "reshipment_under_way",
}
_RETURNS: Final = {"authorised": "return_awaited", "shipped": "return_to_inspect"}

#: Every code, each a term of the policy's texts, in the order in which a case usually passes them.
STAGES: Final = (
    "first_answer_due",
    "evidence_to_review",
    "cause_to_assess",
    "approval_awaited",
    "reply_awaited",
    "compensation_to_pay",
    "deposit_awaited",
    "payment_awaited",
    *_RETURNS.values(),
    "return_to_settle",
    *_RESHIPMENTS.values(),
    *_PAYOUTS.values(),
)
#: What departments work off all day.
QUEUES: Final = (
    "compensation_to_pay",
    "deposit_awaited",
    "return_to_inspect",
    "reshipment_backordered",
    "reshipment_released",
)


def stages(case: Case) -> Iterator[tuple[str, str]]:
    """What is under way in the case: a code of `STAGES` and the item it is about; nothing of a closed case."""
    if case.closed:
        return
    if case.first_answered_at is None:
        yield "first_answer_due", ""
    if case.lacks_cause:
        yield "cause_to_assess", ""
    for key, evidence in case.evidence.items():
        if evidence.accepted is None:
            yield "evidence_to_review", key
    for key, proposal in case.proposals.items():
        if stage := _offer(proposal):
            yield stage, key
    for key, deposit in case.deposits.items():
        if deposit.status == "requested":
            yield "deposit_awaited", key
    if charge := case.open_charge():
        yield "payment_awaited", charge
    for key, one in case.returns.items():
        if one.status in _RETURNS:
            yield _RETURNS[one.status], key
    if came_back := _unsettled_return(case):
        yield "return_to_settle", came_back
    for key, reshipment in case.reshipments.items():
        if reshipment.status in _RESHIPMENTS:
            yield _RESHIPMENTS[reshipment.status], key
    for key, payout in case.payouts.items():
        if (name := type(payout).__name__) in _PAYOUTS:
            yield _PAYOUTS[name], key


def parcel_stage(case: Case, item: str) -> str:
    """Where a return or a reshipment that has a waybill stands; empty once it arrived, or will not."""
    if item in case.returns:
        return _RETURNS.get(case.returns[item].status, "")
    return _RESHIPMENTS.get(case.reshipments[item].status, "") if item in case.reshipments else ""


def _unsettled_return(case: Case) -> str:
    """The newest return that was accepted, where the buyer got neither money nor goods yet for all that came back."""
    lines = {line for line in case.lines if case.unsettled_units(line) > 0}
    return next(
        (key for key, one in reversed(case.returns.items()) if one.accepted and lines & one.received.keys()), ""
    )


def _offer(proposal: Proposal) -> str:
    """What an offer waits for; the approver comes before the money, and the buyer may answer before the approver."""
    if proposal.paid or not proposal.counts:
        return ""
    if proposal.waits_for_approval:
        return "approval_awaited"
    return "compensation_to_pay" if proposal.buyer_agreed else "reply_awaited"
