"""The sums of refunds (`domain.md` §4): nothing is refunded above what was paid, nothing deducted twice, and the lines
make the whole.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from contracts.events import cases as c
from contracts.events import refunds as r
from contracts.events.orders import OrderRecorded
from contracts.policy import Text
from contracts.refund_formula import CASH, DEDUCTED_KINDS, PRICE_DIFFERENCE
from services.doctor import ways
from services.doctor.finding import Wrong
from services.doctor.look import Look, streams
from services.kernel.log import Record
from services.refunds.domain.file import FREIGHT_REIMBURSEMENT, REFUND

#: What a settlement is the sum of its refunds in.
_SETTLED: Final = ("goods_fen", "compensation_deducted_fen", "price_difference_deducted_fen", "refund_fen")
#: What a refund is the sum of its lines in.
_SUMMED: Final = (*_SETTLED, "carried_deduction_fen")

#: Compensation on a line: case, proposal, line and kind.
Paid = tuple[str, str, str, str]


@dataclass(slots=True)
class _Line:
    """What the buyer paid for a line, and what he got back for it."""

    paid_fen: int = 0
    quantity: int = 0
    refunded_fen: int = 0
    refunded_units: int = 0
    compensated_fen: int = 0


@dataclass(slots=True)
class _Case:
    """What was decided in a case, and its settlement as it was told last."""

    decided: Counter[str] = field(default_factory=Counter)
    freight: dict[str, int] = field(default_factory=dict)
    settlement: r.Settlement = field(default_factory=r.Settlement)


class _Sums:
    """The money of an order, line by line and case by case."""

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.lines: dict[str, _Line] = {}
        self.cases: dict[str, _Case] = {}
        self.paid: Counter[Paid] = Counter()
        self.deducted: Counter[Paid] = Counter()
        self.refunds: dict[str, r.RefundCalculated] = {}
        self.requested: dict[str, int] = {}

    def see(self, record: Record) -> None:
        match record.event:
            case OrderRecorded(order=order):
                for line in order.lines:
                    if not self.cases or line.line_id not in self.lines:  # once there is a case, what was paid stands
                        self.lines[line.line_id] = _Line(line.paid_fen, line.quantity)
            case c.CaseOpened() as event:
                self.cases[event.case_id] = _Case()
            case c.CompensationPaid() as event if event.kind in DEDUCTED_KINDS:
                for part in event.allocation:
                    self.lines[part.line_id].compensated_fen += part.amount_fen
                    self.paid[event.case_id, event.proposal, part.line_id, event.kind] += part.amount_fen
            case r.RefundCalculated() as event:
                self._calculated(event)
            case r.PayoutRequested(kind=kind) as event if kind in (REFUND, FREIGHT_REIMBURSEMENT):
                self.requested[r.payout_id(event.case_id, kind, event.item)] = event.amount_fen
                if kind == FREIGHT_REIMBURSEMENT:
                    self.cases[event.case_id].freight[event.item] = event.amount_fen
            case r.SettlementUpdated() as event:
                self.cases[event.case_id].settlement = event.settlement

    def _calculated(self, event: r.RefundCalculated) -> None:
        self.refunds[r.payout_id(event.case_id, REFUND, event.refund)] = event
        decided = self.cases[event.case_id].decided
        for name in _SETTLED:
            decided[name] += getattr(event, name)
        for line in event.lines:
            account = self.lines[line.line_id]
            account.refunded_fen += line.refund_fen
            account.refunded_units += line.quantity
        for part in event.deductions:
            self.deducted[part.case_id, part.proposal, part.line_id, part.kind] += part.amount_fen


#: Where, what, what should be there, and what is.
_Found = tuple[str, Text, Any, Any]


async def refund_sums(look: Look) -> AsyncIterator[Wrong]:
    """Refunds stay within what was paid, deductions happen once, and lines, refunds, payouts and settlements agree."""
    async for stream in streams(look, _Sums):
        if stream.broken:
            yield stream.broken
            continue
        for where, what, expected, found in _wrong(stream.fold):
            yield Wrong(where, what, str(expected), str(found), ways.finance(look.name))


def _wrong(sums: _Sums) -> Iterator[_Found]:
    yield from _above_paid(sums)
    yield from _deducted_twice(sums)
    for reference, refund in sums.refunds.items():
        yield from _of_refund(sums, reference, refund)
    for case_id, case in sums.cases.items():
        yield from _of_settlement(case_id, case)


def _above_paid(sums: _Sums) -> Iterator[_Found]:
    for line_id, line in sums.lines.items():
        where = f"{sums.stream}/{line_id}"
        back_fen = line.refunded_fen + line.compensated_fen
        if back_fen > line.paid_fen:
            what = Text(zh="退款加补偿超过实付(分)", en="refunds and compensation exceed what was paid, in fen")
            yield where, what, f"≤ {line.paid_fen}", f"{line.refunded_fen} + {line.compensated_fen} = {back_fen}"
        if line.refunded_units > line.quantity:
            what = Text(zh="退款件数超过购买件数", en="more units were refunded than bought")
            yield where, what, f"≤ {line.quantity}", line.refunded_units


def _deducted_twice(sums: _Sums) -> Iterator[_Found]:
    for paid, deducted_fen in sums.deducted.items():
        if deducted_fen > sums.paid[paid]:
            case_id, proposal, line_id, _ = paid
            what = Text(
                zh="同一笔补偿扣得比付的多(分)", en="more was deducted for a compensation than was paid, in fen"
            )
            yield f"{case_id} {proposal} {line_id}", what, f"≤ {sums.paid[paid]}", deducted_fen


def _of_refund(sums: _Sums, reference: str, refund: r.RefundCalculated) -> Iterator[_Found]:
    for name in _SUMMED:
        total = sum(getattr(line, name) for line in refund.lines)
        if getattr(refund, name) != total:
            what = Text(zh=f"退款的 {name} 不是各行之和(分)", en=f"{name} is not the sum of its lines, in fen")
            yield reference, what, total, getattr(refund, name)
    parts_and_whole: tuple[r.RefundCalculated | r.RefundedLine, ...] = (refund, *refund.lines)
    for line in parts_and_whole:
        net = line.goods_fen - line.compensation_deducted_fen - line.price_difference_deducted_fen
        if line.refund_fen != net:
            what = Text(zh="退款额不等于货值减扣除(分)", en="the refund is not the goods less the deductions, in fen")
            yield reference, what, net, line.refund_fen
    for kind, told in (
        (CASH, refund.compensation_deducted_fen),
        (PRICE_DIFFERENCE, refund.price_difference_deducted_fen),
    ):
        parts = sum(part.amount_fen for part in refund.deductions if part.kind == kind)
        if parts != told:
            what = Text(zh="扣除额与明细不符(分)", en="what was deducted is not the sum of its parts, in fen")
            yield reference, what, parts, told
    if sums.requested.get(reference, 0) != refund.refund_fen:
        what = Text(zh="打款金额不是退款额(分)", en="the payout is not what the refund came to, in fen")
        yield reference, what, refund.refund_fen, sums.requested.get(reference, 0)


def _of_settlement(case_id: str, case: _Case) -> Iterator[_Found]:
    told = case.settlement
    for name in _SETTLED:
        if getattr(told, name) != case.decided[name]:
            what = Text(zh=f"结算的 {name} 不是各次退款之和(分)", en=f"{name} is not the sum of its refunds, in fen")
            yield case_id, what, case.decided[name], getattr(told, name)
    freight_fen = sum(case.freight.values())
    if told.freight_reimbursed_fen != freight_fen:
        what = Text(zh="结算的运费不是各次运费之和(分)", en="the freight is not the sum of what was reimbursed, in fen")
        yield case_id, what, freight_fen, told.freight_reimbursed_fen
    net_fen = told.refund_fen + told.freight_reimbursed_fen
    if told.net_fen != net_fen:
        what = Text(zh="结算净额不等于退款加运费(分)", en="the net is not refund and freight together, in fen")
        yield case_id, what, net_fen, told.net_fen
