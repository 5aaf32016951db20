"""The ledger as a beancount journal: names of accounts, what beancount itself says of it, and late postings."""

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from io import BytesIO
from typing import Any

import pytest
from beancount import loader
from beancount.core import account as beancount_account
from beancount.core.data import Balance, Open, Transaction
from hypothesis import given
from hypothesis import strategies as st

from services.finance.exports.journal import Booked, Journal, Place, account_of, component
from services.finance.ledger.accounts import CHART
from tests.finance.exports.nasty import asked

CHANNEL, LOSSES = Place("channel", "taobao"), Place("losses", "courier/YTO")
#: An account and one below it: beancount adds the lower one to what it asserts of the upper one.
CARRIERS, CARRIER = Place("carrier_payables", ""), Place("carrier_payables", "courier/YTO")


def _booked(event: str, day: str, month: str, legs: Mapping[Place, int], **said: str) -> list[Booked]:
    given = {"order_id": "TB1", "case_id": "TB1-1", "memo": "refund", "item": 'R"1\\', **said}
    return [
        Booked(event_id=event, type="payout.succeeded", day=day, month=month, place=place, amount_fen=fen, **given)
        for place, fen in legs.items()
    ]


def _journal(postings: Sequence[Booked], first_day: str, opening: Mapping[Place, int]) -> tuple[str, list[Any]]:
    file = BytesIO()
    journal = Journal(file, asked(), "both")
    journal.begin(first_day, {*opening, *(one.place for one in postings)}, opening)
    for one in postings:
        journal.write([one])
    journal.finish()
    text = file.getvalue().decode()
    entries, errors, _ = loader.load_string(text)
    assert errors == [], text
    return text, entries


def held(entries: Sequence[Any]) -> dict[str, int]:
    """What beancount finds in each account in the end, in fen."""
    sums: Counter[str] = Counter()
    for entry in entries:
        if isinstance(entry, Transaction):
            for posting in entry.postings:
                assert posting.units is not None
                assert posting.units.currency == "CNY"
                sums[posting.account] += int(Decimal(posting.units.number or 0) * 100)
    return {name: fen for name, fen in sums.items() if fen}


def test_beancount_reads_it_and_asserts_every_account_every_month() -> None:
    """The journal is checked by beancount itself: it is whole, and each month ends with what the ledger holds."""
    postings = [
        *_booked("E1", "2026-10-05", "2026-10", {CHANNEL: -1299, LOSSES: 1299}),
        *_booked("E2", "2026-12-31", "2026-12", {CARRIERS: -500, CARRIER: -300, LOSSES: 800}),
    ]
    _, entries = _journal(postings, "2026-10-05", {})
    balances = [(str(one.date), one.account, one.amount.number) for one in entries if isinstance(one, Balance)]
    assert len(balances) == 3 * 4
    assert ("2027-01-01", "Liabilities:Carrier-payables", Decimal("-8.00")) in balances
    assert ("2026-12-01", "Assets:Channel:Taobao", Decimal("-12.99")) in balances
    assert held(entries)["Liabilities:Carrier-payables"] == -500


def test_wrong_assertion_would_be_noticed() -> None:
    """Beancount adds the transactions up and compares, to the fen."""
    text, _ = _journal(_booked("E1", "2026-10-05", "2026-10", {CHANNEL: -1299, LOSSES: 1299}), "2026-10-05", {})
    balance = "balance Assets:Channel:Taobao  -12.9"
    _, errors, _ = loader.load_string(text.replace(f"{balance}9", f"{balance}8"))
    assert len(errors) == 1


def test_month_begins_with_what_accounts_held() -> None:
    """A journal of one month opens with the balances of the months before, so that its ends are the ledger's."""
    opening = {CHANNEL: -1299, LOSSES: 1299}
    _, entries = _journal(_booked("E2", "2026-11-02", "2026-11", {CHANNEL: -1, LOSSES: 1}), "2026-11-01", opening)
    assert held(entries) == {"Assets:Channel:Taobao": -1300, "Expenses:Losses:Courier:YTO": 1300}


def test_late_posting_is_dated_in_its_period_and_says_when_it_happened() -> None:
    """A closed month takes no more postings in the journal either, and nobody loses the true day."""
    _, entries = _journal(_booked("E1", "2026-10-30", "2026-11", {CHANNEL: -5, LOSSES: 5}), "2026-11-01", {})
    [late] = [one for one in entries if isinstance(one, Transaction)]
    assert (str(late.date), str(late.meta["happened"])) == ("2026-11-01", "2026-10-30")


def test_names_in_texts_break_nothing() -> None:
    """Quotes, backslashes and line breaks in references stay inside their strings."""
    said = {"case_id": 'a"b\n2026-01-01 open Assets:Evil', "item": "\\"}
    _, entries = _journal(_booked("E1", "2026-10-05", "2026-10", {CHANNEL: -5, LOSSES: 5}, **said), "2026-10-05", {})
    assert not [one for one in entries if isinstance(one, Open) and "Evil" in one.account]


def test_open_says_what_an_account_stands_for() -> None:
    """Nobody has to guess a party back from the name of an account."""
    _, entries = _journal(_booked("E1", "2026-10-05", "2026-10", {CHANNEL: -5, LOSSES: 5}), "2026-10-05", {})
    opened = {one.account: one.meta for one in entries if isinstance(one, Open)}
    said = opened["Expenses:Losses:Courier:YTO"]
    assert (said["account"], said["party"]) == ("losses", "courier/YTO")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("customer_service", "Customer-service"),
        ("taobao", "Taobao"),
        ("Taobao", "X-Taobao"),
        ("YTO", "YTO"),
        ("1688", "1688"),
        ("小李", "X-小李"),
        ("圆通.A", "X-圆通-2E-A"),
        ("a b", "X-a-20-b"),
        ("", "X-"),
    ],
)
def test_names_of_parties_become_parts_of_accounts(text: str, name: str) -> None:
    """Names that people know stay what they are, as far as beancount takes them."""
    assert component(text) == name


@given(st.sets(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), min_size=2, max_size=30))
def test_no_two_names_share_an_account(texts: set[str]) -> None:
    """Whatever people are called, their accounts stay apart, and beancount takes the names."""
    names = {component(text) for text in texts}
    assert len(names) == len(texts)
    assert all(beancount_account.is_valid(f"Expenses:{name}") for name in names)


def test_every_account_of_the_chart_has_a_place() -> None:
    """A new account of the chart has a name in the journal, and no other has the same."""
    names = {account_of(Place(code, "")) for code in CHART}
    assert len(names) == len(CHART)
    assert all(map(beancount_account.is_valid, names))
