"""The refund formula of one order line (`domain.md` §4).

It is a contract: refunds pays by it, and cases refuses by it what would exceed the price paid. Both fold the
same events in the same order, so both come to the same figures.
"""

from collections import deque
from dataclasses import dataclass, field

CASH = "cash"
PRICE_DIFFERENCE = "price_difference"
DEDUCTED_KINDS = (CASH, PRICE_DIFFERENCE)


def units_value(paid_fen: int, quantity: int, first: int, units: int) -> int:
    """Goods value in fen of `units` units after the first `first` ones, of a line of `quantity` units."""
    return paid_fen * (first + units) // quantity - paid_fen * first // quantity


@dataclass(slots=True)
class Paid:
    """Compensation paid on the line that no refund has deducted yet."""

    case_id: str
    proposal: str
    open_fen: int


@dataclass(slots=True, frozen=True)
class Taken:
    """A part of an earlier compensation that a refund deducts."""

    case_id: str
    proposal: str
    kind: str
    amount_fen: int


@dataclass(slots=True, frozen=True)
class LineRefund:
    """What refunding some units of the line comes to, in fen."""

    goods_fen: int
    compensation_deducted_fen: int
    price_difference_deducted_fen: int
    carried_deduction_fen: int
    taken: tuple[Taken, ...]

    @property
    def refund_fen(self) -> int:
        """Goods value less both deductions."""
        return self.goods_fen - self.compensation_deducted_fen - self.price_difference_deducted_fen


@dataclass(slots=True)
class LineAccount:
    """One order line over all cases: units refunded so far, and compensation paid and not yet deducted."""

    paid_fen: int
    quantity: int
    refunded_units: int = 0
    refunded_fen: int = 0
    open: dict[str, deque[Paid]] = field(default_factory=lambda: {kind: deque() for kind in DEDUCTED_KINDS})

    @property
    def undeducted_fen(self) -> int:
        """Compensation paid and still not deducted: taken from the next refund of the line."""
        return sum(paid.open_fen for queue in self.open.values() for paid in queue)

    def pay(self, kind: str, case_id: str, proposal: str, amount_fen: int) -> None:
        """Note compensation paid on this line; vouchers and rewards are never deducted."""
        if kind in self.open and amount_fen:
            self.open[kind].append(Paid(case_id, proposal, amount_fen))

    def preview(self, units: int) -> LineRefund:
        """What refunding `units` more units would come to; what was paid first is deducted first."""
        goods = units_value(self.paid_fen, self.quantity, self.refunded_units, units)
        cash = _take(self.open[CASH], CASH, goods)
        difference = _take(self.open[PRICE_DIFFERENCE], PRICE_DIFFERENCE, goods - _sum(cash))
        carried = self.undeducted_fen - _sum(cash) - _sum(difference)
        return LineRefund(goods, _sum(cash), _sum(difference), carried, (*cash, *difference))

    def record(self, units: int, refund: LineRefund) -> None:
        """Note a refund of `units` more units that was decided: what it paid and what it deducted."""
        self.refunded_units += units
        self.refunded_fen += refund.refund_fen
        for taken in refund.taken:
            queue = self.open[taken.kind]
            queue[0].open_fen -= taken.amount_fen
            if queue[0].open_fen == 0:
                queue.popleft()

    def refund(self, units: int) -> LineRefund:
        """Decide and note a refund of `units` more units."""
        result = self.preview(units)
        self.record(units, result)
        return result


def _take(queue: deque[Paid], kind: str, limit_fen: int) -> list[Taken]:
    taken: list[Taken] = []
    for paid in queue:
        amount = min(paid.open_fen, limit_fen)
        if amount == 0:
            break
        taken.append(Taken(paid.case_id, paid.proposal, kind, amount))
        limit_fen -= amount
    return taken


def _sum(taken: list[Taken]) -> int:
    return sum(part.amount_fen for part in taken)
