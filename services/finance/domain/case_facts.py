"""What happened in an order's cases, as statements and indicators ask of it: an aspect of the order's file.

Services are heard one beside another, so that a refund may be told of before its case: a case begins with whatever is
heard of it first.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from contracts.event import CaseEvent, Event, free_texts
from contracts.events import cases as c
from contracts.events import liability as li
from contracts.events import refunds as r
from services.kernel.actor import STAFF
from services.kernel.decider import Fact


@dataclass(frozen=True, slots=True)
class Compensation:
    """Compensation that was paid; `agent` is who had proposed it, as `agent/小李`."""

    proposal: str
    kind: str
    amount_fen: int
    agent: str


@dataclass(frozen=True, slots=True)
class RefundedLine:
    """Units of an order line whose refund was settled: what they were worth, and what of it was taken back."""

    line_id: str
    units: int
    goods_fen: int
    deducted_fen: int


@dataclass(slots=True)
class CaseFact:
    """One case. What is not known yet is empty.

    `answered_at` and `solved_at` count as they do for the promises: the first thing that staff did, and the first time
    that the case was closed. `broken` names the promises that were. `refunded` and `compensated` go by event.
    """

    case_id: str
    opened_at: datetime | None = None
    problem: str = ""
    reason: str = ""
    lines: tuple[str, ...] = ()
    channel_refund: bool = False
    cause: str = ""
    party: str = ""
    first_answer_due_at: datetime | None = None
    solution_due_at: datetime | None = None
    answered_at: datetime | None = None
    solved_at: datetime | None = None
    broken: set[str] = field(default_factory=set)
    escalated: bool = False
    reopened: int = 0
    score: int = 0
    proposers: dict[str, str] = field(default_factory=dict)
    compensated: dict[str, Compensation] = field(default_factory=dict)
    refunded: dict[str, tuple[RefundedLine, ...]] = field(default_factory=dict)

    def promise(self, name: str) -> str:
        """How a promise stands: `kept`, `broken`, or empty while it is open (or was never made)."""
        met_at, due_at = {
            "first_answer": (self.answered_at, self.first_answer_due_at),
            "solution": (self.solved_at, self.solution_due_at),
        }[name]
        late = met_at is not None and due_at is not None and met_at > due_at
        if name in self.broken or late:
            return "broken"
        return "kept" if met_at is not None and due_at is not None else ""


class CaseFacts:
    """The cases of one order."""

    #: What staff may do first in a case is heard too: it tells when the buyer was answered.
    HEARS: Final[frozenset[type[Event]]] = frozenset(
        {
            c.CaseOpened,
            c.PromiseMade,
            c.PromiseBroken,
            c.CaseReclassified,
            c.CaseAssigned,
            c.EvidenceSubmitted,
            c.EvidenceAccepted,
            c.EvidenceRejected,
            c.CauseAssessed,
            c.GuidanceGiven,
            c.InstallerContacted,
            c.ParcelTraced,
            c.PickupArranged,
            c.CompensationProposed,
            c.CompensationPaid,
            c.BuyerCharged,
            c.ReshipmentRequested,
            c.DepositRequested,
            c.ReturnAuthorised,
            c.RefundRequested,
            c.InsurancePaid,
            c.InsuranceFailed,
            c.CaseEscalated,
            c.IssueReported,
            c.FindingRecorded,
            c.CaseClosed,
            c.CaseReopened,
            c.CaseRated,
            r.RefundSettled,
            li.LiabilityAssigned,
        }
    )

    def __init__(self) -> None:
        self.cases: dict[str, CaseFact] = {}

    def evolve(self, fact: Fact) -> None:
        """Fold one event."""
        event = fact.event
        if type(event) not in self.HEARS or not isinstance(event, CaseEvent):
            return
        case = self.cases.setdefault(event.case_id, CaseFact(event.case_id))
        _note_answer(case, fact)
        if change := _CHANGES.get(type(event)):
            change(case, event, fact)


def _note_answer(case: CaseFact, fact: Fact) -> None:
    """The buyer is answered by the first thing that staff do, and not by the opening itself."""
    if isinstance(fact.event, c.CaseOpened | c.PromiseMade | c.PromiseBroken):
        return
    if case.answered_at is None and fact.actor.partition("/")[0] in STAFF:
        case.answered_at = fact.time


def _opened(case: CaseFact, event: c.CaseOpened, fact: Fact) -> None:
    case.opened_at = fact.time
    case.problem, case.reason = event.problem, _code(event)
    case.lines = tuple(line.line_id for line in event.lines)
    case.channel_refund = bool(event.channel_refund_id)


def _code(event: c.CaseOpened | c.CaseReclassified) -> str:
    """The reason where it is a code; what somebody wrote is sealed, and says nothing to a statement."""
    return "" if "reason" in free_texts(event) else event.reason


def _promised(case: CaseFact, event: c.PromiseMade, _: Fact) -> None:
    case.first_answer_due_at, case.solution_due_at = event.first_answer_due_at, event.solution_due_at


def _broken(case: CaseFact, event: c.PromiseBroken, _: Fact) -> None:
    case.broken.add(event.promise)


def _reclassified(case: CaseFact, event: c.CaseReclassified, _: Fact) -> None:
    case.problem, case.reason = event.problem, _code(event)


def _assessed(case: CaseFact, event: c.CauseAssessed, _: Fact) -> None:
    case.cause, case.party = event.cause, event.party


def _proposed(case: CaseFact, event: c.CompensationProposed, _: Fact) -> None:
    case.proposers[event.proposal] = event.proposed_by


def _paid(case: CaseFact, event: c.CompensationPaid, fact: Fact) -> None:
    agent = case.proposers.get(event.proposal, "")
    case.compensated[fact.id] = Compensation(event.proposal, event.kind, event.amount_fen, agent)


def _escalated(case: CaseFact, _: c.CaseEscalated, __: Fact) -> None:
    case.escalated = True


def _closed(case: CaseFact, _: c.CaseClosed, fact: Fact) -> None:
    case.solved_at = case.solved_at or fact.time


def _reopened(case: CaseFact, _: c.CaseReopened, __: Fact) -> None:
    case.reopened += 1


def _rated(case: CaseFact, event: c.CaseRated, _: Fact) -> None:
    case.score = event.score


def _refunded(case: CaseFact, event: r.RefundSettled, fact: Fact) -> None:
    case.refunded[fact.id] = tuple(
        RefundedLine(
            line.line_id,
            line.quantity,
            line.goods_fen,
            line.compensation_deducted_fen + line.price_difference_deducted_fen,
        )
        for line in event.lines
    )


_CHANGES: Final[Mapping[type[Event], Callable[[CaseFact, Any, Fact], None]]] = {
    c.CaseOpened: _opened,
    c.PromiseMade: _promised,
    c.PromiseBroken: _broken,
    c.CaseReclassified: _reclassified,
    c.CauseAssessed: _assessed,
    c.CompensationProposed: _proposed,
    c.CompensationPaid: _paid,
    c.CaseEscalated: _escalated,
    c.CaseClosed: _closed,
    c.CaseReopened: _reopened,
    c.CaseRated: _rated,
    r.RefundSettled: _refunded,
}
