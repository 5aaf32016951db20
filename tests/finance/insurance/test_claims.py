"""What becomes of a claim, by what cases and refunds tell, in whatever order they are heard."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import chain

import pytest

from contracts.event import Event
from contracts.events import cases as c
from contracts.events import refunds as r
from contracts.events.orders import FreightInsurance, Order, OrderRecorded
from services.finance.domain.insurance import NOT_DEDUCTED, PAID_TWICE, Claim, Insurance
from tests.given import START, Told

CASE = "TB1-1"
POLICY = FreightInsurance(payer="merchant", cover_fen=2_500)
INSURED = OrderRecorded(
    order=Order(order_id="TB1", channel="taobao", buyer_id="b", ordered_at=START, lines=(), freight_insurance=POLICY)
)
UNINSURED = OrderRecorded(order=Order(order_id="TB1", channel="taobao", buyer_id="b", ordered_at=START, lines=()))
FREIGHT = 1_500


def authorised(by: str = "merchant", return_id: str = "R1") -> Event:
    return c.ReturnAuthorised(case_id=CASE, return_id=return_id, lines=(), freight_borne_by=by)


def shipped(return_id: str = "R1") -> Event:
    return c.ReturnShipped(case_id=CASE, return_id=return_id, carrier="YTO", tracking_no="Y1", freight_fen=FREIGHT)


def received(by: str = "merchant", return_id: str = "R1", accepted: bool = True) -> Event:
    return c.ReturnReceived(
        case_id=CASE, return_id=return_id, accepted=accepted, lines=(), freight_fen=FREIGHT, freight_borne_by=by
    )


def paid(fen: int = 1_200) -> Event:
    return c.InsurancePaid(case_id=CASE, amount_fen=fen)


FAILED = c.InsuranceFailed(case_id=CASE)
CANCELLED = c.ReturnCancelled(case_id=CASE, return_id="R1", reason="")
LATE = r.ExceptionRaised(case_id=CASE, kind="insurance_late", amount_fen=1_200)
SECOND = r.ExceptionRaised(case_id=CASE, kind="insurance_second", amount_fen=0)


def decided(deducted: int, return_id: str = "R1") -> Event:
    """The shop asks for the rest of the freight to be paid."""
    return r.PayoutRequested(
        case_id=CASE, payout="P", kind="freight_reimbursement", item=return_id, amount_fen=FREIGHT - deducted
    )


def reimbursed(deducted: int, return_id: str = "R1") -> Event:
    return r.ReturnFreightReimbursed(
        case_id=CASE,
        return_id=return_id,
        freight_advanced_fen=FREIGHT,
        insurance_deducted_fen=deducted,
        amount_fen=FREIGHT - deducted,
    )


def _folded(events: Sequence[Event]) -> Insurance:
    file = Insurance()
    for number, event in enumerate(events, start=1):
        assert type(event) in Insurance.HEARS
        file.evolve(Told(event, START + timedelta(hours=number), "service/erp", f"E{number}", "cases"))
    return file


def claim(*events: Event) -> Claim:
    """The claim of the one case."""
    return _folded(events).claims[CASE]


RETURNED = (INSURED, authorised(), shipped(), received())


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ((INSURED, authorised()), "insured"),
        ((INSURED, authorised(), CANCELLED), "lapsed"),
        ((INSURED, authorised(), shipped()), "filed"),
        ((INSURED, authorised(), shipped(), received(accepted=False)), "filed"),
        ((*RETURNED, paid()), "paid"),
        ((*RETURNED, FAILED), "failed"),
        ((*RETURNED, decided(0), paid(), LATE), "paid_late"),
        ((*RETURNED, FAILED, paid(), SECOND), "paid_late"),
        ((*RETURNED, paid(), paid(), SECOND), "paid_twice"),
        ((*RETURNED, paid(), FAILED, SECOND), "paid"),
        ((UNINSURED, authorised(), paid()), "paid"),
    ],
)
def test_state_follows_from_what_happened(events: Sequence[Event], state: str) -> None:
    """An accountant sees how far a claim is, and which payments nobody counted with."""
    assert claim(*events).state == state


@pytest.mark.parametrize(
    "events",
    [(UNINSURED, authorised(), shipped()), (INSURED, authorised("buyer"), shipped()), (INSURED,)],
    ids=["not insured", "freight is the buyer's", "nothing comes back"],
)
def test_no_claim_where_none_can_be(events: Sequence[Event]) -> None:
    """The list holds what concerns the shop, and nothing else."""
    assert _folded(events).claims == {}


@pytest.mark.parametrize(
    ("events", "figures"),
    [
        # paid, freight, deducted, lost
        ((*RETURNED, paid()), (1_200, 1_500, 0, 0)),
        ((*RETURNED, paid(), decided(1_200)), (1_200, 1_500, 1_200, 0)),
        ((*RETURNED, paid(), decided(1_200), reimbursed(1_200)), (1_200, 1_500, 1_200, 0)),
        ((*RETURNED, paid(2_000), reimbursed(1_500)), (2_000, 1_500, 1_500, 0)),
        ((*RETURNED, FAILED, reimbursed(0)), (0, 1_500, 0, 0)),
        ((*RETURNED, decided(0), paid(), LATE), (1_200, 1_500, 0, 1_200)),
        ((*RETURNED, paid(), reimbursed(1_200), paid()), (2_400, 1_500, 1_200, 300)),
        ((INSURED, authorised("buyer"), shipped(), received("buyer"), paid()), (1_200, 0, 0, 0)),
    ],
    ids=["waits", "decided", "settled", "all of it", "failed", "late", "twice", "buyer's freight"],
)
def test_what_both_paid_is_lost(events: Sequence[Event], figures: tuple[int, int, int, int]) -> None:
    """What the insurer paid and the shop did not keep back is told to the fen, and nothing while it may be yet."""
    one = claim(*events)
    assert (one.paid_fen, one.freight_fen, one.deducted_fen, one.lost_fen) == figures


def test_late_payment_is_deducted_from_a_later_return() -> None:
    """A payment that came too late for one return is no loss as far as the next one takes it."""
    first = (*RETURNED, reimbursed(0), paid(), LATE)
    later = (authorised(return_id="R2"), shipped("R2"), received(return_id="R2"))
    assert claim(*first, *later).lost_fen == 0
    assert claim(*first, *later, reimbursed(1_200, "R2")).lost_fen == 0
    assert claim(*first, *later, reimbursed(1_000, "R2")).lost_fen == 200


@pytest.mark.parametrize(
    ("events", "kind", "expected", "found"),
    [
        ((*RETURNED, reimbursed(0), paid(), LATE), NOT_DEDUCTED, 1_200, 0),
        ((*RETURNED, FAILED, reimbursed(0), paid(), SECOND), NOT_DEDUCTED, 1_200, 0),
        ((*RETURNED, paid(), reimbursed(1_000)), NOT_DEDUCTED, 1_200, 1_000),
        ((*RETURNED, paid(), reimbursed(1_200), paid(300), SECOND), PAID_TWICE, 1_200, 1_500),
    ],
    ids=["late", "after a refusal", "wrongly", "twice"],
)
def test_difference_says_what_was_expected_and_found(
    events: Sequence[Event], kind: str, expected: int, found: int
) -> None:
    """Finance gets each claim that cost too much as one discrepancy, with the payments that it comes from."""
    difference = claim(*events).difference
    assert difference is not None
    assert (difference.kind, difference.expected_fen, difference.found_fen) == (kind, expected, found)
    payments = [f"E{number}" for number, event in enumerate(events, 1) if isinstance(event, c.InsurancePaid)]
    assert list(difference.events) == payments
    last = max(number for number, event in enumerate(events, 1) if isinstance(event, c.InsurancePaid))
    assert difference.time == START + timedelta(hours=last)


@pytest.mark.parametrize("state", ["paid", "failed", "waits"])
def test_claims_as_they_should_be_are_no_difference(state: str) -> None:
    """What was deducted, refused or is not decided troubles nobody."""
    ends = {"paid": (paid(), reimbursed(1_200)), "failed": (FAILED, reimbursed(0)), "waits": (paid(),)}
    assert claim(*RETURNED, *ends[state]).difference is None


def test_order_in_which_services_are_heard_changes_nothing() -> None:
    """Refunds may be heard before cases, or after: the claim is the same."""
    of_cases = (*RETURNED, paid(), paid(400))
    of_refunds = (decided(1_200), reimbursed(1_200), SECOND)
    orders = (chain(of_cases, of_refunds), chain(of_refunds, of_cases), chain(of_cases[:2], of_refunds, of_cases[2:]))
    told = []
    for events in orders:
        one = claim(*events)
        told.append((one.state, one.paid_fen, one.freight_fen, one.deducted_fen, one.lost_fen))
    assert told == [("paid_twice", 1_600, 1_500, 1_200, 300)] * 3
