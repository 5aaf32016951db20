"""The provider of our own: its behaviours, its borders, and that it pays each reference at most once."""

import asyncio
import os
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, get_args

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from services.refunds.gateway import CallbackOutcome, Outcome, PayoutOrder, SandboxGateway, verify_callback
from services.sandbox import Account, Move, PayoutRequest, SandboxServer, SandboxSettings, start
from services.sandbox.ledger import ReferenceReused

MOVES: tuple[Move, ...] = get_args(Move)
ORDER = PayoutOrder("TB1-1:refund:F1", 1, 9_900, "refund", "TB1", None)
DECLINED = Outcome("failed", reason="declined")


def attempt(number: int, reference: str = ORDER.reference) -> PayoutOrder:
    """An attempt at paying `reference`."""
    return PayoutOrder(reference, number, ORDER.amount_fen, "refund", "TB1", None)


def request(number: int, reference: str = ORDER.reference) -> PayoutRequest:
    """The same, as the provider reads it."""
    return PayoutRequest(reference, number, ORDER.amount_fen, "refund", "TB1")


class Receiver:
    """Takes the provider's callbacks as refunds will; the first `deaf` ones are answered with 503."""

    def __init__(self, secret: str, deaf: int = 0) -> None:
        self.taken: list[CallbackOutcome] = []
        self._secret = secret
        self._deaf = deaf

    async def handle(self, call: web.Request) -> web.Response:
        if self._deaf:
            self._deaf -= 1
            return web.Response(status=503)
        self.taken.append(verify_callback(call.headers, await call.read(), self._secret))
        return web.Response(status=204)


@asynccontextmanager
async def provider(
    *outcomes: Move, deaf: int = 0, **more: Any
) -> AsyncIterator[tuple[SandboxServer, SandboxGateway, Receiver]]:
    """A provider with a script, a client of it, and somebody who takes its callbacks."""
    server = await start(SandboxSettings(outcomes=outcomes, **{"callback_delay_seconds": 0} | more))
    receiver = Receiver(server.settings.secret, deaf)
    app = web.Application()
    app.router.add_post("/callbacks", receiver.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.callbacks.url = f"http://127.0.0.1:{runner.addresses[0][1]}/callbacks"
    gateway = SandboxGateway(server.base_url, server.settings.secret)
    try:
        yield server, gateway, receiver
    finally:
        await gateway.close()
        await server.close()
        await runner.cleanup()


@pytest.mark.parametrize(("move", "times"), [("late", 1), ("duplicate_callback", 2), ("lie", 1), ("ok", 0)])
async def test_callbacks_tell_the_final_truth(move: Move, times: int) -> None:
    """Late, doubled or correcting a lie: a callback is genuine, tells the truth and keeps its id."""
    async with provider(move) as (server, gateway, receiver):
        await gateway.pay(ORDER)
        await server.callbacks.quiet()
        assert [(it.status, it.amount_fen, it.channel_ref) for it in receiver.taken] == [
            ("succeeded", 9_900, "SBX00000001")
        ] * times
        assert len({it.event_id for it in receiver.taken}) == min(times, 1)
        assert len(server.account.paid) == 1


async def test_a_callback_is_repeated_until_somebody_takes_it() -> None:
    """A merchant that restarts does not lose a result: the provider tells it again."""
    async with provider("late", deaf=2) as (server, gateway, receiver):
        await gateway.pay(ORDER)
        await server.callbacks.quiet()
        assert len(receiver.taken) == 1


async def test_late_is_pending_until_it_is_paid() -> None:
    """Accepted is not paid: no money has moved while the provider still says pending."""
    async with provider("late", callback_delay_seconds=0.2) as (server, gateway, _):
        assert (await gateway.pay(ORDER)).status == "pending"
        assert (await gateway.ask(ORDER.reference, 1)).status == "pending"
        assert server.account.paid == []
        await server.callbacks.quiet()
        assert (await gateway.ask(ORDER.reference, 1)).status == "succeeded"


@pytest.mark.parametrize("move", ["ok", "timeout_paid", "lie", "duplicate_callback", "late"])
async def test_a_retry_of_what_is_paid_pays_nothing(move: Move) -> None:
    """A retry after any success, known to the merchant or not, answers with the first movement of money."""
    async with provider(move) as (server, gateway, _):
        await gateway.pay(attempt(1))
        retried = await gateway.pay(attempt(2))
        await server.callbacks.quiet()
        assert retried.status in ("succeeded", "pending")
        assert await gateway.ask(ORDER.reference, 2) == Outcome("succeeded", "SBX00000001")
        assert len(server.account.paid) == 1


async def test_a_retry_of_what_is_accepted_pays_nothing_more() -> None:
    """A retry while the first attempt is still under way joins it: the money moves once, later."""
    async with provider("late", callback_delay_seconds=0.2) as (server, gateway, receiver):
        await gateway.pay(attempt(1))
        assert (await gateway.pay(attempt(2))).status == "pending"
        await server.callbacks.quiet()
        assert (await gateway.pay(attempt(3))).channel_ref == receiver.taken[0].channel_ref
        assert len(server.account.paid) == 1


@pytest.mark.parametrize("move", ["fail", "timeout", "timeout_unpaid", "error"])
async def test_a_retry_of_what_is_not_paid_pays_once(move: Move) -> None:
    """After a failure, or a doubt that a person ended, the next attempt is a new one and the money moves."""
    async with provider(move) as (server, gateway, _):
        await gateway.pay(attempt(1))
        assert (await gateway.pay(attempt(2))).status == "succeeded"
        assert (await gateway.ask(ORDER.reference, 1)).status == "succeeded"
        assert len(server.account.paid) == 1


async def test_the_same_attempt_sent_again_consumes_nothing() -> None:
    """The script has one move per new attempt: repetitions are answered from the books."""
    async with provider("fail", "ok") as (_, gateway, _):
        assert [await gateway.pay(attempt(1)) for _ in range(3)] == [DECLINED] * 3
        assert (await gateway.pay(attempt(2))).status == "succeeded"


async def test_an_attempt_that_was_overtaken_never_pays() -> None:
    """A request that was stuck on its way and arrives after its successor failed must not pay."""
    async with provider("fail") as (server, gateway, _):
        assert await gateway.pay(attempt(2)) == DECLINED
        assert await gateway.pay(attempt(1)) == Outcome("failed", reason="superseded")
        assert server.account.paid == []


async def call(
    server: SandboxServer, method: str, path: str, *, token: str | None = None, **more: Any
) -> tuple[int, Any]:
    """A bare request: HTTP status and JSON body."""
    headers = {"authorization": f"Bearer {token}"} if token is not None else {}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(method, server.base_url + path, **more) as response,
    ):
        return response.status, await response.json(content_type=None)


