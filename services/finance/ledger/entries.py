"""Postings one by one, with what the account holds after each: of an order, a case or an account."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from services.finance.ledger.postings import Posting
from services.kernel.shop_time import shop_month


class Entry(msgspec.Struct, frozen=True):
    """A posting as a ledger shows it, in fen; `balance_fen` is what the account holds of what was chosen."""

    time: datetime
    type: str
    event_id: str
    order_id: str
    case_id: str
    account: str
    party: str
    memo: str
    item: str
    debit_fen: int
    credit_fen: int
    balance_fen: int


class Chosen(msgspec.Struct, frozen=True):
    """Which postings are asked for; what is empty says nothing. An account may name what it is kept by:
    `losses/courier/YTO`."""

    order: str = ""
    case: str = ""
    account: str = ""
    month: str = ""

    def holds(self, posting: Posting) -> bool:
        """Whether a posting is asked for, in whatever month."""
        code, _, party = self.account.partition("/")
        return self.case in ("", posting.case_id) and code in ("", posting.account) and party in ("", posting.party)


class Entries(msgspec.Struct, frozen=True):
    """Postings in order of time; `opening` and `closing` are what each account held before and holds after them.
    `breaks`: how much of the orders they come from does not hold."""

    chosen: Chosen
    opening: Mapping[str, int]
    entries: Sequence[Entry]
    closing: Mapping[str, int]
    breaks: int


def entries_of(postings: Iterable[Posting], chosen: Chosen, breaks: int = 0) -> Entries:
    """The postings that are asked for. Memory holds these."""
    balances: Counter[str] = Counter()
    opening: dict[str, int] = {}
    entries = []
    for posting in sorted(filter(chosen.holds, postings), key=lambda posting: posting.time):
        month = shop_month(posting.time) if chosen.month else ""
        if month > chosen.month:
            break
        balances[posting.account] += posting.amount_fen
        if month < chosen.month:
            opening[posting.account] = balances[posting.account]
        else:
            entries.append(_entry(posting, balances[posting.account]))
    return Entries(chosen, opening, entries, balances, breaks)


def _entry(posting: Posting, balance_fen: int) -> Entry:
    return Entry(
        posting.time,
        posting.type,
        posting.event_id,
        posting.order_id,
        posting.case_id,
        posting.account,
        posting.party,
        posting.memo,
        posting.item,
        max(posting.amount_fen, 0),
        max(-posting.amount_fen, 0),
        balance_fen,
    )
