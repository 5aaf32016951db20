"""The entries of a case's net loss, one for each term of `domain.md` §5, and the facts they come from."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from contracts.event import Event
from contracts.events import cases as c
from contracts.events import refunds as r
from contracts.events.liability import LossRecorded
from services.kernel.decider import Fact

#: What an entry says: the case, the term and its signed amount in fen.
Term = tuple[str, str, int]

#: Compensation that is a loss; a good-review reward is booked as promotion.
_LOSSES = ("cash", "voucher", "price_difference")


def entries_of(fact: Fact) -> Sequence[LossRecorded]:
    """What a fact of cases or refunds adds to losses. Nothing is recorded where the amount is 0."""
    terms = _TERMS.get(type(fact.event))
    if terms is None:
        return ()
    return [
        LossRecorded(case_id=case_id, entry=entry, amount_fen=amount_fen, cause_id=fact.id)
        for case_id, entry, amount_fen in terms(fact.event)
        if amount_fen
    ]


def _compensation(event: c.CompensationPaid) -> Sequence[Term]:
    return [(event.case_id, event.kind, event.amount_fen)] if event.kind in _LOSSES else []


def _pickup(event: c.PickupArranged) -> Sequence[Term]:
    return [(event.case_id, "pickup_freight", event.freight_fen)]


def _reshipment(event: c.ReshipmentShipped) -> Sequence[Term]:
    return [(event.case_id, "reshipment", event.goods_cost_fen + event.freight_fen)]


def _buyer_payment(event: c.BuyerPaid) -> Sequence[Term]:
    return [(event.case_id, "buyer_payment", -event.amount_fen)]


def _deposit(event: c.DepositForfeited) -> Sequence[Term]:
    return [(event.case_id, "deposit_forfeited", -event.amount_fen)]


def _goods_returned(event: c.ReturnReceived) -> Sequence[Term]:
    """Only what was accepted and can be sold again; a service line has nothing to return."""
    if not event.accepted:
        return []
    cost_fen = sum(line.unit_cost_fen * line.quantity for line in event.lines if line.resalable)
    return [(event.case_id, "goods_returned", -cost_fen)]


def _return_freight(event: r.ReturnFreightReimbursed) -> Sequence[Term]:
    return [(event.case_id, "return_freight", event.amount_fen)]


def _refund(event: r.RefundSettled) -> Sequence[Term]:
    """The goods are the refunding case's loss; what was deducted is a credit to the case that had paid it."""
    goods_fen = sum(line.unit_cost_fen * line.quantity for line in event.lines if line.kind != "service")
    credits: dict[str, int] = {}
    for part in event.deductions:
        credits[part.case_id] = credits.get(part.case_id, 0) + part.amount_fen
    return [
        (event.case_id, "goods", goods_fen),
        *((case_id, "deduction", -amount_fen) for case_id, amount_fen in credits.items()),
    ]


def _payout(event: r.PayoutSucceeded) -> Sequence[Term]:
    """Only what the buyer had paid for a sale that was cancelled: the other kinds have facts of their own."""
    return [(event.case_id, "charge_return", event.amount_fen)] if event.kind == "charge_return" else []


_TERMS: Mapping[type[Event], Callable[[Any], Sequence[Term]]] = {
    c.CompensationPaid: _compensation,
    c.PickupArranged: _pickup,
    c.ReshipmentShipped: _reshipment,
    c.BuyerPaid: _buyer_payment,
    c.DepositForfeited: _deposit,
    c.ReturnReceived: _goods_returned,
    r.ReturnFreightReimbursed: _return_freight,
    r.RefundSettled: _refund,
    r.PayoutSucceeded: _payout,
}

#: Every fact that may be a loss.
SOURCES: Sequence[type[Event]] = tuple(_TERMS)
