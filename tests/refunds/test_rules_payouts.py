"""How a payout fares: what people confirm and retry, and what the gateway says (`domain.md` §4, `faults.md` 25)."""

from collections.abc import Sequence

import pytest

from contracts.event import Event
from contracts.events import refunds as r
from services.kernel.refusal import Refusal
from services.refunds.domain import RefundsFile
from services.refunds.gateway.protocol import Outcome
from tests.given import Story, opened
from tests.refunds.facts import DOMAIN, PAYOUT, asked, failed, requested, says, story, succeeded

AMOUNT = 129_900
SUCCEEDED = Outcome("succeeded", channel_ref="CH-1")
FAILED = Outcome("failed", reason="refused")
UNKNOWN = Outcome("unknown", reason="timed_out")
DOUBT = r.PayoutUnknown(case_id="TB1-1", payout=PAYOUT, kind="refund", item="F1", amount_fen=AMOUNT, reason="timed_out")


@pytest.fixture
def told() -> Story[RefundsFile]:
    """A refund whose payout is requested."""
    return story().given(opened("TB1-2"), asked())


def confirm(told: Story[RefundsFile], status: str, channel_ref: str = "CH-1") -> Sequence[Event]:
    return told.do("confirm_payout", "TB1-1", payout=PAYOUT, status=status, channel_ref=channel_ref)


def settled(told: Story[RefundsFile]) -> r.RefundSettled:
    calculated = told.file.cases["TB1-1"].refunds["F1"].calculated
    assert calculated is not None
    return r.RefundSettled(case_id="TB1-1", refund="F1", refund_fen=AMOUNT, lines=calculated.lines, deductions=())


def test_gateway_paid(told: Story[RefundsFile]) -> None:
    """A success is recorded and settles the refund; said again it changes nothing."""
    assert says(told, SUCCEEDED) == [succeeded("refund", "F1", AMOUNT), settled(told)]
    assert says(told, SUCCEEDED) == []
    assert says(told, FAILED) == []
    assert says(told, UNKNOWN) == []


def test_pending_changes_nothing(told: Story[RefundsFile]) -> None:
    """A payout that somebody is at work on stays requested."""
    assert says(told, Outcome("pending", reason="awaits_person")) == []
    assert told.file.payouts[PAYOUT].status == "requested"


def test_time_out_is_unknown(told: Story[RefundsFile]) -> None:
    """A time-out is unknown, never failed: it is noted once and cannot be retried until somebody knows."""
    assert says(told, UNKNOWN) == [DOUBT]
    assert says(told, UNKNOWN) == []
    assert told.refusal("retry_payout", "TB1-1", payout=PAYOUT) == "payout_not_failed"
    assert says(told, SUCCEEDED) == [succeeded("refund", "F1", AMOUNT), settled(told)]


def test_unknown_may_turn_out_failed(told: Story[RefundsFile]) -> None:
    """The truth about an unknown payout may be that it failed."""
    says(told, UNKNOWN)
    assert says(told, FAILED) == [failed("refund", "F1", AMOUNT)]
    assert says(told, FAILED) == []
    assert says(told, UNKNOWN) == []


def test_late_success_after_failure(told: Story[RefundsFile]) -> None:
    """A success after a failure is the truth, once: the reference is paid."""
    says(told, FAILED)
    assert says(told, SUCCEEDED) == [succeeded("refund", "F1", AMOUNT), settled(told)]
    assert told.refusal("retry_payout", "TB1-1", payout=PAYOUT) == "payout_not_failed"


def test_retry(told: Story[RefundsFile]) -> None:
    """A retry is one more attempt under the same id, so that it can never pay twice."""
    says(told, FAILED)
    assert told.do("retry_payout", "TB1-1", payout=PAYOUT) == [requested("refund", "F1", AMOUNT, attempt=2)]
    payout = told.file.payouts[PAYOUT]
    assert (payout.status, payout.attempt, payout.reason) == ("requested", 2, "")
    assert payout.requested_at < payout.updated_at == told.now
    assert told.refusal("retry_payout", "TB1-1", payout=PAYOUT) == "payout_not_failed"


def test_old_attempt_does_not_touch_the_new_one(told: Story[RefundsFile]) -> None:
    """A late failure or doubt of an old attempt leaves the newer one alone; the newer one's own counts."""
    says(told, FAILED)
    told.do("retry_payout", "TB1-1", payout=PAYOUT)
    assert says(told, FAILED, attempt=1) == []
    assert says(told, UNKNOWN, attempt=1) == []
    assert says(told, FAILED, attempt=2) == [failed("refund", "F1", AMOUNT, attempt=2)]


