"""Which month a posting belongs to: SQL that is asked of a real database."""

import sqlite3
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.finance.periods import Calendar, Condition

#: The months that postings of these tests are made in.
MONTHS = ("2026-08", "2026-09", "2026-10", "2026-11", "2026-12")


def chosen(condition: Condition, postings: Sequence[tuple[int, str]]) -> set[int]:
    """Positions of the postings that a condition holds for."""
    with sqlite3.connect(":memory:") as database:
        database.execute("CREATE TABLE postings (position BIGINT, month TEXT)")
        database.executemany("INSERT INTO postings VALUES (?, ?)", postings)
        rows = database.execute(f"SELECT p.position FROM postings p WHERE {condition.sql}", condition.params).fetchall()
    database.close()
    return {position for (position,) in rows}


@pytest.mark.parametrize(
    ("closed", "month", "inside", "before"),
    [
        ((), "2026-09", {2, 5}, {1}),
        ((), "", {1, 2, 3, 4, 5, 6}, set()),
        ((("2026-09", 3),), "2026-09", {1, 2}, set()),
        ((("2026-09", 3),), "2026-10", {3, 4, 5}, {1, 2}),
        ((("2026-09", 3),), "2026-11", {6}, {1, 2, 3, 4, 5}),
        ((("2026-09", 3),), "2026-08", set(), set()),
        ((("2026-09", 3), ("2026-10", 4)), "2026-10", {3, 4}, {1, 2}),
        ((("2026-09", 3), ("2026-10", 4)), "2026-11", {5, 6}, {1, 2, 3, 4}),
        ((("2026-09", 3), ("2026-10", 6)), "2026-10", {3, 4, 5}, {1, 2}),
        ((("2026-09", 3), ("2026-10", 6)), "2026-09", {1, 2}, set()),
    ],
)
def test_what_comes_late_belongs_to_the_first_open_month(
    closed: Sequence[tuple[str, int]], month: str, inside: set[int], before: set[int]
) -> None:
    """A posting of September that is heard of after September was closed is October's; September stays what it was."""
    postings = [(1, "2026-08"), (2, "2026-09"), (3, "2026-10"), (4, "2026-10"), (5, "2026-09"), (6, "2026-11")]
    calendar = Calendar(closed)
    assert chosen(calendar.inside(month), postings) == inside
    assert chosen(calendar.before(month), postings) == before


@given(
    months=st.lists(st.sampled_from(MONTHS), max_size=12),
    first=st.integers(0, 3),
    ends=st.lists(st.integers(0, 12), max_size=3).map(sorted),
)
def test_every_posting_belongs_to_one_month(months: list[str], first: int, ends: list[int]) -> None:
    """Whatever was closed and when, nothing is counted twice or left out, and what was before a month is what the
    months before it hold."""
    postings = list(enumerate(months, start=1))
    closed = list(zip(MONTHS[first:], ends, strict=False))
    if closed:  # what was posted earlier than the first closed month was so after it was closed
        postings = [one for one in postings if one[1] >= closed[0][0] or one[0] > closed[0][1]]
    calendar = Calendar(closed)
    held = [chosen(calendar.inside(month), postings) for month in (*MONTHS, "2027-01")]
    assert sum(map(len, held)) == len(postings)
    assert set().union(*held) == chosen(calendar.inside(""), postings)
    for place, (earlier, later) in enumerate(pairwise(MONTHS)):
        if later > (closed[0][0] if closed else ""):
            assert chosen(calendar.before(later), postings) == set().union(*held[: place + 1]), (earlier, later)


@given(
    months=st.lists(st.sampled_from(MONTHS), max_size=12),
    ends=st.lists(st.integers(0, 12), min_size=1, max_size=3).map(sorted),
    later=st.lists(st.sampled_from(MONTHS), max_size=5),
)
def test_a_closed_month_never_changes(months: list[str], ends: list[int], later: list[str]) -> None:
    """Neither by what comes later, nor by closing the months after it."""
    ends = [min(end, len(months)) for end in ends]
    closed = list(zip(MONTHS, ends, strict=False))
    postings = list(enumerate(months, start=1))
    more = list(enumerate([*months, *later], start=1))
    for upto in range(1, len(closed) + 1):
        month = closed[upto - 1][0]
        then = chosen(Calendar(closed[:upto]).inside(month), postings)
        assert chosen(Calendar(closed).inside(month), more) == then
