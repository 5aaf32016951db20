"""One order decided again by all three services, beside what was."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from contracts.events import liability as li
from contracts.events import refunds as r
from contracts.policy import Policy
from services.cases.domain.case import Case
from services.cases.domain.closing import broken_promises
from services.cases.domain.domain import CasesDomain
from services.histories import History
from services.kernel.decider import Fact
from services.kernel.shop_time import shop_month
from services.liability.domain import LiabilityDomain, postings
from services.liability.domain.posting import SUSPENSE
from services.refunds.domain import RefundsDomain
from services.whatif import liability, refunds
from services.whatif.cases import CasesAgain
from services.whatif.period import Period
from services.whatif.report import Amount, CaseThatDiffers, Change, PromiseChange

_PARTY: Final = "party/"
_PROMISES: Final = ("first_answer", "solution")
#: Events of refunds and liability that move money.
_MONEY: Final = (r.PayoutSucceeded, li.LossRecorded, li.LossCharged, li.LossReversed)

#: (party, month) → fen.
Borne = Counter[tuple[str, str]]


@dataclass(frozen=True)
class Rules:
    """The rules in question, at work in each service."""

    cases: CasesDomain
    refunds: RefundsDomain
    liability: LiabilityDomain

    @classmethod
    def of(cls, policy: Policy) -> "Rules":
        """The rules that a policy makes."""
        return cls(CasesDomain(policy), RefundsDomain(policy), LiabilityDomain(policy))


class Money:
    """The money of one case: what parties bear, by month; terms of the net loss; payouts that went out."""

    def __init__(self) -> None:
        self.borne: Borne = Counter()
        self.entries: Counter[str] = Counter()
        self.payouts: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()


class OrderAgain:
    """What was and what would have been of one order, by case."""

    def __init__(self, history: History, rules: Rules, period: Period, now: datetime) -> None:
        self.cases = CasesAgain(rules.cases, history.order_id, period)
        self.cases.see(history.cases)
        said = {fact.id: fact.event for fact in self.cases.decided}
        self.refunds = refunds.decided_again(rules.refunds, history.order_id, history.refunds, said)
        self.liability = liability.decided_again(
            rules.liability,
            history.order_id,
            history.liability,
            [*self.cases.decided, *self.refunds.decided],
            history.heard,
        )
        self._judged_cases = {case_id for _, case_id in self.cases.judged}
        self._now = now
        self._was = _money([*history.refunds, *history.liability], self.cases.was.cases)
        self._would = _money([*self.refunds.decided, *self.liability.decided], self.cases.was.cases)

    def told(self) -> "Iterator[CaseAgain]":
        """Every case that counts: a decision about it was taken again, or it differs because of another one."""
        for case_id, case in self.cases.was.cases.items():
            promises = self._promises(case_id)
            differs = self._differs(case_id, promises)
            if differs is not None or case_id in self._judged_cases:
                yield CaseAgain(case, self._was[case_id], self._would[case_id], differs, promises)

    def _promises(self, case_id: str) -> list[PromiseChange]:
        """Each promise of the case: whether it was broken, and would have been."""
        was = _broken(self.cases.was.cases[case_id], self._now)
        would = _broken(self.cases.would.cases[case_id], self._now)
        return [PromiseChange(promise, promise in was, promise in would) for promise in _PROMISES]

    def _differs(self, case_id: str, promises: Sequence[PromiseChange]) -> CaseThatDiffers | None:
        was, would = self._was[case_id], self._would[case_id]
        case = self.cases.was.cases[case_id]
        approvals = [one for one in self.cases.approvals if one.case_id == case_id]
        promises = [one for one in promises if one.was_broken != one.would_be_broken]
        changes = list(_changes(case, self.cases.would.cases[case_id]))
        undecided = [one for one in self.cases.undecided if one.case_id == case_id]
        same_money = was.borne == would.borne and was.payouts == would.payouts
        if same_money and not (approvals or promises or changes or undecided):
            return None
        net = Amount.of("net", was.borne.total(), would.borne.total())
        return CaseThatDiffers(
            case_id=case_id,
            problem=case.problem,
            opened_at=case.opened_at,
            was_fen=net.was_fen,
            would_be_fen=net.would_be_fen,
            difference_fen=net.difference_fen,
            parties=differing(by_party(was.borne.items()), by_party(would.borne.items())),
            entries=differing(was.entries, would.entries),
            payouts=differing(was.payouts, would.payouts),
            approvals=approvals,
            promises=promises,
            changes=changes,
            undecided=undecided,
        )


@dataclass(frozen=True)
class CaseAgain:
    """One case: its money then and under the rules in question, how it would differ, and its promises."""

    case: Case
    was: Money
    would: Money
    differs: CaseThatDiffers | None
    promises: Sequence[PromiseChange]


def amounts(was: Mapping[str, int], would: Mapping[str, int]) -> list[Amount]:
    """Both sides of everything that is on either, by name; what is 0 on both is left out."""
    names = sorted({*was, *would})
    found = [Amount.of(name, was.get(name, 0), would.get(name, 0)) for name in names]
    return [one for one in found if one.was_fen or one.would_be_fen]


def differing(was: Mapping[str, int], would: Mapping[str, int]) -> list[Amount]:
    """Those amounts that are not the same on both sides."""
    return [one for one in amounts(was, would) if one.difference_fen]


def by_party(borne: Iterable[tuple[tuple[str, ...], int]]) -> Counter[str]:
    """What each party bears, of amounts by party and whatever else stands behind the party."""
    sums: Counter[str] = Counter()
    for (party, *_), fen in borne:
        sums[party] += fen
    return sums


def _money(facts: Iterable[Fact], cases: Iterable[str]) -> dict[str, Money]:
    """The money of each case, by what refunds and liability decided."""
    found = {case_id: Money() for case_id in cases}
    for fact in facts:
        event = fact.event
        if not isinstance(event, _MONEY) or event.case_id not in found:
            continue
        money = found[event.case_id]
        if isinstance(event, r.PayoutSucceeded):
            money.payouts[event.payout] += event.amount_fen
            money.kinds[event.kind] += event.amount_fen
            continue
        if isinstance(event, li.LossRecorded):
            money.entries[event.entry] += event.amount_fen
        month = shop_month(fact.time)
        for posting in postings(event):
            if posting.account == SUSPENSE or posting.account.startswith(_PARTY):
                party = posting.account.removeprefix(_PARTY)
                money.borne[party, month] += posting.debit_fen - posting.credit_fen
    return found


def _broken(case: Case, now: datetime) -> set[str]:
    """Promises that were noted as broken, or are by now."""
    return case.broken | {one.promise for one in broken_promises(case, now)}


def _changes(was: Case, would: Case) -> Iterator[Change]:
    """Decisions about the case that would have been others."""
    if was.cause is not None and would.cause is not None:
        for what in ("party", "freight_borne_by"):
            before, after = getattr(was.cause, what), getattr(would.cause, what)
            if before != after:
                yield Change(what, was.cause.cause, before, after)
    for key, one in was.returns.items():
        if one.freight_borne_by != would.returns[key].freight_borne_by:
            yield Change("freight_borne_by", key, one.freight_borne_by, would.returns[key].freight_borne_by)
