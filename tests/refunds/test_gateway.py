"""Both ends of the payment gateway: what refunds makes of whatever a provider does (domain.md §4)."""

import json
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from standardwebhooks import Webhook

from services.refunds.gateway import (
    NOT_RECEIVED,
    CallbackRefused,
    Gateway,
    ManualGateway,
    Outcome,
    PayoutOrder,
    SandboxGateway,
    verify_callback,
)
from services.sandbox import Move, SandboxServer, SandboxSettings, start

ORDER = PayoutOrder("TB1008-1:refund:F1", 1, 9_900, "refund", "TB1008", None)
SECRET = "whsec_" + b64encode(b"a secret of the tests").decode()


@asynccontextmanager
async def sandbox(*outcomes: Move, **settings: Any) -> AsyncIterator[tuple[SandboxServer, SandboxGateway]]:
    """A real provider with a script, and a client connected to it."""
    server = await start(SandboxSettings(outcomes=outcomes, callback_delay_seconds=0, **settings))
    gateway = SandboxGateway(server.base_url, server.settings.secret, timeout_seconds=5)
    try:
        yield server, gateway
    finally:
        await gateway.close()
        await server.close()


@asynccontextmanager
async def foreign(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]], timeout_seconds: float = 5
) -> AsyncIterator[SandboxGateway]:
    """A client connected to a server that answers every request as it likes."""
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    gateway = SandboxGateway(f"http://127.0.0.1:{runner.addresses[0][1]}", SECRET, timeout_seconds=timeout_seconds)
    try:
        yield gateway
    finally:
        await gateway.close()
        await runner.cleanup()


def echo(**changes: Any) -> dict[str, Any]:
    """A well-formed answer about ORDER, with changes."""
    return {"reference": ORDER.reference, "attempt": 1, "amount_fen": 9_900, "status": "succeeded"} | changes


async def test_manual_waits_for_a_person() -> None:
    """By hand nothing is ever decided by the machine: paying and asking both wait for finance."""
    gateway: Gateway = ManualGateway()
    assert (await gateway.pay(ORDER)).status == "pending"
    assert (await gateway.ask(ORDER.reference, 1)).status == "pending"
    await gateway.close()


PAID = Outcome("succeeded", "SBX00000001")
DECLINED = Outcome("failed", reason="declined")
NO_ANSWER = Outcome("unknown", reason="no_answer")


@pytest.mark.parametrize(
    ("move", "at_once", "asked", "paid_fen"),
    [
        ("ok", PAID, PAID, 9_900),
        ("fail", DECLINED, DECLINED, 0),
        ("timeout", NO_ANSWER, Outcome("unknown"), 0),
        ("timeout_paid", NO_ANSWER, PAID, 9_900),
        ("timeout_unpaid", NO_ANSWER, DECLINED, 0),
        ("late", Outcome("pending"), PAID, 9_900),
        ("duplicate_callback", PAID, PAID, 9_900),
        ("lie", DECLINED, PAID, 9_900),
        ("error", Outcome("unknown", reason="http_500"), DECLINED, 0),
    ],
)
async def test_every_behaviour_is_read_right(move: Move, at_once: Outcome, asked: Outcome, paid_fen: int) -> None:
    """Each thing a provider can do gives the right outcome, at once and when asked; the right sum moves."""
    async with sandbox(move) as (server, gateway):
        assert await gateway.pay(ORDER) == at_once
        await server.callbacks.quiet()
        assert await gateway.ask(ORDER.reference, 1) == asked
        assert sum(payment.amount_fen for payment in server.account.paid) == paid_fen


async def test_a_plain_time_out_stays_unknown_however_often_it_is_asked() -> None:
    """Not to know is not to say no: only a person ends a plain time-out (domain.md §7)."""
    async with sandbox("timeout") as (_, gateway):
        await gateway.pay(ORDER)
        assert {(await gateway.ask(ORDER.reference, 1)).status for _ in range(5)} == {"unknown"}
        assert (await gateway.pay(ORDER)).status == "unknown"


