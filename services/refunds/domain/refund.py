"""What a refund comes to, and when it is settled (`domain.md` §4)."""

from collections.abc import Sequence

from contracts.event import Event
from contracts.events.refunds import Deduction, RefundCalculated, RefundedLine, RefundSettled
from services.refunds.domain.file import REFUND, Case, RefundsFile
from services.refunds.domain.payout import request


def calculated(file: RefundsFile, case_id: str, refund: str) -> RefundCalculated:
    """The figures of a requested refund: each line by its account, the refund by the sum of its lines."""
    lines: list[RefundedLine] = []
    deductions: list[Deduction] = []
    for line_id, units in file.cases[case_id].refunds[refund].units.items():
        line, result = file.lines[line_id], file.accounts[line_id].preview(units)
        lines.append(
            RefundedLine(
                line_id=line_id,
                quantity=units,
                kind=line.kind,
                unit_cost_fen=line.unit_cost_fen,
                goods_fen=result.goods_fen,
                compensation_deducted_fen=result.compensation_deducted_fen,
                price_difference_deducted_fen=result.price_difference_deducted_fen,
                refund_fen=result.refund_fen,
                carried_deduction_fen=result.carried_deduction_fen,
            )
        )
        deductions += (
            Deduction(
                case_id=part.case_id,
                proposal=part.proposal,
                line_id=line_id,
                kind=part.kind,
                amount_fen=part.amount_fen,
            )
            for part in result.taken
        )
    return RefundCalculated(
        case_id=case_id,
        refund=refund,
        lines=tuple(lines),
        deductions=tuple(deductions),
        goods_fen=sum(line.goods_fen for line in lines),
        compensation_deducted_fen=sum(line.compensation_deducted_fen for line in lines),
        price_difference_deducted_fen=sum(line.price_difference_deducted_fen for line in lines),
        refund_fen=sum(line.refund_fen for line in lines),
        carried_deduction_fen=sum(line.carried_deduction_fen for line in lines),
    )


def refunds_due(file: RefundsFile, case: Case) -> Sequence[Event]:
    """A payout for each calculated refund; settled once it succeeded, or at once where that is 0."""
    events: list[Event] = []
    for refund, state in case.refunds.items():
        if state.calculated is None or state.settled:
            continue
        payout = file.payout(case.case_id, REFUND, refund)
        if state.calculated.refund_fen == 0 or (payout is not None and payout.succeeded):
            events.append(_settled(state.calculated))
        elif payout is None:
            events.append(request(case, REFUND, refund, state.calculated.refund_fen, case.channel_refund_id))
    return events


def _settled(calculated: RefundCalculated) -> RefundSettled:
    return RefundSettled(
        case_id=calculated.case_id,
        refund=calculated.refund,
        refund_fen=calculated.refund_fen,
        lines=calculated.lines,
        deductions=calculated.deductions,
    )
