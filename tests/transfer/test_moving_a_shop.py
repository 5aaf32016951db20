"""All logs of a shop move to another installation, and it goes on there as if nothing had happened."""

import asyncio
from pathlib import Path
from typing import Any

from contracts.registry import decode
from services.catalogue import SERVICES
from services.kernel.migrations import migrate
from services.kernel.proof import verify
from services.kernel.stores import open_store
from services.transfer.exporting import export
from services.transfer.importing import import_events
from services.transfer.keys import export_keys, import_keys
from services.transfer.selection import Selection
from tests.shop import Shop, check_books

COMPENSATED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("propose-compensation", {"kind": "cash", "amount_fen": 2000}),
    ("record-buyer-reply", {"proposal": "P1", "accepted": True}),
    ("pay-compensation", {"proposal": "P1", "payment_ref": "ALI-1"}),
    ("assess-cause", {"cause": "supply_delay"}),
)
SERVICE_FOLDERS = Path(__file__).parents[2] / "services"


async def test_a_shop_moves(tmp_path: Path, shop: Shop) -> None:
    """Cases, payouts and losses are the same in the new installation once its read tables built themselves; nothing
    that was heard before is handled again, and a new case takes its whole way there. What people wrote is read with the
    keys that were taken along."""
    await shop.order("TB1")
    await shop.must("POST", "/v1/cases", {"order_id": "TB1", "problem": "logistics_delay", "description": "晚了"})
    for command, body in COMPENSATED:
        await shop.must("POST", f"/v1/cases/TB1-1/{command}", body)
    await shop.refund("TB2")
    await shop.server.settle()
    before = {path: await shop.must("GET", path) for path in ("/v1/cases/TB1-1", "/v1/payouts", "/v1/charges")}
    assert before["/v1/cases/TB1-1"]["losses"] == {"purchasing": 2000}
    for service in SERVICES:
        log = shop.service(service).store
        await export(log, service, Selection(), tmp_path / f"{service}.jsonl.gz", "jsonl")
    await export_keys(shop.service("cases").store, tmp_path / "keys")
    sizes = {service: await shop.service(service).store.head_position() for service in SERVICES}
    await shop.stop()

    new = Shop(tmp_path / "new")
    for service in SERVICES:
        url = new.settings.database_of(service)
        await asyncio.to_thread(migrate, url, SERVICE_FOLDERS / service / "migrations")
        store = open_store(url, decode)
        await import_events(tmp_path / f"{service}.jsonl.gz", store, decode)
        assert await verify(store) is None
        if service == "cases":
            await import_keys(store, tmp_path / "keys")
        await store.close()
    try:
        new.clock.set(shop.clock.now())
        await new.start()
        await new.server.settle()
        assert {service: await new.service(service).store.head_position() for service in SERVICES} == sizes
        assert {path: await new.must("GET", path) for path in before} == before
        await new.refund("TB4")
        await new.server.settle()
        await check_books(new.server)
        assert (await new.must("GET", "/v1/cases/TB4-1"))["payouts"]
    finally:
        await new.close()
        await shop.start()
