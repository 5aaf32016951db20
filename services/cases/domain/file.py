"""The after-sales file of one order in the cases service: its cases and all that is in them, folded from events."""

from collections.abc import Callable
from typing import Any

from contracts.event import CaseEvent, Event
from contracts.events import cases as c
from contracts.events import liability as li
from contracts.events import refunds as r
from contracts.events.orders import Line, Order, OrderRecorded
from contracts.refund_formula import DEDUCTED_KINDS, LineAccount, units_value
from services.cases.domain.case import (
    GOOD_REVIEW_REWARD,
    Case,
    Cause,
    Charge,
    Deposit,
    Evidence,
    Proposal,
    Refund,
    Reshipment,
    Return,
)
from services.cases.domain.references import Reference, references
from services.kernel.actor import STAFF
from services.kernel.decider import Fact


class OrderFile:
    """All cases of one order. Quantities, caps and deductions across them are decided here."""

    def __init__(self, order_id: str) -> None:
        self.order_id = order_id
        self.order: Order | None = None
        self.lines: dict[str, Line] = {}
        self.accounts: dict[str, LineAccount] = {}
        self.cases: dict[str, Case] = {}
        #: Nobody wrote anything since the key of what was written before was destroyed.
        self.erased = False
        #: Numbers by which it can be found, by the event that told them.
        self.references: dict[str, tuple[Reference, ...]] = {}

    # -- what the rules ask of all cases together

    def committed_fen(self, line_id: str) -> int:
        """Cash and price difference offered or paid on the line, neither declined nor withdrawn."""
        return sum(
            part.amount_fen
            for case in self.cases.values()
            for proposal in case.proposals.values()
            if proposal.kind in DEDUCTED_KINDS and proposal.counts
            for part in proposal.allocation
            if part.line_id == line_id
        )

    def compensation_fen(self) -> int:
        """Compensation that counts against authority: everything but good-review rewards, over all cases."""
        return sum(
            proposal.amount_fen
            for case in self.cases.values()
            for proposal in case.proposals.values()
            if proposal.kind != GOOD_REVIEW_REWARD and proposal.counts
        )

    def over_all(self, units: Callable[[Case], int]) -> int:
        return sum(units(case) for case in self.cases.values())

    def remedy_room(self, case: Case, line_id: str) -> int:
        """How many more units may be refunded or replaced free, in the case and over all cases of the order."""
        units, bought = case.lines.get(line_id, 0), self.lines[line_id].quantity
        in_case = max(units, case.accepted_units(line_id)) - case.refunded_units(line_id) - case.replaced_free(line_id)
        over_all = (
            max(bought, self.over_all(lambda one: one.accepted_units(line_id)))
            - self.over_all(lambda one: one.refunded_units(line_id))
            - self.over_all(lambda one: one.replaced_free(line_id))
        )
        return min(in_case, over_all)

    def refund_room(self, case: Case, line_id: str) -> int:
        """How many more units may be refunded: never more than were bought."""
        refunded = self.over_all(lambda one: one.refunded_units(line_id))
        return min(self.remedy_room(case, line_id), self.lines[line_id].quantity - refunded)

    def return_room(self, case: Case, line_id: str) -> int:
        """How many more units of the line the buyer may send back in this case."""
        in_case = (
            case.lines.get(line_id, 0)
            + case.replacements_sent(line_id)
            - case.accepted_units(line_id)
            - case.units_under_way(line_id)
        )
        with_buyer = (
            self.lines[line_id].quantity
            + self.over_all(lambda one: one.replacements_sent(line_id))
            - self.over_all(lambda one: one.accepted_units(line_id))
            - self.over_all(lambda one: one.units_under_way(line_id))
        )
        return min(in_case, with_buyer)

    def case_value_fen(self, case: Case) -> int:
        """What the buyer paid for the case's units."""
        return sum(
            units_value(self.lines[line_id].paid_fen, self.lines[line_id].quantity, 0, units)
            for line_id, units in case.lines.items()
        )

    # -- folding

    def evolve(self, fact: Fact) -> None:
        event = fact.event
        self.erased = isinstance(event, c.PersonalDataErased)
        if isinstance(event, OrderRecorded):
            self._record_order(event.order)
        elif isinstance(event, c.CaseOpened):
            self._open(event, fact)
        elif isinstance(event, CaseEvent):
            case = self.cases[event.case_id]
            case.happenings += 1
            case.updated_at = max(case.updated_at, fact.time)
            self._note_answer(case, fact)
            change = _CHANGES.get(type(event))
            if change is not None:
                change(self, case, event, fact)
        elif self.erased:
            for case in self.cases.values():
                case.happenings += 1
        if found := references(self.lines, self.cases, event):
            self.references[fact.id] = found

    def _record_order(self, order: Order) -> None:
        self.order = order
        self.lines = {line.line_id: line for line in order.lines}
        for line in order.lines:
            self.accounts.setdefault(line.line_id, LineAccount(line.paid_fen, line.quantity))
            if not self.cases:
                self.accounts[line.line_id] = LineAccount(line.paid_fen, line.quantity)

    def _open(self, event: c.CaseOpened, fact: Fact) -> None:
        self.cases[event.case_id] = Case(
            case_id=event.case_id,
            problem=event.problem,
            reason=event.reason,
            lines={line.line_id: line.quantity for line in event.lines},
            description=event.description,
            urgent=event.urgent,
            channel_refund_id=event.channel_refund_id,
            opened_at=fact.time,
            updated_at=fact.time,
            opened_by=fact.actor,
            happenings=1,
        )

    @staticmethod
    def _note_answer(case: Case, fact: Fact) -> None:
        if case.first_answered_at is None and not isinstance(fact.event, c.PromiseMade | c.PromiseBroken):
            role = fact.actor.partition("/")[0]
            if role in STAFF:
                case.first_answered_at = fact.time


