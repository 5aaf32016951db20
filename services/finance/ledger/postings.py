"""Which postings an event makes: one rule for each type of money event, pure, and balanced by check.

What is only offered makes none: a compensation can be withdrawn until it is paid, and a buyer who was asked for money
owes none before it comes. What a freight insurer pays goes from it to the buyer and is no money of the shop's.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from contracts.event import CaseEvent, Event, type_of
from contracts.events import cases as c
from contracts.events import liability as li
from contracts.events import refunds as r
from contracts.events.orders import OrderRecorded
from services.finance.ledger.accounts import CHART, account_of_term
from services.kernel.decider import Fact
from services.kernel.naming import order_of

#: The channel of an order that nobody has told of yet.
UNKNOWN: Final = "unknown"


class Posting(msgspec.Struct, frozen=True):
    """One side of a booking: a debit where `amount_fen` is above zero, a credit below.

    `party` is what its account is kept by (a party, a channel, a carrier). `item` is what it is about: on channels the
    reference that the channel knows, on terms of a loss the fact that they come from, else a refund, return, deposit,
    charge, reshipment or payout. `memo` is a code that says why. `channel_ref` is a channel's own number of what moved
    on it, where it told one.
    """

    account: str
    amount_fen: int
    order_id: str
    case_id: str
    party: str
    event_id: str
    type: str
    time: datetime
    memo: str
    item: str
    channel_ref: str = ""


class Misposted(AssertionError):
    """What an event posts cannot stand: it names no account, or its debits exceed its credits by `excess_fen`."""

    def __init__(self, event_id: str, type_: str, why: str, excess_fen: int = 0) -> None:
        super().__init__(f"{type_} {event_id}: {why}")
        self.event_id = event_id
        self.type = type_
        self.excess_fen = excess_fen


class OrderBook:
    """What rules need to know of an order besides the event: its channel, which payouts are in transit, and in which
    cases it was said last who bears the loss, rather than how much it is.

    `external` are the codes of parties outside the business. Fold one stream into it, learned events included.
    """

    def __init__(self, external: Collection[str]) -> None:
        self.external = external
        self.channel = UNKNOWN
        self.in_transit: set[str] = set()
        self.reassigned: set[str] = set()

    def evolve(self, event: Event) -> None:
        """Take the next event, after its postings were made."""
        match event:
            case OrderRecorded(order=order) if self.channel == UNKNOWN:  # what was posted once stays on its account
                self.channel = order.channel
            case r.PayoutRequested():
                self.in_transit.add(event.payout)
            case r.PayoutFailed() | r.PayoutSucceeded():
                self.in_transit.discard(event.payout)
            case li.LiabilityDetermined() | li.LiabilityAssigned():
                self.reassigned.add(event.case_id)
            case li.LossRecorded():
                self.reassigned.discard(event.case_id)


class _Leg(NamedTuple):
    """A posting before it is dated: an account, with its party behind a slash."""

    place: str
    amount_fen: int
    memo: str
    item: str
    case_id: str = ""
    channel_ref: str = ""


def postings_of(fact: Fact, book: OrderBook) -> Sequence[Posting]:
    """What an event posts, as the order stood before it; nothing where it moves no money. Amounts of 0 are left out.

    Raises `Misposted` where the event contradicts itself, so that its debits are not its credits.
    """
    event = fact.event
    rule = _RULES.get(type(event))
    if rule is None or not isinstance(event, CaseEvent):
        return ()
    legs = [leg for leg in rule(event, book, fact.id) if leg.amount_fen]
    postings = [_posting(fact, event.case_id, leg) for leg in legs]
    whole = sum(leg.amount_fen for leg in legs)
    if whole:
        raise Misposted(fact.id, type_of(event), f"debits exceed credits by {whole} fen", whole)
    return postings


def _posting(fact: Fact, case_id: str, leg: _Leg) -> Posting:
    account, _, party = leg.place.partition("/")
    if account not in CHART:
        raise Misposted(fact.id, type_of(fact.event), f"there is no account {account}")
    return Posting(
        account=account,
        amount_fen=leg.amount_fen,
        order_id=order_of(case_id),
        case_id=leg.case_id or case_id,
        party=party,
        event_id=fact.id,
        type=type_of(fact.event),
        time=fact.time,
        memo=leg.memo,
        item=leg.item,
        channel_ref=leg.channel_ref,
    )


def _move(debit: str, credit: str, amount_fen: int, memo: str, item: str, credit_item: str = "") -> list[_Leg]:
    return [_Leg(debit, amount_fen, memo, item), _Leg(credit, -amount_fen, memo, credit_item or item)]


def _channel(book: OrderBook) -> str:
    return f"channel/{book.channel}"


def _carrier(carrier: str) -> str:
    return f"carrier_payables/courier/{carrier}" if carrier else "carrier_payables"


# -- what happened in cases


def _compensation(event: c.CompensationPaid, book: OrderBook, fact: str) -> Sequence[_Leg]:
    if event.kind == "good_review_reward":
        return _move("promotion", _channel(book), event.amount_fen, event.kind, event.proposal, event.payment_ref)
    given = "vouchers" if event.kind == "voucher" else _channel(book)
    return _move(account_of_term(event.kind), given, event.amount_fen, event.kind, fact, event.payment_ref)


def _pickup(event: c.PickupArranged, _: OrderBook, fact: str) -> Sequence[_Leg]:
    term = "pickup_freight"
    return _move(account_of_term(term), _carrier(event.carrier), event.freight_fen, term, fact, event.tracking_no)


def _reshipped(event: c.ReshipmentShipped, _: OrderBook, fact: str) -> Sequence[_Leg]:
    memo = "reshipment"
    return [
        _Leg(account_of_term(memo), event.goods_cost_fen + event.freight_fen, memo, fact),
        _Leg("inventory", -event.goods_cost_fen, memo, event.reshipment),
        _Leg(_carrier(event.carrier), -event.freight_fen, memo, event.tracking_no),
    ]


def _reshipment_cancelled(event: c.ReshipmentCancelled, _: OrderBook, __: str) -> Sequence[_Leg]:
    return _move("obligations", "buyer_payables", event.charge_return_fen, "charge_return", event.charge)


def _buyer_paid(event: c.BuyerPaid, book: OrderBook, fact: str) -> Sequence[_Leg]:
    term = "buyer_payment"
    return _move(_channel(book), account_of_term(term), event.amount_fen, term, event.payment_ref, fact)


def _deposit_collected(event: c.DepositCollected, book: OrderBook, _: str) -> Sequence[_Leg]:
    return _move(_channel(book), "deposits_held", event.amount_fen, "deposit", event.payment_ref, event.deposit)


def _deposit_forfeited(event: c.DepositForfeited, _: OrderBook, fact: str) -> Sequence[_Leg]:
    term = "deposit_forfeited"
    return _move("deposits_held", account_of_term(term), event.amount_fen, term, event.deposit, fact)


def _deposit_returned(event: c.DepositReturned, _: OrderBook, __: str) -> Sequence[_Leg]:
    return _move("deposits_held", "obligations", event.amount_fen, "deposit_return", event.deposit)


def _return_received(event: c.ReturnReceived, _: OrderBook, fact: str) -> Sequence[_Leg]:
    """Goods that can be sold again are in stock, and the freight that the shop bears is owed, insured or not."""
    if not event.accepted:
        return ()
    cost_fen = sum(line.unit_cost_fen * line.quantity for line in event.lines if line.resalable)
    owed_fen = event.freight_fen if event.freight_borne_by == "merchant" else 0
    term = "goods_returned"
    return [
        *_move("inventory", account_of_term(term), cost_fen, term, event.return_id, fact),
        *_move("obligations", "buyer_payables", owed_fen, "freight_reimbursement", event.return_id),
    ]


# -- what refunds decided, and how it was paid


def _refund_calculated(event: r.RefundCalculated, _: OrderBook, __: str) -> Sequence[_Leg]:
    return _move("obligations", "buyer_payables", event.refund_fen, "refund", event.refund)


def _payout_requested(event: r.PayoutRequested, _: OrderBook, __: str) -> Sequence[_Leg]:
    """That a deposit goes back is decided by the first request; everything else was owed before."""
    legs = _move("buyer_payables", "payouts_in_transit", event.amount_fen, event.kind, event.item, event.payout)
    if event.kind == "deposit_return" and event.attempt == 1:
        legs += _move("obligations", "buyer_payables", event.amount_fen, event.kind, event.item)
    return legs


def _payout_failed(event: r.PayoutFailed, _: OrderBook, __: str) -> Sequence[_Leg]:
    """It is owed again."""
    return _move("payouts_in_transit", "buyer_payables", event.amount_fen, event.kind, event.payout, event.item)


def _payout_succeeded(event: r.PayoutSucceeded, book: OrderBook, fact: str) -> Sequence[_Leg]:
    """One that was said to have failed was owed again, and is in transit no longer."""
    transit = event.payout in book.in_transit
    owed, item = ("payouts_in_transit", event.payout) if transit else ("buyer_payables", event.item)
    legs = [
        _Leg(owed, event.amount_fen, event.kind, item),
        _Leg(_channel(book), -event.amount_fen, event.kind, event.payout, channel_ref=event.channel_ref),
    ]
    if event.kind == "charge_return":  # the other kinds have facts of their own
        legs.append(_Leg(account_of_term(event.kind), event.amount_fen, event.kind, fact))
        legs.append(_Leg("obligations", -event.amount_fen, event.kind, event.item))
    return legs


def _freight_settled(event: r.ReturnFreightReimbursed, _: OrderBook, fact: str) -> Sequence[_Leg]:
    """What the insurer paid the buyer is owed no longer; the rest was paid out."""
    memo = "return_freight"
    return [
        _Leg(account_of_term(memo), event.amount_fen, memo, fact),
        _Leg("buyer_payables", event.insurance_deducted_fen, "insurance", event.return_id),
        _Leg("obligations", -event.freight_advanced_fen, memo, event.return_id),
    ]


def _refund_settled(event: r.RefundSettled, _: OrderBook, fact: str) -> Sequence[_Leg]:
    """The sale is undone; what was deducted is a credit to the case that had paid it."""
    cost_fen = sum(line.unit_cost_fen * line.quantity for line in event.lines if line.kind != "service")
    deducted: dict[str, int] = {}
    for part in event.deductions:
        deducted[part.case_id] = deducted.get(part.case_id, 0) + part.amount_fen
    return [
        _Leg("sales_returned", sum(line.goods_fen for line in event.lines), "refund", event.refund),
        _Leg("obligations", -event.refund_fen, "refund", event.refund),
        *(
            _Leg(account_of_term("deduction"), -amount_fen, "deduction", fact, case_id)
            for case_id, amount_fen in deducted.items()
        ),
        *_move(account_of_term("goods"), "cost_of_sales", cost_fen, "goods", fact, event.refund),
    ]


# -- what liability decided


def _loss_recorded(event: li.LossRecorded, _: OrderBook, __: str) -> Sequence[_Leg]:
    return _move("suspense", account_of_term(event.entry), event.amount_fen, event.entry, event.cause_id)


def _charged(event: li.LossCharged, book: OrderBook, _: str) -> Sequence[_Leg]:
    return _borne(event.party, event.amount_fen, book, "charged")


def _reversed(event: li.LossReversed, book: OrderBook, _: str) -> Sequence[_Leg]:
    """Reversed where others bear it now; credited where there is less to bear."""
    return _borne(event.party, -event.amount_fen, book, "reversed" if event.case_id in book.reassigned else "credited")


def _borne(party: str, amount_fen: int, book: OrderBook, memo: str) -> list[_Leg]:
    """A party outside the business owes what it bears, so that it costs the shop nothing."""
    legs = _move(f"losses/{party}", "suspense", amount_fen, memo, party)
    if party.partition("/")[0] in book.external:
        legs += _move(f"recoverable/{party}", f"claims/{party}", amount_fen, memo, party)
    return legs


def _recovered(event: li.LossRecovered, _: OrderBook, __: str) -> Sequence[_Leg]:
    return _move("bank", f"recoverable/{event.party}", event.amount_fen, "recovered", event.payment_ref)


_RULES: Final[Mapping[type[Event], Callable[[Any, OrderBook, str], Sequence[_Leg]]]] = {
    c.CompensationPaid: _compensation,
    c.PickupArranged: _pickup,
    c.ReshipmentShipped: _reshipped,
    c.ReshipmentCancelled: _reshipment_cancelled,
    c.BuyerPaid: _buyer_paid,
    c.DepositCollected: _deposit_collected,
    c.DepositForfeited: _deposit_forfeited,
    c.DepositReturned: _deposit_returned,
    c.ReturnReceived: _return_received,
    r.RefundCalculated: _refund_calculated,
    r.PayoutRequested: _payout_requested,
    r.PayoutFailed: _payout_failed,
    r.PayoutSucceeded: _payout_succeeded,
    r.ReturnFreightReimbursed: _freight_settled,
    r.RefundSettled: _refund_settled,
    li.LossRecorded: _loss_recorded,
    li.LossCharged: _charged,
    li.LossReversed: _reversed,
    li.LossRecovered: _recovered,
}

#: Every event that may move money, and those that its postings depend on.
POSTED: Final[frozenset[type[Event]]] = frozenset(_RULES)
TOLD: Final[frozenset[type[Event]]] = POSTED | {OrderRecorded, li.LiabilityDetermined, li.LiabilityAssigned}

#: Types of every event that may move money.
MONEY_EVENTS: Final = frozenset(type_of(event) for event in POSTED)
