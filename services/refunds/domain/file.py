"""One order's file in the refunds service: line accounts, cases and payouts, folded from events."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from contracts.event import CaseEvent
from contracts.events import cases as c
from contracts.events import refunds as r
from contracts.events.orders import Line, Order, OrderRecorded
from contracts.events.refunds import payout_id
from contracts.refund_formula import LineAccount, LineRefund, Taken
from services.kernel.decider import Fact

REFUND = "refund"
FREIGHT_REIMBURSEMENT = "freight_reimbursement"
DEPOSIT_RETURN = "deposit_return"
CHARGE_RETURN = "charge_return"


@dataclass(slots=True)
class Payout:
    """Money that leaves once. `status`: requested → succeeded | failed | unknown; `attempt` is the latest."""

    payout: str
    case_id: str
    kind: str
    item: str
    amount_fen: int
    channel_refund_id: str
    requested_at: datetime
    updated_at: datetime
    status: str = "requested"
    attempt: int = 1
    reason: str = ""
    channel_ref: str = ""

    @property
    def succeeded(self) -> bool:
        return self.status == "succeeded"


@dataclass(slots=True)
class Refund:
    """A request to refund units by line; then what it came to; then that the buyer has it."""

    units: dict[str, int]
    calculated: r.RefundCalculated | None = None
    settled: bool = False


@dataclass(slots=True)
class Return:
    """Goods that come back. `insurance_deducted_fen` is None until their freight is decided."""

    return_id: str
    accepted: bool = False
    cancelled: bool = False
    freight_fen: int = 0
    borne_by_merchant: bool = False
    insurance_deducted_fen: int | None = None
    settled: bool = False

    @property
    def owes_freight(self) -> bool:
        """The merchant owes the buyer the freight, settled or not."""
        return self.accepted and self.borne_by_merchant and self.freight_fen > 0

    @property
    def freight_undecided(self) -> bool:
        return self.owes_freight and self.insurance_deducted_fen is None


@dataclass(slots=True)
class Deposit:
    """A deposit that is in."""

    amount_fen: int
    forfeited: bool = False


@dataclass(slots=True)
class InsuranceResult:
    """What the freight insurer answered: `paid` with its amount, or `failed`."""

    result: str
    amount_fen: int
    recorded_at: datetime


@dataclass(slots=True)
class RaisedException:
    """Something that finance must look at."""

    kind: str
    amount_fen: int
    raised_at: datetime


@dataclass(slots=True)
class Case:
    """What one case owes the buyer."""

    case_id: str
    channel_refund_id: str
    refunds: dict[str, Refund] = field(default_factory=dict)
    returns: dict[str, Return] = field(default_factory=dict)
    accepted_returns: list[Return] = field(default_factory=list)
    deposits: dict[str, Deposit] = field(default_factory=dict)
    charge_returns: dict[str, int] = field(default_factory=dict)
    insurance: list[InsuranceResult] = field(default_factory=list)
    exceptions: list[RaisedException] = field(default_factory=list)
    refunded_lines: set[str] = field(default_factory=set)
    carried_deduction_fen: int = 0
    settlement: r.Settlement = field(default_factory=r.Settlement)

    @property
    def last_return(self) -> Return | None:
        """The return that decides: the last one authorised and not cancelled."""
        return next((one for one in reversed(self.returns.values()) if not one.cancelled), None)

    @property
    def claim_decided(self) -> bool:
        return bool(self.insurance)

    @property
    def insurance_left_fen(self) -> int:
        """What the insurer paid on the case's one claim (its first result) and no freight deducted yet."""
        paid = self.insurance[0].amount_fen if self.insurance else 0
        return paid - sum(one.insurance_deducted_fen or 0 for one in self.accepted_returns)


