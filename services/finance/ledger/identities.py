"""What must hold of an order's postings: they balance, and they say what the events say in another way."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from contracts.event import type_of
from contracts.events import cases as c
from contracts.events import liability as li
from contracts.events import refunds as r
from contracts.policy import Text
from services.finance.ledger.accounts import CHART
from services.finance.ledger.postings import MONEY_EVENTS, Posting
from services.histories import History
from services.kernel.log import Record

#: Events that a case's loss, or who bears it, depends on, and that liability has to hear.
_HEARD: Final = MONEY_EVENTS | {type_of(c.CauseAssessed)}

#: Terms of a loss, which are compared fact by fact, finished or not.
_TERMS: Final = ("cost.", "credit.")

#: Accounts that are looked at when a case is finished.
_FINISHED: Final = tuple(code for code, account in CHART.items() if account.ends_empty and not code.startswith(_TERMS))


class Event(msgspec.Struct, frozen=True):
    """An event that a break is about."""

    source: str
    type: str
    id: str


class Break(msgspec.Struct, frozen=True):
    """Something that does not balance or does not agree, in fen, with the events that it is about."""

    code: str
    order_id: str
    case_id: str
    zh: str
    en: str
    expected_fen: int
    found_fen: int
    events: Sequence[Event]


#: What each code means.
TEXTS: Final[Mapping[str, Text]] = {
    "unreadable": Text(zh="这条事件读不懂", en="this event cannot be read"),
    "misposted": Text(zh="事件自相矛盾,借贷不平", en="the event contradicts itself: its debits are not its credits"),
    "order_unbalanced": Text(zh="订单借贷不平", en="debits and credits of the order differ"),
    "day_unbalanced": Text(zh="当日借贷不平", en="debits and credits of the day differ"),
    "in_transit": Text(
        zh="在途打款不等于已发起而无结果的打款", en="payouts in transit are not those requested and not ended"
    ),
    "deposits": Text(zh="持有押金不等于已交而未退未没收的", en="deposits held are not those in and not out"),
    "suspense": Text(
        zh="待定损失与定责不符(责任已定则应为 0)",
        en="suspense is not the loss that nobody bears (0 once it is known who does)",
    ),
    "losses": Text(zh="承担的损失与定责不符", en="losses of the party are not what it was charged"),
    "recoverable": Text(
        zh="应收追偿不等于承担减已追偿", en="what is recoverable is not what was charged less what was recovered"
    ),
    "not_recorded": Text(
        zh="事实与损失分录不符", en="a fact and the entry of the loss that comes from it do not agree"
    ),
    "left_over": Text(zh="售后单已完结而科目未清零", en="the case is finished and the account is not empty"),
}


def _is_behind(history: History) -> bool:
    """Whether something has still to come: liability has to hear of it, or cases knows more of refunds than was read
    here."""
    if any(record.type in _HEARD and history.is_under_way(record) for record in history.own()):
        return True
    told = max((one.sequence for one in history.refunds if one.source == "refunds"), default=0)
    return any(one.source == "refunds" and one.sequence > told for one in history.cases)


@dataclass
class _Expected:
    """What the events say the balances are, without any posting."""

    transit: dict[tuple[str, str], int] = field(default_factory=dict)
    deposits: dict[tuple[str, str], int] = field(default_factory=dict)
    net: Counter[str] = field(default_factory=Counter)
    known: set[str] = field(default_factory=set)
    charged: Counter[tuple[str, str]] = field(default_factory=Counter)
    recovered: Counter[tuple[str, str]] = field(default_factory=Counter)
    closed: set[str] = field(default_factory=set)

    def evolve(self, record: Record) -> None:
        match record.event:
            case r.PayoutRequested() as event:
                self.transit[event.case_id, event.payout] = event.amount_fen
            case (r.PayoutSucceeded() | r.PayoutFailed()) as event:
                self.transit.pop((event.case_id, event.payout), None)
            case c.DepositCollected() as event:
                self.deposits[event.case_id, event.deposit] = event.amount_fen
            case (c.DepositForfeited() | c.DepositReturned()) as event:
                self.deposits.pop((event.case_id, event.deposit), None)
            case c.CaseClosed(case_id=case_id):
                self.closed.add(case_id)
            case c.CaseReopened(case_id=case_id):
                self.closed.discard(case_id)
            case _:
                self._loss(record)

    def _loss(self, record: Record) -> None:
        match record.event:
            case li.LossRecorded() as event:
                self.net[event.case_id] += event.amount_fen
            case li.LiabilityDetermined(case_id=case_id) | li.LiabilityAssigned(case_id=case_id):
                self.known.add(case_id)
            case li.LossCharged() as event:
                self.charged[event.case_id, event.party] += event.amount_fen
            case li.LossReversed() as event:
                self.charged[event.case_id, event.party] -= event.amount_fen
            case li.LossRecovered() as event:
                self.recovered[event.case_id, event.party] += event.amount_fen

    @property
    def suspense(self) -> Mapping[tuple[str, str], int]:
        """The loss that nobody bears, by case."""
        return {(case_id, ""): fen for case_id, fen in self.net.items() if case_id not in self.known}

    def recoverable(self, external: Collection[str]) -> Mapping[tuple[str, str], int]:
        """What parties outside the business owe."""
        owed = Counter({key: fen for key, fen in self.charged.items() if key[1].partition("/")[0] in external})
        owed.subtract(self.recovered)
        return owed


def breaks_of(history: History, postings: Sequence[Posting], external: Collection[str]) -> Iterator[Break]:
    """Everything of an order that does not hold. What is merely on its way is no break."""
    found = _Found(history, postings)
    expected = _Expected()
    for record in history.own():
        expected.evolve(record)
    whole = sum(posting.amount_fen for posting in postings)
    if whole:
        yield found.told("order_unbalanced", "", 0, whole, postings)
    yield from found.differ("in_transit", "payouts_in_transit", _item, expected.transit, sign=-1)
    yield from found.differ("deposits", "deposits_held", _item, expected.deposits, sign=-1)
    yield from found.differ("suspense", "suspense", _nothing, expected.suspense)
    yield from found.differ("losses", "losses", _party, expected.charged)
    yield from found.differ("recoverable", "recoverable", _party, expected.recoverable(external))
    yield from found.not_recorded()
    if not _is_behind(history):
        yield from found.left_over(expected.closed)


def _item(posting: Posting) -> str:
    return posting.item


def _party(posting: Posting) -> str:
    return posting.party


def _nothing(_: Posting) -> str:
    return ""


class _Found:
    """The postings of an order, to be compared with what is expected of them."""

    def __init__(self, history: History, postings: Sequence[Posting]) -> None:
        self._history = history
        self._by_account: dict[str, list[Posting]] = defaultdict(list)
        for posting in postings:
            self._by_account[posting.account].append(posting)

    def told(self, code: str, case_id: str, expected_fen: int, found_fen: int, about: Sequence[Posting]) -> Break:
        text, sources = TEXTS[code], {record.id: record.source for record in self._history.own()}
        types = {posting.event_id: posting.type for posting in about}
        events = [Event(sources.get(event_id, ""), type_, event_id) for event_id, type_ in types.items()]
        return Break(code, self._history.order_id, case_id, text.zh, text.en, expected_fen, found_fen, events)

    def differ(
        self,
        code: str,
        account: str,
        key: Callable[[Posting], str],
        expected: Mapping[tuple[str, str], int],
        sign: int = 1,
    ) -> Iterator[Break]:
        """Balances of an account by case and what it is kept by, against what they should be."""
        groups: dict[tuple[str, str], list[Posting]] = defaultdict(list)
        for posting in self._by_account[account]:
            groups[posting.case_id, key(posting)].append(posting)
        for group in sorted({*groups, *expected}):
            about = groups.get(group, [])
            wanted, there = sign * expected.get(group, 0), sum(one.amount_fen for one in about)
            if wanted != there:
                yield self.told(code, group[0], wanted, there, about)

    def not_recorded(self) -> Iterator[Break]:
        """Facts against the entries that come from them: each is cleared in full, or liability has not heard of it."""
        coming = {record.id for record in self._history.own() if self._history.is_under_way(record)}
        for account, postings in self._by_account.items():
            if not account.startswith(_TERMS):
                continue
            items: dict[tuple[str, str], list[Posting]] = defaultdict(list)
            for posting in postings:
                items[posting.case_id, posting.item].append(posting)
            for (case_id, fact), about in items.items():
                left = sum(one.amount_fen for one in about)
                if left and not (fact in coming and all(one.event_id == fact for one in about)):
                    yield self.told("not_recorded", case_id, 0, left, about)

    def left_over(self, closed: Collection[str]) -> Iterator[Break]:
        """Accounts that are empty when a case is finished."""
        for account in _FINISHED:
            balances: Counter[str] = Counter()
            for posting in self._by_account[account]:
                balances[posting.case_id] += posting.amount_fen
            for case_id, left in balances.items():
                if left and case_id in closed:
                    about = [one for one in self._by_account[account] if one.case_id == case_id]
                    yield self.told("left_over", case_id, 0, left, about)
