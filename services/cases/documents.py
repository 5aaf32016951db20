"""What a case and an order look like to those who read them: state, money so far and the timeline."""

from collections.abc import Iterable
from typing import Any

import msgspec

from contracts.policy import Policy
from services.cases.domain.closing import unfinished
from services.cases.domain.file import Case, OrderFile
from services.cases.views import promise_of
from services.kernel.log import Record


def case_document(policy: Policy, file: OrderFile, case: Case) -> dict[str, Any]:
    """A case as it stands, without its timeline."""
    problem = policy.problems[case.problem]
    return {
        "case_id": case.case_id,
        "order_id": file.order_id,
        "status": case.status,
        "problem": case.problem,
        "reason": case.reason,
        "description": case.description,
        "urgent": case.urgent,
        "lines": [{"line_id": line_id, "quantity": units} for line_id, units in case.lines.items()],
        "channel_refund_id": case.channel_refund_id,
        "assignee": case.assignee,
        "opened_at": case.opened_at,
        "opened_by": case.opened_by,
        "resolution": case.resolution,
        "rating": case.rating,
        "promise": promise_of(case),
        "promises": _promises(case),
        "waits_for": [] if case.closed else [{"what": what, "item": item} for what, item in unfinished(case)],
        "cause": _struct(case.cause),
        **_items(case),
        **money_document(case),
        "guide": {
            "name": problem.name,
            "evidence": problem.evidence,
            "remedies": problem.remedies,
            "steps": problem.steps,
            "questions": problem.questions,
            "phrases": problem.phrases,
        },
    }


def money_document(case: Case) -> dict[str, Any]:
    """What the case cost, as this service has learned it from refunds and liability."""
    return {
        "settlement": msgspec.structs.asdict(case.settlement),
        "payouts": [
            {
                "payout": payout.payout,
                "kind": payout.kind,
                "amount_fen": payout.amount_fen,
                "status": type(payout).__name__.removeprefix("Payout").lower(),
                "attempt": payout.attempt,
            }
            for payout in case.payouts.values()
        ],
        "losses": {party: fen for party, fen in case.charged_fen.items() if fen},
        "net_loss_fen": case.net_loss_fen,
        "suspense_fen": case.net_loss_fen - sum(case.charged_fen.values()),
        "recovered": dict(case.recovered_fen),
    }


def _promises(case: Case) -> list[dict[str, Any]]:
    return [
        {"promise": name, "due_at": due_at, "met_at": met_at, "broken": name in case.broken}
        for name, due_at, met_at in (
            ("first_answer", case.first_answer_due_at, case.first_answered_at),
            ("solution", case.solution_due_at, case.solved_at),
        )
    ]


def _items(case: Case) -> dict[str, Any]:
    return {
        "evidence": _with_ids("evidence", case.evidence),
        "proposals": _with_ids("proposal", case.proposals),
        "charges": _with_ids("charge", case.charges),
        "reshipments": _with_ids("reshipment", case.reshipments),
        "returns": _with_ids("return_id", case.returns),
        "deposits": _with_ids("deposit", case.deposits),
        "refunds": _with_ids("refund", case.refunds),
    }


def _with_ids(name: str, items: dict[str, Any]) -> list[dict[str, Any]]:
    return [{name: key, **_struct(item)} for key, item in items.items()]


def _struct(item: Any) -> Any:
    return None if item is None else {name: getattr(item, name) for name in item.__slots__}


def timeline(policy: Policy, records: Iterable[Record]) -> list[dict[str, Any]]:
    """What happened, in the order in which it did, in all three services."""
    labels = policy.texts.events
    return [
        {
            "id": record.id,
            "time": record.time,
            "type": record.type,
            "label": labels.get(record.type),
            "actor": record.actor,
            "source": record.source,
            "policy": record.policy,
            "data": msgspec.Raw(record.data),
        }
        for record in sorted(records, key=lambda record: (record.time, record.id))
    ]


def order_document(policy: Policy, file: OrderFile) -> dict[str, Any]:
    """An order with all its cases."""
    return {
        "order": file.order,
        "compensation_fen": file.compensation_fen(),
        "lines": [
            {
                "line_id": line_id,
                "paid_fen": account.paid_fen,
                "quantity": account.quantity,
                "refunded_units": account.refunded_units,
                "refunded_fen": account.refunded_fen,
                "compensated_fen": file.committed_fen(line_id),
            }
            for line_id, account in file.accounts.items()
        ],
        "cases": [case_document(policy, file, case) for case in file.cases.values()],
    }
