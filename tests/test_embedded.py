"""The server as a whole: it starts and ends in order, and a power cut costs nothing that was acknowledged."""

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from services.embedded import Embedded, NotSettled
from services.kernel.settings import load_settings
from services.sandbox import SandboxSettings
from services.sandbox import start as start_sandbox
from services.token_secret import token_secret
from tests.shop import FINANCE, NOON, PAID_FEN, Process, Shop, check_books, provider


def tasks() -> set[str]:
    return {task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()}


async def until(condition: Callable[[], Awaitable[Any]]) -> None:
    """Wait for what takes its way through several services."""
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110 - any condition
            await asyncio.sleep(0.05)


async def test_restart_keeps_everything(shop: Shop) -> None:
    """Stopped and started again, as a new server or the same one, all is as it was, tokens included."""
    await shop.refund("TB1")
    await shop.server.settle()
    before = await shop.must("GET", "/v1/cases/TB1-1")
    token = shop.server.token
    await shop.restart()
    shop._token = lambda actor: token(actor, timedelta(days=1))
    assert await shop.must("GET", "/v1/cases/TB1-1") == before
    await shop.stop()
    assert not {name for name in tasks() if name.startswith(("reader", "timer", "appender"))}
    await shop.start()
    assert await shop.must("GET", "/v1/cases/TB1-1") == before
    await shop.refund("TB2")
    await shop.server.settle()
    assert (await shop.must("GET", "/v1/lag"))["caught_up"]
    await check_books(shop.server)


async def test_stopping_under_load_answers_what_was_taken(shop: Shop) -> None:
    """Every request that was accepted is answered and on disk, and stopping leaves no task and no noise."""
    answered: list[str] = []

    async def client(name: int) -> None:
        for n in range(1_000):
            try:
                await shop.order(f"TB{name}-{n}")
            except aiohttp.ClientError:
                return
            answered.append(f"TB{name}-{n}")

    clients = [asyncio.create_task(client(name)) for name in range(8)]
    while len(answered) < 20:  # noqa: ASYNC110 - any of eight clients
        await asyncio.sleep(0.01)
    await shop.stop()
    await asyncio.gather(*clients)
    assert not {name for name in tasks() if name.startswith(("reader", "timer", "appender"))}
    await shop.start()
    for order_id in answered:
        assert await shop.events("cases", order_id) == ["order.recorded"]
    await shop.server.settle()
    await check_books(shop.server)


