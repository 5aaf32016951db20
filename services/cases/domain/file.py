"""The after-sales file of one order in the cases service: its cases and all that is in them, folded from events."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from contracts.event import CaseEvent, Event
from contracts.events import cases as c
from contracts.events import liability as li
from contracts.events import refunds as r
from contracts.events.orders import Line, Order, OrderRecorded
from contracts.refund_formula import DEDUCTED_KINDS, LineAccount, units_value
from services.kernel.actor import STAFF
from services.kernel.decider import Fact

GOOD_REVIEW_REWARD = "good_review_reward"


@dataclass(slots=True)
class Evidence:
    """A file that shows what happened; `accepted` is None until somebody looked."""

    kind: str
    sha256: str
    media_type: str
    accepted: bool | None = None


@dataclass(slots=True)
class Proposal:
    """An offered compensation. Its state: proposed → accepted | declined by the buyer → paid, or withdrawn."""

    kind: str
    amount_fen: int
    allocation: tuple[c.LineAmount, ...]
    proposed_by: str
    approver_role: str
    approved: bool | None = None
    buyer_agreed: bool | None = None
    paid: bool = False
    withdrawn: bool = False

    @property
    def counts(self) -> bool:
        """Whether it counts against limits: neither declined (by the buyer or an approver) nor withdrawn."""
        return not self.withdrawn and self.buyer_agreed is not False and self.approved is not False

    @property
    def waits_for_approval(self) -> bool:
        return bool(self.approver_role) and self.approved is None and self.counts and not self.paid


@dataclass(slots=True)
class Charge:
    """What the buyer is to pay for one sale (`sale`, a reshipment), which may be ordered later.

    It loses its sale when that is cancelled unpaid. Then it serves the next sale, unless a new charge replaces it.
    """

    amount_fen: int
    purpose: str
    payment_ref: str = ""
    sale: str = ""
    lost_sale: bool = False
    replaced: bool = False
    returned: bool = False
    paid_back: bool = False

    @property
    def paid(self) -> bool:
        return bool(self.payment_ref)

    @property
    def waits_for_sale(self) -> bool:
        return not (self.sale or self.replaced or self.returned)


@dataclass(slots=True)
class Reshipment:
    """Goods that go out: requested → released (or backordered, then released) → shipped → delivered, or cancelled."""

    items: tuple[c.ReshipmentItem, ...]
    trigger: str
    requested_at: datetime
    status: str = "requested"
    held_stock: bool = False

    @property
    def free(self) -> bool:
        """Sent at the shop's expense, not sold."""
        return self.trigger != "on_payment"

    @property
    def cancelled(self) -> bool:
        return self.status == "cancelled"

    @property
    def sent(self) -> bool:
        return self.status in ("shipped", "delivered")

    @property
    def cost_fen(self) -> int:
        return sum(item.unit_cost_fen * item.quantity for item in self.items)

    def units_for(self, line_id: str) -> int:
        """How many units it replaces of an order line."""
        return sum(part.quantity for item in self.items for part in item.stands_for if part.line_id == line_id)


@dataclass(slots=True)
class Return:
    """Goods that come back: authorised → shipped → received (accepted or not), or cancelled."""

    lines: dict[str, int]
    freight_borne_by: str
    status: str = "authorised"
    freight_fen: int = 0
    carrier: str = ""
    tracking_no: str = ""
    accepted: bool | None = None
    received: dict[str, int] = field(default_factory=dict)
    reimbursed: bool = False

    @property
    def under_way(self) -> bool:
        return self.status in ("authorised", "shipped")

    @property
    def freight_open(self) -> bool:
        """Accepted at the merchant's expense, and the freight is not settled yet."""
        return (
            bool(self.accepted) and self.freight_borne_by == "merchant" and self.freight_fen > 0 and not self.reimbursed
        )


@dataclass(slots=True)
class Deposit:
    """requested → collected → returned | forfeited; lapsed when the case closes before it was paid."""

    amount_fen: int
    status: str = "requested"
    payment_ref: str = ""
    paid_back: bool = False


@dataclass(slots=True)
class Refund:
    """A request to refund units, settled once the money is out."""

    lines: dict[str, int]
    refund_only: bool
    settled: bool = False


@dataclass(slots=True)
class Cause:
    """Why it happened, as last assessed."""

    cause: str
    party: str
    freight_borne_by: str
    in_warranty: bool
    human_caused: bool
    affects_use: bool


