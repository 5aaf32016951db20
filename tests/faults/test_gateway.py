"""Row 25 of `faults.md`: a payment provider that falls silent, pays late, says everything twice, and lies."""

from datetime import timedelta
from functools import partial
from pathlib import Path

from tests.faults import fold
from tests.faults.clock import set_clock
from tests.faults.patience import until
from tests.faults.plots import lost, no_installer, sent_back, sold
from tests.faults.stage import Stage

#: Those that have to be paid again come first: that takes somebody in finance a while.
MOVES = ("fail", "fail", "timeout_paid", "late", "duplicate_callback", "lie", "timeout_unpaid", "error")


async def test_provider_pays_each_payout_once_whatever_it_says(stage: Stage, tmp_path: Path) -> None:
    """However the provider answers, calls back or falls silent, every payout is paid at most once, and in the end the
    log and its books agree."""
    clock = tmp_path / "clock"
    set_clock(clock, timedelta())
    await stage.process("refunds-consume").stop()
    await stage.begin("refunds-consume", CLOCK="manual", CLOCK_FILE=str(clock))
    await stage.provider.behaves(*MOVES * 20)
    try:
        async with stage.load(plots=(lost, sent_back, no_installer, sold)) as load:
            await load.acknowledged(200)
            await until(partial(_has_happened, stage))
        await stage.provider.behaves()
        set_clock(clock, timedelta(minutes=1))  # now it is asked about what it never answered
        history = await stage.must_be_sound()
    finally:
        await stage.end("refunds-consume")
    assert any(len(payout.attempts) > 1 for payout in fold.payouts(history.logs["refunds"]).values())


async def _has_happened(stage: Stage) -> bool:
    """Whether payouts succeeded, failed, were in doubt, and were tried again."""
    types = await stage.rows("refunds", "SELECT DISTINCT type FROM events WHERE source = 'refunds'")
    again = await stage.rows("refunds", "SELECT FROM payout_view WHERE attempt > 1 LIMIT 1")
    return {"payout.unknown", "payout.failed", "payout.succeeded"} <= {row["type"] for row in types} and bool(again)
