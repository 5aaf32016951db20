"""Corrections: postings that no event of the business makes. One person proposes them (the maker), another one approves
them (the checker); only then are they posted, and only so is a discrepancy closed."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final, Literal

from msgspec import Meta, Struct

from contracts.event import MAX_FEN, type_of
from contracts.events.finance import (
    CorrectionApproved,
    CorrectionDeclined,
    CorrectionProposed,
    DiscrepancyClosed,
    Leg,
)
from contracts.policy import Policy
from services.finance.ledger.accounts import CHART
from services.finance.ledger.postings import Posting
from services.kernel.actor import Actor
from services.kernel.decider import Command, CommandSpec, Context, Events, Fact
from services.kernel.fields import Code, Reference, Text
from services.kernel.naming import order_of
from services.kernel.refusal import Refusal, invalid
from services.kernel.shop_time import begin_of, end_of

if TYPE_CHECKING:
    from services.finance.domain.books import Books

#: Why a correction's postings were made, as `Posting.memo` has it.
MEMO: Final = "correction"
#: What corrections are called before their number.
_NAMED: Final = "K"
#: A correction that is larger is several.
LEGS_MAX: Final = 200

State = Literal["proposed", "approved", "declined"]


@dataclass(slots=True)
class Correction:
    """What somebody proposed, and what became of it. `answer` is why it was declined."""

    correction: str
    reason: str
    legs: Sequence[Leg]
    discrepancies: Sequence[str]
    proposed_by: str
    proposed_at: datetime
    booked_on: str = ""
    state: State = "proposed"
    decided_by: str = ""
    decided_at: datetime | None = None
    answer: str = ""

    def decide(self, state: State, fact: Fact, answer: str = "") -> None:
        """Note what was decided, by whom and when."""
        self.state, self.answer = state, answer
        self.decided_by, self.decided_at = fact.actor, fact.time


class Corrections:
    """All corrections by their ids, which are numbers in order: `K1`, `K2`."""

    def __init__(self) -> None:
        self.all: dict[str, Correction] = {}
        self.posted: dict[str, tuple[str, Sequence[Posting]]] = {}
        """What approved ones posted, by correction: the id of the event that did, and the postings."""
        self.claimed: dict[str, str] = {}
        """Discrepancies that a waiting correction is to close, and which one."""

    @property
    def waiting(self) -> Sequence[Correction]:
        """Those that nobody has decided."""
        return [one for one in self.all.values() if one.state == "proposed"]

    @property
    def next_id(self) -> str:
        """What the next one is called."""
        return f"{_NAMED}{len(self.all) + 1}"

    def evolve(self, fact: Fact) -> None:
        """Fold one event."""
        match fact.event:
            case CorrectionProposed() as event:
                self.all[event.correction] = Correction(
                    event.correction,
                    event.reason,
                    event.legs,
                    event.discrepancies,
                    fact.actor,
                    fact.time,
                    event.booked_on,
                )
                self.claimed |= dict.fromkeys(event.discrepancies, event.correction)
            case CorrectionApproved() as event:
                self._decided(event.correction).decide("approved", fact)
                self.posted[event.correction] = fact.id, postings_of_correction(fact)
            case CorrectionDeclined() as event:
                self._decided(event.correction).decide("declined", fact, event.reason)

    def _decided(self, correction: str) -> Correction:
        one = self.all[correction]
        for discrepancy in one.discrepancies:
            self.claimed.pop(discrepancy, None)
        return one


def postings_of_correction(fact: Fact) -> Sequence[Posting]:
    """What a `correction.approved` posts: its legs, on the day that it says, else on that of its approval."""
    event = fact.event
    assert isinstance(event, CorrectionApproved)
    time = end_of(event.booked_on) if event.booked_on else fact.time
    return [
        Posting(
            account=leg.account,
            amount_fen=leg.amount_fen,
            order_id=order_of(leg.case_id),
            case_id=leg.case_id,
            party=leg.party,
            event_id=fact.id,
            type=type_of(event),
            time=time,
            memo=MEMO,
            item=leg.item or event.correction,
        )
        for leg in event.legs
    ]


# -- what people say


class LegGiven(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A posting: a debit where `amount_fen` is above zero, a credit below. `party` is what the account is kept by;
    `item` the reference that a channel knows, or anything else that it is about."""

    account: Code
    amount_fen: Annotated[int, Meta(ge=-MAX_FEN, le=MAX_FEN)]
    party: Reference = ""
    case_id: Annotated[str, Meta(pattern=r"^([A-Za-z0-9][A-Za-z0-9._:-]*-[1-9][0-9]{0,8})?$(?!\n)", max_length=80)] = ""
    item: Reference = ""


