"""The provider is asked about payouts that are open for long."""

from datetime import timedelta

import pytest

from services.doctor.payouts import OPEN_LONG
from services.refunds.cashier import ASK_AFTER
from services.sandbox import Move, SandboxSettings, start
from tests.doctor.damage import Books
from tests.shop import NOON, PAID_FEN, Shop, provider

LONG_AFTER = NOON + OPEN_LONG + ASK_AFTER


@pytest.mark.parametrize(
    ("move", "said", "mend"),
    [
        ("timeout_paid", "succeeded", "aftersales all refunds"),
        ("timeout_unpaid", "failed", "aftersales all refunds"),
        ("timeout", "unknown", "POST /v1/cases/TB1-1/confirm-payout"),
    ],
)
async def test_a_payout_that_only_the_provider_knows_the_end_of(
    books: Books, tmp_path_factory: pytest.TempPathFactory, move: Move, said: str, mend: str
) -> None:
    """Open for long, the provider is asked: what it knows is told, and so is that nobody knows; not before."""
    sandbox = await start(SandboxSettings(outcomes=(move,)))
    sandbox.callbacks.url = None
    books.folder = tmp_path_factory.mktemp("paying")
    shop = await Shop(books.folder, **provider(sandbox)).start()
    try:
        await shop.refund("TB1")
        await shop.server.settle()
        await shop.stop()
        assert (await books.examined("payouts", **provider(sandbox))).sound, "it may still be on its way"
        [finding] = (await books.examined("payouts", now=LONG_AFTER, **provider(sandbox))).findings
        assert finding.where == "TB1-1:refund:F1"
        assert said in (finding.expected if said != "unknown" else finding.found)
        assert finding.mend == mend
        assert (await books.examined("payouts", now=LONG_AFTER)).sound, "by hand, it is on finance's list"
    finally:
        await shop.close()
        await sandbox.close()
    assert len(sandbox.account.paid) == (said == "succeeded"), PAID_FEN


async def test_a_shop_at_work_gives_no_finding(books: Books, tmp_path_factory: pytest.TempPathFactory) -> None:
    """While refunds are under way in all services, what is merely on its way is never told."""
    books.folder = tmp_path_factory.mktemp("busy")
    shop = await Shop(books.folder).start()
    try:
        for number in range(30):
            await shop.refund(f"TB{number}")
            if number % 3 == 0:
                report = await books.examined(now=NOON + timedelta(seconds=number))
                assert report.sound, report.findings
        await shop.server.settle()
        assert (await books.examined()).sound
    finally:
        await shop.close()