async def test_a_real_hang_ends_at_the_time_out_as_unknown() -> None:
    """A provider that holds the line cannot hold the caller longer than its time-out."""
    async with sandbox("timeout_paid", hang_seconds=30) as (server, _):
        gateway = SandboxGateway(server.base_url, server.settings.secret, timeout_seconds=0.1)
        assert await gateway.pay(ORDER) == Outcome("unknown", reason="timed_out")
        assert await gateway.ask(ORDER.reference, 1) == PAID
        await gateway.close()


async def test_a_provider_that_is_down_is_unknown() -> None:
    """No connection is doubt like any other, for paying and for asking."""
    async with sandbox() as (server, gateway):
        await server.close()
        assert await gateway.pay(ORDER) == NO_ANSWER
        assert await gateway.ask(ORDER.reference, 1) == NO_ANSWER


async def test_an_attempt_that_never_arrived_is_told_apart() -> None:
    """The provider's word that it never saw an attempt is no failure, but a reason to act upon."""
    async with sandbox() as (_, gateway):
        assert await gateway.ask(ORDER.reference, 1) == Outcome("unknown", reason=NOT_RECEIVED)


async def test_a_wrong_secret_is_unknown() -> None:
    """A request that the provider does not take says nothing about the money."""
    async with sandbox() as (server, _):
        gateway = SandboxGateway(server.base_url, SECRET)
        assert await gateway.pay(ORDER) == Outcome("unknown", reason="bad_signature")
        assert server.account.paid == []
        await gateway.close()


async def test_a_reference_reused_for_another_amount_is_unknown() -> None:
    """The reference may be paid already, with the other amount: a conflict is never read as a failure."""
    async with sandbox() as (server, gateway):
        await gateway.pay(ORDER)
        other = PayoutOrder(ORDER.reference, 2, 5_000, "refund", "TB1008", None)
        assert await gateway.pay(other) == Outcome("unknown", reason="reference_reused")
        assert len(server.account.paid) == 1


async def test_a_reference_in_any_script_can_be_asked_about() -> None:
    """Order ids are the shop's own: slashes, spaces and Chinese in them reach the provider unharmed."""
    reference = "淘 宝/1?x#%2F-1:refund:F1"
    async with sandbox() as (_, gateway):
        await gateway.pay(PayoutOrder(reference, 1, 1, "refund", "淘宝 1", "R-1"))
        assert await gateway.ask(reference, 1) == PAID


@pytest.mark.parametrize(
    ("http_status", "body", "reason"),
    [
        (200, b"", "garbled_answer"),
        (200, b"<html>captive portal</html>", "garbled_answer"),
        (200, b'{"reference": "\xff"}', "garbled_answer"),
        (200, b"[" * 60_000, "garbled_answer"),
        (200, json.dumps(echo(channel_ref="X")).encode() + b" " * 100_000, "garbled_answer"),
        (200, echo(), "garbled_answer"),  # paid, but by no movement that could be named
        (200, echo(status="paid", channel_ref="X"), "garbled_answer"),
        (200, echo(status="failed", channel_ref="X"), "garbled_answer"),
        (200, echo(amount_fen=9900.0, channel_ref="X"), "garbled_answer"),
        (200, echo(amount_fen=99, channel_ref="X"), "wrong_amount"),
        (402, echo(amount_fen=99, status="failed"), "wrong_amount"),
        (200, echo(reference="other", channel_ref="X"), "wrong_echo"),
        (402, echo(attempt=2, status="failed"), "wrong_echo"),
        (402, echo(channel_ref="X"), "garbled_answer"),
        (402, b"no", "http_402"),
        (404, b"no such page", "http_404"),
        (302, b"", "http_302"),
        (204, b"", "http_204"),
        (500, echo(channel_ref="X"), "http_500"),
        (502, echo(status="failed"), "http_502"),
    ],
)
async def test_an_answer_that_cannot_be_believed_is_unknown(
    http_status: int, body: bytes | dict[str, Any], reason: str
) -> None:
    """Nothing is concluded from an answer that is garbled, contradicts itself or is about another payout."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=http_status, body=content, headers={"location": "/elsewhere"})

    async with foreign(answer) as gateway:
        assert await gateway.pay(ORDER) == Outcome("unknown", reason=reason)


async def test_an_answer_cut_short_is_unknown() -> None:
    """A connection that breaks in the middle of an answer leaves doubt, whatever was read until then."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-length": "500"})
        await response.prepare(request)
        await response.write(json.dumps(echo(channel_ref="X")).encode())
        assert request.transport is not None
        request.transport.close()
        return response

    async with foreign(answer) as gateway:
        assert await gateway.pay(ORDER) == NO_ANSWER