class ProposeCorrection(Command, frozen=True, kw_only=True):
    """Ask for these postings. Without any, the discrepancies are to be left as they are. `booked_on`: the day of an
    open month that they belong to, where it is not that of their approval."""

    reason: Text
    legs: Annotated[tuple[LegGiven, ...], Meta(max_length=LEGS_MAX)] = ()
    discrepancies: Annotated[tuple[Code, ...], Meta(max_length=500)] = ()
    booked_on: Annotated[str, Meta(pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2})?$(?!\n)")] = ""


class ApproveCorrection(Command, frozen=True, kw_only=True):
    """Agree to what another person proposed: it is posted."""

    correction: Code


class DeclineCorrection(Command, frozen=True, kw_only=True):
    """Say no to a correction, or take back one's own."""

    correction: Code
    reason: Text


def _check_proposal(file: "Books", _: str, body: ProposeCorrection, context: Context) -> None:
    if not body.legs and not body.discrepancies:
        zh, en = "分录和差异至少填一项", "say postings, or the discrepancies that are left as they are"
        raise invalid("legs", "required", zh, en)
    errors = [error for place, leg in enumerate(body.legs) for error in _leg_errors(f"legs[{place}]", leg)]
    errors += _discrepancy_errors(file, body.discrepancies)
    errors += _day_errors(body.booked_on, context.now)
    if errors:
        raise Refusal("invalid", field=errors[0]["field"], errors=errors)
    excess_fen = sum(leg.amount_fen for leg in body.legs)
    if excess_fen:
        raise Refusal("legs_unbalanced", excess_fen=excess_fen)


def _leg_errors(path: str, leg: LegGiven) -> Iterator[dict[str, str]]:
    account = CHART.get(leg.account)
    if leg.amount_fen == 0:
        yield _error(f"{path}.amount_fen", "not_zero", "金额不能为 0", "must not be 0")
    if account is None:
        zh, en = f"没有科目“{leg.account}”", f"there is no account “{leg.account}”"
        yield _error(f"{path}.account", "unknown_account", zh, en)
    elif account.by and not leg.party.strip():
        zh = f"科目“{leg.account}”按对象核算,须填写({account.by})"
        yield _error(f"{path}.party", "required", zh, f"“{leg.account}” is kept by {account.by}: say which")
    elif leg.account == "suspense" and not leg.case_id:
        zh, en = "待定损失按售后单核算,须填写售后单", "suspense is kept by case: say which"
        yield _error(f"{path}.case_id", "required", zh, en)
    elif leg.party and not account.by:
        zh, en = f"科目“{leg.account}”不按对象核算", f"“{leg.account}” is kept by nobody: leave it away"
        yield _error(f"{path}.party", "not_kept_by", zh, en)


def _day_errors(day: str, now: datetime) -> Iterator[dict[str, str]]:
    try:
        ahead = bool(day) and begin_of(day) > now
    except ValueError:
        yield _error("booked_on", "day", f"没有 {day} 这一天", f"there is no day {day}")
        return
    if ahead:
        yield _error("booked_on", "future", "不能晚于今天", "must not be later than today")


def _must_be_open(file: "Books", booked_on: str) -> None:
    """A closed month takes no posting."""
    last = file.periods.last
    if booked_on and last is not None and booked_on[:7] <= last.month:
        raise Refusal("period_closed", month=booked_on[:7], last=last.month)


def _discrepancy_errors(file: "Books", discrepancies: Sequence[str]) -> Iterator[dict[str, str]]:
    seen: set[str] = set()
    for place, name in enumerate(discrepancies):
        field = f"discrepancies[{place}]"
        if name in seen:
            yield _error(field, "duplicate", "差异重复", "is there twice")
        elif not file.discrepancies.is_known(name):
            yield _error(field, "unknown_discrepancy", f"没有差异“{name}”", f"there is no discrepancy “{name}”")
        seen.add(name)


