"""Whatever the payment provider does, the buyer is paid once (`faults.md` row 25). Server and provider are real."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from standardwebhooks import Webhook

from services.kernel.actor import Actor
from services.refunds.cashier import ASK_AFTER
from services.sandbox import Move, SandboxServer, SandboxSettings, start
from tests.shop import FINANCE, NOON, PAID_FEN, Process, Shop, check_books, provider

PAYOUT = "TB1-1:refund:F1"
REQUESTED, SUCCEEDED, FAILED, UNKNOWN = (f"payout.{what}" for what in ("requested", "succeeded", "failed", "unknown"))


@asynccontextmanager
async def paying(
    folder: Path, *outcomes: Move, timeout_seconds: float = 5, **sandbox_settings: Any
) -> AsyncIterator[tuple[Shop, SandboxServer]]:
    """A shop whose payouts go to a provider with this script."""
    sandbox = await start(SandboxSettings(outcomes=outcomes, callback_delay_seconds=0.01, **sandbox_settings))
    shop = Shop(folder, **provider(sandbox, timeout_seconds))
    try:
        await shop.start()
        sandbox.callbacks.url = f"{shop.base_url}/v1/gateway/callbacks"
        yield shop, sandbox
    finally:
        await shop.close()
        await sandbox.close()


async def quiet(shop: Shop, sandbox: SandboxServer) -> None:
    await shop.server.settle()
    await sandbox.callbacks.quiet()
    await shop.server.settle()


async def payouts(shop: Shop, stream: str = "TB1") -> list[str]:
    """What happened to the payouts of an order."""
    return [type_ for type_ in await shop.events("refunds", stream) if type_.startswith("payout.")]


def paid(sandbox: SandboxServer) -> list[tuple[str, int]]:
    """What left the provider's account."""
    return [(payment.reference, payment.amount_fen) for payment in sandbox.account.paid]


ONCE = [(PAYOUT, PAID_FEN)]


@pytest.mark.parametrize(
    ("move", "at_once", "after_asking"),
    [
        ("ok", [REQUESTED, SUCCEEDED], [REQUESTED, SUCCEEDED]),
        ("fail", [REQUESTED, FAILED], [REQUESTED, FAILED]),
        ("timeout", [REQUESTED, UNKNOWN], [REQUESTED, UNKNOWN]),
        ("timeout_paid", [REQUESTED, UNKNOWN], [REQUESTED, UNKNOWN, SUCCEEDED]),
        ("timeout_unpaid", [REQUESTED, UNKNOWN], [REQUESTED, UNKNOWN, FAILED]),
        ("late", [REQUESTED, SUCCEEDED], [REQUESTED, SUCCEEDED]),
        ("duplicate_callback", [REQUESTED, SUCCEEDED], [REQUESTED, SUCCEEDED]),
        ("lie", [REQUESTED, FAILED, SUCCEEDED], [REQUESTED, FAILED, SUCCEEDED]),
        ("error", [REQUESTED, UNKNOWN], [REQUESTED, UNKNOWN, FAILED]),
    ],
)
async def test_every_behaviour_ends_in_one_payout(
    tmp_path: Path, move: Move, at_once: list[str], after_asking: list[str]
) -> None:
    """Paid, failed, silent, late, repeated or lying: the truth is found, and after a retry the buyer has it once."""
    async with paying(tmp_path, move) as (shop, sandbox):
        case_id = await shop.refund("TB1")
        await quiet(shop, sandbox)
        assert await payouts(shop) == at_once
        await shop.pass_time(ASK_AFTER.total_seconds() + 1)
        await quiet(shop, sandbox)
        assert await payouts(shop) == after_asking
        if after_asking[-1] == UNKNOWN:
            body = {"payout": PAYOUT, "status": "failed"}
            await shop.must("POST", f"/v1/cases/{case_id}/confirm-payout", body, by=FINANCE)
        if after_asking[-1] != SUCCEEDED:
            await shop.must("POST", f"/v1/cases/{case_id}/retry-payout", {"payout": PAYOUT}, by=FINANCE)
        await quiet(shop, sandbox)
        await shop.server.redeliver()
        await shop.pass_time(600)
        await quiet(shop, sandbox)
        assert (await payouts(shop))[-1] == SUCCEEDED
        assert (await payouts(shop)).count(SUCCEEDED) == 1
        assert paid(sandbox) == ONCE
        assert (await shop.events("refunds", "TB1")).count("refund.settled") == 1
        await check_books(shop.server)


async def test_late_without_callback_is_asked_for(tmp_path: Path) -> None:
    """Where the provider's report never arrives, asking finds the payment."""
    async with paying(tmp_path, "late") as (shop, sandbox):
        sandbox.callbacks.url = None
        await shop.refund("TB1")
        await quiet(shop, sandbox)
        assert await payouts(shop) == [REQUESTED]
        await shop.pass_time(5)
        assert await payouts(shop) == [REQUESTED], "too early to ask"
        await shop.pass_time(ASK_AFTER.total_seconds())
        assert await payouts(shop) == [REQUESTED, SUCCEEDED]
        assert paid(sandbox) == ONCE


