"""The cases domain: its table of commands, and what follows from the state of a file by itself."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from contracts.event import Event, type_of
from contracts.events import cases as c
from contracts.events.orders import OrderRecorded
from contracts.policy import Policy
from contracts.registry import EVENTS_BY_SOURCE
from services.cases.domain import care, closing, commands, compensation, goods, opening, returns
from services.cases.domain.case import Case
from services.cases.domain.file import OrderFile
from services.cases.domain.situation import Situation
from services.cases.domain.stock import STOCK, StockFile, needed
from services.kernel.actor import LADDER
from services.kernel.decider import Command, CommandSpec, Context, Events, Fact, File
from services.kernel.refusal import Refusal

AGENTS = frozenset(LADDER)
LEADS = AGENTS - {"agent"}
WAREHOUSE, FINANCE, SERVICE = frozenset({"warehouse"}), frozenset({"finance"}), frozenset({"service"})
MANAGER = frozenset({"store_manager"})

#: Works on a closed case (`domain.md` §3 Order of refusals), as far as it is a command of this service.
ON_CLOSED = frozenset({"record_insurance_result", "follow_up", "invite_review", "rate", "reopen_case"})

Rule = Callable[[Situation, Any], Events]
Check = Callable[[Situation, Any], None]

#: Every command on an open case: its body, who may give it, the rule that decides it, and a check before the role's.
CASE_COMMANDS: dict[str, tuple[type[Command], frozenset[str], Rule, Check | None]] = {
    "reclassify": (commands.Reclassify, AGENTS, opening.reclassify, opening.check_reclassification),
    "assign_case": (commands.AssignCase, AGENTS, opening.assign_case, opening.check_assignee),
    "submit_evidence": (commands.SubmitEvidence, AGENTS | SERVICE, care.submit_evidence, care.check_file),
    "review_evidence": (commands.ReviewEvidence, AGENTS, care.review_evidence, None),
    "assess_cause": (commands.AssessCause, AGENTS, care.assess_cause, care.check_cause),
    "give_guidance": (commands.GiveGuidance, AGENTS, care.give_guidance, None),
    "contact_installer": (commands.ContactInstaller, AGENTS, care.contact_installer, None),
    "trace_parcel": (commands.TraceParcel, AGENTS, care.trace_parcel, None),
    "arrange_pickup": (commands.ArrangePickup, AGENTS, care.arrange_pickup, None),
    "propose_compensation": (
        commands.ProposeCompensation,
        AGENTS,
        compensation.propose_compensation,
        compensation.check_proposed_lines,
    ),
    "approve": (commands.Approve, AGENTS, compensation.approve, None),
    "decline_approval": (commands.DeclineApproval, AGENTS, compensation.decline_approval, None),
    "record_buyer_reply": (commands.RecordBuyerReply, AGENTS, compensation.record_buyer_reply, None),
    "pay_compensation": (commands.PayCompensation, AGENTS | FINANCE, compensation.pay_compensation, None),
    "withdraw_proposal": (commands.WithdrawProposal, AGENTS, compensation.withdraw_proposal, None),
    "charge_buyer": (commands.ChargeBuyer, AGENTS, goods.charge_buyer, None),
    "record_buyer_payment": (
        commands.RecordBuyerPayment,
        AGENTS | FINANCE | SERVICE,
        goods.record_buyer_payment,
        None,
    ),
    "order_reshipment": (commands.OrderReshipment, AGENTS, goods.order_reshipment, None),
    "ship_reshipment": (commands.ShipReshipment, AGENTS | WAREHOUSE, goods.ship_reshipment, None),
    "confirm_delivery": (
        commands.ConfirmDelivery,
        AGENTS | WAREHOUSE | SERVICE,
        goods.confirm_delivery,
        None,
    ),
    "cancel_reshipment": (commands.CancelReshipment, AGENTS, goods.cancel_reshipment, None),
    "request_deposit": (commands.RequestDeposit, AGENTS, goods.request_deposit, None),
    "record_deposit": (commands.RecordDeposit, AGENTS | FINANCE | SERVICE, goods.record_deposit, None),
    "forfeit_deposit": (commands.ForfeitDeposit, LEADS, goods.forfeit_deposit, None),
    "authorise_return": (
        commands.AuthoriseReturn,
        AGENTS,
        returns.authorise_return,
        returns.check_returnable,
    ),
    "ship_return": (commands.ShipReturn, AGENTS | SERVICE, returns.ship_return, None),
    "receive_return": (commands.ReceiveReturn, WAREHOUSE, returns.receive_return, returns.check_received),
    "cancel_return": (commands.CancelReturn, AGENTS, returns.cancel_return, None),
    "record_insurance_result": (
        commands.RecordInsuranceResult,
        AGENTS | SERVICE,
        care.record_insurance_result,
        care.check_insurance_result,
    ),
    "request_refund": (commands.RequestRefund, AGENTS, returns.request_refund, returns.check_unique_lines),
    "escalate": (commands.Escalate, AGENTS, care.escalate, None),
    "report_issue": (commands.ReportIssue, AGENTS, care.report_issue, None),
    "record_finding": (commands.RecordFinding, AGENTS, care.record_finding, None),
    "close_case": (commands.CloseCase, AGENTS, closing.close_case, None),
    "reopen_case": (commands.ReopenCase, AGENTS, closing.reopen_case, None),
    "follow_up": (commands.FollowUp, AGENTS, closing.follow_up, None),
    "invite_review": (commands.InviteReview, AGENTS, closing.invite_review, None),
    "rate": (commands.Rate, AGENTS | SERVICE, closing.rate, None),
}

AnyFile = OrderFile | StockFile

#: Fields of a body that name an item of the case, and where the case keeps such items.
_ITEMS: dict[str, Callable[[Case], Mapping[str, Any]]] = {
    "evidence": lambda case: case.evidence,
    "proposal": lambda case: case.proposals,
    "reshipment": lambda case: case.reshipments,
    "return_id": lambda case: case.returns,
}


class CasesDomain:
    """The rules of the cases service, for the kernel to run."""

    source = "cases"
    learns: Collection[str] = frozenset(EVENTS_BY_SOURCE["refunds"]) | frozenset(EVENTS_BY_SOURCE["liability"])
    hears: Collection[str] = {*learns, type_of(c.StockReserved), type_of(OrderRecorded)}

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.policy_version = policy.version
        self.commands: Mapping[str, CommandSpec[Any]] = {
            "record_order": CommandSpec(commands.RecordOrder, AGENTS | SERVICE, _record_order, _check_order),
            "open_case": CommandSpec(commands.OpenCase, AGENTS | SERVICE, self._open_case, self._check_opening),
            "report_stock": CommandSpec(commands.ReportStock, AGENTS | WAREHOUSE | SERVICE, _report_stock),
            "erase_personal_data": CommandSpec(commands.ErasePersonalData, MANAGER, _erase_personal_data),
            **{name: self._bind(*row) for name, row in CASE_COMMANDS.items()},
        }

    def _bind(self, body: type[Command], roles: frozenset[str], rule: Rule, check: Check | None) -> CommandSpec[Any]:
        def decide(file: OrderFile, case_id: str, command: Any, context: Context) -> Events:
            return rule(self.situation(file, case_id, context), command)

        def validate(file: OrderFile, case_id: str, command: Any, context: Context) -> None:
            if check is not None:
                check(self.situation(file, case_id, context), command)

        return CommandSpec(body, roles, decide, validate if check else None)

    def situation(self, file: OrderFile, case_id: str, context: Context) -> Situation:
        return Situation(self.policy, file, file.cases[case_id], context.now, context.actor)

    def _check_opening(self, _: OrderFile, __: str, body: commands.OpenCase, ___: Context) -> None:
        opening.check_opening(self.policy, body)

    def _open_case(self, file: OrderFile, _: str, body: commands.OpenCase, context: Context) -> Events:
        return opening.open_case(self.policy, file, body, context)

    # -- the kernel's questions

    def new_file(self, stream: str) -> AnyFile:
        return StockFile() if stream == STOCK else OrderFile(stream)

    def stream_of(self, event: Event, stream: str) -> str:
        stocked = (c.StockReported, c.StockReserved, c.StockAwaited, c.StockFreed)
        return STOCK if isinstance(event, stocked) else stream

    def home_of(self, event: Event, stream: str) -> str:
        return event.order_id if isinstance(event, c.StockReserved) else stream

    def check_known(self, file: Any, case_id: str, command: str, body: Mapping[str, Any]) -> None:
        if command in ("record_order", "report_stock"):
            return
        if command in ("open_case", "erase_personal_data"):
            if not isinstance(file, OrderFile) or file.order is None:
                raise Refusal("unknown_order", order_id=body.get("order_id"))
            _check_lines_known(file.lines, body)
            return
        case = file.cases.get(case_id) if isinstance(file, OrderFile) else None
        if case is None:
            raise Refusal("unknown_case", case_id=case_id)
        for field, items in _ITEMS.items():
            named = body.get(field)
            if isinstance(named, str) and named not in items(case):
                raise Refusal("unknown_item", item=named, field=field)
        _check_lines_known(case.lines, body)
        if case.closed and command not in ON_CLOSED:
            raise Refusal("invalid_transition", state="closed", command=command)

    def react(self, file: Any, fact: Fact, context: Context) -> Events:
        event = fact.event
        if isinstance(event, c.StockReserved):
            reshipment = file.cases[event.case_id].reshipments[event.reshipment]
            if reshipment.status == "backordered":
                return [c.ReshipmentReleased(case_id=event.case_id, reshipment=event.reshipment)]
        if isinstance(event, OrderRecorded) and fact.source != self.source:
            return opening.follow_upstream(file, event.order)
        return []

    def needs(self, file: Any, case_ids: Collection[str]) -> Sequence[str]:
        if isinstance(file, StockFile):
            return ()
        touched = (file.cases[case_id] for case_id in case_ids if case_id in file.cases)
        return (STOCK,) if any(_moves_stock(case, key) for case in touched for key in case.reshipments) else ()

    def follow_ups(self, file: Any, others: Mapping[str, File], case_ids: Collection[str], context: Context) -> Events:
        if isinstance(file, StockFile):
            return file.next_release()
        cases = [file.cases[case_id] for case_id in case_ids if case_id in file.cases]
        events: list[Event] = []
        for case in cases:
            events += closing.broken_promises(case, context.now)
            events += _returned_deposits(case)
        stock = others.get(STOCK)
        if events or not isinstance(stock, StockFile):
            return events
        return _freed(file, cases, stock) or stock.next_release() or _taken(file, cases, stock)


def _check_lines_known(known: Mapping[str, Any], body: Mapping[str, Any]) -> None:
    """A line that is not the case's own (or the order's, for a new case) is unknown."""
    named: list[Any] = []
    for field, key in (("lines", "line_id"), ("items", "replaces")):
        entries = body.get(field)
        if isinstance(entries, list | tuple):
            named += [entry.get(key) if isinstance(entry, dict) else entry for entry in entries]
    for line_id in named:
        if isinstance(line_id, str) and line_id not in known:
            raise Refusal("unknown_line", line_id=line_id)


def _record_order(file: OrderFile, _: str, body: commands.RecordOrder, context: Context) -> Events:
    return opening.record_order(file, body, context)


def _check_order(file: OrderFile, _: str, body: commands.RecordOrder, context: Context) -> None:
    opening.check_order(file, body, context)


def _erase_personal_data(file: OrderFile, _: str, body: commands.ErasePersonalData, context: Context) -> Events:
    return opening.erase_personal_data(file, body, context)


def _report_stock(_: StockFile, __: str, body: commands.ReportStock, ___: Context) -> Events:
    return [c.StockReported(sku=body.sku, quantity=body.quantity)]


def _moves_stock(case: Case, key: str) -> bool:
    reshipment = case.reshipments[key]
    if reshipment.cancelled:
        return reshipment.held_stock
    return reshipment.status == "requested" and goods.triggered(case, key)


def _freed(file: OrderFile, cases: Collection[Case], stock: StockFile) -> list[Event]:
    """What cancelled reshipments give back, and their places on the tracking list."""
    return [
        c.StockFreed(
            case_id=case.case_id,
            order_id=file.order_id,
            reshipment=key,
            items=stock.reserved.get((case.case_id, key), ()),
        )
        for case in cases
        for key, reshipment in case.reshipments.items()
        if reshipment.cancelled and stock.knows(case.case_id, key)
    ]


def _taken(file: OrderFile, cases: Collection[Case], stock: StockFile) -> list[Event]:
    """What the first ordered reshipment whose trigger is met takes from the shelf, or waits for."""
    due = [
        (reshipment.requested_at, case, key, reshipment)
        for case in cases
        for key, reshipment in case.reshipments.items()
        if not reshipment.cancelled and _moves_stock(case, key)
    ]
    if not due:
        return []
    ordered_at, case, key, reshipment = min(due, key=lambda one: one[0])
    items = needed(reshipment.items)
    if not stock.fits(items):
        return [
            c.StockAwaited(
                case_id=case.case_id, order_id=file.order_id, reshipment=key, items=items, ordered_at=ordered_at
            ),
            c.ReshipmentBackordered(case_id=case.case_id, reshipment=key),
        ]
    released = c.ReshipmentReleased(case_id=case.case_id, reshipment=key)
    counted = stock.counted(items)
    if not counted:
        return [released]
    return [c.StockReserved(case_id=case.case_id, order_id=file.order_id, reshipment=key, items=counted), released]


def _returned_deposits(case: Case) -> list[Event]:
    return [
        c.DepositReturned(case_id=case.case_id, deposit=key, amount_fen=one.amount_fen)
        for key, one in case.deposits.items()
        if one.status == "collected" and one.paid_back
    ]
