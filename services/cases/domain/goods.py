"""Goods that go out, and what the buyer pays or leaves for them: reshipments, sales, deposits (`domain.md` §3)."""

from contracts.events import cases as c
from services.cases.domain import matrix
from services.cases.domain.case import Case
from services.cases.domain.commands import (
    CancelReshipment,
    ChargeBuyer,
    ConfirmDelivery,
    ForfeitDeposit,
    OrderReshipment,
    RecordBuyerPayment,
    RecordDeposit,
    RequestDeposit,
    ReshipmentItem,
    ShipReshipment,
)
from services.cases.domain.file import OrderFile
from services.cases.domain.situation import Situation, stuck
from services.kernel.decider import Events
from services.kernel.refusal import Refusal


def order_reshipment(s: Situation, body: OrderReshipment) -> Events:
    """Order goods for the buyer: free, or sold (`on_payment`)."""
    sold = body.trigger == "on_payment"
    if sold:
        s.require_remedy("sell_accessory", "discounted_exchange")
    else:
        s.require_remedy("reship", "exchange")
    matrix.require_verdict(s, "sell" if sold else "reship")
    s.require_evidence()
    matrix.require_cause(s)
    items = _stand_for(s.file, s.case, body.items)
    if not sold:
        _check_units(s, items)
        _check_value(s, items)
    return [
        c.ReshipmentRequested(
            case_id=s.case_id,
            reshipment=f"R{len(s.case.reshipments) + 1}",
            items=items,
            trigger=body.trigger,
        )
    ]


def _stand_for(file: OrderFile, case: Case, items: tuple[ReshipmentItem, ...]) -> tuple[c.ReshipmentItem, ...]:
    """Say which units of order lines each item replaces; none is an accessory."""
    taken: dict[str, int] = {}
    return tuple(
        c.ReshipmentItem(
            sku=item.sku,
            quantity=item.quantity,
            unit_cost_fen=item.unit_cost_fen,
            stands_for=_units_replaced(file, case, item, taken),
        )
        for item in items
    )


def _units_replaced(
    file: OrderFile, case: Case, item: ReshipmentItem, taken: dict[str, int]
) -> tuple[c.LineQuantity, ...]:
    """Spread an item over the lines of its SKU, the case's own first; what fits nowhere stays on the last."""
    same = [line_id for line_id, line in file.lines.items() if line.sku == item.sku]
    lines = [item.replaces] if item.replaces else ([key for key in same if key in case.lines] or same)
    parts: list[c.LineQuantity] = []
    left = item.quantity
    for line_id in lines:
        room = file.remedy_room(case, line_id) - taken.get(line_id, 0)
        units = left if line_id == lines[-1] else min(left, max(0, room))
        if units:
            taken[line_id] = taken.get(line_id, 0) + units
            parts.append(c.LineQuantity(line_id=line_id, quantity=units))
            left -= units
    return tuple(parts)


def _check_units(s: Situation, items: tuple[c.ReshipmentItem, ...]) -> None:
    wanted: dict[str, int] = {}
    for part in (part for item in items for part in item.stands_for):
        wanted[part.line_id] = wanted.get(part.line_id, 0) + part.quantity
    for line_id, units in wanted.items():
        room = s.file.remedy_room(s.case, line_id)
        if units > room:
            raise Refusal("exceeds_quantity", line_id=line_id, quantity=units, left=max(0, room))


def _check_value(s: Situation, items: tuple[c.ReshipmentItem, ...]) -> None:
    cost = s.case.free_cost_fen() + sum(item.unit_cost_fen * item.quantity for item in items)
    value = s.file.case_value_fen(s.case)
    if cost > value:
        raise Refusal("exceeds_paid", paid_fen=value, given_fen=cost)


def triggered(case: Case, reshipment: str) -> bool:
    """Whether what a reshipment waits for has happened."""
    last = case.last_return
    match case.reshipments[reshipment].trigger:
        case "on_tracking":
            return last is not None and bool(last.tracking_no) and last.accepted is not False
        case "on_receipt":
            return last is not None and last.accepted is True
        case "on_deposit":
            return case.held_deposit() is not None
        case "on_payment":
            return case.paid_for(reshipment)
        case _:
            return True


