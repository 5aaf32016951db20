"""What operators had done stands in the logs and changes nothing else: no file, table, sum or consumer."""

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from contracts.registry import decode
from services.catalogue import SERVICES
from services.kernel.clock import SystemClock
from services.kernel.kafka.connection import Connection
from services.kernel.kafka.topics import topic_of
from services.kernel.operations import Desk
from services.kernel.stores import open_store
from services.stack.kafka import KafkaCluster
from services.stack.postgres import PostgresCluster
from services.transfer.exporting import export
from services.transfer.importing import import_events
from services.transfer.selection import Selection
from tests.kernel.kafka import messages_in
from tests.shop import FINANCE, Shop, check_books
from tests.test_process import Running, until
from tests.test_process import Shop as Apart


async def _operate(url: str, service: str) -> None:
    """An operator starts, holds up and ends something, as another process would."""
    store = open_store(url, decode, readers=1)
    try:
        desk = Desk(store, service, SystemClock())
        ticket = await desk.start("verify", {"workers": 1}, "operator/王敏", "a test")
        await desk.pause(ticket.operation, "operator/王敏", "a test")
        await desk.cancel(ticket.operation, "operator/王敏", "a test")
        await desk.let_go(ticket)
    finally:
        await store.close()


async def _rows(shop: Shop) -> dict[str, list[Any]]:
    found = {}
    for name in SERVICES:
        for table in shop.service(name).part.views.tables:
            found[table] = await shop.service(name).store.query(f"SELECT * FROM {table} ORDER BY 1, 2")
    return found


async def test_embedded_services_go_on_as_if_nothing_had_been_told(shop: Shop) -> None:
    """Operations on every log, between the steps of a case: rows, sums, rebuilding and telling again are as before."""
    case_id = await shop.refund("TB1")
    for name in SERVICES:
        await _operate(shop.settings.database_of(name), name)
    await shop.server.settle()
    body = {"payout": f"{case_id}:refund:F1", "status": "succeeded", "channel_ref": "BANK-1"}
    await shop.must("POST", f"/v1/cases/{case_id}/confirm-payout", body, by=FINANCE)
    await shop.must("POST", f"/v1/cases/{case_id}/assess-cause", {"cause": "lost_in_transit"})
    await shop.server.settle()
    rows = await _rows(shop)
    assert {row["order_id"] for row in rows["case_view"] + rows["loss_view"]} == {"TB1"}
    await check_books(shop.server)
    await shop.server.redeliver()
    await shop.server.rebuild()
    assert await _rows(shop) == rows
    await check_books(shop.server)
    items = (await shop.must("GET", "/v1/cases?wait=true"))["items"]
    assert [row["case_id"] for row in items] == [case_id]


@pytest.mark.parametrize("service", SERVICES)
async def test_a_history_is_moved_with_what_operators_did(shop: Shop, tmp_path: Path, service: str) -> None:
    """An export carries it, an import takes it, and both logs have the same root."""
    await shop.refund("TB1")
    await shop.server.settle()
    await _operate(shop.settings.database_of(service), service)
    file = tmp_path / "history.jsonl"
    manifest = await export(shop.service(service).store, service, Selection(), file, "jsonl")
    other = Shop(tmp_path / "other")
    await other.start()
    await other.stop()
    store = open_store(other.settings.database_of(service), decode)
    try:
        done = await import_events(file, store, decode)
        assert (done.added, done.root) == (manifest.events, manifest.root)
        desk = Desk(store, service, SystemClock())
        [operation] = await desk.names()
        assert (await desk.show(operation)).state == "cancelled"
    finally:
        await store.close()
        await other.close()


@pytest.fixture
async def apart(tmp_path: Path, postgres: PostgresCluster, kafka: KafkaCluster) -> AsyncIterator[Apart]:
    """A shop of services that run apart."""
    shop = Apart(tmp_path, postgres, kafka, clock="manual", clock_file=tmp_path / "clock")
    yield shop
    await shop.databases.drop()


async def test_services_on_kafka_pass_over_it(apart: Apart) -> None:
    """Operations are published like every event; whoever hears the topic goes on, and nothing is set aside. The process
    that answers for cases starts them on every service."""
    await apart.prepare()
    async with AsyncExitStack() as processes:
        running = [await processes.enter_async_context(apart.running(name, "all")) for name in SERVICES]
        for one in running:
            await one.ready()
        cases, refunds, liability, _ = running
        for name in SERVICES:
            await _operate(apart.settings.database_of(name), name)
        case_id = await cases.refund("TB1")

        async def paid() -> Any:
            return (await refunds.must("GET", "/v1/payouts?wait=true"))["items"]

        async def lost() -> Any:
            return (await liability.must("GET", "/v1/losses?wait=true"))["items"]

        await until(paid)
        body = {"payout": f"{case_id}:refund:F1", "status": "succeeded", "channel_ref": "BANK-1"}
        await refunds.must("POST", f"/v1/cases/{case_id}/confirm-payout", body, by=FINANCE)
        await until(lost)
        assert (await _done(cases, "verify", "refunds"))["outcome"]["holds"]
        resent = await _done(cases, "resend", "refunds", topic="nowhere", everything=True)
        assert (resent["state"], resent["trouble"]["code"]) == ("failed", "no_topic")
        for one in running:
            assert not await one.process.service.store.query("SELECT * FROM parked_messages")
        told = await messages_in(Connection.of(apart.settings), topic_of("refunds", apart.settings.kafka_prefix))
        kinds = defaultdict(list)
        for message in told:
            kinds[message.key].append(dict(message.headers)["ce_type"])
        assert [b"operation.started", b"operation.paused", b"operation.cancelled"] in kinds.values()


async def _done(cases: Running, kind: str, service: str, **options: Any) -> Any:
    """An operation that was started over HTTP, when it is over."""
    body = {"kind": kind, "service": service, "reason": "a test", "options": options}
    operation = (await cases.must("POST", "/v1/operations", body))["id"]

    async def ended() -> Any:
        known = await cases.must("GET", f"/v1/operations/{operation}")
        return known if known["state"] in ("finished", "failed") else None

    return await until(ended)
