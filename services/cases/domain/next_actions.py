"""What can be done with a case next: every command, allowed or not, and why not (`domain.md` §2).

A command is tried on the state with bodies that fit it (probes), by the same checks as a real one, so that no rule is
told twice. Only the few commands of other services are judged here, by what the case has learned of them.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from contracts.event import type_of
from contracts.events.refunds import PayoutSucceeded
from contracts.policy import Policy
from services.cases.domain.domain import CASE_COMMANDS, CasesDomain
from services.cases.domain.file import OrderFile
from services.cases.domain.situation import Situation
from services.kernel.decider import Context
from services.kernel.intake import intake
from services.kernel.refusal import Refusal

#: `domain.md` §3 Order of refusals; other states come behind, `invalid_transition` last.
_ORDER = (
    "unknown_item",
    "unknown_line",
    "invalid",
    "party_name_required",
    "forbidden",
    "self_approval",
    "remedy_not_allowed",
    "evidence_required",
    "cause_required",
    "exceeds_quantity",
    "exceeds_paid",
    "exceeds_charged",
    "authority_exceeded",
    "already_paid",
    "approval_required",
)
_RANKS = {code: rank for rank, code in enumerate(_ORDER)} | {"invalid_transition": len(_ORDER) + 1}

#: Stands for what a person will fill in.
_SOMETHING = "?"
_HASH = "0" * 64


class NextAction(msgspec.Struct, frozen=True, kw_only=True):
    """A command and whether it can be given now. `items` are the proposals, lines, … for which it can.

    A command that cannot be given says why: the code that it would be refused with and its text.
    """

    command: str
    allowed: bool
    label_zh: str
    label_en: str
    code: str = ""
    reason_zh: str = ""
    reason_en: str = ""
    items: tuple[str, ...] = ()


class Probe(NamedTuple):
    """A body to try a command with, and the item of the case that it is about."""

    body: Mapping[str, Any]
    item: str = ""


Probes = Callable[[Situation], Iterable[Probe]]
#: Who may give a command of another service, and which items it would take: raises `Refusal` where there are none.
Judge = tuple[tuple[str, ...], Callable[[Situation], Iterable[str]]]


def next_actions(domain: CasesDomain, file: OrderFile, case_id: str, context: Context) -> list[NextAction]:
    """Every command on a case, as it stands for who acts at this time. It changes nothing."""
    situation = domain.situation(file, case_id, context)
    own = [_tried(domain, file, situation, context, command) for command in CASE_COMMANDS]
    return own + [_judged(situation, command, judge) for command, judge in _ELSEWHERE.items()]


def probes(situation: Situation, command: str) -> Iterator[Probe]:
    """Bodies that fit the state, the likeliest to be allowed first; at least one."""
    return iter(_PROBES[command](situation))


def _tried(domain: CasesDomain, file: OrderFile, situation: Situation, context: Context, command: str) -> NextAction:
    items: dict[str, None] = {}
    refusals: list[Refusal] = []
    for probe in probes(situation, command):
        try:
            intake(domain, file, situation.case_id, command, probe.body, context)
        except Refusal as refusal:
            refusals.append(refusal)
            continue
        if not probe.item:
            return _allowed(situation.policy, command)
        items[probe.item] = None
    if items:
        return _allowed(situation.policy, command, tuple(items))
    # The refusal that comes last is the one with the least in its way: what to do next.
    return _refused(situation.policy, command, max(refusals, key=_rank))


def _rank(refusal: Refusal) -> int:
    return _RANKS.get(refusal.code, len(_ORDER))


def _judged(situation: Situation, command: str, judge: Judge) -> NextAction:
    roles, items = judge
    forbidden = Refusal("forbidden", command=command, role=roles[0])
    may = situation.actor.role in roles
    try:
        found = tuple(items(situation))
    except Refusal as refusal:
        told = refusal if may or refusal.code == "unknown_item" else forbidden
        return _refused(situation.policy, command, told)
    return _allowed(situation.policy, command, found) if may else _refused(situation.policy, command, forbidden)


def _allowed(policy: Policy, command: str, items: tuple[str, ...] = ()) -> NextAction:
    label = policy.texts.commands[command]
    return NextAction(command=command, allowed=True, label_zh=label.zh, label_en=label.en, items=items)


def _refused(policy: Policy, command: str, refusal: Refusal) -> NextAction:
    params = {name: value for name, value in refusal.params.items() if value != _SOMETHING}  # nobody typed that
    label, reason = policy.texts.commands[command], policy.refusal_text(refusal.code, params)
    return NextAction(
        command=command,
        allowed=False,
        label_zh=label.zh,
        label_en=label.en,
        code=refusal.code,
        reason_zh=reason.zh,
        reason_en=reason.en,
    )


# -- probes


def _one(**body: Any) -> Probes:
    """The same body whatever the state."""
    return lambda _: (Probe(body),)


def _each(field: str, items: Callable[[Situation], Iterable[str]], **body: Any) -> Probes:
    """A body for each item; without any, one for an item that is not there."""

    def probe(s: Situation) -> Iterable[Probe]:
        return [Probe({field: key, **body}, key) for key in items(s)] or [Probe({field: _SOMETHING, **body})]

    return probe


def _each_return(*statuses: str, **body: Any) -> Probes:
    """A body for each return in such a state; without any, one that names none."""

    def probe(s: Situation) -> Iterable[Probe]:
        found = [key for key, one in s.case.returns.items() if one.status in statuses]
        return [Probe({"return_id": key, **body}, key) for key in found] or [Probe(body)]

    return probe


def _each_line(s: Situation) -> list[Probe]:
    """One unit of each line of the case."""
    return [Probe({"lines": [{"line_id": key, "quantity": 1}]}, key) for key in s.case.lines]


def _first_of(*choices: Probes) -> Probes:
    return lambda s: (probe for choice in choices for probe in choice(s))


def _proposals(s: Situation) -> list[str]:
    """Those that still matter first: what is refused for them says most. Nothing can be done with the others, so of
    those that are alike the first stands for all."""
    matter = [key for key, one in s.case.proposals.items() if one.counts and not one.paid]
    others: dict[Hashable, str] = {}
    for key, one in s.case.proposals.items():
        if one.paid or not one.counts:
            state = (one.paid, one.withdrawn, one.approved, one.buyer_agreed, one.approver_role, one.proposed_by)
            others.setdefault(state, key)
    return matter + list(others.values())


def _reshipments(s: Situation) -> list[str]:
    """The newest first; of those that have come to an end, one stands for all."""
    ended: dict[str, str] = {}
    for key, one in reversed(s.case.reshipments.items()):
        if one.status in ("delivered", "cancelled"):
            ended.setdefault(one.status, key)
    return [
        key for key, one in reversed(s.case.reshipments.items()) if one.status not in ended or ended[one.status] == key
    ]


def _goods(s: Situation) -> Iterable[Probe]:
    goods = [probe for probe in _each_line(s) if not s.file.lines[probe.item].is_service]
    return goods or _each_line(s)


def _refunds(s: Situation) -> Iterable[Probe]:
    """Each line by itself: what came back, else without goods."""
    return [
        Probe({**probe.body, "refund_only": refund_only}, probe.item)
        for probe in _each_line(s)
        for refund_only in (False, True)
    ]


def _another_problem(s: Situation) -> Iterable[Probe]:
    return (Probe({"problem": next(one for one in s.policy.problems if one != s.case.problem)}),)


def _assignees(s: Situation) -> Iterable[Probe]:
    return (Probe({"to": s.actor.name}), Probe({"to": _SOMETHING}))


def _verdicts(s: Situation) -> Iterable[Probe]:
    found = [
        Probe({"evidence": key, "accepted": one.accepted is not True}, key) for key, one in s.case.evidence.items()
    ]
    return found or (Probe({"evidence": _SOMETHING, "accepted": True}),)


def _any_cause(s: Situation) -> Iterable[Probe]:
    return (Probe({"cause": next(iter(s.policy.causes)), "party_name": _SOMETHING}),)


def _arrivals(s: Situation) -> Iterable[Probe]:
    """Each return under way, with all that was authorised in it."""
    found = [
        Probe(
            {
                "return_id": key,
                "accepted": True,
                "lines": [
                    {"line_id": line_id, "quantity": units, "resalable": True} for line_id, units in one.lines.items()
                ],
            },
            key,
        )
        for key, one in s.case.returns.items()
        if one.status == "shipped"
    ]
    return found or (Probe({"lines": [], "accepted": False}),)


def _item(trigger: str) -> Probes:
    """An accessory that costs nothing."""
    return _one(items=[{"sku": _SOMETHING, "quantity": 1, "unit_cost_fen": 0}], trigger=trigger)


def _compensation(kind: str) -> Probes:
    return _one(kind=kind, amount_fen=1)


_PROBES: Mapping[str, Probes] = {
    "reclassify": _another_problem,
    "assign_case": _assignees,
    "submit_evidence": _one(kind="photo", file=_HASH, media_type="image/jpeg"),
    "review_evidence": _verdicts,
    "assess_cause": _any_cause,
    "give_guidance": _one(),
    "contact_installer": _one(action="urge"),
    "trace_parcel": _one(tracking_no=_SOMETHING, status=_SOMETHING),
    "arrange_pickup": _one(freight_fen=0),
    "propose_compensation": _first_of(
        _compensation("cash"), _compensation("voucher"), _compensation("good_review_reward")
    ),
    "approve": _each("proposal", _proposals),
    "decline_approval": _each("proposal", _proposals),
    "record_buyer_reply": _each("proposal", _proposals, accepted=True),
    "pay_compensation": _each("proposal", _proposals, payment_ref=_SOMETHING),
    "withdraw_proposal": _each("proposal", _proposals, reason=_SOMETHING),
    "charge_buyer": _one(amount_fen=1, purpose=_SOMETHING),
    "record_buyer_payment": _one(payment_ref=_SOMETHING),
    "order_reshipment": _first_of(_item("now"), _item("on_payment")),
    "ship_reshipment": _each("reshipment", _reshipments, carrier=_SOMETHING, tracking_no=_SOMETHING, freight_fen=0),
    "confirm_delivery": _each("reshipment", _reshipments),
    "cancel_reshipment": _each("reshipment", _reshipments),
    "request_deposit": _one(),
    "record_deposit": _one(payment_ref=_SOMETHING),
    "forfeit_deposit": _one(reason=_SOMETHING),
    "authorise_return": _goods,
    "ship_return": _each_return("authorised", carrier=_SOMETHING, tracking_no=_SOMETHING, freight_fen=0),
    "receive_return": _arrivals,
    "cancel_return": _each_return("authorised", "shipped", reason=_SOMETHING),
    "record_insurance_result": _one(result="failed"),
    "request_refund": _refunds,
    "escalate": _one(role="team_lead", reason=_SOMETHING),
    "report_issue": _one(department=_SOMETHING, summary=_SOMETHING),
    "record_finding": _one(finding=_SOMETHING),
    "close_case": _one(resolution=_SOMETHING),
    "reopen_case": _one(),
    "follow_up": _one(),
    "invite_review": _one(),
    "rate": _one(score=5),
}


# -- commands of the other services


def _unsettled_payouts(s: Situation) -> Iterable[str]:
    if not s.case.payouts:
        raise Refusal("unknown_item")
    found = [key for key, one in s.case.payouts.items() if not isinstance(one, PayoutSucceeded)]
    if not found:
        raise Refusal("already_paid", item=next(reversed(s.case.payouts)))
    return found


def _failed_payouts(s: Situation) -> Iterable[str]:
    if not s.case.payouts:
        raise Refusal("unknown_item")
    states = {key: type_of(one).removeprefix("payout.") for key, one in s.case.payouts.items()}
    found = [key for key, state in states.items() if state == "failed"]
    if not found:
        payout, status = next(reversed(states.items()))
        raise Refusal("payout_not_failed", payout=payout, status=status)
    return found


def _debtors(s: Situation) -> Iterable[str]:
    """Parties outside the business that still owe what they were charged."""
    outside = {code for code, party in s.policy.parties.items() if party.external}
    left_fen = {
        party: charged_fen - s.case.recovered_fen.get(party, 0)
        for party, charged_fen in s.case.charged_fen.items()
        if party.partition("/")[0] in outside
    }
    found = [party for party, fen in left_fen.items() if fen > 0]
    if not found:
        raise Refusal("exceeds_charged", party=next(iter(left_fen), ""), left_fen=0)
    return found


_ELSEWHERE: Mapping[str, Judge] = {
    "confirm_payout": (("finance", "service"), _unsettled_payouts),
    "retry_payout": (("finance",), _failed_payouts),
    "assign_liability": (("team_lead", "store_manager"), lambda _: ()),
    "record_recovery": (("finance",), _debtors),
}
