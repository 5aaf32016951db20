"""A case and what belongs to it: evidence, offers, sales, goods that go out and come back, deposits, refunds."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from contracts.events import cases as c
from contracts.events import refunds as r

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
    carrier: str = ""
    tracking_no: str = ""

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
    #: How many happenings its timeline has.
    happenings: int = 0

    @property
    def closed(self) -> bool:
        return self.status == "closed"

    @property
    def lacks_cause(self) -> bool:
        """There is a loss that nobody can be charged for, because nobody said why it happened."""
        return self.has_loss and self.cause is None and not self.liability_assigned

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

    def unsettled_units(self, line_id: str) -> int:
        """Units of the line that came back and were accepted, for which nothing was given yet: neither a refund was
        requested nor other goods were ordered."""
        back = self.accepted_units(line_id)
        replaced = sum(one.units_for(line_id) for one in self.reshipments.values() if not one.cancelled)
        returned = back - self.refunded_returns(line_id)
        left = max(self.lines.get(line_id, 0), back) - self.refunded_units(line_id)
        return min(returned, left) - replaced

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
