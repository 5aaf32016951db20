"""When a case may be closed, what comes after, and the promises to its buyer (`domain.md` §3 Promises, Closing)."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from contracts.events import cases as c
from contracts.events.refunds import PayoutSucceeded, payout_id
from services.cases.domain.case import Case
from services.cases.domain.commands import CloseCase, FollowUp, InviteReview, Rate, ReopenCase
from services.cases.domain.situation import Situation, stuck
from services.kernel.decider import Events
from services.kernel.refusal import Refusal


def unfinished(case: Case) -> Iterator[tuple[str, str]]:
    """What keeps the case from being closed: a code of the policy's terms, and the item it is about."""
    for key, reshipment in case.reshipments.items():
        if reshipment.status not in ("delivered", "cancelled"):
            yield "reshipment_open", key
    for key, one in case.returns.items():
        if one.under_way:
            yield "return_open", key
        if one.freight_open and _payout(case, "freight_reimbursement", key) not in case.payouts:
            yield "freight_waiting", key
    for key, deposit in case.deposits.items():
        if deposit.status == "collected":
            yield "deposit_held", key
    for key, proposal in case.proposals.items():
        if proposal.buyer_agreed and proposal.counts and not proposal.paid:
            yield "compensation_unpaid", key
    yield from _unpaid_out(case)
    if case.problem == "service_attitude" and not case.rude_agent_named:
        yield "rude_agent_unnamed", ""
    if case.lacks_cause:
        yield "cause_unknown", ""


def _unpaid_out(case: Case) -> Iterator[tuple[str, str]]:
    for key, refund in case.refunds.items():
        if not refund.settled:
            yield "payout_open", _payout(case, "refund", key)
    for key, charge in case.charges.items():
        if charge.returned and not charge.paid_back:
            yield "payout_open", _payout(case, "charge_return", key)
    for key, payout in case.payouts.items():
        if not isinstance(payout, PayoutSucceeded) and payout.kind in (
            "freight_reimbursement",
            "deposit_return",
        ):
            yield "payout_open", key


def _payout(case: Case, kind: str, item: str) -> str:
    """The id under which refunds pays an item out."""
    return payout_id(case.case_id, kind, item)


def close_case(s: Situation, body: CloseCase) -> Events:
    """Close what is finished."""
    left = list(unfinished(s.case))
    if left:
        raise Refusal(
            "unfinished_business",
            open=[f"{code}/{item}" if item else code for code, item in left],
            items=[{"what": code, "item": item} for code, item in left],
        )
    return [c.CaseClosed(case_id=s.case_id, resolution=body.resolution)]


def reopen_case(s: Situation, body: ReopenCase) -> Events:
    """It was not solved after all."""
    if not s.case.closed:
        raise stuck("open")
    return [c.CaseReopened(case_id=s.case_id, reason=body.reason or "")]


def _require_closed(s: Situation) -> None:
    if not s.case.closed:
        raise stuck("open")


def follow_up(s: Situation, _: FollowUp) -> Events:
    """Ask the buyer how it went, after closing."""
    _require_closed(s)
    return [c.FollowUpRecorded(case_id=s.case_id)]


def invite_review(s: Situation, _: InviteReview) -> Events:
    """Ask the buyer for a review, after closing."""
    _require_closed(s)
    return [c.ReviewInvited(case_id=s.case_id)]


def rate(s: Situation, body: Rate) -> Events:
    """The buyer rates the service, after closing."""
    _require_closed(s)
    return [c.CaseRated(case_id=s.case_id, score=body.score)]


def _promises(case: Case) -> Iterator[tuple[str, datetime, datetime | None]]:
    for promise, due_at, met_at in (
        ("first_answer", case.first_answer_due_at, case.first_answered_at),
        ("solution", case.solution_due_at, case.solved_at),
    ):
        if due_at is not None and promise not in case.broken:
            yield promise, due_at, met_at


def broken_promises(case: Case, now: datetime) -> list[c.PromiseBroken]:
    """Promises that are late by now, or were kept too late, and not noted yet."""
    return [
        c.PromiseBroken(case_id=case.case_id, promise=promise, due_at=due_at)
        for promise, due_at, met_at in _promises(case)
        if (met_at or now) > due_at
    ]


def next_due(case: Case) -> datetime | None:
    """When the next promise is broken if nothing happens: just after its due time."""
    open_dues = [due_at for _, due_at, met_at in _promises(case) if met_at is None]
    return min(open_dues) + timedelta(microseconds=1) if open_dues else None
