"""Goods that come back, and refunds of what came back or never arrived (`domain.md` §3 Returns, §4)."""

from collections import Counter

from contracts.events import cases as c
from services.cases.domain import matrix
from services.cases.domain.case import Case, Return
from services.cases.domain.commands import (
    AuthoriseReturn,
    CancelReturn,
    LineQuantity,
    ReceiveReturn,
    RequestRefund,
    ShipReturn,
)
from services.cases.domain.situation import Situation, stuck
from services.kernel.decider import Events
from services.kernel.refusal import Refusal, invalid


def check_unique_lines(_: Situation, body: AuthoriseReturn | RequestRefund) -> None:
    """Refuse a line that is named twice."""
    if len({line.line_id for line in body.lines}) < len(body.lines):
        raise invalid("lines", "unique", "订单行号重复", "line_id occurs twice")


def check_returnable(s: Situation, body: AuthoriseReturn) -> None:
    """Refuse lines named twice, and services: they have nothing to return."""
    check_unique_lines(s, body)
    for line in body.lines:
        if s.file.lines[line.line_id].is_service:
            raise invalid(
                "lines",
                "goods",
                f"{line.line_id} 是服务,无货可退",
                f"{line.line_id} is a service: nothing to return",
            )


def authorise_return(s: Situation, body: AuthoriseReturn) -> Events:
    """Let the buyer send goods back, and decide who bears the freight."""
    if body.freight_borne_by is not None:
        _require_lead(s, "authorise_return")
    s.require_remedy("return", "exchange", "discounted_exchange")
    if not {"return", "exchange"} & set(s.remedies):
        matrix.require_verdict(s, "sell")
    s.require_evidence()
    if not {"return", "exchange"} & set(s.remedies):
        matrix.require_cause(s)
    for line in body.lines:
        room = s.file.return_room(s.case, line.line_id)
        if line.quantity > room:
            raise Refusal("exceeds_quantity", line_id=line.line_id, quantity=line.quantity, left=max(0, room))
    if s.case.return_refused and s.actor.rank < 1:
        raise Refusal("return_not_accepted", role="team_lead")
    return [
        c.ReturnAuthorised(
            case_id=s.case_id,
            return_id=f"RT{len(s.case.returns) + 1}",
            lines=_lines(body.lines),
            freight_borne_by=body.freight_borne_by or freight_borne_by(s.case),
        )
    ]


def _require_lead(s: Situation, command: str) -> None:
    if s.actor.rank < 1:
        raise Refusal("forbidden", command=command, role="team_lead")


def freight_borne_by(case: Case) -> str:
    """Who bears return freight where nobody says otherwise: `buyer` or `merchant`."""
    if case.cause is not None:
        return case.cause.freight_borne_by
    return "buyer" if case.reason == "no_reason_7_days" else "merchant"


def _lines(lines: tuple[LineQuantity, ...]) -> tuple[c.LineQuantity, ...]:
    return tuple(c.LineQuantity(line_id=line.line_id, quantity=line.quantity) for line in lines)


def ship_return(s: Situation, body: ShipReturn) -> Events:
    """The buyer sent the goods; carriers that the warehouse refuses are refused here."""
    if body.freight_collect or body.carrier.upper() in {one.upper() for one in s.policy.refused_carriers}:
        raise Refusal("return_carrier_refused", carrier=body.carrier, carriers=s.policy.refused_carriers)
    return_id = _pick(s, body.return_id, "authorised")
    return [
        c.ReturnShipped(
            case_id=s.case_id,
            return_id=return_id,
            carrier=body.carrier,
            tracking_no=body.tracking_no,
            freight_fen=body.freight_fen,
        )
    ]


def check_received(s: Situation, body: ReceiveReturn) -> None:
    """An accepted return holds all that was authorised: one that is short is not accepted."""
    return_id = _find(s, body.return_id, ("shipped",), _units(body))
    if return_id is None or not body.accepted:
        return
    units = _units(body)
    for line_id, quantity in s.case.returns[return_id].lines.items():
        if units[line_id] < quantity:
            raise invalid(
                "lines",
                "complete",
                f"{line_id} 少到货,应登记为不接收",
                f"{line_id} is short: record accepted: false",
            )