def test_late_success_of_an_old_attempt(told: Story[RefundsFile]) -> None:
    """The old attempt that succeeded after all pays the reference; the newer one's answers change nothing."""
    says(told, FAILED)
    told.do("retry_payout", "TB1-1", payout=PAYOUT)
    assert says(told, SUCCEEDED, attempt=1) == [succeeded("refund", "F1", AMOUNT, attempt=1), settled(told)]
    assert says(told, SUCCEEDED, attempt=2) == []
    assert says(told, FAILED, attempt=2) == []


def test_attempt_that_was_never_made(told: Story[RefundsFile]) -> None:
    """A word about an attempt that nobody made is no news."""
    assert says(told, SUCCEEDED, attempt=7) == []
    assert says(told, FAILED, attempt=7) == []


def test_outcome_of_nothing(told: Story[RefundsFile]) -> None:
    """A word about a payout that was never requested is refused."""
    with pytest.raises(Refusal, match="unknown_item"):
        told.decide(
            lambda file, context: DOMAIN.record_outcome(file, "TB1-1:refund:F9", 1, SUCCEEDED, context), "TB1-1"
        )


def test_person_confirms_success(told: Story[RefundsFile]) -> None:
    """Finance may say that it was paid, from requested and from unknown; then it is paid for good."""
    says(told, UNKNOWN)
    assert confirm(told, "succeeded") == [succeeded("refund", "F1", AMOUNT), settled(told)]
    for status in ("succeeded", "failed"):
        assert (
            told.refusal("confirm_payout", "TB1-1", payout=PAYOUT, status=status, channel_ref="CH-2") == "already_paid"
        )


def test_person_confirms_failure(told: Story[RefundsFile]) -> None:
    """Finance may say that it failed, once, and then have it tried again."""
    assert confirm(told, "failed") == [failed("refund", "F1", AMOUNT, "confirmed_failed")]
    assert told.refusal("confirm_payout", "TB1-1", payout=PAYOUT, status="failed") == "invalid_transition"
    assert told.do("retry_payout", "TB1-1", payout=PAYOUT) == [requested("refund", "F1", AMOUNT, attempt=2)]


def test_person_corrects_a_lie(told: Story[RefundsFile]) -> None:
    """A payout that the gateway called failed may be confirmed as paid."""
    says(told, FAILED)
    assert confirm(told, "succeeded") == [succeeded("refund", "F1", AMOUNT), settled(told)]


@pytest.mark.parametrize(
    ("body", "by", "code"),
    [
        ({"payout": "TB1-1:refund:F9", "status": "nonsense"}, "finance/老钱", "unknown_item"),
        ({"payout": PAYOUT, "status": "maybe"}, "finance/老钱", "invalid"),
        ({"payout": PAYOUT, "status": "succeeded"}, "finance/老钱", "invalid"),
        ({"payout": PAYOUT, "status": "succeeded", "channel_ref": "  "}, "finance/老钱", "invalid"),
        ({"payout": PAYOUT, "status": "succeeded", "channel_ref": "CH\0"}, "finance/老钱", "invalid"),
        ({"payout": PAYOUT, "status": "failed", "other": 1}, "finance/老钱", "invalid"),
        ({"status": "failed"}, "finance/老钱", "invalid"),
        ({"payout": PAYOUT, "status": "succeeded"}, "agent/小李", "invalid"),
        ({"payout": PAYOUT, "status": "failed"}, "agent/小李", "forbidden"),
        ({"payout": PAYOUT, "status": "failed"}, "store_manager/老总", "forbidden"),
        ({"payout": PAYOUT, "status": "failed"}, "warehouse/西仓", "forbidden"),
    ],
)
def test_confirm_refused(told: Story[RefundsFile], body: dict[str, object], by: str, code: str) -> None:
    """What is wrong with a confirmation is refused in the order of §3."""
    assert told.refusal("confirm_payout", "TB1-1", by, **body) == code


def test_gateway_system_may_confirm(told: Story[RefundsFile]) -> None:
    """Another system may confirm a payout, but retrying is finance's."""
    told.do("confirm_payout", "TB1-1", "service/gateway", payout=PAYOUT, status="failed")
    for by in ("service/gateway", "team_lead/老陈"):
        assert told.refusal("retry_payout", "TB1-1", by, payout=PAYOUT) == "forbidden"


def test_payout_of_another_case(told: Story[RefundsFile]) -> None:
    """A payout is known in its own case only, and a case that nobody opened is unknown."""
    assert told.refusal("retry_payout", "TB1-2", payout=PAYOUT) == "unknown_item"
    assert told.refusal("retry_payout", "TB1-9", payout=PAYOUT) == "unknown_case"
