"""What became of a case between two moments: what happened, which money moved, who was charged, what changed."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from contracts.event import Event
from contracts.events import cases as c
from contracts.events import liability as li
from contracts.events import refunds as r
from contracts.policy import Policy
from services.cases.documents import Document, Happening, timeline
from services.cases.domain.case import Case, Charge, Evidence, Proposal
from services.cases.domain.file import OrderFile
from services.cases.views import promise_of
from services.kernel.history import AsOf, Past
from services.kernel.log import Record


class Change(Document, frozen=True, kw_only=True):
    """Something that is not as it was: of the case itself, or of the item that is named. Empty: it was not there."""

    what: str
    item: str
    before: str
    after: str


class CaseDifference(Document, frozen=True, kw_only=True):
    """What became of a case from one moment (not in it) to another (in it).

    `paid_fen` is what went to the buyer, `received_fen` what came in from buyer or parties, by kind. `charged_fen` is
    by how much each party bears more, or less; with that of suspense they sum to that of the net loss.
    """

    case_id: str
    order_id: str
    begin: AsOf = msgspec.field(name="from")
    end: AsOf = msgspec.field(name="to")
    paid_fen: dict[str, int]
    received_fen: dict[str, int]
    net_loss_fen: int
    charged_fen: dict[str, int]
    suspense_fen: int
    changed: Sequence[Change]
    events: Sequence[Happening]


def difference(
    policy: Policy, case_id: str, before: Past[OrderFile], after: Past[OrderFile], between: Sequence[Record]
) -> CaseDifference:
    """The difference of a case that is in the later file; `between` are its records from the one to the other."""
    now, then = after.file.cases[case_id], before.file.cases.get(case_id)
    charged = _more(then.charged_fen if then else {}, now.charged_fen)
    net_loss_fen = now.net_loss_fen - (then.net_loss_fen if then else 0)
    paid, received = _moved([record.event for record in between])
    return CaseDifference(
        case_id=case_id,
        order_id=after.file.order_id,
        begin=before.as_of,
        end=after.as_of,
        paid_fen=paid,
        received_fen=received,
        net_loss_fen=net_loss_fen,
        charged_fen=charged,
        suspense_fen=net_loss_fen - sum(charged.values()),
        changed=_changes(dict(_states(then)) if then else {}, dict(_states(now))),
        events=timeline(policy, between),
    )


def _more(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    differences = {party: after.get(party, 0) - before.get(party, 0) for party in {**before, **after}}
    return {party: fen for party, fen in differences.items() if fen}


def _moved(events: Sequence[Event]) -> tuple[dict[str, int], dict[str, int]]:
    """Money that went to the buyer, and money that came in, by kind: movements, not decisions."""
    paid: dict[str, int] = defaultdict(int)
    received: dict[str, int] = defaultdict(int)
    for event in events:
        match event:
            case c.CompensationPaid(kind=kind, amount_fen=fen) | r.PayoutSucceeded(kind=kind, amount_fen=fen):
                paid[kind] += fen
            case c.BuyerPaid(amount_fen=fen):
                received["buyer_payment"] += fen
            case c.DepositCollected(amount_fen=fen):
                received["deposit"] += fen
            case li.LossRecovered(amount_fen=fen):
                received["recovery"] += fen
    return dict(paid), dict(received)


State = tuple[tuple[str, str], str]


def _states(case: Case) -> Iterator[State]:
    """What may change of a case and its items: (what, item) and how it stands."""
    yield ("status", ""), case.status
    yield ("problem", ""), case.problem
    yield ("promise", ""), promise_of(case)
    yield ("to", ""), case.assignee
    yield ("cause", ""), case.cause.cause if case.cause else ""
    yield from ((("evidence", key), _evidence(one)) for key, one in case.evidence.items())
    yield from ((("proposal", key), _proposal(one)) for key, one in case.proposals.items())
    yield from ((("charge", key), _charge(one)) for key, one in case.charges.items())
    yield from ((("reshipment", key), one.status) for key, one in case.reshipments.items())
    yield from ((("return_id", key), one.status) for key, one in case.returns.items())
    yield from ((("deposit", key), one.status) for key, one in case.deposits.items())
    yield from ((("payout", key), _payout(one)) for key, one in case.payouts.items())


def _changes(before: Mapping[tuple[str, str], str], after: Mapping[tuple[str, str], str]) -> list[Change]:
    return [
        Change(what=what, item=item, before=before.get((what, item), ""), after=state)
        for (what, item), state in after.items()
        if state != before.get((what, item), "")
    ]


def _evidence(one: Evidence) -> str:
    return {None: "submitted", True: "accepted", False: "rejected"}[one.accepted]


def _proposal(one: Proposal) -> str:
    if one.paid or one.withdrawn:
        return "paid" if one.paid else "withdrawn"
    if not one.counts:
        return "declined"
    if one.waits_for_approval:
        return "waits_for_approval"
    return "agreed" if one.buyer_agreed else "offered"


def _charge(one: Charge) -> str:
    if one.returned or one.replaced:
        return "returned" if one.returned else "replaced"
    return "paid" if one.paid else "asked"


def _payout(one: r.PayoutRequested | r.PayoutSucceeded | r.PayoutFailed | r.PayoutUnknown) -> str:
    return type(one).__name__.removeprefix("Payout").lower()
