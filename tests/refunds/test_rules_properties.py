"""What holds of refunds whatever happens (`domain.md` §4)."""

from collections import defaultdict
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from contracts.events import refunds as r
from services.refunds.domain import RefundsFile
from services.refunds.gateway.protocol import Outcome
from tests.given import Story, came_back, compensated, line, opened
from tests.refunds.facts import PAYOUT, asked, authorised, insurance, says, story

CASES = ("TB1-1", "TB1-2")
KINDS = ("cash", "price_difference", "voucher", "good_review_reward")
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("pay"), st.sampled_from(CASES), st.sampled_from(KINDS), st.integers(min_value=1, max_value=900)
        ),
        st.tuples(st.just("refund"), st.sampled_from(CASES), st.integers(min_value=1, max_value=3)),
    ),
    max_size=20,
)


def events_of(told: Story[RefundsFile], type_: type[Any]) -> list[Any]:
    return [fact.event for fact in told.told if isinstance(fact.event, type_)]


@given(paid_fen=st.integers(min_value=0, max_value=3_000), quantity=st.integers(min_value=1, max_value=7), steps=STEPS)
def test_line_adds_up(paid_fen: int, quantity: int, steps: list[Any]) -> None:
    """Goods over any split are what was paid; refunds and deductions never exceed it; nothing is deducted twice."""
    told = story(line(quantity=quantity, paid_fen=paid_fen)).given(opened("TB1-2"))
    paid: dict[tuple[str, str], int] = {}
    allowed = left = 0
    left = quantity
    for number, step in enumerate(steps):
        match step:
            case ("pay", case_id, kind, amount_fen):
                deductible = kind in KINDS[:2]
                if deductible and allowed + amount_fen > paid_fen:
                    continue
                told.hear(compensated(amount_fen, kind, case_id, f"P{number}"))
                if deductible:
                    allowed += amount_fen
                    paid[case_id, f"P{number}"] = amount_fen
            case ("refund", case_id, units) if units <= left:
                left -= units
                told.hear(asked(f"F{number}", case_id, L1=units))
    if left:
        told.hear(asked("LAST", L1=left))
    refunds = events_of(told, r.RefundCalculated)
    assert sum(event.goods_fen for event in refunds) == paid_fen
    deducted: dict[tuple[str, str], int] = defaultdict(int)
    for event in refunds:
        total = event.compensation_deducted_fen + event.price_difference_deducted_fen
        assert event.goods_fen == event.refund_fen + total
        assert total == sum(part.amount_fen for part in event.deductions)
        for part in event.deductions:
            deducted[part.case_id, part.proposal] += part.amount_fen
    assert all(amount_fen <= paid[key] for key, amount_fen in deducted.items())
    assert sum(event.refund_fen for event in refunds) + sum(deducted.values()) == paid_fen
    assert told.file.accounts["L1"].undeducted_fen == sum(paid.values()) - sum(deducted.values())
    for case in told.file.cases.values():
        own = [event for event in refunds if event.case_id == case.case_id]
        assert case.settlement.net_fen == sum(event.refund_fen for event in own)
    replayed = told.replayed()
    assert (replayed.cases, replayed.payouts, replayed.accounts) == (
        told.file.cases,
        told.file.payouts,
        told.file.accounts,
    )


@given(
    freights=st.lists(st.tuples(st.integers(min_value=0, max_value=2_000), st.booleans()), min_size=1, max_size=5),
    result=st.one_of(st.none(), st.integers(min_value=0, max_value=5_000)),
    place=st.integers(min_value=0, max_value=5),
    insured=st.booleans(),
)
def test_insurance_offsets_freight_once(
    freights: list[tuple[int, bool]], result: int | None, place: int, insured: bool
) -> None:
    """Insurance deducts at most what was paid and what the merchant bears; if insured, just the less of both."""
    told = story(insured=insured)
    place = min(place, len(freights))
    for number, (freight_fen, merchant) in enumerate(freights):
        if number == place:
            told.hear(insurance(result))
        told.given(authorised(f"RT{number}"))
        told.hear(came_back(f"RT{number}", freight_fen=freight_fen, borne_by="merchant" if merchant else "buyer"))
    if place == len(freights):
        told.hear(insurance(result))
    settlement = told.file.cases["TB1-1"].settlement
    borne = sum(freight_fen for freight_fen, merchant in freights if merchant)
    assert not settlement.freight_pending
    assert settlement.freight_advanced_fen == sum(freight_fen for freight_fen, _ in freights)
    assert settlement.freight_reimbursed_fen + settlement.insurance_deducted_fen == borne
    assert settlement.insurance_deducted_fen <= min(result or 0, borne)
    if insured:
        assert settlement.insurance_deducted_fen == min(result or 0, borne)


OUTCOMES = st.sampled_from(
    [Outcome("succeeded", "CH-1"), Outcome("failed", reason="refused"), Outcome("unknown", reason="timed_out")]
)


@given(st.lists(st.one_of(st.tuples(OUTCOMES, st.integers(min_value=1, max_value=4)), st.just("retry")), max_size=20))
def test_paid_once(happenings: list[Any]) -> None:
    """However the gateway's words are repeated, mixed up or retried, a refund is paid and settled at most once."""
    told = story().given(asked())
    for happening in happenings:
        if happening == "retry":
            if told.file.payouts[PAYOUT].status == "failed":
                told.do("retry_payout", "TB1-1", payout=PAYOUT)
            continue
        outcome, attempt = happening
        says(told, outcome, attempt)
    paid = events_of(told, r.PayoutSucceeded)
    assert len(paid) <= 1
    assert len(events_of(told, r.RefundSettled)) == len(paid)
    attempts = [event.attempt for event in events_of(told, r.PayoutRequested)]
    assert attempts == list(range(1, len(attempts) + 1))
