"""What a case and an order look like to those who read them: state, money so far and the timeline."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypeVar

import msgspec

from contracts.events.cases import ReshipmentItem
from contracts.events.orders import Order
from contracts.policy import Policy, Problem, Text
from services.cases.domain.case import Case, Proposal, Return
from services.cases.domain.closing import unfinished
from services.cases.domain.file import OrderFile
from services.cases.domain.next_actions import NextAction
from services.cases.views import promise_of
from services.kernel.history import AsOf
from services.kernel.http.past import Seen
from services.kernel.log import Record

T = TypeVar("T")


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is read. It shares nothing with the file that it tells of, so it outlives the file's lock."""


class CaseLine(Document, frozen=True, kw_only=True):
    """Units of an order line that the case is about; `sku` and `kind` as the order has them now."""

    line_id: str
    quantity: int
    sku: str = ""
    kind: str = ""


class PromiseState(Document, frozen=True, kw_only=True):
    """What the buyer was promised: by when, and when it was done."""

    promise: Literal["first_answer", "solution"]
    due_at: datetime | None
    met_at: datetime | None
    broken: bool


class OpenPoint(Document, frozen=True, kw_only=True):
    """What keeps the case from being closed, and the item that it is about."""

    what: str
    item: str


class CauseDocument(Document, frozen=True, kw_only=True):
    """Why it happened, as last assessed."""

    cause: str
    party: str
    freight_borne_by: str
    in_warranty: bool
    human_caused: bool
    affects_use: bool


class EvidenceDocument(Document, frozen=True, kw_only=True):
    """A file; `accepted` is null until somebody looked."""

    evidence: str
    kind: str
    sha256: str
    media_type: str
    accepted: bool | None


class AllocatedAmount(Document, frozen=True, kw_only=True):
    """A line's part of a compensation."""

    line_id: str
    amount_fen: int


class ProposalDocument(Document, frozen=True, kw_only=True):
    """A compensation: what is offered, who must approve it, what the buyer said, whether it is paid."""

    proposal: str
    kind: str
    amount_fen: int
    allocation: Sequence[AllocatedAmount]
    proposed_by: str
    approver_role: str
    approved: bool | None
    buyer_agreed: bool | None
    paid: bool
    withdrawn: bool
    counts: bool
    waits_for_approval: bool


class ChargeDocument(Document, frozen=True, kw_only=True):
    """What the buyer is to pay for a sale; `sale` is the reshipment."""

    charge: str
    amount_fen: int
    purpose: str
    payment_ref: str
    sale: str
    lost_sale: bool
    replaced: bool
    returned: bool
    paid_back: bool


class ReshipmentDocument(Document, frozen=True, kw_only=True):
    """Goods that go out."""

    reshipment: str
    items: Sequence[ReshipmentItem]
    trigger: str
    requested_at: datetime
    status: str
    held_stock: bool
    carrier: str
    tracking_no: str


class ReturnDocument(Document, frozen=True, kw_only=True):
    """Goods that come back: `lines` as authorised, `received` as they came, units by line."""

    return_id: str
    lines: dict[str, int]
    freight_borne_by: str
    status: str
    freight_fen: int
    carrier: str
    tracking_no: str
    accepted: bool | None
    received: dict[str, int]
    reimbursed: bool


class DepositDocument(Document, frozen=True, kw_only=True):
    """A deposit against goods that go out first."""

    deposit: str
    amount_fen: int
    status: str
    payment_ref: str
    paid_back: bool


class RefundDocument(Document, frozen=True, kw_only=True):
    """A requested refund, units by line."""

    refund: str
    lines: dict[str, int]
    refund_only: bool
    settled: bool


class SettlementDocument(Document, frozen=True, kw_only=True):
    """What the buyer of the case finally gets (`domain.md` §4); an event leaves out what is 0, this does not."""

    goods_fen: int
    compensation_deducted_fen: int
    price_difference_deducted_fen: int
    refund_fen: int
    carried_deduction_fen: int
    freight_advanced_fen: int
    insurance_deducted_fen: int
    freight_reimbursed_fen: int
    freight_pending: bool
    net_fen: int


class PayoutDocument(Document, frozen=True, kw_only=True):
    """Money on its way to the buyer."""

    payout: str
    kind: str
    amount_fen: int
    status: Literal["requested", "succeeded", "failed", "unknown"]
    attempt: int


class Guide(Document, frozen=True, kw_only=True):
    """What the policy says of the case's problem: steps, questions to ask, ready phrases."""

    name: Text
    evidence: bool
    remedies: Sequence[str]
    steps: Sequence[Text]
    questions: Sequence[Text]
    phrases: Sequence[Text]