class RefundsFile:
    """All that refunds knows of one order."""

    def __init__(self, order_id: str) -> None:
        self.order_id = order_id
        self.order: Order | None = None
        self.lines: dict[str, Line] = {}
        self.accounts: dict[str, LineAccount] = {}
        self.cases: dict[str, Case] = {}
        self.payouts: dict[str, Payout] = {}
        #: Refunds to calculate, (case_id, refund), in order of requests.
        self.requests: list[tuple[str, str]] = []

    @property
    def insured(self) -> bool:
        return self.order is not None and self.order.freight_insurance is not None

    def payout(self, case_id: str, kind: str, item: str) -> Payout | None:
        """The payout of an item, if it was requested."""
        return self.payouts.get(payout_id(case_id, kind, item))

    def concerned(self, case_ids: Collection[str]) -> Iterable[Case]:
        """The cases named; all of them where none is, as by a new snapshot of the order."""
        return [case for case in self.cases.values() if case.case_id in case_ids] or self.cases.values()

    def evolve(self, fact: Fact) -> None:
        """Fold one event, learned from cases or decided here."""
        match fact.event:
            case OrderRecorded(order=order):
                self._record_order(order)
            case c.CaseOpened() as event:
                self.cases[event.case_id] = Case(event.case_id, event.channel_refund_id)
            case c.CompensationPaid() as event:
                for part in event.allocation:
                    account = self.accounts[part.line_id]
                    account.pay(event.kind, event.case_id, event.proposal, part.amount_fen)
            case r.RefundCalculated() as event:
                self._calculate(self.cases[event.case_id], event)
            case (r.PayoutRequested() | r.PayoutSucceeded() | r.PayoutFailed() | r.PayoutUnknown()) as event:
                self._move(event, fact.time)
            case CaseEvent() as event:
                self._note(self.cases[event.case_id], event, fact.time)

    def _record_order(self, order: Order) -> None:
        """A later snapshot replaces the order; once there is a case, what was paid for a line stands."""
        self.order = order
        for line in order.lines:
            self.lines[line.line_id] = line
            if not self.cases or line.line_id not in self.accounts:
                self.accounts[line.line_id] = LineAccount(line.paid_fen, line.quantity)

    def _calculate(self, case: Case, event: r.RefundCalculated) -> None:
        self.requests.remove((case.case_id, event.refund))
        case.refunds[event.refund].calculated = event
        for line in event.lines:
            self.accounts[line.line_id].record(line.quantity, _line_refund(line, event.deductions))
            case.refunded_lines.add(line.line_id)
        case.carried_deduction_fen = sum(self.accounts[line].undeducted_fen for line in case.refunded_lines)

    def _move(
        self, event: r.PayoutRequested | r.PayoutSucceeded | r.PayoutFailed | r.PayoutUnknown, time: datetime
    ) -> None:
        if isinstance(event, r.PayoutRequested):
            self._request(event, time)
            return
        payout = self.payouts[event.payout]
        payout.updated_at = time
        match event:
            case r.PayoutSucceeded():
                payout.status, payout.reason, payout.channel_ref = "succeeded", "", event.channel_ref
            case r.PayoutFailed():
                payout.status, payout.reason = "failed", event.reason
            case r.PayoutUnknown():
                payout.status, payout.reason = "unknown", event.reason

    def _request(self, event: r.PayoutRequested, time: datetime) -> None:
        payout = self.payouts.setdefault(
            event.payout,
            Payout(
                event.payout,
                event.case_id,
                event.kind,
                event.item,
                event.amount_fen,
                event.channel_refund_id,
                requested_at=time,
                updated_at=time,
            ),
        )
        payout.status, payout.reason, payout.attempt, payout.updated_at = "requested", "", event.attempt, time
        if event.kind == FREIGHT_REIMBURSEMENT:
            settled = self.cases[event.case_id].returns[event.item]
            settled.insurance_deducted_fen = settled.freight_fen - event.amount_fen

    def _note(self, case: Case, event: CaseEvent, time: datetime) -> None:
        match event:
            case c.ReturnAuthorised():
                case.returns[event.return_id] = Return(event.return_id)
            case c.ReturnCancelled():
                case.returns[event.return_id].cancelled = True
            case c.ReturnReceived(accepted=True):
                received = case.returns[event.return_id]
                received.accepted = True
                received.freight_fen = event.freight_fen
                received.borne_by_merchant = event.freight_borne_by == "merchant"
                case.accepted_returns.append(received)
            case c.DepositCollected():
                case.deposits[event.deposit] = Deposit(event.amount_fen)
            case c.DepositForfeited():
                case.deposits[event.deposit].forfeited = True
            case c.ReshipmentCancelled() if event.charge_return_fen:
                case.charge_returns[event.charge] = event.charge_return_fen
            case c.InsurancePaid():
                case.insurance.append(InsuranceResult("paid", event.amount_fen, time))
            case c.InsuranceFailed():
                case.insurance.append(InsuranceResult("failed", 0, time))
            case c.RefundRequested():
                case.refunds[event.refund] = Refund(_units(event.lines))
                self.requests.append((case.case_id, event.refund))
            case r.ReturnFreightReimbursed():
                settled = case.returns[event.return_id]
                settled.insurance_deducted_fen, settled.settled = event.insurance_deducted_fen, True
            case r.RefundSettled():
                case.refunds[event.refund].settled = True
            case r.SettlementUpdated():
                case.settlement = event.settlement
            case r.ExceptionRaised():
                case.exceptions.append(RaisedException(event.kind, event.amount_fen, time))


def _units(lines: Iterable[c.LineQuantity]) -> dict[str, int]:
    units: dict[str, int] = {}
    for line in lines:
        units[line.line_id] = units.get(line.line_id, 0) + line.quantity
    return units


def _line_refund(line: r.RefundedLine, deductions: Iterable[r.Deduction]) -> LineRefund:
    """The figures that were decided for a line: what is folded is the fact, not the formula once more."""
    return LineRefund(
        line.goods_fen,
        line.compensation_deducted_fen,
        line.price_difference_deducted_fen,
        line.carried_deduction_fen,
        tuple(
            Taken(part.case_id, part.proposal, part.kind, part.amount_fen)
            for part in deductions
            if part.line_id == line.line_id
        ),
    )