Change = Callable[[OrderFile, Case, Any, Fact], None]
_CHANGES: dict[type[Event], Change] = {}


def _on(*types: type[Event]) -> Callable[[Change], Change]:
    def register(change: Change) -> Change:
        _CHANGES.update(dict.fromkeys(types, change))
        return change

    return register


@_on(c.PromiseMade)
def _promise_made(_: OrderFile, case: Case, event: c.PromiseMade, __: Fact) -> None:
    case.first_answer_due_at = event.first_answer_due_at
    case.solution_due_at = event.solution_due_at


@_on(c.PromiseBroken)
def _promise_broken(_: OrderFile, case: Case, event: c.PromiseBroken, __: Fact) -> None:
    case.broken.add(event.promise)


@_on(c.CaseReclassified)
def _reclassified(_: OrderFile, case: Case, event: c.CaseReclassified, __: Fact) -> None:
    case.problem, case.reason = event.problem, event.reason


@_on(c.CaseAssigned)
def _assigned(_: OrderFile, case: Case, event: c.CaseAssigned, __: Fact) -> None:
    case.assignee = event.to


@_on(c.EvidenceSubmitted)
def _evidence_submitted(_: OrderFile, case: Case, event: c.EvidenceSubmitted, __: Fact) -> None:
    case.evidence[event.evidence] = Evidence(event.kind, event.sha256, event.media_type)


@_on(c.EvidenceAccepted, c.EvidenceRejected)
def _evidence_reviewed(_: OrderFile, case: Case, event: c.EvidenceAccepted | c.EvidenceRejected, __: Fact) -> None:
    case.evidence[event.evidence].accepted = isinstance(event, c.EvidenceAccepted)


@_on(c.CauseAssessed)
def _cause_assessed(_: OrderFile, case: Case, event: c.CauseAssessed, __: Fact) -> None:
    case.cause = Cause(
        event.cause,
        event.party,
        event.freight_borne_by,
        event.in_warranty,
        event.human_caused,
        event.affects_use,
    )


@_on(c.PickupArranged)
def _pickup_arranged(_: OrderFile, case: Case, event: c.PickupArranged, __: Fact) -> None:
    case.has_loss |= event.freight_fen > 0


@_on(c.IssueReported)
def _issue_reported(_: OrderFile, case: Case, event: c.IssueReported, __: Fact) -> None:
    case.rude_agent_named |= bool(event.person)


@_on(c.CompensationProposed)
def _proposed(_: OrderFile, case: Case, event: c.CompensationProposed, __: Fact) -> None:
    case.proposals[event.proposal] = Proposal(
        event.kind, event.amount_fen, event.allocation, event.proposed_by, event.approver_role
    )


@_on(c.ApprovalGranted, c.ApprovalDeclined)
def _approval(_: OrderFile, case: Case, event: c.ApprovalGranted | c.ApprovalDeclined, __: Fact) -> None:
    case.proposals[event.proposal].approved = isinstance(event, c.ApprovalGranted)