def check_parties(policy: Policy, legs: Sequence[LegGiven]) -> Iterator[dict[str, str]]:
    """What is wrong with the parties of legs whose accounts are kept by one, as the policy has them. Whose account is
    unknown is told elsewhere."""
    for place, leg in enumerate(legs):
        account = CHART.get(leg.account)
        code, slash, name = leg.party.partition("/")
        if account is None or account.by not in ("party", "carrier") or not leg.party.strip():
            continue
        field, party = f"legs[{place}].party", policy.parties.get(code)
        if party is None or (account.by == "carrier" and code != "courier"):
            yield _error(field, "unknown_party", f"没有责任方“{code}”", f"there is no party “{code}” here")
        elif party.named != bool(name.strip()) or bool(slash) != party.named:
            zh = "须写明名字,例如 courier/YTO" if party.named else f"责任方“{code}”不带名字"
            en = "must be named, as in courier/YTO" if party.named else f"the party “{code}” takes no name"
            yield _error(field, "party_name", zh, en)


def check_claims(policy: Policy, legs: Sequence[LegGiven]) -> Iterator[dict[str, str]]:
    """What a party outside the business bears is a claim on it. If one of the two is corrected alone, its statement
    says something else than what it owes."""
    borne: Counter[str] = Counter()
    for leg in legs:
        if leg.account in ("losses", "claims"):
            borne[leg.party.strip()] += leg.amount_fen
    for party, excess_fen in borne.items():
        known = policy.parties.get(party.partition("/")[0])
        if excess_fen and known is not None and known.external:
            zh = f"外部责任方“{party}”的损失与追偿收益须同额反向(另记应收追偿)"
            en = f"what “{party}” bears must be claimed from it: post losses and claims in balance, and recoverable"
            yield _error("legs", "claims_unbalanced", zh, en)


def _error(field: str, rule: str, zh: str, en: str) -> dict[str, str]:
    return {"field": field, "rule": rule, "zh": zh, "en": en}


# -- what is decided


def _propose(file: "Books", _: str, body: ProposeCorrection, __: Context) -> Events:
    _must_be_open(file, body.booked_on)
    for discrepancy in body.discrepancies:
        if not file.discrepancies.is_open(discrepancy):
            raise Refusal("discrepancy_closed", discrepancy=discrepancy)
        if discrepancy in file.corrections.claimed:
            other = file.corrections.claimed[discrepancy]
            raise Refusal("discrepancy_claimed", discrepancy=discrepancy, correction=other)
    legs = tuple(
        Leg(
            account=leg.account,
            amount_fen=leg.amount_fen,
            party=leg.party.strip(),
            case_id=leg.case_id,
            item=leg.item.strip(),
        )
        for leg in body.legs
    )
    return [
        CorrectionProposed(
            correction=file.corrections.next_id,
            reason=body.reason,
            legs=legs,
            discrepancies=body.discrepancies,
            booked_on=body.booked_on,
        )
    ]


def _check_known(file: "Books", _: str, body: ApproveCorrection | DeclineCorrection, __: Context) -> None:
    if body.correction not in file.corrections.all:
        raise Refusal("unknown_correction", correction=body.correction)


def _approve(file: "Books", _: str, body: ApproveCorrection, context: Context) -> Events:
    """It is posted as it was proposed, and its discrepancies are closed by it."""
    one = file.corrections.all[body.correction]
    if Actor.parse(one.proposed_by).name == context.actor.name:
        raise Refusal("own_correction", correction=one.correction)
    _must_wait(one, "approve_correction")
    _must_be_open(file, one.booked_on)
    return [
        CorrectionApproved(correction=one.correction, reason=one.reason, legs=tuple(one.legs), booked_on=one.booked_on),
        *(DiscrepancyClosed(discrepancy=name, correction=one.correction) for name in one.discrepancies),
    ]


def _decline(file: "Books", _: str, body: DeclineCorrection, __: Context) -> Events:
    """Its discrepancies stay open, and may be in another one."""
    one = file.corrections.all[body.correction]
    _must_wait(one, "decline_correction")
    return [CorrectionDeclined(correction=one.correction, reason=body.reason)]


def _must_wait(one: Correction, command: str) -> None:
    if one.state != "proposed":
        raise Refusal("invalid_transition", state=one.state, command=command)


_DECIDE: Final = frozenset({"finance", "store_manager"})

COMMANDS: Mapping[str, CommandSpec["Books"]] = {
    "propose_correction": CommandSpec(ProposeCorrection, frozenset({"finance"}), _propose, _check_proposal),
    "approve_correction": CommandSpec(ApproveCorrection, _DECIDE, _approve, _check_known),
    "decline_correction": CommandSpec(DeclineCorrection, _DECIDE, _decline, _check_known),
}
