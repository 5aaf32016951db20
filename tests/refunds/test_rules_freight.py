"""Return freight and the freight insurance (`domain.md` §4)."""

import pytest

from contracts.events import cases as c
from contracts.events import refunds as r
from tests.given import came_back, line, order
from tests.refunds.facts import authorised, collected, insurance, reimbursed, requested, story, succeeded, updated


def late(amount_fen: int) -> r.ExceptionRaised:
    return r.ExceptionRaised(case_id="TB1-1", kind="insurance_late", amount_fen=amount_fen)


def second(amount_fen: int) -> r.ExceptionRaised:
    return r.ExceptionRaised(case_id="TB1-1", kind="insurance_second", amount_fen=amount_fen)


def freight(item: str, amount_fen: int) -> r.PayoutRequested:
    return requested("freight_reimbursement", item, amount_fen)


def settled(advanced_fen: int, deducted_fen: int = 0) -> r.SettlementUpdated:
    """A settlement of freight alone."""
    return updated(
        freight_advanced_fen=advanced_fen,
        insurance_deducted_fen=deducted_fen,
        freight_reimbursed_fen=advanced_fen - deducted_fen,
        net_fen=advanced_fen - deducted_fen,
    )


def test_uninsured_does_not_wait() -> None:
    """Without insurance the freight is settled as soon as the return is accepted, refund or not."""
    told = story().given(authorised())
    assert told.hear(came_back(freight_fen=1_800)) == [freight("RT1", 1_800), settled(1_800)]
    assert told.do(
        "confirm_payout",
        "TB1-1",
        payout="TB1-1:freight_reimbursement:RT1",
        status="succeeded",
        channel_ref="CH-1",
    ) == [succeeded("freight_reimbursement", "RT1", 1_800), reimbursed(1_800)]


def test_insured_waits_for_the_claim() -> None:
    """An insured order's freight waits, visibly, until the insurer answered; then the payment is deducted."""
    told = story(insured=True).given(authorised())
    assert told.hear(came_back(freight_fen=1_500)) == [updated(freight_advanced_fen=1_500, freight_pending=True)]
    assert told.hear(insurance(1_200)) == [freight("RT1", 300), settled(1_500, 1_200)]


def test_only_a_payment_deducts() -> None:
    """A refused claim deducts nothing."""
    told = story(insured=True).given(authorised(), came_back(freight_fen=1_500))
    assert told.hear(insurance(None)) == [freight("RT1", 1_500), settled(1_500)]


@pytest.mark.parametrize("insured", [True, False])
def test_insurance_before_the_return(insured: bool) -> None:
    """A result that is there when freight is settled deducts, on an uninsured order as well."""
    told = story(insured=insured).given(authorised())
    assert told.hear(insurance(1_200)) == []
    assert told.hear(came_back(freight_fen=1_500)) == [freight("RT1", 300), settled(1_500, 1_200)]


@pytest.mark.parametrize("paid_fen", [1_500, 9_000])
def test_insurance_covers_all(paid_fen: int) -> None:
    """Where insurance covers the freight nothing is paid out and the freight is reimbursed at once; goods stay out."""
    told = story(insured=True).given(authorised(), came_back(freight_fen=1_500))
    assert told.hear(insurance(paid_fen)) == [reimbursed(1_500, 1_500), settled(1_500, 1_500)]
    assert told.file.payouts == {}


def test_one_claim_for_several_returns() -> None:
    """The case's one claim is used up by its returns, oldest first, one payout a return."""
    told = story(line(quantity=3), insured=True).given(
        authorised("RT1"),
        authorised("RT2"),
        came_back("RT1", freight_fen=1_000),
        came_back("RT2", freight_fen=1_500),
    )
    assert told.hear(insurance(1_200)) == [
        reimbursed(1_000, 1_000, "RT1"),
        freight("RT2", 1_300),
        settled(2_500, 1_200),
    ]
    told.given(authorised("RT3"))
    assert told.hear(came_back("RT3", freight_fen=700)) == [freight("RT3", 700), settled(3_200, 1_200)]


def test_claim_left_for_a_later_return() -> None:
    """What the first return did not need of the claim, the next one deducts."""
    told = story(insured=True).given(authorised("RT1"), insurance(1_200), came_back("RT1", freight_fen=1_000))
    told.given(authorised("RT2"))
    assert told.hear(came_back("RT2", freight_fen=1_000))[0] == freight("RT2", 800)