async def test_pay_sends_once() -> None:
    """The client never repeats a payment by itself: that is decided where it is recorded."""
    seen = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.method)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with foreign(answer) as gateway:
        assert await gateway.pay(ORDER) == NO_ANSWER
    assert seen == ["POST"]


def signed(body: bytes, *, secret: str = SECRET, age: timedelta = timedelta()) -> dict[str, str]:
    """The headers with which the provider would send `body`."""
    sent_at = datetime.now(UTC) - age
    return {
        "Webhook-Id": "evt_1",
        "Webhook-Timestamp": str(int(sent_at.timestamp())),
        "Webhook-Signature": Webhook(secret).sign("evt_1", sent_at, body.decode()),
    }


GENUINE = json.dumps(echo(channel_ref="SBX1", event_id="evt_1", novelty="ignored")).encode()


def test_a_genuine_callback_is_read() -> None:
    """A signed, fresh message becomes the outcome of its attempt, fields we do not know yet being ignored."""
    callback = verify_callback(signed(GENUINE), GENUINE, SECRET)
    assert (callback.reference, callback.attempt, callback.amount_fen) == (ORDER.reference, 1, 9_900)
    assert callback.outcome == Outcome("succeeded", "SBX1")


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, GENUINE),
        (signed(GENUINE), GENUINE.replace(b"9900", b"9901")),
        (signed(GENUINE) | {"Webhook-Id": "evt_2"}, GENUINE),
        (signed(GENUINE) | {"Webhook-Signature": "v1"}, GENUINE),
        (signed(GENUINE) | {"Webhook-Signature": "v1,%%%"}, GENUINE),
        (signed(GENUINE) | {"Webhook-Timestamp": "yesterday"}, GENUINE),
        (signed(GENUINE), b"\xff"),
        (signed(GENUINE, secret="whsec_" + b64encode(b"another").decode()), GENUINE),
        (signed(GENUINE, age=timedelta(minutes=6)), GENUINE),
        (signed(GENUINE, age=-timedelta(minutes=60)), GENUINE),
    ],
)
def test_a_callback_that_is_not_genuine_is_refused(headers: dict[str, str], body: bytes) -> None:
    """Unsigned, altered, replayed much later or signed by a stranger: nobody is believed about money."""
    with pytest.raises(CallbackRefused) as refused:
        verify_callback(headers, body, SECRET)
    assert refused.value.code == "signature"


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"[" * 60_000,
        json.dumps(echo(event_id="e")).encode(),
        json.dumps(echo(event_id="e", status="failed", channel_ref="X")).encode(),
        json.dumps(echo(event_id="e", status="pending")).encode(),
        json.dumps(echo(event_id="e", channel_ref="X", amount_fen=0)).encode(),
        json.dumps(echo(channel_ref="X")).encode(),
    ],
)
def test_a_genuine_callback_that_makes_no_sense_is_refused(body: bytes) -> None:
    """A signature does not make a message right: it needs a final result and the proof of it."""
    with pytest.raises(CallbackRefused) as refused:
        verify_callback(signed(body), body, SECRET)
    assert refused.value.code == "body"


@pytest.mark.parametrize("request_text", [f"POST /v1/payouts\n{GENUINE.decode()}", "GET /v1/payouts/x?attempt=1\n"])
def test_a_signed_request_is_no_callback(request_text: str) -> None:
    """One secret serves both directions, so a request's signature must not open the other door."""
    with pytest.raises(CallbackRefused):
        verify_callback(signed(request_text.encode()), GENUINE, SECRET)