async def test_failed_start_lets_go_of_everything(tmp_path: Path) -> None:
    """Where the port is taken the start fails cleanly, and works as soon as it is free."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        settings = load_settings({}, data_dir=tmp_path, port=other.getsockname()[1])
        server = Embedded(settings)
        with pytest.raises(OSError, match="in use"):
            await server.start()
        assert not tasks()
    await server.start()
    await server.stop()
    await server.stop()


async def test_services_apart_are_one_system(tmp_path: Path) -> None:
    """Each service alone on the same folder: they learn of each other through the logs, whoever comes first."""
    refunds = await Shop(tmp_path, only=["refunds"]).start()
    liability = await Shop(tmp_path, only=["liability"]).start()
    await refunds.server.settle()
    assert (await refunds.call("GET", "/v1/cases/TB1-1"))[0] == 404
    cases = await Shop(tmp_path, only=["cases"]).start()
    await cases.refund("TB1")
    body = {"payout": "TB1-1:refund:F1", "status": "succeeded", "channel_ref": "BANK-1"}

    async def confirmed() -> bool:
        return (await refunds.call("POST", "/v1/cases/TB1-1/confirm-payout", body, by=FINANCE))[0] == 200

    async def charged() -> Any:
        return (await liability.must("GET", "/v1/charges?wait=true"))["items"]

    async def told() -> Any:
        return (await cases.must("GET", "/v1/cases/TB1-1"))["losses"]

    await until(confirmed)
    await cases.must("POST", "/v1/cases/TB1-1/assess-cause", {"cause": "lost_in_transit"})
    await until(charged)
    await until(told)
    for shop in (cases, refunds, liability):
        await shop.server.settle()
        await check_books(shop.server)
        await shop.close()


async def test_replays_under_load(shop: Shop) -> None:
    """Everything delivered again and every table rebuilt beside a stream of refunds: the same books at the end."""
    refunds = [asyncio.create_task(shop.refund(f"TB{n}")) for n in range(25)]
    for _ in range(3):
        await asyncio.sleep(0.05)
        await asyncio.gather(
            *(one.rebuild() for one in shop.server._followers),
            *(one.redeliver() for one in shop.server._followers),
        )
    await asyncio.gather(*refunds)
    await shop.server.redeliver()
    await shop.server.rebuild()
    await check_books(shop.server)
    for n in range(25):
        assert (await shop.events("refunds", f"TB{n}")).count("payout.requested") == 1


async def test_settled_means_settled(shop: Shop) -> None:
    """After settling, what follows in other services is there, each time, without waiting any longer."""
    for n in range(8):
        await shop.refund(f"TB{n}")
        await shop.server.settle()
        assert "payout.requested" in await shop.events("refunds", f"TB{n}")
        records = await shop.service("cases").store.read_stream(f"TB{n}")
        assert "payout.requested" in [record.type for record in records]


async def test_stuck_is_not_settled(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A consumer that cannot go on is an error for who waits, and seen in readiness and lag, never mere patience."""
    domain = shop.service("refunds").part.domain

    def fails(*_: Any) -> Any:
        raise RuntimeError("a faulty rule")

    monkeypatch.setattr(domain, "react", fails)
    await shop.order("TB1")
    with pytest.raises(NotSettled, match="a faulty rule"):
        await shop.server.settle()
    status, body = await shop.call("PUT", "/v1/clock", {"now": "2026-10-07T12:00:00+08:00"})
    assert (status, body["code"]) == (503, "unavailable")
    status, body = await shop.call("GET", "/readyz")
    assert status == 503
    assert "TB1" in str(body["problems"]["refunds"])
    lag = await shop.must("GET", "/v1/lag")
    assert not lag["caught_up"]
    assert [one["behind"] for one in lag["consumers"] if one["consumer"] == "refunds-hears-cases"] == [1]
    monkeypatch.undo()

    async def ready() -> bool:
        return (await shop.call("GET", "/readyz"))[0] == 200

    await until(ready)
    await shop.server.settle()


@pytest.mark.parametrize(
    "body",
    [{}, [], {"now": 5}, {"now": "tomorrow"}, {"now": "2026-10-07T12:00:00"}, {"now": "0001-01-01T00:00:00+08:00"}],
    ids=str,
)
async def test_senseless_time_is_refused(shop: Shop, body: Any) -> None:
    """A clock is set to a real time with its offset, or not at all."""
    status, answer = await shop.call("PUT", "/v1/clock", body)
    assert (status, answer["code"]) == (422, "invalid")
    assert shop.clock.now() == NOON


async def test_time_goes_back(shop: Shop) -> None:
    """With the clock set back everything works on, in the order of the log and not of the times."""
    await shop.refund("TB1")
    for now in ("2026-10-08T12:00:00+08:00", "2026-10-05T12:00:00+08:00", "2026-10-09T12:00:00+08:00"):
        await shop.must("PUT", "/v1/clock", {"now": now})
        await shop.must("POST", "/v1/cases/TB1-1/record-finding", {"finding": now})
    await shop.server.settle()
    await check_books(shop.server)


async def test_clock_of_the_machine_cannot_be_set(tmp_path: Path) -> None:
    """Only a server that was started for it lets time be set."""
    server = Embedded(load_settings({}, data_dir=tmp_path, port=0))
    await server.start()
    shop = Shop(tmp_path)
    shop.clock.set(datetime.now(UTC))
    shop.base_url = server.base_url
    assert (await shop.call("PUT", "/v1/clock", {"now": "2026-10-07T12:00:00+08:00"}))[0] == 404
    await shop.close()
    await server.stop()


def test_token_secret_is_drawn_once(tmp_path: Path) -> None:
    """The secret in the data folder is for its owner only, is kept, and a set one comes before it."""
    settings = load_settings({}, data_dir=tmp_path / "new")
    first = token_secret(settings)
    assert len(first) >= 32
    assert token_secret(settings) == first
    [file] = (tmp_path / "new").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert token_secret(load_settings({}, data_dir=tmp_path / "new", token_secret="x" * 32)) == "x" * 32


