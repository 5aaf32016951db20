"""What each type of event posts, to the fen."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.event import CaseEvent, Event, type_of
from contracts.events import cases as c
from contracts.events import liability as li
from contracts.events import refunds as r
from contracts.events.orders import Line, Order, OrderRecorded
from contracts.policy import load_policy
from contracts.registry import EVENT_TYPES
from services.finance.ledger.accounts import CHART, external_parties
from services.finance.ledger.postings import MONEY_EVENTS, Misposted, OrderBook, Posting, postings_of

NOW = datetime.fromisoformat("2026-10-06T12:00:00+08:00")
EXTERNAL = external_parties(load_policy())


class _Fact(NamedTuple):
    event: Event
    id: str = "E1"
    time: datetime = NOW
    actor: str = ""
    source: str = ""


def _book(*before: Event) -> OrderBook:
    """An order of Taobao to which this happened."""
    line = Line(line_id="L1", sku="LOCK", kind="product", quantity=2, paid_fen=259_800, unit_cost_fen=60_000)
    order = Order(order_id="TB1", channel="taobao", buyer_id="b", ordered_at=NOW, lines=(line,))
    book = OrderBook(EXTERNAL)
    for event in (OrderRecorded(order=order), *before):
        book.evolve(event)
    return book


def _posted(event: Event, *before: Event) -> list[Posting]:
    return list(postings_of(_Fact(event), _book(*before)))


def _paid(kind: str) -> c.CompensationPaid:
    return c.CompensationPaid(
        case_id="TB1-1", proposal="P1", kind=kind, amount_fen=2_000, allocation=(), payment_ref="ALI-1"
    )


def _payout(struct: type[Any], kind: str, item: str, **more: Any) -> Any:
    payout = r.payout_id("TB1-1", kind, item)
    return struct(case_id="TB1-1", payout=payout, kind=kind, item=item, amount_fen=500, **more)


def _line(goods_fen: int, deducted_fen: int, kind: str = "product") -> r.RefundedLine:
    return r.RefundedLine(
        line_id="L1",
        quantity=1,
        kind=kind,
        unit_cost_fen=60_000,
        goods_fen=goods_fen,
        compensation_deducted_fen=deducted_fen,
        price_difference_deducted_fen=0,
        refund_fen=goods_fen - deducted_fen,
    )


def _settled(kind: str = "product", refund_fen: int = 127_900) -> r.RefundSettled:
    taken = r.Deduction(case_id="TB1-2", proposal="P1", line_id="L1", kind="cash", amount_fen=2_000)
    line = _line(129_900, 2_000, kind)
    return r.RefundSettled(case_id="TB1-1", refund="F1", refund_fen=refund_fen, lines=(line,), deductions=(taken,))


def _received(accepted: bool, bearer: str) -> c.ReturnReceived:
    back = c.ReceivedLine(line_id="L1", quantity=1, resalable=True, unit_cost_fen=60_000)
    scrap = c.ReceivedLine(line_id="L1", quantity=1, resalable=False, unit_cost_fen=60_000)
    return c.ReturnReceived(
        case_id="TB1-1",
        return_id="RT1",
        accepted=accepted,
        lines=(back, scrap),
        freight_fen=1_500,
        freight_borne_by=bearer,
    )


_REQUESTED = _payout(r.PayoutRequested, "refund", "F1")
_SUCCEEDED = _payout(r.PayoutSucceeded, "refund", "F1", channel_ref="WX-1")
_CALCULATED = r.RefundCalculated(
    case_id="TB1-1",
    refund="F1",
    lines=(),
    deductions=(),
    goods_fen=129_900,
    compensation_deducted_fen=2_000,
    price_difference_deducted_fen=0,
    refund_fen=127_900,
    carried_deduction_fen=0,
)
_CHARGED = li.LossCharged(case_id="TB1-1", party="production", amount_fen=700)
_COURIER = li.LossCharged(case_id="TB1-1", party="courier/YTO", amount_fen=700)
_LESS = li.LossReversed(case_id="TB1-1", party="production", amount_fen=700)
_ASSIGNED = li.LiabilityAssigned(case_id="TB1-1", shares=(), reason="")
_RECORDED = li.LossRecorded(case_id="TB1-1", entry="deduction", amount_fen=-2_000, cause_id="E0")
_SHIPPED = c.ReshipmentShipped(
    case_id="TB1-1", reshipment="S1", carrier="YTO", tracking_no="YT1", freight_fen=800, goods_cost_fen=60_000, items=()
)
_FREIGHT = r.ReturnFreightReimbursed(
    case_id="TB1-1", return_id="RT1", freight_advanced_fen=1_500, insurance_deducted_fen=1_200, amount_fen=300
)

#: What happened, what had happened before, and what it posts: account, debit above zero, memo.
TABLE: Sequence[tuple[str, Event, Sequence[Event], Sequence[tuple[str, int, str]]]] = [
    # Compensation is a cost until it is an entry of the loss; the money leaves by the order's channel.
    ("cash", _paid("cash"), (), [("cost.cash", 2_000, "cash"), ("channel/taobao", -2_000, "cash")]),
    (
        "price difference",
        _paid("price_difference"),
        (),
        [("cost.price_difference", 2_000, "price_difference"), ("channel/taobao", -2_000, "price_difference")],
    ),
    # A voucher moves no money; a reward is promotion and no loss.
    ("voucher", _paid("voucher"), (), [("cost.voucher", 2_000, "voucher"), ("vouchers", -2_000, "voucher")]),
    (
        "reward",
        _paid("good_review_reward"),
        (),
        [("promotion", 2_000, "good_review_reward"), ("channel/taobao", -2_000, "good_review_reward")],
    ),
    # Goods and freight that go out.
    (
        "pickup",
        c.PickupArranged(case_id="TB1-1", freight_fen=900, carrier="YTO"),
        (),
        [("cost.pickup_freight", 900, "pickup_freight"), ("carrier_payables/courier/YTO", -900, "pickup_freight")],
    ),
    (
        "pickup by nobody knows whom",
        c.PickupArranged(case_id="TB1-1", freight_fen=900),
        (),
        [("cost.pickup_freight", 900, "pickup_freight"), ("carrier_payables", -900, "pickup_freight")],
    ),
    (
        "reshipment",
        _SHIPPED,
        (),
        [
            ("cost.reshipment", 60_800, "reshipment"),
            ("inventory", -60_000, "reshipment"),
            ("carrier_payables/courier/YTO", -800, "reshipment"),
        ],
    ),
    # A sale: what the buyer pays is a credit, and owed to him when it is cancelled.
    (
        "buyer paid",
        c.BuyerPaid(case_id="TB1-1", charge="B1", amount_fen=3_000, payment_ref="ALI-3"),
        (),
        [("channel/taobao", 3_000, "buyer_payment"), ("credit.buyer_payment", -3_000, "buyer_payment")],
    ),
    (
        "sale cancelled",
        c.ReshipmentCancelled(case_id="TB1-1", reshipment="S1", charge="B1", charge_return_fen=500),
        (),
        [("obligations", 500, "charge_return"), ("buyer_payables", -500, "charge_return")],
    ),
    ("nothing was paid for it", c.ReshipmentCancelled(case_id="TB1-1", reshipment="S1"), (), []),
    (
        "charge paid back",
        _payout(r.PayoutSucceeded, "charge_return", "B1", channel_ref="WX-1"),
        (_payout(r.PayoutRequested, "charge_return", "B1"),),
        [
            ("payouts_in_transit", 500, "charge_return"),
            ("channel/taobao", -500, "charge_return"),
            ("cost.charge_return", 500, "charge_return"),
            ("obligations", -500, "charge_return"),
        ],
    ),
    # A deposit is held until it is back with the buyer; forfeited, it is a credit.
    (
        "deposit in",
        c.DepositCollected(case_id="TB1-1", deposit="D1", amount_fen=10_000, payment_ref="ALI-4"),
        (),
        [("channel/taobao", 10_000, "deposit"), ("deposits_held", -10_000, "deposit")],
    ),
    (
        "deposit on its way back",
        _payout(r.PayoutRequested, "deposit_return", "D1"),
        (),
        [
            ("buyer_payables", 500, "deposit_return"),
            ("payouts_in_transit", -500, "deposit_return"),
            ("obligations", 500, "deposit_return"),
            ("buyer_payables", -500, "deposit_return"),
        ],
    ),
    (
        "deposit tried again",
        _payout(r.PayoutRequested, "deposit_return", "D1", attempt=2),
        (),
        [("buyer_payables", 500, "deposit_return"), ("payouts_in_transit", -500, "deposit_return")],
    ),
    (
        "deposit back",
        c.DepositReturned(case_id="TB1-1", deposit="D1", amount_fen=10_000),
        (),
        [("deposits_held", 10_000, "deposit_return"), ("obligations", -10_000, "deposit_return")],
    ),
    (
        "deposit kept",
        c.DepositForfeited(case_id="TB1-1", deposit="D1", amount_fen=10_000, reason=""),
        (),
        [
            ("deposits_held", 10_000, "deposit_forfeited"),
            ("credit.deposit_forfeited", -10_000, "deposit_forfeited"),
        ],
    ),
    # Goods that come back: what can be sold again is in stock, and the shop's freight is owed.
    (
        "return at the shop's expense",
        _received(True, "merchant"),
        (),
        [
            ("inventory", 60_000, "goods_returned"),
            ("credit.goods_returned", -60_000, "goods_returned"),
            ("obligations", 1_500, "freight_reimbursement"),
            ("buyer_payables", -1_500, "freight_reimbursement"),
        ],
    ),
    (
        "return at the buyer's expense",
        _received(True, "buyer"),
        (),
        [("inventory", 60_000, "goods_returned"), ("credit.goods_returned", -60_000, "goods_returned")],
    ),
    ("return that is not accepted", _received(False, "merchant"), (), []),
    (
        "freight settled",
        _FREIGHT,
        (),
        [
            ("cost.return_freight", 300, "return_freight"),
            ("buyer_payables", 1_200, "insurance"),
            ("obligations", -1_500, "return_freight"),
        ],
    ),
    # A refund is owed when it is calculated, and undoes the sale when it is settled.
    ("refund", _CALCULATED, (), [("obligations", 127_900, "refund"), ("buyer_payables", -127_900, "refund")]),
    (
        "refund settled",
        _settled(),
        (),
        [
            ("sales_returned", 129_900, "refund"),
            ("obligations", -127_900, "refund"),
            ("credit.deduction", -2_000, "deduction"),
            ("cost.goods", 60_000, "goods"),
            ("cost_of_sales", -60_000, "goods"),
        ],
    ),
    (
        "installation refunded",
        _settled("service"),
        (),
        [
            ("sales_returned", 129_900, "refund"),
            ("obligations", -127_900, "refund"),
            ("credit.deduction", -2_000, "deduction"),
        ],
    ),
    # A payout is in transit until it ended; one that failed is owed again.
    ("payout", _REQUESTED, (), [("buyer_payables", 500, "refund"), ("payouts_in_transit", -500, "refund")]),
    (
        "payout arrived",
        _SUCCEEDED,
        (_REQUESTED,),
        [("payouts_in_transit", 500, "refund"), ("channel/taobao", -500, "refund")],
    ),
    (
        "payout failed",
        _payout(r.PayoutFailed, "refund", "F1", reason="no"),
        (_REQUESTED,),
        [("payouts_in_transit", 500, "refund"), ("buyer_payables", -500, "refund")],
    ),
    (
        "payout that was paid although it had failed",
        _SUCCEEDED,
        (_REQUESTED, _payout(r.PayoutFailed, "refund", "F1", reason="no")),
        [("buyer_payables", 500, "refund"), ("channel/taobao", -500, "refund")],
    ),
    ("payout of which nobody knows", _payout(r.PayoutUnknown, "refund", "F1", reason="?"), (_REQUESTED,), []),
    # Losses: an entry goes into suspense, a charge to its party; whoever is outside the business owes it.
    (
        "entry of a loss",
        li.LossRecorded(case_id="TB1-1", entry="cash", amount_fen=2_000, cause_id="E0"),
        (),
        [("suspense", 2_000, "cash"), ("cost.cash", -2_000, "cash")],
    ),
    ("credit to a loss", _RECORDED, (), [("suspense", -2_000, "deduction"), ("credit.deduction", 2_000, "deduction")]),
    ("charged", _CHARGED, (), [("losses/production", 700, "charged"), ("suspense", -700, "charged")]),
    (
        "charged to a courier",
        _COURIER,
        (),
        [
            ("losses/courier/YTO", 700, "charged"),
            ("suspense", -700, "charged"),
            ("recoverable/courier/YTO", 700, "charged"),
            ("claims/courier/YTO", -700, "charged"),
        ],
    ),
    (
        "others bear it",
        _LESS,
        (_ASSIGNED,),
        [("losses/production", -700, "reversed"), ("suspense", 700, "reversed")],
    ),
    (
        "the courier bears it no longer",
        li.LossReversed(case_id="TB1-1", party="courier/YTO", amount_fen=700),
        (_ASSIGNED,),
        [
            ("losses/courier/YTO", -700, "reversed"),
            ("suspense", 700, "reversed"),
            ("recoverable/courier/YTO", -700, "reversed"),
            ("claims/courier/YTO", 700, "reversed"),
        ],
    ),
    (
        "there is less to bear",
        _LESS,
        (_ASSIGNED, _RECORDED),
        [("losses/production", -700, "credited"), ("suspense", 700, "credited")],
    ),
    (
        "claim collected",
        li.LossRecovered(case_id="TB1-1", party="courier/YTO", amount_fen=600, payment_ref="CLAIM-1"),
        (),
        [("bank", 600, "recovered"), ("recoverable/courier/YTO", -600, "recovered")],
    ),
]


@pytest.mark.parametrize(("event", "before", "posts"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_what_an_event_posts(event: Event, before: Sequence[Event], posts: Sequence[tuple[str, int, str]]) -> None:
    """Each event posts exactly this, and as much to debit as to credit."""
    posted = _posted(event, *before)
    assert [(f"{one.account}/{one.party}".rstrip("/"), one.amount_fen, one.memo) for one in posted] == list(posts)
    assert sum(one.amount_fen for one in posted) == 0
    assert {(one.order_id, one.event_id, one.type, one.time) for one in posted} <= {("TB1", "E1", type_of(event), NOW)}


def test_the_chart_says_which_events_touch_an_account() -> None:
    """The chart is what people read: it names the events that post to each account, all of them and no other."""
    touched: dict[str, set[str]] = {code: set() for code in CHART}
    terms = {code.partition(".")[2] for code in CHART if "." in code}
    entries = [li.LossRecorded(case_id="TB1-1", entry=term, amount_fen=1, cause_id="E0") for term in terms]
    for event, before in [*((row[1], row[2]) for row in TABLE), *((entry, ()) for entry in entries)]:
        for posting in _posted(event, *before):
            touched[posting.account].add(posting.type)
    assert touched == {code: set(one.touched_by) - {"correction.approved"} for code, one in CHART.items()}


def test_accounts_that_are_kept_by_something_say_by_what() -> None:
    """A balance by party has no posting without one, but for carriers that nobody named."""
    for _, event, before, _ in TABLE:
        for posting in _posted(event, *before):
            if CHART[posting.account].by != "carrier":
                assert bool(posting.party) == bool(CHART[posting.account].by)


def test_every_event_with_an_amount_is_booked_or_known_to_move_no_money() -> None:
    """A new event with money in it is not forgotten: it posts, or somebody wrote down that it does not."""
    amounts = {
        name
        for name, struct in EVENT_TYPES.items()
        if issubclass(struct, CaseEvent) and any(field.endswith("_fen") for field in struct.__struct_fields__)
    }
    silent = {
        *("compensation.proposed", "approval.requested", "buyer.charged", "deposit.requested"),  # offers
        *("return.shipped", "insurance.paid"),  # between the buyer and others
        *("payout.unknown", "exception.raised"),  # nothing moved
    }
    assert amounts - MONEY_EVENTS == silent
    assert {row[1].__struct_config__.tag for row in TABLE} >= MONEY_EVENTS


def test_references_are_those_that_others_know() -> None:
    """A channel's bill is compared by the reference that the channel was given: the payout's, or the payment's."""
    items = {one.item for event in (_paid("cash"), _SUCCEEDED) for one in _posted(event) if one.account == "channel"}
    assert items == {"ALI-1", "TB1-1:refund:F1"}


