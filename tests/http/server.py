"""A real server on a free port, in a thread of its own, and a plain client that sends exactly what a test says."""

import asyncio
import http.client
import itertools
import threading
from collections.abc import Coroutine, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from services.embedded import Embedded
from services.kernel import logging
from services.kernel.actor import Actor
from services.kernel.clock import ManualClock
from services.kernel.settings import load_settings

T = TypeVar("T")

NOW = datetime.fromisoformat("2026-10-06T09:00:00+08:00")
ORDERED, DELIVERED = "2026-10-01T09:00:00+08:00", "2026-10-03T09:00:00+08:00"
JSON, PROBLEM = "application/json", "application/problem+json"


class Answer(msgspec.Struct, frozen=True):
    """What the server answered."""

    status: int
    headers: http.client.HTTPMessage
    raw: bytes

    @property
    def body(self) -> Any:
        return msgspec.json.decode(self.raw)

    @property
    def code(self) -> str:
        """The code of a refusal, empty for anything else."""
        return str(self.body["code"]) if self.headers.get_content_type() == PROBLEM else ""

    def field(self, name: str) -> dict[str, str]:
        """What is wrong with a field."""
        errors: list[dict[str, str]] = self.body["errors"]
        return {error["field"]: error for error in errors}[name]


class Server:
    """The embedded server on a folder, with a clock that stands still."""

    def __init__(self, folder: Path, *, manual: bool = True, **settings: Any) -> None:
        logging.set_up("error", "json")
        self.settings = load_settings({}, data_dir=folder, port=0, **settings)
        self.clock = ManualClock(NOW)
        self._manual = manual
        self.keys = (f"key-{number}" for number in itertools.count(1))
        self._orders = itertools.count(1)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._tokens: dict[str, str] = {}
        self.start()

    def start(self) -> None:
        self.embedded = Embedded(self.settings, clock=self.clock if self._manual else None)
        self.run(self.embedded.start())
        self.address = self.embedded.base_url.removeprefix("http://")
        self._connection = http.client.HTTPConnection(self.address, timeout=30)

    def restart(self) -> None:
        """Stop and start again on the same folder."""
        self._connection.close()
        self.run(self.embedded.stop())
        self.start()

    def close(self) -> None:
        self._connection.close()
        self.run(self.embedded.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something where the server runs."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def heads(self) -> dict[str, int]:
        """How far each service's log reaches once everything has flowed: nothing was written where it stays."""

        async def read() -> dict[str, int]:
            await self.embedded.settle()
            return {name: await one.service.store.head_position() for name, one in self.embedded._running.items()}

        return self.run(read())

    def settle(self) -> None:
        """Wait until every event went through every service."""
        self.run(self.embedded.settle())

    def token(self, who: str) -> str:
        """A token of `role` or `role/name`."""
        if who not in self._tokens:
            self._tokens[who] = self.embedded.token(Actor.parse(who if "/" in who else f"{who}/小李"))
        return self._tokens[who]

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send this and nothing else."""
        try:
            self._connection.request(method, path, body, dict(headers or {}))
            response = self._connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        except (ConnectionError, http.client.HTTPException):
            self._connection.close()
            raise

    def get(self, path: str, who: str = "agent") -> Answer:
        return self.send("GET", path, None, {"Authorization": f"Bearer {self.token(who)}"})

    def command(
        self,
        path: str,
        body: Any = None,
        who: str = "agent",
        *,
        key: str | None = None,
        method: str = "POST",
        **headers: str,
    ) -> Answer:
        """Give a command; `body` is sent as JSON, bytes as they are."""
        raw = body if isinstance(body, bytes) else msgspec.json.encode({} if body is None else body)
        sent = {
            "Authorization": f"Bearer {self.token(who)}",
            "Content-Type": JSON,
            "Idempotency-Key": key or next(self.keys),
        }
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.send(method, path, raw, sent)

    def order(self, quantity: int = 2, **fields: Any) -> str:
        """Record a new order: a product line `L1` (129 900 fen a unit) and a service line `S1`; its id."""
        order_id = f"TB{next(self._orders)}"
        body = {**order_body(order_id, quantity), **fields}
        answer = self.command(f"/v1/orders/{order_id}", body, "service/erp", method="PUT")
        assert answer.status == 201, answer.raw
        return order_id

    def case(self, problem: str = "logistics_delay", **fields: Any) -> str:
        """Open a case about a new order; its id."""
        body = {"order_id": self.order(), "problem": problem, "description": "…", **fields}
        answer = self.command("/v1/cases", body)
        assert answer.status == 201, answer.raw
        return str(answer.body["case_id"])


def order_body(order_id: str, quantity: int = 2) -> dict[str, Any]:
    """An order that is well in order."""
    return {
        "order_id": order_id,
        "channel": "taobao",
        "buyer_id": "buyer-1",
        "ordered_at": ORDERED,
        "delivered_at": DELIVERED,
        "carrier": "YTO",
        "lines": [
            {
                "line_id": "L1",
                "sku": "LOCK-A1",
                "kind": "product",
                "quantity": quantity,
                "paid_fen": 129_900 * quantity,
                "unit_cost_fen": 60_000,
            },
            {
                "line_id": "S1",
                "sku": "INSTALL",
                "kind": "service",
                "quantity": 1,
                "paid_fen": 10_000,
                "unit_cost_fen": 0,
            },
        ],
    }
