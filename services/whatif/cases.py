"""The decisions of cases taken again: what people did stays, what the policy says about it is asked anew.

No rule that is asked here looks at what refunds or liability decided by themselves, so what was learned of them is
folded as it was recorded.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from contracts.event import Event
from contracts.events import cases as c
from services.cases.domain.care import party_of
from services.cases.domain.compensation import approver_of
from services.cases.domain.domain import CasesDomain
from services.cases.domain.file import OrderFile
from services.cases.domain.opening import promised
from services.cases.domain.returns import freight_borne_by
from services.cases.domain.situation import Situation
from services.kernel.actor import Actor
from services.kernel.decider import Context
from services.kernel.log import Record
from services.kernel.refusal import Refusal
from services.whatif.period import Period
from services.whatif.scratch import Happened

#: Who would have to approve what is above every role's limit.
NOBODY: Final = "nobody"


class Approval(msgspec.Struct, frozen=True):
    """An offer that would have needed another approval: the role, `""` for none, `nobody` above every limit."""

    case_id: str
    proposal: str
    kind: str
    amount_fen: int
    was: str
    would_be: str


class Undecided(msgspec.Struct, frozen=True):
    """A cause that the rules in question cannot be asked about: `unknown_cause` stands as it was recorded;
    `party_name_required` is charged to the party without a name."""

    case_id: str
    code: str
    cause: str
    party: str


class CasesAgain:
    """One order's cases as they were (`was`) and as they would be (`would`)."""

    def __init__(self, domain: CasesDomain, order_id: str, period: Period) -> None:
        self.was = OrderFile(order_id)
        self.would = OrderFile(order_id)
        self.decided: list[Happened] = []
        self.approvals: list[Approval] = []
        self.undecided: list[Undecided] = []
        #: Policy version of every decision that was taken again, and its case.
        self.judged: list[tuple[str, str]] = []
        self._domain = domain
        self._period = period

    def see(self, records: Iterable[Record]) -> None:
        """Take the records of the order's stream, in order."""
        for record in records:
            own = record.source == self._domain.source
            event = self._again(record) if own else record.event
            self.was.evolve(record)
            if event is None:
                continue
            fact = Happened.of(record, event)
            self.would.evolve(fact)
            if own:
                self.decided.append(fact)

    def _again(self, record: Record) -> Event | None:
        """What a decision says under the rules in question; None where it would not be taken."""
        event: Event = record.event
        match event:
            case c.ReturnAuthorised():
                return self._authorised(event)
            case c.ReturnReceived():
                bearer = self.would.cases[event.case_id].returns[event.return_id].freight_borne_by
                return msgspec.structs.replace(event, freight_borne_by=bearer)
            case c.PromiseBroken():
                return event if self._is_due_as_it_was(event) else None
            case c.PromiseMade() | c.CauseAssessed() | c.CompensationProposed() if self._period.holds(record):
                self.judged.append((record.policy, event.case_id))
                return self._by_policy(record, event)
        return event

    def _by_policy(self, record: Record, event: c.PromiseMade | c.CauseAssessed | c.CompensationProposed) -> Event:
        match event:
            case c.PromiseMade():
                again = promised(self._domain.policy, event.case_id, record.time)
                return msgspec.structs.replace(again, note=event.note)
            case c.CauseAssessed():
                return self._assessed(record, event)
            case c.CompensationProposed():
                return self._proposed(record, event)

    def _is_due_as_it_was(self, event: c.PromiseBroken) -> bool:
        """Whether it was broken by a due time that stands; of others it is said in the end whether they would be."""
        case = self.would.cases[event.case_id]
        due = case.first_answer_due_at if event.promise == "first_answer" else case.solution_due_at
        return due == event.due_at

    def _assessed(self, record: Record, event: c.CauseAssessed) -> c.CauseAssessed:
        """The party keeps the name that it was given, unless it is another party now: that takes its name from the
        order."""
        cause = self._domain.policy.causes.get(event.cause)
        if cause is None:
            self.undecided.append(Undecided(event.case_id, "unknown_cause", event.cause, event.party))
            return event
        code, _, name = event.party.partition("/")
        try:
            situation = self._situation(record, event.case_id, record.actor)
            party = party_of(situation, event.cause, name if code == cause.party else None)
        except Refusal as refusal:
            party = cause.party
            self.undecided.append(Undecided(event.case_id, refusal.code, event.cause, party))
        return msgspec.structs.replace(event, party=party, freight_borne_by=cause.freight)

    def _proposed(self, record: Record, event: c.CompensationProposed) -> c.CompensationProposed:
        """An offer above every limit is folded as one that nobody has to approve: its money flows as it did."""
        situation = self._situation(record, event.case_id, event.proposed_by)
        try:
            role = approver_of(situation, event.kind, event.amount_fen)
        except Refusal:
            role = NOBODY
        if role != event.approver_role:
            self.approvals.append(
                Approval(event.case_id, event.proposal, event.kind, event.amount_fen, event.approver_role, role)
            )
        return msgspec.structs.replace(event, approver_role="" if role == NOBODY else role)

    def _authorised(self, event: c.ReturnAuthorised) -> c.ReturnAuthorised:
        """A bearer that the rule did not say then was said by a lead, and stays."""
        if event.freight_borne_by != freight_borne_by(self.was.cases[event.case_id]):
            return event
        bearer = freight_borne_by(self.would.cases[event.case_id])
        return msgspec.structs.replace(event, freight_borne_by=bearer)

    def _situation(self, record: Record, case_id: str, actor: str) -> Situation:
        return self._domain.situation(self.would, case_id, Context(now=record.time, actor=Actor.parse(actor)))
