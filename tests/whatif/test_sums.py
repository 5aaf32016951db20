"""Whatever the rules in question are, the sums of the report agree with one another."""

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.policy import load_policy
from contracts.registry import HEARS, decode
from services.histories import History, Logs
from services.kernel.stores import open_store
from services.whatif.order import OrderAgain, Rules
from services.whatif.period import Period
from services.whatif.report import Amount, CaseThatDiffers, Group
from services.whatif.tally import Tally
from tests.whatif.conftest import NOW, SERVICES

_CAUSES = ("transit_damage", "packing_error", "accessory_defective", "buyer_changed_mind")
_CAUSE = st.fixed_dictionaries(
    {},
    optional={
        "party": st.sampled_from(("production", "warehouse", "courier", "supplier", "none")),
        "freight": st.sampled_from(("buyer", "merchant")),
    },
)
_LIMIT = st.integers(0, 4_000)
#: Policies of every kind that a what-if judges.
POLICIES = st.fixed_dictionaries(
    {
        "authority": st.fixed_dictionaries(
            {"agent": _LIMIT, "team_lead": _LIMIT, "store_manager": _LIMIT, "good_review_reward": _LIMIT}
        ),
        "promise": st.fixed_dictionaries(
            {"first_answer_hours": st.integers(1, 5), "solution_hours": st.integers(1, 800)}
        ),
        "causes": st.fixed_dictionaries(dict.fromkeys(_CAUSES, _CAUSE)),
    }
)


@pytest.fixture(scope="module")
def orders(history: Path) -> list[History]:
    """The history of each order."""

    async def read() -> list[History]:
        stores = [open_store(f"sqlite:///{history / name}.db", decode, read_only=True) for name in SERVICES]
        logs, found = Logs(*stores), []
        for head in await logs.cases.streams():
            name = head.stream
            heard = {source: (await logs.liability.inbox(source, [name])).get(name, 0) for source in HEARS["liability"]}
            cases, refunds, liability = [await store.read_stream(name) for store in stores]
            found.append(History(name, cases, refunds, liability, heard))
        for store in stores:
            await store.close()
        return found

    return asyncio.run(read())


@settings(max_examples=40, deadline=None)
@given(changes=POLICIES, first=st.integers(0, 60))
def test_all_sums_are_one(orders: list[History], changes: dict[str, Any], first: int) -> None:
    """Σ parties = Σ problems = Σ months = Σ cases = the net loss, then, now and in the difference; and in each group
    and case, the parties make up the difference."""
    tally, rules = Tally(0), Rules.of(load_policy(changes))
    told = []
    for order in orders:
        again = OrderAgain(order, rules, Period(first=first), NOW)
        told += list(again.told())
        tally.add(again)
    for groups in (tally.parties, tally.problems, tally.months):
        assert _sums(groups) == _sums([tally.net])
    assert sum(case.was.borne.total() for case in told) == tally.net.was_fen
    assert sum(case.would.borne.total() for case in told) == tally.net.would_be_fen
    assert sum(case.difference_fen for case in tally.differ) == tally.net.difference_fen
    whole: list[Group | CaseThatDiffers] = [*tally.problems, *tally.months, *tally.differ]
    for one in whole:
        assert sum(party.difference_fen for party in one.parties) == one.difference_fen
        assert one.would_be_fen - one.was_fen == one.difference_fen
    for case in tally.differ:
        assert sum(entry.difference_fen for entry in case.entries) == case.difference_fen
    assert sum(one.difference_fen for one in tally.payouts) == sum(
        payout.difference_fen for case in tally.differ for payout in case.payouts
    )


def test_what_is_still_on_its_way_is_no_difference(orders: list[History]) -> None:
    """While liability or refunds is behind, what it has not heard yet is in neither balance, under any rules."""
    rules = Rules.of(load_policy({"authority": {"agent": 9_999}}))
    for order in orders:
        begun = [place for place, record in enumerate(order.refunds) if record.source == "cases"]
        for place in begun:  # what follows from an event is written with it
            behind = dataclasses.replace(order, refunds=order.refunds[:place], liability=[], heard={})
            for case in OrderAgain(behind, rules, Period(), NOW).told():
                assert case.differs is None or (case.differs.parties, case.differs.payouts) == ([], [])
                assert (case.was.borne, case.would.borne) == ({}, {})


def _sums(amounts: list[Amount] | list[Group]) -> tuple[int, int, int]:
    return (
        sum(one.was_fen for one in amounts),
        sum(one.would_be_fen for one in amounts),
        sum(one.difference_fen for one in amounts),
    )
