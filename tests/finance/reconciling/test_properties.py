"""What holds of every run: the same bytes for the same inputs, every row claimed once, nothing lost."""

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.finance.reconciling.items import BillRow, Item, OurPosting
from services.finance.reconciling.outcome import What
from tests.finance.reconciling.made import BOTH, DAYS, day, done, fund, posting, scope, trade

AMOUNTS = st.sampled_from([-100, -60, -40, 40, 100])
REFERENCES = st.sampled_from(["TB1-1:refund:F1", "TB1-1:refund:F2", "TB2-1:refund:F1", "HB1", "TB2", ""])
AT = st.integers(-2, DAYS)


@st.composite
def _postings(draw: st.DrawFn) -> list[OurPosting]:
    drawn = draw(st.lists(st.tuples(REFERENCES.filter(bool), AMOUNTS, AT, st.booleans()), max_size=6))
    return [
        posting(ref, fen, at, event_id=f"e{n}", type="compensation.paid" if cash else "payout.succeeded")
        for n, (ref, fen, at, cash) in enumerate(drawn)
    ]


@st.composite
def _rows(draw: st.DrawFn) -> list[BillRow]:
    drawn = draw(st.lists(st.tuples(REFERENCES, AMOUNTS, AT, st.integers(0, 5)), max_size=10))
    rows = []
    for n, (ref, fen, at, form) in enumerate(drawn):
        make = fund if form % 2 else trade
        changes: dict[str, Any] = {"key": f"r{n:02}"}
        if form == 4:
            changes |= {"status": "failed"}
        if form == 5:
            changes |= {"kind": "fee", "order_ref": ref}
        if form == 2:
            changes |= {"fee_fen": 1}
        rows.append(make(ref, fen, at, **changes))
    return rows


@settings(max_examples=60, deadline=None)
@given(_postings(), _rows(), st.integers(0, 10**6), st.booleans())
def test_order_of_input_changes_nothing(postings: list[OurPosting], rows: list[BillRow], seed: int, both: bool) -> None:
    """However the rows of a day come out of the database, the result is the same to the byte."""
    asked = scope(fund_days=BOTH if both else (), lists_fees=both)
    told = done(asked, postings, rows)
    Random(seed).shuffle(postings)
    Random(seed + 1).shuffle(rows)
    again = done(asked, postings, rows)
    assert (again.result, again.tally) == (told.result, told.tally)
    assert [one.line() for one in again.outcomes] == [one.line() for one in told.outcomes]


@settings(max_examples=60, deadline=None)
@given(_postings(), _rows(), st.booleans())
def test_everything_ends_in_exactly_one_outcome(postings: list[OurPosting], rows: list[BillRow], both: bool) -> None:
    """Matched, carried, outside and discrepancies together are all postings and all rows of the run's days, once."""
    asked = scope(fund_days=BOTH if both else (), lists_fees=both)
    told = done(asked, postings, rows)
    own = Counter(_names([*postings, *rows]))
    ended = Counter(name for one in told.outcomes for name in _names([*one.postings, *one.rows]))
    assert ended == own
    assert sum(told.tally.postings.values()) + sum(told.tally.rows.values()) == sum(own.values())


@settings(max_examples=60, deadline=None)
@given(_postings(), _rows(), st.booleans())
def test_what_is_matched_agrees_to_the_fen(postings: list[OurPosting], rows: list[BillRow], both: bool) -> None:
    """No tolerance: of a match, what each sort of bill says is what we say."""
    for one in done(scope(fund_days=BOTH if both else ()), postings, rows).outcomes:
        if one.what is What.MATCHED and one.postings:
            ours = sum(posting.amount_fen for posting in one.postings)
            for is_trade in (True, False):
                said = [row.amount_fen for row in one.rows if row.is_trade is is_trade]
                assert not said or sum(said) == ours


def _names(items: Sequence[Item]) -> list[str]:
    """Those of the run's own days."""
    own = [item for item in items if day(0) <= item.day <= day(DAYS - 1)]
    return [item.key if isinstance(item, BillRow) else item.event_id for item in own]