async def test_the_desk_sets_the_script_and_shows_the_ledger() -> None:
    """From outside a trial can script what comes next, and see what was really paid out."""
    async with provider() as (server, gateway, _):
        token = server.settings.token
        assert await call(server, "POST", "/v1/outcomes", token=token, json={"outcomes": ["fail"]}) == (
            200,
            {"outcomes": ["fail"]},
        )
        assert await gateway.pay(attempt(1)) == DECLINED
        await gateway.pay(attempt(2))
        status, ledger = await call(server, "GET", "/v1/ledger", token=token)
        assert (status, ledger["total_fen"]) == (200, 9_900)
        assert [(it["reference"], it["attempt"], it["channel_ref"]) for it in ledger["paid"]] == [
            (ORDER.reference, 2, "SBX00000001")
        ]


@pytest.mark.parametrize("token", [None, "", "wrong", "错"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/payouts"),
        ("GET", "/v1/payouts/x"),
        ("GET", "/v1/ledger"),
        ("POST", "/v1/outcomes"),
        ("GET", "/"),
    ],
)
async def test_nothing_is_open_to_strangers(method: str, path: str, token: str | None) -> None:
    """Without the signature or the token nobody pays, asks, reads the ledger or sets the script."""
    async with provider() as (server, _, _):
        status, problem = await call(server, method, path, token=token, json={})
        assert (status, problem["code"]) in [(401, "bad_signature"), (401, "unauthorized")]


async def test_the_token_of_the_desk_pays_nothing() -> None:
    """The desk's token does not stand in for the merchant's signature."""
    async with provider() as (server, _, _):
        status, _ = await call(server, "POST", "/v1/payouts", token=server.settings.token, json={})
        assert status == 401


