"""A case's settlement: the figures decided, whether their payouts succeeded yet or not (`domain.md` §4)."""

from collections.abc import Sequence

from contracts.event import Event
from contracts.events.refunds import Settlement, SettlementUpdated
from services.refunds.domain.file import Case


def settlement_of(case: Case) -> Settlement:
    """What the buyer of the case finally gets, in fen.

    `freight_advanced_fen` counts every accepted return, whoever bears its freight.
    """
    refunds = [refund.calculated for refund in case.refunds.values() if refund.calculated is not None]
    decided = [
        (one.freight_fen, one.insurance_deducted_fen)
        for one in case.accepted_returns
        if one.insurance_deducted_fen is not None
    ]
    refund_fen = sum(refund.refund_fen for refund in refunds)
    reimbursed_fen = sum(freight_fen - deducted_fen for freight_fen, deducted_fen in decided)
    return Settlement(
        goods_fen=sum(refund.goods_fen for refund in refunds),
        compensation_deducted_fen=sum(refund.compensation_deducted_fen for refund in refunds),
        price_difference_deducted_fen=sum(refund.price_difference_deducted_fen for refund in refunds),
        refund_fen=refund_fen,
        carried_deduction_fen=case.carried_deduction_fen,
        freight_advanced_fen=sum(one.freight_fen for one in case.accepted_returns),
        insurance_deducted_fen=sum(deducted_fen for _, deducted_fen in decided),
        freight_reimbursed_fen=reimbursed_fen,
        freight_pending=any(one.freight_undecided for one in case.accepted_returns),
        net_fen=refund_fen + reimbursed_fen,
    )


def settlement_due(case: Case) -> Sequence[Event]:
    """The settlement, where it is not the one last told; all zero is what nobody needs to be told."""
    settlement = settlement_of(case)
    if settlement == case.settlement:
        return ()
    return (SettlementUpdated(case_id=case.case_id, settlement=settlement),)