class CaseDocument(Document, frozen=True, kw_only=True):
    """A case as it stands. `losses` and `recovered` are fen by party."""

    case_id: str
    order_id: str
    status: Literal["open", "closed"]
    problem: str
    reason: str
    description: str
    urgent: bool
    lines: Sequence[CaseLine]
    channel_refund_id: str
    assignee: str
    opened_at: datetime
    opened_by: str
    resolution: str
    rating: int
    promise: Literal["kept", "broken"]
    promises: Sequence[PromiseState]
    waits_for: Sequence[OpenPoint]
    cause: CauseDocument | None
    evidence: Sequence[EvidenceDocument]
    proposals: Sequence[ProposalDocument]
    charges: Sequence[ChargeDocument]
    reshipments: Sequence[ReshipmentDocument]
    returns: Sequence[ReturnDocument]
    deposits: Sequence[DepositDocument]
    refunds: Sequence[RefundDocument]
    settlement: SettlementDocument
    payouts: Sequence[PayoutDocument]
    losses: dict[str, int]
    net_loss_fen: int
    suspense_fen: int
    recovered: dict[str, int]
    guide: Guide


class Happening(Document, frozen=True, kw_only=True):
    """An event on the timeline; `data` is as the event's schema says, `label` is what it is called. `version` is the
    one that it made of the order's file: what is later than a version is what happened since. `position` is the one in
    the log of cases: as of it, the case is as the event left it."""

    id: str
    position: int
    version: int
    time: datetime
    type: str
    label: Text | None
    actor: str
    source: str
    policy: str
    data: Any


class CaseInFull(CaseDocument, frozen=True, kw_only=True):
    """A case with all that happened, and every command with whether it can be given. `as_of`: of when it is, null for
    now; what refunds and liability decided is in it as far as cases had heard of it by then. `earlier`: how many
    happenings the timeline leaves out before its first."""

    next_actions: Sequence[NextAction]
    version: int
    as_of: AsOf | None
    timeline: Sequence[Happening] = ()
    earlier: int = 0


class TimelinePage(Document, frozen=True, kw_only=True):
    """A part of a case's timeline, oldest first. `earlier`: how many happenings there are before it; `before` is what
    to ask for them with, null where there are none."""

    case_id: str
    items: Sequence[Happening]
    earlier: int
    before: int | None


class OrderLineDocument(Document, frozen=True, kw_only=True):
    """What became of an order line over all its cases."""

    line_id: str
    paid_fen: int
    quantity: int
    refunded_units: int
    refunded_fen: int
    compensated_fen: int


class OrderDocument(Document, frozen=True, kw_only=True):
    """An order with all its cases; `compensation_fen` is what counts against authority. `as_of`: of when it is, null
    for now."""

    order: Order
    compensation_fen: int
    lines: Sequence[OrderLineDocument]
    cases: Sequence[CaseDocument]
    version: int
    as_of: AsOf | None


def case_document(policy: Policy, file: OrderFile, case: Case) -> CaseDocument:
    """A case as it stands, without its timeline."""
    return CaseDocument(**_fields(policy, file, case))


def case_in_full(policy: Policy, seen: Seen[OrderFile], case: Case, next_actions: Sequence[NextAction]) -> CaseInFull:
    """The same with next actions; its timeline is to be filled in, so all of it is `earlier`."""
    fields = _fields(policy, seen.file, case)
    return CaseInFull(
        **fields, next_actions=next_actions, version=seen.version, as_of=seen.as_of, earlier=case.happenings
    )


def _fields(policy: Policy, file: OrderFile, case: Case) -> dict[str, Any]:
    return {
        "case_id": case.case_id,
        "order_id": file.order_id,
        "status": case.status,
        "problem": case.problem,
        "reason": case.reason,
        "description": case.description,
        "urgent": case.urgent,
        "lines": [_line(file, line_id, units) for line_id, units in case.lines.items()],
        "channel_refund_id": case.channel_refund_id,
        "assignee": case.assignee,
        "opened_at": case.opened_at,
        "opened_by": case.opened_by,
        "resolution": case.resolution,
        "rating": case.rating,
        "promise": promise_of(case),
        "promises": _promises(case),
        "waits_for": [] if case.closed else [OpenPoint(what=what, item=item) for what, item in unfinished(case)],
        "cause": None if case.cause is None else _copied(CauseDocument, case.cause),
        **_items(case),
        **_money(case),
        "guide": _guide(policy.problems[case.problem]),
    }


def _line(file: OrderFile, line_id: str, units: int) -> CaseLine:
    line = file.lines.get(line_id)
    named = {"sku": line.sku, "kind": line.kind} if line else {}
    return CaseLine(line_id=line_id, quantity=units, **named)