async def test_provider_down_then_up(tmp_path: Path) -> None:
    """An attempt that never reached the provider is handed over again as the same attempt when it is back."""
    sandbox = await start(SandboxSettings())
    port = int(sandbox.base_url.rpartition(":")[2])
    await sandbox.close()
    shop = await Shop(tmp_path, **provider(sandbox)).start()
    await shop.refund("TB1")
    await shop.server.settle()
    for _ in range(3):
        await shop.pass_time(60)
    assert await payouts(shop) == [REQUESTED, UNKNOWN]
    back = await start(sandbox.settings, port=port)
    await shop.pass_time(60)
    assert await payouts(shop) == [REQUESTED, UNKNOWN, SUCCEEDED]
    assert [(one.attempt, one.reference) for one in back.account.paid] == [(1, PAYOUT)]
    await shop.close()
    await back.close()


async def test_what_a_person_decided_is_not_paid_again(tmp_path: Path) -> None:
    """A payout that finance settled by hand, while the machine was about to hand it over again, stays settled."""
    sandbox = await start(SandboxSettings())
    port = int(sandbox.base_url.rpartition(":")[2])
    await sandbox.close()
    shop = await Shop(tmp_path, **provider(sandbox)).start()
    case_id = await shop.refund("TB1")
    await shop.server.settle()
    back = await start(sandbox.settings, port=port)
    body = {"payout": PAYOUT, "status": "succeeded", "channel_ref": "BANK-1"}
    await shop.must("POST", f"/v1/cases/{case_id}/confirm-payout", body, by=FINANCE)
    cashier: Any = shop.server._running["refunds"]
    await cashier._cashier._ask("TB1", PAYOUT, 1)  # as a round that had read the payout before
    assert paid(back) == []
    assert await payouts(shop) == [REQUESTED, UNKNOWN, SUCCEEDED]
    await shop.close()
    await back.close()