async def test_health_is_open() -> None:
    """A start script can see that the provider is up without a secret."""
    async with provider() as (server, _, _):
        assert await call(server, "GET", "/healthz") == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (b"", ""),
        (b"{", ""),
        (b"\xff", ""),
        (b'{"outcomes": ["maybe"]}', "$.outcomes[0]"),
        (b'{"outcomes": "ok"}', "$.outcomes"),
        (b'{"outcome": []}', "outcome"),
        (b"[" * 50_000, ""),
    ],
)
async def test_a_wrong_script_is_refused(body: bytes, names: str) -> None:
    """A script with a mistake is named and changes nothing."""
    async with provider("fail") as (server, gateway, _):
        status, problem = await call(server, "POST", "/v1/outcomes", token=server.settings.token, data=body)
        assert (status, problem["code"]) == (422, "invalid")
        assert names in problem["detail"]
        assert await gateway.pay(ORDER) == DECLINED


async def test_a_flood_is_refused() -> None:
    """A body without measure is turned away before it is read into memory."""
    async with provider() as (server, _, _):
        status, problem = await call(server, "POST", "/v1/outcomes", token=server.settings.token, data=b" " * 1_000_000)
        assert (status, problem["code"]) == (413, "http_error")


@pytest.mark.parametrize(
    "order",
    [
        PayoutOrder("", 1, 1, "refund", "TB1", None),
        PayoutOrder("R" * 201, 1, 1, "refund", "TB1", None),
        PayoutOrder("R", 0, 1, "refund", "TB1", None),
        PayoutOrder("R", 1, 0, "refund", "TB1", None),
        PayoutOrder("R", 1, -5, "refund", "TB1", None),
        PayoutOrder("R", 1, 10**13, "refund", "TB1", None),
        PayoutOrder("R", 1, 1, "", "TB1", None),
    ],
)
async def test_an_order_that_makes_no_sense_is_not_taken(order: PayoutOrder) -> None:
    """Wrong amounts, attempts and names stop at the border: doubt for the merchant, and no money moves."""
    async with provider() as (server, gateway, _):
        assert await gateway.pay(order) == Outcome("unknown", reason="invalid")
        assert server.account.paid == []


@pytest.mark.parametrize("number", [0, -1, 10**30])
async def test_asking_for_an_attempt_that_cannot_be(number: int) -> None:
    """A question that makes no sense is refused and not guessed at."""
    async with provider() as (_, gateway, _):
        assert await gateway.ask("R", number) == Outcome("unknown", reason="invalid")