@_on(c.CompensationAccepted, c.CompensationDeclined)
def _buyer_replied(_: OrderFile, case: Case, event: c.CompensationAccepted | c.CompensationDeclined, __: Fact) -> None:
    case.proposals[event.proposal].buyer_agreed = isinstance(event, c.CompensationAccepted)


@_on(c.CompensationPaid)
def _compensation_paid(file: OrderFile, case: Case, event: c.CompensationPaid, _: Fact) -> None:
    case.proposals[event.proposal].paid = True
    case.has_loss |= event.kind != GOOD_REVIEW_REWARD
    for part in event.allocation:
        file.accounts[part.line_id].pay(event.kind, case.case_id, event.proposal, part.amount_fen)


@_on(c.CompensationWithdrawn)
def _withdrawn(_: OrderFile, case: Case, event: c.CompensationWithdrawn, __: Fact) -> None:
    case.proposals[event.proposal].withdrawn = True


@_on(c.BuyerCharged)
def _buyer_charged(_: OrderFile, case: Case, event: c.BuyerCharged, __: Fact) -> None:
    for charge in case.charges.values():
        charge.replaced |= charge.lost_sale and charge.waits_for_sale and not charge.paid
    case.charges[event.charge] = Charge(event.amount_fen, event.purpose)
    case.pair_sales()


@_on(c.BuyerPaid)
def _buyer_paid(_: OrderFile, case: Case, event: c.BuyerPaid, __: Fact) -> None:
    case.charges[event.charge].payment_ref = event.payment_ref
    case.has_loss = True


@_on(c.ReshipmentRequested)
def _reshipment_requested(_: OrderFile, case: Case, event: c.ReshipmentRequested, fact: Fact) -> None:
    case.reshipments[event.reshipment] = Reshipment(event.items, event.trigger, fact.time)
    case.pair_sales()


@_on(c.ReshipmentReleased, c.ReshipmentBackordered)
def _reshipment_stocked(
    _: OrderFile, case: Case, event: c.ReshipmentReleased | c.ReshipmentBackordered, __: Fact
) -> None:
    reshipment = case.reshipments[event.reshipment]
    reshipment.status = "released" if isinstance(event, c.ReshipmentReleased) else "backordered"
    reshipment.held_stock = True


@_on(c.ReshipmentShipped)
def _reshipment_shipped(_: OrderFile, case: Case, event: c.ReshipmentShipped, __: Fact) -> None:
    one = case.reshipments[event.reshipment]
    one.status, one.carrier, one.tracking_no = "shipped", event.carrier, event.tracking_no
    case.has_loss |= event.goods_cost_fen + event.freight_fen > 0


@_on(c.ReshipmentDelivered)
def _reshipment_delivered(_: OrderFile, case: Case, event: c.ReshipmentDelivered, __: Fact) -> None:
    case.reshipments[event.reshipment].status = "delivered"


@_on(c.ReshipmentCancelled)
def _reshipment_cancelled(_: OrderFile, case: Case, event: c.ReshipmentCancelled, __: Fact) -> None:
    case.reshipments[event.reshipment].status = "cancelled"
    if event.charge:
        case.charges[event.charge].returned = True
    elif unpaid := case.charge_of(event.reshipment):
        case.charges[unpaid].sale, case.charges[unpaid].lost_sale = "", True
        case.pair_sales()


@_on(c.DepositRequested)
def _deposit_requested(_: OrderFile, case: Case, event: c.DepositRequested, __: Fact) -> None:
    case.deposits[event.deposit] = Deposit(event.amount_fen)


@_on(c.DepositCollected)
def _deposit_collected(_: OrderFile, case: Case, event: c.DepositCollected, __: Fact) -> None:
    deposit = case.deposits[event.deposit]
    deposit.status, deposit.payment_ref = "collected", event.payment_ref


@_on(c.DepositForfeited)
def _deposit_forfeited(_: OrderFile, case: Case, event: c.DepositForfeited, __: Fact) -> None:
    case.deposits[event.deposit].status = "forfeited"
    case.has_loss = True


@_on(c.DepositReturned)
def _deposit_returned(_: OrderFile, case: Case, event: c.DepositReturned, __: Fact) -> None:
    case.deposits[event.deposit].status = "returned"


@_on(c.ReturnAuthorised)
def _return_authorised(_: OrderFile, case: Case, event: c.ReturnAuthorised, __: Fact) -> None:
    case.returns[event.return_id] = Return(
        {line.line_id: line.quantity for line in event.lines}, event.freight_borne_by
    )


