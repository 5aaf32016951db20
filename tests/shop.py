"""A running server for tests: the real one, its HTTP API, and a payment provider beside it where one is wanted."""

import asyncio
import json
import os
import secrets
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

import aiohttp

from services.catalogue import SERVICES
from services.doctor.checks import CHECKS
from services.doctor.examination import examine
from services.doctor.look import Shop as ShopAsItIs
from services.embedded import Embedded
from services.kernel.actor import Actor
from services.kernel.clock import ManualClock
from services.kernel.settings import load_settings
from services.kernel.views import Projector
from services.refunds.gateway import ManualGateway
from services.sandbox import SandboxServer

NOON = datetime.fromisoformat("2026-10-06T12:00:00+08:00")
MANAGER, FINANCE = Actor("store_manager", "老陈"), Actor("finance", "老钱")
PAID_FEN = 129_900


def provider(sandbox: SandboxServer, timeout_seconds: float = 5) -> dict[str, Any]:
    """Settings that make a sandbox the payment provider."""
    return {
        "gateway": "sandbox",
        "gateway_url": sandbox.base_url,
        "gateway_secret": sandbox.settings.secret,
        "gateway_timeout_seconds": timeout_seconds,
        "ask_every_seconds": 86_400.0,
    }


class Api:
    """A client of the HTTP API, of one server or of whatever serves at an address now."""

    def __init__(self, base_url: str, token: Any) -> None:
        self.base_url = base_url
        self._token = token
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))

    async def call(
        self, method: str, path: str, body: Any = None, *, by: Actor = MANAGER, key: str = "", traceparent: str = ""
    ) -> tuple[int, Any]:
        headers = {
            "Authorization": f"Bearer {self._token(by)}",
            "Idempotency-Key": key or secrets.token_hex(8),  # two clients of one shop never mean the same request
            "Content-Type": "application/json",
        }
        if traceparent:
            headers["traceparent"] = traceparent
        data = None if body is None else json.dumps(body)
        async with self._session.request(method, self.base_url + path, data=data, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def must(self, method: str, path: str, body: Any = None, **given: Any) -> Any:
        status, answer = await self.call(method, path, body, **given)
        assert status < 300, answer
        return answer

    async def order(self, order_id: str) -> None:
        line = {"line_id": "L1", "sku": "LOCK-A1", "kind": "product", "quantity": 1}
        order = {
            "order_id": order_id,
            "channel": "taobao",
            "buyer_id": "buyer-1",
            "ordered_at": "2026-10-02T09:00:00+08:00",
            "carrier": "YTO",
            "lines": [{**line, "paid_fen": PAID_FEN, "unit_cost_fen": 60_000}],
        }
        await self.must("PUT", f"/v1/orders/{order_id}", order)

    async def refund(self, order_id: str) -> str:
        """An order that never arrived is refunded; gives its case."""
        await self.order(order_id)
        body = {"order_id": order_id, "problem": "logistics_delay", "description": "没收到"}
        case_id = str((await self.must("POST", "/v1/cases", body))["case_id"])
        lines = [{"line_id": "L1", "quantity": 1}]
        await self.must("POST", f"/v1/cases/{case_id}/request-refund", {"lines": lines, "refund_only": True})
        return case_id

    async def close(self) -> None:
        await self._session.close()


class Shop(Api):
    """A server in this process, on a folder, with a clock that is set by hand."""

    def __init__(self, folder: Path, only: Sequence[str] = tuple(SERVICES), **settings: Any) -> None:
        self.clock = ManualClock(NOON)
        self._only = only
        self.settings = load_settings({}, data_dir=folder, port=0, **settings)
        self._new_server()
        super().__init__("", lambda actor: self.server.token(actor, timedelta(days=400)))

    def _new_server(self) -> None:
        self.server = Embedded(self.settings, clock=self.clock, only=self._only)

    async def start(self) -> Self:
        await self.server.start()
        self.base_url = self.server.base_url
        return self

    async def stop(self) -> None:
        await self.server.stop()

    async def restart(self) -> None:
        await self.stop()
        self._new_server()
        await self.start()

    async def pass_time(self, seconds: float) -> None:
        await self.server.set_time(self.clock.now() + timedelta(seconds=seconds))

    def service(self, name: str) -> Any:
        return self.server._running[name].service

    async def events(self, service: str, stream: str) -> list[str]:
        """What a service decided about a stream."""
        records = await self.service(service).store.read_stream(stream)
        return [record.type for record in records if record.source == service]

    async def close(self) -> None:
        await super().close()
        await self.stop()


async def check_books(server: Embedded) -> None:
    """Nothing is on its way, and the product's own consistency check finds nothing."""
    everybody = {name: one.service for name, one in {**server._running, **server._elsewhere}.items()}
    for name in server._running:
        store = everybody[name].store
        assert await store.checkpoint(Projector.name, name) == await store.head_position()
    shop = ShopAsItIs(
        server.settings,
        {name: one.part for name, one in everybody.items()},
        {name: one.store for name, one in everybody.items()},
        ManualGateway(),
        server.clock.now(),
    )
    report = await examine(shop, CHECKS, tuple(server._running))
    assert report.sound, report.findings


class Process:
    """The server as a real process, started by the command line."""

    def __init__(self, child: asyncio.subprocess.Process, base_url: str) -> None:
        self.child = child
        self.base_url = base_url

    @classmethod
    async def start(cls, folder: Path, **settings: Any) -> "Process":
        environ = {f"AFTERSALES_{name.upper()}": str(value) for name, value in settings.items()}
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.cli", "serve", "--port", "0", "--data-dir", str(folder), "--json"),
            env={**os.environ, "AFTERSALES_DRAIN_SECONDS": "0", "AFTERSALES_LOG_LEVEL": "error", **environ},
            stdout=asyncio.subprocess.PIPE,
        )
        assert child.stdout
        told = b""
        async with asyncio.timeout(30):
            while not told or not told.rstrip().endswith(b"}"):
                line = await child.stdout.readline()
                assert line, "the server ended before it told its address"
                told += line
        return cls(child, json.loads(told)["url"])

    async def kill(self) -> None:
        """End it as a power cut does."""
        self.child.kill()
        await self.child.communicate()

    async def stop(self) -> int:
        """End it as an operator does."""
        if self.child.returncode is None:
            self.child.terminate()
        async with asyncio.timeout(30):
            await self.child.communicate()
        return self.child.returncode or 0