def test_a_credit_goes_to_the_case_that_had_paid() -> None:
    """What a refund takes back lowers the loss of the case that had paid it, which may be another one."""
    [credit] = [one for one in _posted(_settled()) if one.account == "credit.deduction"]
    assert (credit.case_id, credit.order_id, credit.item) == ("TB1-2", "TB1", "E1")


@pytest.mark.parametrize(
    "event",
    [
        _settled(refund_fen=127_901),
        r.ReturnFreightReimbursed(
            case_id="TB1-1", return_id="RT1", freight_advanced_fen=1_500, insurance_deducted_fen=1_200, amount_fen=301
        ),
    ],
    ids=type_of,
)
def test_an_event_that_contradicts_itself_is_named(event: Event) -> None:
    """Debits that are not credits are an error that names the event, and never a ledger that is off by a fen."""
    with pytest.raises(Misposted, match=rf"{type_of(event)} E1: debits exceed credits by -?1 fen") as wrong:
        _posted(event)
    assert (wrong.value.event_id, abs(wrong.value.excess_fen)) == ("E1", 1)


def test_an_entry_without_an_account_is_named() -> None:
    """A term of the loss that the chart does not have is an error that names the event."""
    with pytest.raises(Misposted, match=r"no account cost\.weather"):
        _posted(li.LossRecorded(case_id="TB1-1", entry="weather", amount_fen=1, cause_id="E0"))