async def test_hopeless_payouts_hold_up_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many payouts stay unknown for ever, the ones after them are asked about in the same round."""
    monkeypatch.setattr("services.refunds.cashier.ASKED_AT_ONCE", 2)
    moves: list[Move] = ["timeout", "timeout", "timeout", "timeout", "timeout", "timeout_paid", "timeout_paid"]
    async with paying(tmp_path, *moves) as (shop, sandbox):
        for n in range(7):
            await shop.refund(f"TB{n}")
            await shop.pass_time(1)
        await shop.pass_time(60)
        assert [(await payouts(shop, f"TB{n}"))[-1] for n in range(7)] == [UNKNOWN] * 5 + [SUCCEEDED] * 2
        assert len(paid(sandbox)) == 2


async def test_many_orders_are_paid_side_by_side(tmp_path: Path) -> None:
    """Orders do not wait for each other at the provider, and each is paid once, whatever is delivered again."""
    async with paying(tmp_path) as (shop, sandbox):
        await asyncio.gather(*(shop.refund(f"TB{n}") for n in range(30)))
        await shop.server.redeliver()
        assert sorted(paid(sandbox)) == sorted((f"TB{n}-1:refund:F1", PAID_FEN) for n in range(30))
        await check_books(shop.server)


def callback(sandbox: SandboxServer, secret: str = "", **changes: Any) -> tuple[bytes, dict[str, str]]:
    """A message of the provider, signed; with another secret it is forged."""
    fields = {"reference": PAYOUT, "attempt": 1, "status": "succeeded", "amount_fen": PAID_FEN}
    body = json.dumps({**fields, "event_id": "evt_1", "channel_ref": "SBX1", "reason": "", **changes})
    now = datetime.now(UTC)
    signature = Webhook(secret or sandbox.settings.secret).sign("evt_1", now, body)
    return body.encode(), {
        "content-type": "application/json",
        "webhook-id": "evt_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }


async def post(shop: Shop, message: tuple[bytes, dict[str, str]]) -> int:
    body, headers = message
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{shop.base_url}/v1/gateway/callbacks", data=body, headers=headers) as answer,
    ):
        return answer.status


FORGED = "whsec_" + b64encode(b"somebody else's secret").decode()


@pytest.mark.parametrize(
    ("make", "status"),
    [
        (lambda sandbox: callback(sandbox, FORGED), 401),
        (lambda sandbox: (callback(sandbox)[0] + b" ", callback(sandbox)[1]), 401),
        (lambda sandbox: (callback(sandbox)[0], {"content-type": "application/json"}), 401),
        (lambda sandbox: callback(sandbox, amount_fen=PAID_FEN + 1), 404),
        (lambda sandbox: callback(sandbox, reference="TB1-1:refund:F2"), 404),
        (lambda sandbox: callback(sandbox, reference="TB9-1:refund:F1"), 404),
        (lambda sandbox: callback(sandbox, reference="nonsense"), 404),
        (lambda sandbox: callback(sandbox, channel_ref=""), 422),
        (lambda sandbox: callback(sandbox, status="paid"), 422),
    ],
    ids=["forged", "altered", "unsigned", "other-amount", "unknown", "unknown-order", "nonsense", "no-ref", "status"],
)
async def test_callback_that_is_not_believed(
    tmp_path: Path, make: Callable[[SandboxServer], tuple[bytes, dict[str, str]]], status: int
) -> None:
    """A forged or altered message, another amount or an unknown payout changes nothing."""
    async with paying(tmp_path, "timeout") as (shop, sandbox):
        await shop.refund("TB1")
        await quiet(shop, sandbox)
        assert await post(shop, make(sandbox)) == status
        assert await payouts(shop) == [REQUESTED, UNKNOWN]


async def test_callback_twice(tmp_path: Path) -> None:
    """A report that is repeated is taken each time, so that the provider stops, and has one effect."""
    async with paying(tmp_path, "timeout") as (shop, sandbox):
        await shop.refund("TB1")
        await quiet(shop, sandbox)
        assert [await post(shop, callback(sandbox)) for _ in range(3)] == [200, 200, 200]
        assert await payouts(shop) == [REQUESTED, UNKNOWN, SUCCEEDED]


async def test_callback_before_the_answer(tmp_path: Path) -> None:
    """A report that overtakes the answer to the order it reports on counts, and the answer adds nothing."""
    async with paying(tmp_path, "timeout_paid", hang_seconds=0.5) as (shop, sandbox):
        await shop.refund("TB1")
        async with asyncio.timeout(10):
            while not sandbox.account.paid:  # noqa: ASYNC110 - the provider tells nobody
                await asyncio.sleep(0.01)
        assert await post(shop, callback(sandbox)) == 200
        assert await payouts(shop) == [REQUESTED, SUCCEEDED]
        await quiet(shop, sandbox)
        assert await payouts(shop) == [REQUESTED, SUCCEEDED]
        assert paid(sandbox) == ONCE


async def test_stopped_between_paying_and_noting(tmp_path: Path) -> None:
    """Stopped while the provider has paid but not answered, the next start learns of it: one payout."""
    async with paying(tmp_path, "timeout_paid", hang_seconds=20, timeout_seconds=60) as (shop, sandbox):
        await shop.refund("TB1")
        async with asyncio.timeout(10):
            while not sandbox.account.paid:  # noqa: ASYNC110 - the provider tells nobody
                await asyncio.sleep(0.01)
        await shop.restart()
        await shop.server.settle()
        assert await payouts(shop) == [REQUESTED, SUCCEEDED]
        assert paid(sandbox) == ONCE


async def test_killed_between_paying_and_noting(tmp_path: Path) -> None:
    """A real process killed while the provider has paid but not answered: the next one learns of it, one payout."""
    sandbox = await start(SandboxSettings(outcomes=("timeout_paid",), hang_seconds=20))
    settings = provider(sandbox, timeout_seconds=60)
    process = await Process.start(tmp_path, **settings)
    shop = Shop(tmp_path, **settings)  # for its tokens; they are checked by the wall clock there
    shop.clock.set(datetime.now(UTC))
    shop.base_url = process.base_url
    await shop.refund("TB1")
    async with asyncio.timeout(10):
        while not sandbox.account.paid:  # noqa: ASYNC110 - the provider tells nobody
            await asyncio.sleep(0.01)
    await process.kill()
    await shop.start()
    await shop.server.settle()
    assert await payouts(shop) == [REQUESTED, SUCCEEDED]
    assert paid(sandbox) == ONCE
    await check_books(shop.server)
    await shop.close()
    await sandbox.close()


async def test_paying_by_hand(tmp_path: Path) -> None:
    """Without a provider payouts stand on finance's worklist until a person says what became of them."""
    shop = await Shop(tmp_path).start()
    case_id = await shop.refund("TB1")
    await shop.server.settle()
    worklist = await shop.must("GET", "/v1/payouts?status=requested&wait=true", by=FINANCE)
    assert [(row["payout"], row["amount_fen"], row["attempt"]) for row in worklist["items"]] == [(PAYOUT, PAID_FEN, 1)]
    await shop.pass_time(3_600)
    assert await payouts(shop) == [REQUESTED], "nobody but finance knows"
    body = {"payout": PAYOUT, "status": "succeeded", "channel_ref": "BANK-1"}
    status, _ = await shop.call("POST", f"/v1/cases/{case_id}/confirm-payout", body, by=Actor("agent", "小李"))
    assert status == 403
    await shop.must("POST", f"/v1/cases/{case_id}/confirm-payout", body, by=FINANCE)
    assert (await shop.must("GET", "/v1/payouts?status=requested&wait=true"))["items"] == []
    [row] = (await shop.must("GET", "/v1/payouts?status=succeeded&wait=true"))["items"]
    assert (row["channel_ref"], datetime.fromisoformat(row["requested_at"])) == ("BANK-1", NOON)
    assert await payouts(shop) == [REQUESTED, SUCCEEDED]
    assert await post(shop, (b"{}", {"content-type": "application/json"})) == 404, (
        "there is no provider that could call"
    )
    await shop.close()