def _guide(problem: Problem) -> Guide:
    return Guide(
        name=problem.name,
        evidence=problem.evidence,
        remedies=problem.remedies,
        steps=problem.steps,
        questions=problem.questions,
        phrases=problem.phrases,
    )


def _money(case: Case) -> dict[str, Any]:
    """What the case cost, as this service has learned it from refunds and liability."""
    return {
        "settlement": _copied(SettlementDocument, case.settlement),
        "payouts": [
            PayoutDocument(
                payout=payout.payout,
                kind=payout.kind,
                amount_fen=payout.amount_fen,
                status=type(payout).__name__.removeprefix("Payout").lower(),  # type: ignore[arg-type]
                attempt=payout.attempt,
            )
            for payout in case.payouts.values()
        ],
        "losses": {party: fen for party, fen in case.charged_fen.items() if fen},
        "net_loss_fen": case.net_loss_fen,
        "suspense_fen": case.net_loss_fen - sum(case.charged_fen.values()),
        "recovered": dict(case.recovered_fen),
    }


def _promises(case: Case) -> list[PromiseState]:
    return [
        PromiseState(
            promise="first_answer",
            due_at=case.first_answer_due_at,
            met_at=case.first_answered_at,
            broken="first_answer" in case.broken,
        ),
        PromiseState(
            promise="solution", due_at=case.solution_due_at, met_at=case.solved_at, broken="solution" in case.broken
        ),
    ]


def _items(case: Case) -> dict[str, Any]:
    return {
        "evidence": _each(EvidenceDocument, "evidence", case.evidence),
        "proposals": [_proposal(key, one) for key, one in case.proposals.items()],
        "charges": _each(ChargeDocument, "charge", case.charges),
        "reshipments": _each(ReshipmentDocument, "reshipment", case.reshipments),
        "returns": [_return(key, one) for key, one in case.returns.items()],
        "deposits": _each(DepositDocument, "deposit", case.deposits),
        "refunds": _each(RefundDocument, "refund", case.refunds),
    }


def _proposal(key: str, proposal: Proposal) -> ProposalDocument:
    allocation = [AllocatedAmount(line_id=one.line_id, amount_fen=one.amount_fen) for one in proposal.allocation]
    return _copied(ProposalDocument, proposal, proposal=key, allocation=allocation)


def _return(key: str, one: Return) -> ReturnDocument:
    return _copied(ReturnDocument, one, return_id=key, lines=dict(one.lines), received=dict(one.received))


def _each(document: type[T], name: str, items: Mapping[str, Any]) -> list[T]:
    return [_copied(document, item, **{name: key}) for key, item in items.items()]


def _copied(document: type[T], item: Any, **given: Any) -> T:
    """The document's fields as the item has them, but for those that are given."""
    names: tuple[str, ...] = document.__struct_fields__  # type: ignore[attr-defined]
    return document(**{name: given[name] if name in given else getattr(item, name) for name in names})


def _causes_first(records: Iterable[Record]) -> list[Record]:
    """Records in the order in which this service decided or learned them, but none before the one that caused it.

    Clocks have no say (`faults.md` row 16). Liability may be heard before refunds, whose event it answers.
    """
    waiting: dict[str, list[Record]] = {}
    known = list(records)
    missing = {record.id for record in known}
    placed: list[Record] = []

    def place(record: Record) -> None:
        if record.causation_id in missing and record.causation_id != record.id:
            waiting.setdefault(record.causation_id, []).append(record)
            return
        placed.append(record)
        missing.discard(record.id)
        for follower in waiting.pop(record.id, ()):
            place(follower)

    for record in known:
        place(record)
    return placed


def timeline(policy: Policy, records: Iterable[Record]) -> list[Happening]:
    """What happened, in the order in which it did, in all three services."""
    labels = policy.texts.events
    return [
        Happening(
            id=record.id,
            position=record.position,
            version=record.version,
            time=record.time,
            type=record.type,
            label=labels.get(record.type),
            actor=record.actor,
            source=record.source,
            policy=record.policy,
            data=msgspec.Raw(record.data),
        )
        for record in _causes_first(records)
    ]


def order_document(policy: Policy, seen: Seen[OrderFile], order: Order) -> OrderDocument:
    """An order with all its cases."""
    file = seen.file
    return OrderDocument(
        order=order,
        compensation_fen=file.compensation_fen(),
        lines=[
            OrderLineDocument(
                line_id=line_id,
                paid_fen=account.paid_fen,
                quantity=account.quantity,
                refunded_units=account.refunded_units,
                refunded_fen=account.refunded_fen,
                compensated_fen=file.committed_fen(line_id),
            )
            for line_id, account in file.accounts.items()
        ],
        cases=[case_document(policy, file, case) for case in file.cases.values()],
        version=seen.version,
        as_of=seen.as_of,
    )
