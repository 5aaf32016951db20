"""A data folder of a shop in which much happened, and raw SQL that damages copies of it."""

import asyncio
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from contracts.policy import load_policy
from services.doctor.checks import CHECKS
from services.doctor.examination import examine, shop_of
from services.doctor.finding import Finding, Report
from services.kernel.actor import Actor
from services.kernel.clock import ManualClock
from services.kernel.settings import load_settings
from tests.shop import FINANCE, MANAGER, NOON, Shop

WAREHOUSE = Actor("warehouse", "老仓")
#: The case that was compensated, sent back and refunded; the one whose payout is open.
PAID, OPEN = "TB1-1", "TB2-1"


async def fill(folder: Path) -> None:
    """One case from compensation to the refund that was paid, with freight and a loss; one whose payout is open; one
    with a reshipment from stock."""
    shop = await Shop(folder).start()
    try:
        await _refunded(shop)
        await shop.refund("TB2")
        await _reshipped(shop)
        await shop.server.settle()
    finally:
        await shop.close()


async def _refunded(shop: Shop) -> None:
    async def do(command: str, body: dict[str, Any], by: Actor = MANAGER) -> None:
        await shop.must("POST", f"/v1/cases/{PAID}/{command}", body, by=by)

    lines = [{"line_id": "L1", "quantity": 1}]
    await shop.order("TB1")
    body = {"order_id": "TB1", "problem": "return_request", "reason": "quality", "description": "质量问题"}
    await shop.must("POST", "/v1/cases", body)
    await do("propose-compensation", {"kind": "cash", "amount_fen": 2000})
    await do("record-buyer-reply", {"proposal": "P1", "accepted": True})
    await do("pay-compensation", {"proposal": "P1", "payment_ref": "ALI-1"})
    await do("assess-cause", {"cause": "supply_delay"})
    await do("authorise-return", {"lines": lines})
    await do("ship-return", {"carrier": "YTO", "tracking_no": "YT1", "freight_fen": 1500})
    received = [{"line_id": "L1", "quantity": 1, "resalable": True}]
    await do("receive-return", {"lines": received, "accepted": True}, WAREHOUSE)
    await do("request-refund", {"lines": lines})
    await shop.server.settle()
    for payout in (f"{PAID}:refund:F1", f"{PAID}:freight_reimbursement:RT1"):
        paid = {"payout": payout, "status": "succeeded", "channel_ref": f"BANK-{payout}"}
        await do("confirm-payout", paid, FINANCE)
    await shop.server.settle()


async def _reshipped(shop: Shop) -> None:
    await shop.order("TB3")
    await shop.must("POST", "/v1/stock/SCREWS", {"quantity": 5})
    body = {"order_id": "TB3", "problem": "handover", "description": "赠品"}
    await shop.must("POST", "/v1/cases", body)
    items = [{"sku": "SCREWS", "quantity": 2, "unit_cost_fen": 100}]
    await shop.must("POST", "/v1/cases/TB3-1/order-reshipment", {"items": items, "trigger": "now"})


class Books:
    """A copy of the folder, to be damaged and examined."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def copied(cls, origin: Path, folder: Path) -> "Books":
        shutil.copytree(origin, folder)
        return cls(folder)

    def damage(self, service: str, sql: str, *params: Any) -> None:
        """Run SQL on the file, as somebody with the database's password could; it must change something."""
        with closing(sqlite3.connect(self.folder / f"{service}.db")) as database:
            guards = database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
            for name, _ in guards:
                database.execute(f"DROP TRIGGER {name}")
            assert database.execute(sql, params).rowcount > 0, sql
            for _, guard in guards:
                database.execute(guard)
            database.commit()

    def alter(self, service: str, type_: str, about: str = "", **changes: Any) -> None:
        """Change fields in the body of the first own event of a type, that names `about`."""
        sql = "SELECT position, data FROM events WHERE type = ? AND source = ? AND instr(data, ?) > 0"
        sql += " ORDER BY position LIMIT 1"
        [[position, data]] = self.rows(service, sql, type_, service, (about or type_).encode())
        body = msgspec.json.decode(data) | changes
        self.damage(service, "UPDATE events SET data = ? WHERE position = ?", msgspec.json.encode(body), position)

    def rewrite(self, service: str, type_: str, old: str, new: str) -> None:
        """Replace text in the body of the first event of a type, learned ones included."""
        sql = "SELECT position, data FROM events WHERE type = ? AND instr(data, ?) ORDER BY position LIMIT 1"
        [[position, data]] = self.rows(service, sql, type_, old.encode())
        body = data.replace(old.encode(), new.encode())
        self.damage(service, "UPDATE events SET data = ? WHERE position = ?", body, position)

    def body(self, service: str, type_: str) -> dict[str, Any]:
        """The body of the first own event of a type."""
        sql = "SELECT data FROM events WHERE type = ? AND source = ? ORDER BY position LIMIT 1"
        return dict(msgspec.json.decode(self.rows(service, sql, type_, service)[0][0]))

    def rows(self, service: str, sql: str, *params: Any) -> Sequence[Any]:
        """Rows of the file."""
        with closing(sqlite3.connect(self.folder / f"{service}.db")) as database:
            return database.execute(sql, params).fetchall()

    def report(self, *names: str, now: datetime = NOON, **settings: Any) -> Report:
        """What these checks say; all of them where none is named."""
        return asyncio.run(self.examined(*names, now=now, **settings))

    async def examined(self, *names: str, now: datetime = NOON, **settings: Any) -> Report:
        """The same, in an event loop that runs."""
        checks = [check for check in CHECKS if not names or check.name in names]
        given = load_settings({}, data_dir=self.folder, **settings)
        async with shop_of(given, load_policy(), ManualClock(now)) as shop:
            return await examine(shop, checks)

    def found(self, check: str, **given: Any) -> Finding:
        """The first thing that a check finds; it must find something."""
        report = self.report(check, **given)
        assert not report.sound, f"{check} found nothing"
        return report.findings[0]