@_on(c.ReturnShipped)
def _return_shipped(_: OrderFile, case: Case, event: c.ReturnShipped, __: Fact) -> None:
    one = case.returns[event.return_id]
    one.status, one.freight_fen = "shipped", event.freight_fen
    one.carrier, one.tracking_no = event.carrier, event.tracking_no


@_on(c.ReturnReceived)
def _return_received(_: OrderFile, case: Case, event: c.ReturnReceived, __: Fact) -> None:
    one = case.returns[event.return_id]
    one.status, one.accepted = "received", event.accepted
    for line in event.lines:
        one.received[line.line_id] = one.received.get(line.line_id, 0) + line.quantity
        case.has_loss |= event.accepted and line.resalable and line.unit_cost_fen * line.quantity > 0


@_on(c.ReturnCancelled)
def _return_cancelled(_: OrderFile, case: Case, event: c.ReturnCancelled, __: Fact) -> None:
    case.returns[event.return_id].status = "cancelled"


@_on(c.RefundRequested)
def _refund_requested(file: OrderFile, case: Case, event: c.RefundRequested, _: Fact) -> None:
    case.refunds[event.refund] = Refund({line.line_id: line.quantity for line in event.lines}, event.refund_only)
    for line in event.lines:
        file.accounts[line.line_id].refund(line.quantity)


@_on(c.CaseClosed)
def _closed(_: OrderFile, case: Case, event: c.CaseClosed, fact: Fact) -> None:
    case.status, case.resolution = "closed", event.resolution
    case.solved_at = case.solved_at or fact.time
    for deposit in case.deposits.values():
        if deposit.status == "requested":
            deposit.status = "lapsed"


@_on(c.CaseReopened)
def _reopened(_: OrderFile, case: Case, __: c.CaseReopened, ___: Fact) -> None:
    case.status = "open"


@_on(c.CaseRated)
def _rated(_: OrderFile, case: Case, event: c.CaseRated, __: Fact) -> None:
    case.rating = event.score


@_on(r.PayoutRequested, r.PayoutFailed, r.PayoutUnknown)
def _payout(_: OrderFile, case: Case, event: r.PayoutRequested | r.PayoutFailed | r.PayoutUnknown, __: Fact) -> None:
    case.payouts[event.payout] = event


@_on(r.PayoutSucceeded)
def _payout_succeeded(_: OrderFile, case: Case, event: r.PayoutSucceeded, __: Fact) -> None:
    case.payouts[event.payout] = event
    if event.kind == "deposit_return":
        case.deposits[event.item].paid_back = True
    elif event.kind == "charge_return":
        case.charges[event.item].paid_back = True


@_on(r.ReturnFreightReimbursed)
def _freight_reimbursed(_: OrderFile, case: Case, event: r.ReturnFreightReimbursed, __: Fact) -> None:
    case.returns[event.return_id].reimbursed = True
    case.has_loss |= event.amount_fen > 0


@_on(r.RefundSettled)
def _refund_settled(_: OrderFile, case: Case, event: r.RefundSettled, __: Fact) -> None:
    case.refunds[event.refund].settled = True
    case.has_loss |= any(line.kind != "service" and line.unit_cost_fen > 0 for line in event.lines)


@_on(r.SettlementUpdated)
def _settlement_updated(_: OrderFile, case: Case, event: r.SettlementUpdated, __: Fact) -> None:
    case.settlement = event.settlement


@_on(li.LiabilityAssigned)
def _liability_assigned(_: OrderFile, case: Case, __: li.LiabilityAssigned, ___: Fact) -> None:
    case.liability_assigned = True


@_on(li.LossRecorded)
def _loss_recorded(_: OrderFile, case: Case, event: li.LossRecorded, __: Fact) -> None:
    case.net_loss_fen += event.amount_fen


@_on(li.LossCharged)
def _loss_charged(_: OrderFile, case: Case, event: li.LossCharged, __: Fact) -> None:
    case.charged_fen[event.party] = case.charged_fen.get(event.party, 0) + event.amount_fen


@_on(li.LossReversed)
def _loss_reversed(_: OrderFile, case: Case, event: li.LossReversed, __: Fact) -> None:
    case.charged_fen[event.party] = case.charged_fen.get(event.party, 0) - event.amount_fen


@_on(li.LossRecovered)
def _loss_recovered(_: OrderFile, case: Case, event: li.LossRecovered, __: Fact) -> None:
    case.recovered_fen[event.party] = case.recovered_fen.get(event.party, 0) + event.amount_fen