@dataclass(slots=True)
class Case:
    """One problem of one buyer."""

    case_id: str
    problem: str
    reason: str
    lines: dict[str, int]
    description: str
    urgent: bool
    channel_refund_id: str
    opened_at: datetime
    updated_at: datetime
    opened_by: str
    status: str = "open"
    assignee: str = ""
    resolution: str = ""
    rating: int = 0
    first_answer_due_at: datetime | None = None
    solution_due_at: datetime | None = None
    first_answered_at: datetime | None = None
    solved_at: datetime | None = None
    broken: set[str] = field(default_factory=set)
    cause: Cause | None = None
    liability_assigned: bool = False
    rude_agent_named: bool = False
    has_loss: bool = False
    evidence: dict[str, Evidence] = field(default_factory=dict)
    proposals: dict[str, Proposal] = field(default_factory=dict)
    charges: dict[str, Charge] = field(default_factory=dict)
    reshipments: dict[str, Reshipment] = field(default_factory=dict)
    returns: dict[str, Return] = field(default_factory=dict)
    deposits: dict[str, Deposit] = field(default_factory=dict)
    refunds: dict[str, Refund] = field(default_factory=dict)
    payouts: dict[str, r.PayoutRequested | r.PayoutSucceeded | r.PayoutFailed | r.PayoutUnknown] = field(
        default_factory=dict
    )
    settlement: r.Settlement = field(default_factory=r.Settlement)
    net_loss_fen: int = 0
    charged_fen: dict[str, int] = field(default_factory=dict)
    recovered_fen: dict[str, int] = field(default_factory=dict)

    @property
    def closed(self) -> bool:
        return self.status == "closed"

    @property
    def last_return(self) -> Return | None:
        """The return that decides triggers and refusals: the last one that was not cancelled."""
        return next((one for one in reversed(self.returns.values()) if one.status != "cancelled"), None)

    @property
    def return_refused(self) -> bool:
        """The last return came with the wrong goods, or short."""
        last = self.last_return
        return last is not None and last.accepted is False

    def accepted_units(self, line_id: str) -> int:
        """`A`: units of the line accepted back."""
        return sum(one.received.get(line_id, 0) for one in self.returns.values() if one.accepted)

    def units_under_way(self, line_id: str) -> int:
        return sum(one.lines.get(line_id, 0) for one in self.returns.values() if one.under_way)

    def replacements_sent(self, line_id: str) -> int:
        return sum(one.units_for(line_id) for one in self.reshipments.values() if one.sent)

    def replaced_free(self, line_id: str) -> int:
        """Units that free reshipments replace, sent or to be sent."""
        return sum(one.units_for(line_id) for one in self.free_reshipments)

    def refunded_units(self, line_id: str) -> int:
        return sum(one.lines.get(line_id, 0) for one in self.refunds.values())

    def refunded_returns(self, line_id: str) -> int:
        """Units refunded because they came back."""
        return sum(one.lines.get(line_id, 0) for one in self.refunds.values() if not one.refund_only)

    @property
    def free_reshipments(self) -> Iterator[Reshipment]:
        return (one for one in self.reshipments.values() if one.free and not one.cancelled)

    def free_cost_fen(self) -> int:
        """Cost of what is sent free, less replacements whose predecessors came back beyond the case's units."""
        cost = sum(one.cost_fen for one in self.free_reshipments)
        for line_id, units in self.lines.items():
            costs = [
                item.unit_cost_fen
                for one in self.free_reshipments
                for item in one.items
                for part in item.stands_for
                if part.line_id == line_id
                for _ in range(part.quantity)
            ]
            cost -= sum(costs[: max(0, self.accepted_units(line_id) - units)])
        return cost

    def charge_of(self, sale: str) -> str:
        """The charge that pays for a sold reshipment, empty where nothing was charged for it yet."""
        return next((key for key, charge in self.charges.items() if charge.sale == sale), "")

    def paid_for(self, sale: str) -> bool:
        charge = self.charge_of(sale)
        return bool(charge) and self.charges[charge].paid

    def open_charge(self) -> str:
        """The charge that a payment is for: the oldest unpaid one, those whose sale is ordered first."""
        unpaid = [key for key, charge in self.charges.items() if not charge.paid and not charge.replaced]
        return next((key for key in unpaid if self.charges[key].sale), unpaid[0] if unpaid else "")

    def pair_sales(self) -> None:
        """Charges and sales pair up in the order in which they were made; a pair stays."""
        for key, one in self.reshipments.items():
            if not one.free and not one.cancelled and not self.charge_of(key):
                waiting = next((charge for charge in self.charges.values() if charge.waits_for_sale), None)
                if waiting is not None:
                    waiting.sale = key

    def held_deposit(self) -> tuple[str, Deposit] | None:
        return next(((key, one) for key, one in self.deposits.items() if one.status == "collected"), None)


class OrderFile:
    """All cases of one order. Quantities, caps and deductions across them are decided here."""

    def __init__(self, order_id: str) -> None:
        self.order_id = order_id
        self.order: Order | None = None
        self.lines: dict[str, Line] = {}
        self.accounts: dict[str, LineAccount] = {}
        self.cases: dict[str, Case] = {}

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
        if isinstance(event, OrderRecorded):
            self._record_order(event.order)
        elif isinstance(event, c.CaseOpened):
            self._open(event, fact)
        elif isinstance(event, CaseEvent):
            case = self.cases[event.case_id]
            case.updated_at = max(case.updated_at, fact.time)
            self._note_answer(case, fact)
            change = _CHANGES.get(type(event))
            if change is not None:
                change(self, case, event, fact)

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
    case.reshipments[event.reshipment].status = "shipped"
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
