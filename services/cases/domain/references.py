"""Numbers by which somebody outside knows a case or an order: waybills, payments, refunds of the channel, articles.

Only what is a number or a code. What people wrote is not looked at, so nothing of it can be found, before or after it
was erased.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

from contracts.event import Event
from contracts.events import cases as c
from contracts.events import liability as li
from contracts.events import refunds as r
from contracts.events.orders import Line, OrderRecorded
from services.cases.domain.case import Case

Kind = Literal["order", "case", "waybill", "payment_ref", "payout", "channel_ref", "channel_refund_id", "sku"]


class Reference(NamedTuple):
    """A number, and what it stands for: the case (none for an order), and the item of it."""

    kind: Kind
    value: str
    case_id: str = ""
    item: str = ""


def references(lines: Mapping[str, Line], cases: Mapping[str, Case], event: Event) -> tuple[Reference, ...]:
    """What an event that is folded already tells of. A number never goes away, so an event adds or repeats some."""
    find = _FOUND.get(type(event))
    return tuple(one for one in find(lines, cases, event) if one.value) if find else ()


Find = Callable[[Mapping[str, Line], Mapping[str, Case], Any], Iterator[Reference]]


def _opened(lines: Mapping[str, Line], _: Mapping[str, Case], event: c.CaseOpened) -> Iterator[Reference]:
    yield Reference("case", event.case_id, event.case_id)
    yield Reference("channel_refund_id", event.channel_refund_id, event.case_id)
    for sku in {lines[line.line_id].sku: None for line in event.lines}:
        yield Reference("sku", sku, event.case_id)


def _return(_: Mapping[str, Line], cases: Mapping[str, Case], event: Any) -> Iterator[Reference]:
    """Also when it has arrived: where it stands is part of what is found."""
    tracking_no = cases[event.case_id].returns[event.return_id].tracking_no
    yield Reference("waybill", tracking_no, event.case_id, event.return_id)


def _reshipment(_: Mapping[str, Line], cases: Mapping[str, Case], event: Any) -> Iterator[Reference]:
    tracking_no = cases[event.case_id].reshipments[event.reshipment].tracking_no
    yield Reference("waybill", tracking_no, event.case_id, event.reshipment)


def _paid_out(_: Mapping[str, Line], __: Mapping[str, Case], event: r.PayoutSucceeded) -> Iterator[Reference]:
    yield Reference("channel_ref", event.channel_ref, event.case_id, event.payout)


def _each(kind: Kind, value: str, item: str = "") -> Find:
    """One number, and the item it is about, from fields of the event."""

    def find(_: Mapping[str, Line], __: Mapping[str, Case], event: Any) -> Iterator[Reference]:
        yield Reference(kind, getattr(event, value), event.case_id, getattr(event, item) if item else "")

    return find


def _order(_: Mapping[str, Line], __: Mapping[str, Case], event: OrderRecorded) -> Iterator[Reference]:
    yield Reference("order", event.order.order_id)


_FOUND: Final[Mapping[type[Event], Find]] = {
    OrderRecorded: _order,
    c.CaseOpened: _opened,
    c.ParcelTraced: _each("waybill", "tracking_no"),
    c.PickupArranged: _each("waybill", "tracking_no"),
    c.ReturnShipped: _return,
    c.ReturnReceived: _return,
    c.ReturnCancelled: _return,
    c.ReshipmentShipped: _reshipment,
    c.ReshipmentDelivered: _reshipment,
    c.CompensationPaid: _each("payment_ref", "payment_ref", "proposal"),
    c.BuyerPaid: _each("payment_ref", "payment_ref", "charge"),
    c.DepositCollected: _each("payment_ref", "payment_ref", "deposit"),
    r.PayoutRequested: _each("payout", "payout", "payout"),
    r.PayoutSucceeded: _paid_out,
    li.LossRecovered: _each("payment_ref", "payment_ref", "party"),
}