#: How a payout may go on, by what it is.
_OUTCOMES = {"requested": ("unknown", "failed", "succeeded"), "unknown": ("failed", "succeeded")}


@given(fates=st.lists(st.integers(0, 2), max_size=12))
def test_a_payout_is_in_transit_or_owed_or_paid(fates: list[int]) -> None:
    """Whatever the provider says, how often it is tried and however late it succeeds: exactly one account has it."""
    book, state, attempt, posted = _book(), "requested", 1, postings_of(_Fact(_REQUESTED), _book())
    book.evolve(_REQUESTED)
    held = {one.account: one.amount_fen for one in posted}
    for fate in fates:
        if state == "succeeded":
            break
        next_states = ("requested", "succeeded") if state == "failed" else _OUTCOMES[state]
        state = next_states[fate % len(next_states)]
        attempt += state == "requested"
        event = {
            "requested": _payout(r.PayoutRequested, "refund", "F1", attempt=attempt),
            "unknown": _payout(r.PayoutUnknown, "refund", "F1", reason="?", attempt=attempt),
            "failed": _payout(r.PayoutFailed, "refund", "F1", reason="no", attempt=attempt),
            "succeeded": _payout(r.PayoutSucceeded, "refund", "F1", channel_ref="WX-1", attempt=attempt),
        }[state]
        for one in postings_of(_Fact(event), book):
            held[one.account] = held.get(one.account, 0) + one.amount_fen
        book.evolve(event)
    owed = 0 if state == "failed" else 500
    transit = -500 if state in ("requested", "unknown") else 0
    paid = -500 if state == "succeeded" else 0
    assert (held["buyer_payables"], held["payouts_in_transit"], held.get("channel", 0)) == (owed, transit, paid)


@given(
    net=st.lists(st.integers(-10_000, 10_000), max_size=6),
    charges=st.lists(st.tuples(st.sampled_from(["production", "courier/YTO", "none"]), st.integers(0, 9_000))),
    collected=st.integers(0, 5_000),
)
def test_losses_always_agree(net: list[int], charges: list[tuple[str, int]], collected: int) -> None:
    """Whatever is recorded, charged and collected: Σ losses + suspense = Σ entries, and the courier owes the rest."""
    events: list[Event] = [
        *(li.LossRecorded(case_id="TB1-1", entry="cash", amount_fen=fen, cause_id="E0") for fen in net),
        *(li.LossCharged(case_id="TB1-1", party=party, amount_fen=fen) for party, fen in charges),
        li.LossRecovered(case_id="TB1-1", party="courier/YTO", amount_fen=collected, payment_ref="CLAIM"),
    ]
    posted = [posting for event in events for posting in _posted(event)]
    held = {code: sum(one.amount_fen for one in posted if one.account == code) for code in CHART}
    assert held["losses"] + held["suspense"] == sum(net)
    assert held["recoverable"] == sum(fen for party, fen in charges if party == "courier/YTO") - collected
    assert sum(held.values()) == 0