async def test_power_cut_under_load(tmp_path: Path) -> None:
    """A real server process killed again and again under a stream of refunds: no acknowledged command is lost, none
    has its effect twice, the buyer is paid once, and read tables and hash chains are whole."""
    sandbox = await start_sandbox(SandboxSettings(callback_delay_seconds=0.01))
    shop = Shop(tmp_path, **provider(sandbox))
    shop.clock.set(datetime.now(UTC))
    chance = random.Random(7)
    acknowledged: dict[str, Any] = {}
    at_work = True

    async def persist(method: str, path: str, body: Any, key: str) -> None:
        """Send the same command with the same key until it is answered, as a careful client does."""
        while at_work:
            try:
                status, answer = await shop.call(method, path, body, key=key)
            except (aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(0.05)
                continue
            if status in (409, 503) and answer["code"] in ("request_in_progress", "unavailable"):
                await asyncio.sleep(0.05)
                continue
            assert status in (200, 201), answer
            acknowledged[key] = answer
            return

    async def client(name: int) -> None:
        n = 0
        while at_work:
            order_id, n = f"TB{name}{n:03}", n + 1
            line = {"line_id": "L1", "sku": "A", "kind": "product", "quantity": 1}
            order = {
                "order_id": order_id,
                "channel": "taobao",
                "buyer_id": "b",
                "ordered_at": "2026-01-02T09:00:00+08:00",
                "lines": [{**line, "paid_fen": PAID_FEN, "unit_cost_fen": 60_000}],
            }
            opening = {"order_id": order_id, "problem": "logistics_delay", "description": "没收到"}
            asking = {"lines": [{"line_id": "L1", "quantity": 1}], "refund_only": True}
            await persist("PUT", f"/v1/orders/{order_id}", order, f"{order_id}-order")
            if at_work:
                await persist("POST", "/v1/cases", opening, f"{order_id}-open")
            if at_work:
                await persist("POST", f"/v1/cases/{order_id}-1/request-refund", asking, f"{order_id}-refund")

    process = await Process.start(tmp_path, **provider(sandbox))
    shop.base_url = process.base_url
    clients = [asyncio.create_task(client(name)) for name in range(6)]
    for _ in range(2):
        await asyncio.sleep(0.4 + chance.random() * 0.4)
        await process.kill()
        process = await Process.start(tmp_path, **provider(sandbox))
        shop.base_url = process.base_url
    await asyncio.sleep(0.4)
    at_work = False
    await process.kill()
    await asyncio.wait(clients, timeout=10)
    assert all(task.done() and not task.exception() for task in clients)

    await shop.start()
    shop.clock.set(datetime.now(UTC))
    await shop.server.settle()
    await shop.pass_time(60)
    assert len(acknowledged) > 20
    store = shop.service("cases").store
    for key, answer in acknowledged.items():
        order_id = key.partition("-")[0]
        recorded = {record.id for record in await store.read_stream(order_id)}
        assert {event["id"] for event in answer["events"]} <= recorded, key
    types = [(record.stream, record.type) for record in await store.read_log(0, 1_000_000) if record.source == "cases"]
    for once in ("order.recorded", "case.opened", "refund.requested"):
        streams = [stream for stream, type_ in types if type_ == once]
        assert len(streams) == len(set(streams)), once
    refunded = {stream for stream, type_ in types if type_ == "refund.requested"}
    assert {key.partition("-")[0] for key in acknowledged if key.endswith("-refund")} <= refunded
    for stream in refunded:
        settled = await shop.events("refunds", stream)
        assert (settled.count("payout.succeeded"), settled.count("refund.settled")) == (1, 1)
    await check_books(shop.server)
    await shop.close()
    await sandbox.close()


async def test_terminated_as_an_operator_does(tmp_path: Path) -> None:
    """SIGTERM ends a real process with success, after everything that was taken is on disk."""
    process = await Process.start(tmp_path)
    shop = Shop(tmp_path)
    shop.clock.set(datetime.now(UTC))
    shop.base_url = process.base_url
    await shop.order("TB1")
    assert await process.stop() == 0
    await shop.start()
    assert await shop.events("cases", "TB1") == ["order.recorded"]
    await shop.close()
