"""Orders come in, cases are opened, sorted and given to somebody."""

from datetime import datetime, timedelta

import msgspec

from contracts.events import cases as c
from contracts.events.orders import Line, Order, OrderRecorded
from contracts.policy import Policy
from services.cases.domain.commands import AssignCase, ErasePersonalData, OpenCase, Reclassify, RecordOrder
from services.cases.domain.file import OrderFile
from services.cases.domain.situation import Situation, stuck
from services.kernel.decider import Context, Events
from services.kernel.refusal import Refusal, invalid

#: How far clocks of other systems may run ahead of ours.
CLOCK_SKEW = timedelta(minutes=5)


def record_order(file: OrderFile, body: RecordOrder, context: Context) -> Events:
    """Keep an order snapshot; the same one again changes nothing. What was bought stays once a case relies on it."""
    order = _snapshot(body)
    return [] if file.order == order else [OrderRecorded(order=order)]


def _snapshot(body: RecordOrder) -> Order:
    return msgspec.convert(body, Order, from_attributes=True)


def follow_upstream(file: OrderFile, order: Order) -> Events:
    """Keep a snapshot that an upstream system published; lines that cases rely on stay as they were."""
    if file.cases:
        arrived = [line for line in order.lines if line.line_id not in file.lines]
        order = msgspec.structs.replace(order, lines=(*file.lines.values(), *arrived))
    return [] if file.order == order else [OrderRecorded(order=order)]


def check_order(file: OrderFile, body: RecordOrder, context: Context) -> None:
    """Refuse a snapshot that cannot be, or that changes what cases rely on."""
    order = _snapshot(body)
    if len({line.line_id for line in order.lines}) < len(order.lines):
        raise invalid("lines", "unique", "订单行号重复", "line_id occurs twice")
    for field, moment in (("ordered_at", order.ordered_at), ("delivered_at", order.delivered_at)):
        if moment is not None and moment > context.now + CLOCK_SKEW:
            raise invalid(field, "not_in_future", "时间不能在将来", "must not be in the future")
    if order.delivered_at is not None and order.delivered_at < order.ordered_at:
        raise invalid("delivered_at", "after_ordered_at", "签收不能早于下单", "must not be before ordered_at")
    if file.cases:
        _check_lines_kept(file, order)


def _check_lines_kept(file: OrderFile, order: Order) -> None:
    present: dict[str, Line] = {line.line_id: line for line in order.lines}
    for line_id, line in file.lines.items():
        if present.get(line_id) != line:
            raise invalid(
                "lines",
                "kept",
                f"已有售后单,订单行 {line_id} 不能改动",
                f"line {line_id} cannot change: cases rely on it",
            )


def check_opening(policy: Policy, body: OpenCase) -> None:
    """Refuse an unknown problem or return reason, and a line that is named twice."""
    _check_classification(policy, body.problem, body.reason)
    if body.lines and len({line.line_id for line in body.lines}) < len(body.lines):
        raise invalid("lines", "unique", "订单行号重复", "line_id occurs twice")


def open_case(policy: Policy, file: OrderFile, body: OpenCase, context: Context) -> Events:
    """Open a case and promise the buyer a first answer and a solution."""
    bought = {line_id: line.quantity for line_id, line in file.lines.items()}
    lines = {line.line_id: line.quantity for line in body.lines} if body.lines else bought
    for line_id, quantity in lines.items():
        if quantity > bought[line_id]:
            raise Refusal("exceeds_quantity", line_id=line_id, quantity=quantity, left=bought[line_id])
    case_id = f"{file.order_id}-{len(file.cases) + 1}"
    return [
        c.CaseOpened(
            case_id=case_id,
            order_id=file.order_id,
            problem=body.problem,
            reason=body.reason or "",
            lines=tuple(c.LineQuantity(line_id=key, quantity=units) for key, units in lines.items()),
            description=body.description,
            urgent=body.urgent,
            channel_refund_id=body.channel_refund_id or "",
        ),
        promised(policy, case_id, context.now),
    ]


def promised(policy: Policy, case_id: str, opened_at: datetime) -> c.PromiseMade:
    """By when the buyer of a case that is opened then gets a first answer and a solution."""
    promise = policy.promise
    return c.PromiseMade(
        case_id=case_id,
        first_answer_due_at=opened_at + timedelta(hours=promise.first_answer_hours),
        solution_due_at=opened_at + timedelta(hours=promise.solution_hours),
    )


def check_reclassification(s: Situation, body: Reclassify) -> None:
    """Refuse an unknown problem or return reason."""
    _check_classification(s.policy, body.problem, body.reason)


def reclassify(s: Situation, body: Reclassify) -> Events:
    """Sort the case anew; its history stays."""
    return [
        c.CaseReclassified(case_id=s.case_id, problem=body.problem, previous=s.case.problem, reason=body.reason or "")
    ]


def _check_classification(policy: Policy, problem: str, reason: str | None) -> None:
    if problem not in policy.problems:
        raise invalid("problem", "known", f"没有问题类型 {problem}", f"there is no problem {problem}")
    if problem == "return_request" and reason is not None and reason not in policy.return_reasons:
        reasons = ", ".join(policy.return_reasons)
        raise invalid("reason", "known", f"退货原因须为:{reasons}", f"must be one of: {reasons}")


def _assignee(body: AssignCase) -> str:
    return body.to.rpartition("/")[2].strip()


def check_assignee(_: Situation, body: AssignCase) -> None:
    """Refuse a role without a name."""
    if not _assignee(body):
        raise invalid("to", "name", "须为姓名或 角色/姓名", "must be a name or role/name")


def assign_case(s: Situation, body: AssignCase) -> Events:
    """Give the case to somebody; an agent may take one that nobody has."""
    name = _assignee(body)
    if s.actor.rank == 0 and (name != s.actor.name or s.case.assignee not in ("", name)):
        raise Refusal("forbidden", command="assign_case", role="team_lead")
    if s.case.assignee == name:
        raise stuck("assigned")
    return [c.CaseAssigned(case_id=s.case_id, to=name)]


def erase_personal_data(file: OrderFile, body: ErasePersonalData, _: Context) -> Events:
    """Have the key of the order's texts destroyed; once is enough, as long as nothing happens afterwards."""
    return [] if file.erased else [c.PersonalDataErased(order_id=file.order_id, reason=body.reason)]