def receive_return(s: Situation, body: ReceiveReturn) -> Events:
    """Note what the warehouse found in the parcel."""
    units = _units(body)
    found = _find(s, body.return_id, ("shipped",), units)
    if found is not None and body.accepted:
        one = s.case.returns[found]
        for line_id, quantity in units.items():
            if quantity > one.lines.get(line_id, 0):
                raise Refusal("exceeds_quantity", line_id=line_id, quantity=quantity, left=one.lines.get(line_id, 0))
    return_id = _pick(s, body.return_id, "shipped", wanted=units)
    one = s.case.returns[return_id]
    return [
        c.ReturnReceived(
            case_id=s.case_id,
            return_id=return_id,
            accepted=body.accepted,
            lines=tuple(
                c.ReceivedLine(
                    line_id=line.line_id,
                    quantity=line.quantity,
                    resalable=line.resalable,
                    unit_cost_fen=s.file.lines[line.line_id].unit_cost_fen,
                )
                for line in body.lines
            ),
            freight_fen=one.freight_fen,
            freight_borne_by=one.freight_borne_by,
        )
    ]


def _units(body: ReceiveReturn) -> Counter[str]:
    units: Counter[str] = Counter()
    for line in body.lines:
        units[line.line_id] += line.quantity
    return units


def cancel_return(s: Situation, body: CancelReturn) -> Events:
    """The goods will not come."""
    return_id = _pick(s, body.return_id, "authorised", "shipped", newest=True)
    return [c.ReturnCancelled(case_id=s.case_id, return_id=return_id, reason=body.reason)]


def _pick(
    s: Situation,
    return_id: str | None,
    *statuses: str,
    wanted: Counter[str] | None = None,
    newest: bool = False,
) -> str:
    found = _find(s, return_id, statuses, wanted, newest)
    if found is None:
        last = s.case.returns[return_id].status if return_id else s.case.last_return and s.case.last_return.status
        raise stuck(last or "no_return")
    return found


def _find(
    s: Situation,
    return_id: str | None,
    statuses: tuple[str, ...],
    wanted: Counter[str] | None = None,
    newest: bool = False,
) -> str | None:
    """The return that is meant: the one named, else the one that fits what came, else the oldest (or newest)."""
    fitting: list[tuple[str, Return]] = [
        (key, one) for key, one in s.case.returns.items() if one.status in statuses and return_id in (None, key)
    ]
    exact = next((key for key, one in fitting if wanted is not None and one.lines == dict(wanted)), None)
    if exact is not None or not fitting:
        return exact
    return fitting[-1 if newest else 0][0]


def request_refund(s: Situation, body: RequestRefund) -> Events:
    """Ask for a refund of units that came back, of a service, or (a lead) of goods that stay with the buyer."""
    if body.refund_only:
        _require_lead(s, "request_refund")
    goods = [line for line in body.lines if not s.file.lines[line.line_id].is_service]
    _check_refund_remedy(s, body, bool(goods), len(goods) < len(body.lines))
    if body.refund_only:
        s.require_evidence()
    for line in body.lines:
        room = s.file.refund_room(s.case, line.line_id)
        if line.quantity > room:
            raise Refusal("exceeds_quantity", line_id=line.line_id, quantity=line.quantity, left=max(0, room))
    for line in body.lines:
        _check_refund_paid(s, line)
    if not body.refund_only:
        _check_came_back(s, goods)
    return [
        c.RefundRequested(
            case_id=s.case_id,
            refund=f"F{len(s.case.refunds) + 1}",
            lines=_lines(body.lines),
            refund_only=body.refund_only,
        )
    ]


def _check_refund_remedy(s: Situation, body: RequestRefund, goods: bool, services: bool) -> None:
    if services:
        s.require_remedy("refund", "refund_service_line")
    if goods and not (body.refund_only and not s.case.return_refused):
        s.require_remedy("refund", "return")
    elif goods:
        s.require_remedy("refund")


def _check_refund_paid(s: Situation, line: LineQuantity) -> None:
    account = s.file.accounts[line.line_id]
    refund = account.preview(line.quantity).refund_fen
    given = account.refunded_fen + s.file.committed_fen(line.line_id) + refund
    if given > account.paid_fen:
        raise Refusal("exceeds_paid", line_id=line.line_id, paid_fen=account.paid_fen, given_fen=given)


def _check_came_back(s: Situation, goods: list[LineQuantity]) -> None:
    if goods and s.case.return_refused:
        raise Refusal("return_not_accepted", role="team_lead")
    for line in goods:
        came_back = s.case.accepted_units(line.line_id) - s.case.refunded_returns(line.line_id)
        if line.quantity > came_back:
            raise Refusal("return_not_received", line_id=line.line_id, left=max(0, came_back))
