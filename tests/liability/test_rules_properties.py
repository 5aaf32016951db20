"""What holds of losses whatever happens, and in whatever order (`domain.md` §5 Exactness)."""

from collections import defaultdict
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from contracts.event import Event
from contracts.events import cases as c
from contracts.events.liability import LossRecorded
from services.kernel.money import allocate
from services.liability.domain import LiabilityFile, Posting, postings
from tests.given import Story, compensated, opened
from tests.liability.facts import DOMAIN, LEAD, assessed, refunded, settled

CASES = ("TB1-1", "TB1-2")
PARTIES = ("production", "warehouse", "courier/YTO", "operations/小王", "none")
AMOUNTS = st.integers(min_value=1, max_value=99_999)
ENTRIES = st.one_of(
    st.builds(lambda case_id, fen: compensated(fen, case_id=case_id), st.sampled_from(CASES), AMOUNTS),
    st.builds(
        lambda case_id, fen: c.BuyerPaid(case_id=case_id, charge="B1", amount_fen=fen, payment_ref="ALI"),
        st.sampled_from(CASES),
        AMOUNTS,
    ),
    st.builds(
        lambda case_id, cost, own, other: settled(refunded(1, cost), case_id=case_id, TB1_1=own, TB1_2=other),
        st.sampled_from(CASES),
        AMOUNTS,
        AMOUNTS,
        AMOUNTS,
    ),
)


@st.composite
def assignments(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Whole shares of some parties, in any order."""
    parties = draw(st.lists(st.sampled_from(PARTIES), min_size=1, unique=True))
    cuts = draw(
        st.lists(
            st.integers(min_value=1, max_value=9_999),
            min_size=len(parties) - 1,
            max_size=len(parties) - 1,
            unique=True,
        )
    )
    edges = [0, *sorted(cuts), 10_000]
    return [{"party": party, "share_bp": edges[place + 1] - edges[place]} for place, party in enumerate(parties)]


DECISIONS = st.one_of(
    st.tuples(st.just("assess"), st.sampled_from(CASES), st.sampled_from(PARTIES)),
    st.tuples(st.just("assign"), st.sampled_from(CASES), assignments()),
)


def happen(told: Story[LiabilityFile], happening: Any) -> None:
    match happening:
        case ("assess", case_id, party):
            told.hear(assessed(party, case_id=case_id))
        case ("assign", case_id, given_shares):
            told.do("assign_liability", case_id, LEAD, shares=given_shares, reason="改判")
        case Event():
            told.hear(happening)


def charges(told: Story[LiabilityFile]) -> dict[str, dict[str, int]]:
    """What each party bears in each case; parties at 0 left out."""
    return {
        case_id: {party: fen for party, fen in case.charged.items() if fen} for case_id, case in told.file.cases.items()
    }


def played(happenings: list[Any]) -> Story[LiabilityFile]:
    told = Story(DOMAIN).given(*(opened(case_id) for case_id in CASES))
    for happening in happenings:
        happen(told, happening)
    return told


@given(st.lists(ENTRIES, max_size=8), st.lists(DECISIONS, max_size=4), st.data())
def test_charges_depend_on_net_and_shares_only(entries: list[Event], decisions: list[Any], data: st.DataObject) -> None:
    """Any interleaving of the same entries with the same decisions charges the same."""
    one_way = played([*entries, *decisions])
    shuffled = data.draw(st.permutations(entries))
    places = sorted(data.draw(st.integers(min_value=0, max_value=len(entries))) for _ in decisions)
    mixed: list[Any] = list(shuffled)
    for place, decision in reversed(list(zip(places, decisions, strict=True))):
        mixed.insert(place, decision)
    assert charges(played(mixed)) == charges(one_way)


@given(st.lists(st.one_of(ENTRIES, DECISIONS), max_size=12))
def test_nothing_is_lost_or_invented(happenings: list[Any]) -> None:
    """After every step parties and suspense are the net loss, parties bear their allocation, and the books balance."""
    told = Story(DOMAIN).given(*(opened(case_id) for case_id in CASES))
    for happening in happenings:
        happen(told, happening)
        for case in told.file.cases.values():
            assert sum(case.charged.values()) + case.suspense_fen == case.net_fen
            if case.shares:
                assert case.suspense_fen == 0
                parts = allocate(case.net_fen, [share.share_bp for share in case.shares])
                for share, part in zip(case.shares, parts, strict=True):
                    assert case.charged.get(share.party, 0) == part
            else:
                assert not case.charged
    assert told.replayed().cases == told.file.cases
    assert balances(told) == expected_balances(told)


def balances(told: Story[LiabilityFile]) -> dict[str, int]:
    """Balance of every account, debit less credit, from balanced postings."""
    sums: dict[str, int] = defaultdict(int)
    for fact in told.told:
        booked = postings(fact.event)
        assert sum(posting.debit_fen for posting in booked) == sum(posting.credit_fen for posting in booked)
        assert all(min(posting.debit_fen, posting.credit_fen) == 0 for posting in booked)
        for posting in booked:
            sums[posting.account] += posting.debit_fen - posting.credit_fen
    return {account: fen for account, fen in sums.items() if fen}


def expected_balances(told: Story[LiabilityFile]) -> dict[str, int]:
    sums: dict[str, int] = defaultdict(int)
    for case in told.file.cases.values():
        sums["suspense"] += case.suspense_fen
        for party, fen in case.charged.items():
            sums[f"party/{party}"] += fen
        for entry in case.entries:
            sums[f"source/{entry.entry}"] -= entry.amount_fen
    return {account: fen for account, fen in sums.items() if fen}


def test_postings() -> None:
    """Each event books both sides; a credit the other way round; a decision and another service's event nothing."""
    told = story_of_all_postings()
    booked = [posting for fact in told.told for posting in postings(fact.event)]
    assert booked == [
        Posting("suspense", 1_000, 0),
        Posting("source/cash", 0, 1_000),
        Posting("party/courier/YTO", 1_000, 0),
        Posting("suspense", 0, 1_000),
        Posting("source/buyer_payment", 200, 0),
        Posting("suspense", 0, 200),
        Posting("suspense", 200, 0),
        Posting("party/courier/YTO", 0, 200),
        Posting("bank", 800, 0),
        Posting("receivable/courier/YTO", 0, 800),
    ]
    assert postings(LossRecorded(case_id="TB1-1", entry="cash", amount_fen=5, cause_id="x"))[0].account == "suspense"


def story_of_all_postings() -> Story[LiabilityFile]:
    told = Story(DOMAIN).given(
        opened(),
        compensated(1_000),
        assessed("courier/YTO"),
        c.BuyerPaid(case_id="TB1-1", charge="B1", amount_fen=200, payment_ref="ALI"),
    )
    told.do("record_recovery", "TB1-1", party="courier/YTO", amount_fen=800, payment_ref="CLAIM")
    return told