@pytest.mark.parametrize("wrong", [{"secret": ""}, {"secret": "whsec_"}, {"secret": "a"}, {"token": ""}])
def test_settings_that_cannot_serve_stop_the_start(wrong: dict[str, str]) -> None:
    """A provider without a usable secret or token never opens."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SandboxSettings(**wrong)  # type: ignore[arg-type]


async def test_a_port_that_is_taken_is_said_so() -> None:
    """A second provider on the same port fails at once and leaves nothing open."""
    async with provider() as (server, _, _):
        with pytest.raises(OSError, match="address already in use"):
            await start(SandboxSettings(), port=int(server.base_url.rpartition(":")[2]))


async def test_the_books_survive_a_restart(tmp_path: Path) -> None:
    """With a journal a restarted provider knows what it paid, and finishes what it had accepted."""
    journal = tmp_path / "sandbox.jsonl"
    async with provider("ok", "timeout", "late", journal=journal, callback_delay_seconds=60) as (
        _,
        gateway,
        _,
    ):
        for reference in ("paid", "doubtful", "accepted"):
            await gateway.pay(attempt(1, reference))
    with journal.open("ab") as torn:
        torn.write(b'{"reference": "half a li')
    async with provider(journal=journal) as (server, gateway, _):
        await server.callbacks.quiet()
        assert await gateway.pay(attempt(2, "paid")) == Outcome("succeeded", "SBX00000001")
        assert await gateway.ask("doubtful", 1) == Outcome("unknown")
        assert await gateway.ask("accepted", 1) == Outcome("succeeded", "SBX00000002")
        assert [it.reference for it in server.account.paid] == ["paid", "accepted"]
    assert [it.reference for it in Account(journal=journal).paid] == ["paid", "accepted"]


async def test_it_runs_as_a_process_of_its_own(tmp_path: Path) -> None:
    """`python -m services.sandbox` says where it listens, pays, and ends cleanly when told to."""
    draft = SandboxSettings()
    (tmp_path / "secret").write_text(draft.secret + "\n")
    (tmp_path / "token").write_text(draft.token + "\n")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.sandbox", "--port", "0"),
        env=os.environ
        | {"SANDBOX_SECRET_FILE": str(tmp_path / "secret"), "SANDBOX_TOKEN_FILE": str(tmp_path / "token")},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    base_url = (await asyncio.wait_for(process.stdout.readline(), 20)).decode().strip()
    gateway = SandboxGateway(base_url, draft.secret)
    assert (await gateway.pay(ORDER)).status == "succeeded"
    await gateway.close()
    process.send_signal(signal.SIGTERM)
    await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode == 0


# What may happen to a reference: an attempt arrives (again), or what was accepted is settled.
STEPS = st.lists(
    st.tuples(st.sampled_from(["take", "take", "settle"]), st.sampled_from(["R1", "R2"]), st.integers(1, 4)),
    max_size=40,
)
SCRIPTS = st.lists(st.sampled_from(MOVES), max_size=12)


@settings(max_examples=500, deadline=None)
@given(SCRIPTS, STEPS)
def test_no_reference_is_ever_paid_twice(script: list[Move], steps: list[tuple[str, str, int]]) -> None:
    """Whatever is sent, repeated, overtaken or settled late: money moves once and success is never unsaid."""
    account = Account(script)
    succeeded: dict[str, str] = {}
    for step, reference, number in steps:
        if step == "take":
            account.take(request(number, reference))
        else:
            for payment in [it for it in account.pending() if it.reference == reference] * 2:
                account.settle(payment.reference, payment.attempt)
        for known in ("R1", "R2"):
            for n in range(1, 5):
                payment_now = account.find(known, n)
                if payment_now is not None and payment_now.status == "succeeded":
                    assert succeeded.setdefault(known, payment_now.channel_ref) == payment_now.channel_ref
                else:
                    assert known not in succeeded
        assert {it.reference: it.channel_ref for it in account.paid} == succeeded
        assert len(account.paid) == len(succeeded)


@given(SCRIPTS, STEPS)
def test_the_journal_tells_the_same_story(script: list[Move], steps: list[tuple[str, str, int]]) -> None:
    """The books read back from the journal are the books that were kept."""
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "books.jsonl"
        account = Account(script, journal)
        for step, reference, number in steps:
            if step == "take":
                account.take(request(number, reference))
            else:
                for payment in account.pending():
                    account.settle(payment.reference, payment.attempt)
        again = Account(journal=journal)
        assert again.paid == account.paid
        assert again.pending() == account.pending()
        assert all(again.find(r, n) == account.find(r, n) for r in ("R1", "R2") for n in range(1, 5))


def test_a_reference_stands_for_one_amount_and_kind() -> None:
    """A reference cannot be turned to another use, not even while it is unpaid."""
    account = Account(["fail"])
    account.take(request(1))
    with pytest.raises(ReferenceReused):
        account.take(PayoutRequest(ORDER.reference, 2, 1, "refund", "TB1"))
    with pytest.raises(ReferenceReused):
        account.take(PayoutRequest(ORDER.reference, 2, ORDER.amount_fen, "deposit_return", "TB1"))


CALLS = st.lists(
    st.tuples(st.sampled_from(["pay", "ask"]), st.sampled_from(["R1", "R2", "R3"]), st.integers(1, 3)),
    min_size=1,
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(SCRIPTS, CALLS)
def test_one_payout_under_any_interleaving_over_http(script: list[Move], calls: list[tuple[str, str, int]]) -> None:
    """Among concurrent attempts, questions and callbacks all hear of one and the same success (row 25)."""

    async def run() -> None:
        async with provider(*script) as (server, gateway, receiver):
            heard = await asyncio.gather(
                *(
                    gateway.pay(attempt(number, reference)) if do == "pay" else gateway.ask(reference, number)
                    for do, reference, number in calls
                )
            )
            await server.callbacks.quiet()
            paid = {it.reference: it.channel_ref for it in server.account.paid}
            assert set(Counter(it.reference for it in server.account.paid).values()) <= {1}
            for (_, reference, number), outcome in zip(calls, heard, strict=True):
                if outcome.status == "succeeded":
                    assert outcome.channel_ref == paid[reference]
                final = await gateway.ask(reference, number)
                assert final.status != "pending"
                assert (final.status == "succeeded") == (reference in paid)
            assert all(paid[it.reference] == it.channel_ref for it in receiver.taken)

    asyncio.run(run())