def test_buyer_bears_freight() -> None:
    """Freight that the buyer bears counts as advanced; it neither waits nor is it reimbursed or deducted from."""
    told = story(insured=True).given(authorised())
    assert told.hear(came_back(freight_fen=1_500, borne_by="buyer")) == [updated(freight_advanced_fen=1_500)]
    assert told.hear(insurance(1_200)) == []
    told.given(authorised("RT2"))
    assert told.hear(came_back("RT2", freight_fen=1_300))[0] == freight("RT2", 100)


def test_no_freight_never_waits() -> None:
    """Freight of 0 neither waits for insurance nor uses any of it."""
    told = story(insured=True).given(authorised())
    assert told.hear(came_back(freight_fen=0)) == []
    assert told.hear(insurance(1_200)) == []
    assert told.file.cases["TB1-1"].insurance_left_fen == 1_200


def test_a_single_fen_of_freight() -> None:
    """The least freight is reimbursed like any other."""
    assert story().given(authorised()).hear(came_back(freight_fen=1)) == [freight("RT1", 1), settled(1)]


def test_unaccepted_return_has_no_freight() -> None:
    """What came wrong or short settles no freight."""
    assert story().given(authorised()).hear(came_back(freight_fen=1_500, accepted=False)) == []


def test_late_insurance_is_an_exception() -> None:
    """Insurance paid after the freight was settled changes no settlement, but finance hears of it."""
    told = story().given(authorised(), came_back(freight_fen=1_500))
    assert told.hear(insurance(1_200)) == [late(1_200)]
    (raised,) = told.file.cases["TB1-1"].exceptions
    assert (raised.kind, raised.amount_fen, raised.raised_at) == ("insurance_late", 1_200, told.now)


def test_late_insurance_deducts_from_a_later_return() -> None:
    """Insurance that was late for one return is there when the next one's freight is settled."""
    told = story().given(authorised(), came_back(freight_fen=1_500), insurance(1_200), authorised("RT2"))
    assert told.hear(came_back("RT2", freight_fen=1_500)) == [freight("RT2", 300), settled(3_000, 1_200)]


@pytest.mark.parametrize("first", [1_000, None])
def test_second_result_is_an_exception(first: int | None) -> None:
    """There is one claim a case: a second payment deducts nothing, also where the first result was a refusal."""
    told = story(insured=True).given(authorised(), insurance(first))
    assert told.hear(insurance(500)) == [second(500)]
    (decision, _) = told.hear(came_back(freight_fen=2_000))
    assert decision == freight("RT1", 2_000 - (first or 0))


def test_second_refusal_is_none() -> None:
    """A repeated refusal is no money, so no exception."""
    assert story(insured=True).given(insurance(1_000)).hear(insurance(None)) == []


def test_new_snapshot_without_insurance() -> None:
    """Freight that waited is settled when a later snapshot says that the order was never insured."""
    told = story(insured=True).given(authorised(), came_back(freight_fen=1_500))
    assert told.hear(order()) == [freight("RT1", 1_500), settled(1_500)]


def test_freight_before_deposit() -> None:
    """When an exchange's old goods are accepted the freight is settled first, then the deposit."""
    told = story().given(collected(), authorised())
    assert told.hear(came_back(freight_fen=1_200)) == [
        freight("RT1", 1_200),
        requested("deposit_return", "D1", 10_000),
        settled(1_200),
    ]


def test_deposit_does_not_wait_with_freight() -> None:
    """Freight that waits for insurance holds no deposit up."""
    told = story(insured=True).given(collected(), authorised())
    assert told.hear(came_back(freight_fen=1_200)) == [
        requested("deposit_return", "D1", 10_000),
        updated(freight_advanced_fen=1_200, freight_pending=True),
    ]


def test_cases_are_kept_apart() -> None:
    """A claim belongs to its case: another case's freight is not set against it."""
    told = story(insured=True).given(
        c.CaseOpened(case_id="TB1-2", order_id="TB1", problem="return_request", lines=(), description="x"),
        authorised("RT1"),
        authorised("RT1", case_id="TB1-2"),
        insurance(1_200),
    )
    assert told.hear(came_back("RT1", freight_fen=900, case_id="TB1-2")) == [
        updated("TB1-2", freight_advanced_fen=900, freight_pending=True)
    ]