def ship_reshipment(s: Situation, body: ShipReshipment) -> Events:
    """Send what was released."""
    reshipment = s.case.reshipments[body.reshipment]
    if reshipment.status in ("requested", "backordered"):
        raise Refusal("not_released", trigger=reshipment.trigger, item=body.reshipment)
    if reshipment.status != "released":
        raise stuck(reshipment.status)
    return [
        c.ReshipmentShipped(
            case_id=s.case_id,
            reshipment=body.reshipment,
            carrier=body.carrier,
            tracking_no=body.tracking_no,
            freight_fen=body.freight_fen,
            goods_cost_fen=reshipment.cost_fen,
            items=reshipment.items,
        )
    ]


def confirm_delivery(s: Situation, body: ConfirmDelivery) -> Events:
    """The buyer has it."""
    reshipment = s.case.reshipments[body.reshipment]
    if reshipment.status != "shipped":
        raise stuck(reshipment.status)
    return [c.ReshipmentDelivered(case_id=s.case_id, reshipment=body.reshipment)]


def cancel_reshipment(s: Situation, body: CancelReshipment) -> Events:
    """Do not send it after all; what the buyer paid for it goes back."""
    reshipment = s.case.reshipments[body.reshipment]
    if reshipment.sent or reshipment.cancelled:
        raise stuck(reshipment.status)
    charge_id = s.case.charge_of(body.reshipment) if s.case.paid_for(body.reshipment) else ""
    return [
        c.ReshipmentCancelled(
            case_id=s.case_id,
            reshipment=body.reshipment,
            reason=body.reason or "",
            charge=charge_id,
            charge_return_fen=s.case.charges[charge_id].amount_fen if charge_id else 0,
        )
    ]


def charge_buyer(s: Situation, body: ChargeBuyer) -> Events:
    """Agree with the buyer on what an accessory or an exchange costs."""
    s.require_remedy("sell_accessory", "discounted_exchange")
    matrix.require_verdict(s, "sell")
    matrix.require_cause(s)
    return [
        c.BuyerCharged(
            case_id=s.case_id,
            charge=f"B{len(s.case.charges) + 1}",
            amount_fen=body.amount_fen,
            purpose=body.purpose,
        )
    ]


def record_buyer_payment(s: Situation, body: RecordBuyerPayment) -> Events:
    """The buyer paid the oldest charge that is open; one payment pays one charge."""
    charges, charge_id = s.case.charges, s.case.open_charge()
    paid_refs = [one.payment_ref for one in charges.values() if one.paid]
    if body.payment_ref in paid_refs or (paid_refs and not charge_id):
        raise Refusal("already_paid", item=body.payment_ref)
    if not charge_id:
        raise stuck("not_charged")
    return [
        c.BuyerPaid(
            case_id=s.case_id,
            charge=charge_id,
            amount_fen=charges[charge_id].amount_fen,
            payment_ref=body.payment_ref,
        )
    ]


def request_deposit(s: Situation, body: RequestDeposit) -> Events:
    """Ask for a deposit so that goods can go out before the old ones are back."""
    s.require_remedy("reship", "return", "exchange")
    if not {"return", "exchange"} & set(s.remedies):
        matrix.require_verdict(s, "reship")
    if any(one.status in ("requested", "collected") for one in s.case.deposits.values()):
        raise stuck("deposit_open")
    return [
        c.DepositRequested(
            case_id=s.case_id,
            deposit=f"D{len(s.case.deposits) + 1}",
            amount_fen=body.amount_fen or s.policy.deposit_fen,
        )
    ]


def record_deposit(s: Situation, body: RecordDeposit) -> Events:
    """The deposit is in."""
    deposit_id = next((key for key, one in s.case.deposits.items() if one.status == "requested"), None)
    if deposit_id is None:
        if s.case.held_deposit():
            raise Refusal("already_paid", item=body.payment_ref)
        raise stuck("no_deposit_requested")
    if any(one.payment_ref == body.payment_ref for one in s.case.deposits.values()):
        raise Refusal("already_paid", item=body.payment_ref)
    return [
        c.DepositCollected(
            case_id=s.case_id,
            deposit=deposit_id,
            amount_fen=s.case.deposits[deposit_id].amount_fen,
            payment_ref=body.payment_ref,
        )
    ]


def forfeit_deposit(s: Situation, body: ForfeitDeposit) -> Events:
    """Keep a deposit that is held; one whose goods came back is already on its way to the buyer."""
    held = s.case.held_deposit()
    last = s.case.last_return
    if held is None or (last is not None and last.accepted):
        raise stuck("no_deposit_held")
    deposit_id, deposit = held
    return [
        c.DepositForfeited(case_id=s.case_id, deposit=deposit_id, amount_fen=deposit.amount_fen, reason=body.reason)
    ]
