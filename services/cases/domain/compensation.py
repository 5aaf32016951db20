"""Compensation: offered within authority, approved above it, agreed by the buyer, paid once (`domain.md` §3)."""

from contracts.events import cases as c
from contracts.refund_formula import DEDUCTED_KINDS
from services.cases.domain import matrix
from services.cases.domain.case import GOOD_REVIEW_REWARD, Proposal
from services.cases.domain.commands import (
    Approve,
    DeclineApproval,
    PayCompensation,
    ProposeCompensation,
    RecordBuyerReply,
    WithdrawProposal,
)
from services.cases.domain.situation import Situation, stuck
from services.kernel.actor import LADDER, Actor
from services.kernel.decider import Events
from services.kernel.money import allocate
from services.kernel.refusal import Refusal, invalid


def propose_compensation(s: Situation, body: ProposeCompensation) -> Events:
    """Offer an amount. Above the proposer's limit it waits for the lowest role that covers the order's sum."""
    _check_remedy(s, body.kind)
    allocation = _allocate(s, body)
    if body.kind in DEDUCTED_KINDS:
        _check_paid(s, allocation)
    proposal = f"P{len(s.case.proposals) + 1}"
    total = s.file.compensation_fen() + body.amount_fen
    approver = approver_of(s, body.kind, body.amount_fen)
    events: list[c.CompensationProposed | c.ApprovalRequested] = [
        c.CompensationProposed(
            case_id=s.case_id,
            proposal=proposal,
            kind=body.kind,
            amount_fen=body.amount_fen,
            allocation=allocation,
            proposed_by=str(s.actor),
            approver_role=approver,
        )
    ]
    if approver:
        events.append(c.ApprovalRequested(case_id=s.case_id, proposal=proposal, role=approver, order_total_fen=total))
    return events


def check_proposed_lines(_: Situation, body: ProposeCompensation) -> None:
    """Refuse a line that is named twice."""
    if body.lines and len(set(body.lines)) < len(body.lines):
        raise invalid("lines", "unique", "订单行号重复", "line_id occurs twice")


def _check_remedy(s: Situation, kind: str) -> None:
    if kind != GOOD_REVIEW_REWARD:
        s.require_remedy("compensate")
        matrix.require_verdict(s, "compensate")
    s.require_evidence()
    if kind != GOOD_REVIEW_REWARD:
        matrix.require_cause(s)


def _allocate(s: Situation, body: ProposeCompensation) -> tuple[c.LineAmount, ...]:
    wanted = set(body.lines or s.case.lines)
    line_ids = [line_id for line_id in s.file.lines if line_id in wanted]
    parts = allocate(body.amount_fen, [s.file.lines[line_id].paid_fen for line_id in line_ids])
    return tuple(c.LineAmount(line_id=line_id, amount_fen=part) for line_id, part in zip(line_ids, parts, strict=True))


def _check_paid(s: Situation, allocation: tuple[c.LineAmount, ...]) -> None:
    for part in allocation:
        account = s.file.accounts[part.line_id]
        given = account.refunded_fen + s.file.committed_fen(part.line_id) + part.amount_fen
        if given > account.paid_fen:
            raise Refusal("exceeds_paid", line_id=part.line_id, paid_fen=account.paid_fen, given_fen=given)


def approver_of(s: Situation, kind: str, amount_fen: int) -> str:
    """The role that must approve an offer beside all that counts already, empty where the actor may give it. Raises
    `Refusal` `authority_exceeded` where nobody may."""
    if kind == GOOD_REVIEW_REWARD:
        _check_reward(s, amount_fen)
        return ""
    return _approver(s, s.file.compensation_fen() + amount_fen)


def _check_reward(s: Situation, amount_fen: int) -> None:
    given = sum(one.amount_fen for one in s.case.proposals.values() if one.kind == GOOD_REVIEW_REWARD and one.counts)
    limit = s.policy.authority.good_review_reward
    if given + amount_fen > limit:
        raise Refusal("authority_exceeded", limit_fen=limit, total_fen=given + amount_fen)


def _approver(s: Situation, total_fen: int) -> str:
    """The lowest role above the proposer that covers the order's sum, empty where the proposer does."""
    for role in LADDER[s.actor.rank :]:
        if total_fen <= s.policy.authority.limit(role):
            return "" if role == s.actor.role else role
    raise Refusal("authority_exceeded", limit_fen=s.policy.authority.limit(LADDER[-1]), total_fen=total_fen)


def approve(s: Situation, body: Approve) -> Events:
    """Agree to an offer that waits for approval; nobody approves their own."""
    _check_approver(s, body.proposal)
    return [c.ApprovalGranted(case_id=s.case_id, proposal=body.proposal)]


def decline_approval(s: Situation, body: DeclineApproval) -> Events:
    """Who may approve may decline."""
    _check_approver(s, body.proposal)
    return [c.ApprovalDeclined(case_id=s.case_id, proposal=body.proposal, reason=body.reason or "")]


def _check_approver(s: Situation, key: str) -> None:
    proposal = s.case.proposals[key]
    if Actor.parse(proposal.proposed_by).name == s.actor.name:
        raise Refusal("self_approval")
    if proposal.approver_role and s.actor.rank < LADDER.index(proposal.approver_role):
        raise Refusal(
            "authority_exceeded", role=proposal.approver_role, limit_fen=s.policy.authority.limit(s.actor.role)
        )
    if proposal.paid:
        raise Refusal("already_paid", item=key)
    if not proposal.waits_for_approval:
        raise stuck(_state(proposal))


def record_buyer_reply(s: Situation, body: RecordBuyerReply) -> Events:
    """Note whether the buyer takes the offer; a reply is given once."""
    proposal = s.case.proposals[body.proposal]
    if proposal.paid:
        raise Refusal("already_paid", item=body.proposal)
    if not proposal.counts or proposal.buyer_agreed is not None:
        raise stuck(_state(proposal))
    reply = c.CompensationAccepted if body.accepted else c.CompensationDeclined
    return [reply(case_id=s.case_id, proposal=body.proposal)]


def pay_compensation(s: Situation, body: PayCompensation) -> Events:
    """Pay an offer that is approved where it must be, and that the buyer took."""
    proposal = s.case.proposals[body.proposal]
    if proposal.paid:
        raise Refusal("already_paid", item=body.proposal)
    if proposal.waits_for_approval:
        raise Refusal("approval_required", role=proposal.approver_role)
    if not proposal.counts or not proposal.buyer_agreed:
        raise stuck(_state(proposal))
    return [
        c.CompensationPaid(
            case_id=s.case_id,
            proposal=body.proposal,
            kind=proposal.kind,
            amount_fen=proposal.amount_fen,
            allocation=proposal.allocation,
            payment_ref=body.payment_ref,
        )
    ]


def withdraw_proposal(s: Situation, body: WithdrawProposal) -> Events:
    """Take back what is not paid: its proposer, or a lead."""
    proposal = s.case.proposals[body.proposal]
    if s.actor.rank < 1 and Actor.parse(proposal.proposed_by).name != s.actor.name:
        raise Refusal("forbidden", command="withdraw_proposal", role="team_lead")
    if proposal.paid:
        raise Refusal("already_paid", item=body.proposal)
    if not proposal.counts:
        raise stuck(_state(proposal))
    return [c.CompensationWithdrawn(case_id=s.case_id, proposal=body.proposal, reason=body.reason)]


def _state(proposal: Proposal) -> str:
    if proposal.withdrawn:
        return "withdrawn"
    if proposal.approved is False or proposal.buyer_agreed is False:
        return "declined"
    return "accepted" if proposal.buyer_agreed else "proposed"
