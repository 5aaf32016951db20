"""What operators see in figures: counted where it happens, and looked up by whoever leads, never by a scrape."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import REGISTRY, Gauge, generate_latest
from structlog.testing import capture_logs

from services.kernel.actor import Actor
from services.kernel.event_store import Commit, Reads, Statement, StoreUnavailable
from services.kernel.gauges import Gauges, Measure
from services.kernel.lag import Lag
from tests.shop import FINANCE, Shop

PARK = """INSERT INTO parked_messages (consumer, topic, partition, position, headers, timestamp_ms, stream, sequence,
type, source, state, cause, error, tries, due_at, parked_at)
VALUES (?, 't', 0, ?, x'', 0, ?, 1, 't', 's', ?, ?, '', 0, 0, 0)"""


@pytest.fixture
def colours() -> Iterator[Gauge]:
    gauge = Gauge("aftersales_test_colours", "For this test", ["colour"])
    yield gauge
    REGISTRY.unregister(gauge)


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


async def refreshed(shop: Shop) -> None:
    """What a timer does now and then."""
    for followers in shop.server._followers:
        await followers._gauges.refresh()


async def test_requests_are_timed_by_route_and_class(shop: Shop) -> None:
    """By template, service, method and class of status; whatever strangers ask for makes no new series."""
    name = "aftersales_request_seconds_count"
    order = {"service": "cases", "route": "/v1/orders/{order_id}", "method": "PUT", "status": "2xx"}
    command = {**order, "route": "/v1/cases/{case_id}/close-case", "method": "POST", "status": "4xx"}
    unknown = {"service": "server", "route": "unknown", "method": "GET", "status": "4xx"}
    other = {**unknown, "method": "OTHER"}
    before = [value(name, **labels) or 0 for labels in (order, command, unknown, other)]
    await shop.order("TB1")
    await shop.call("POST", "/v1/cases/TB1-1/close-case", {})
    await shop.call("GET", "/v1/nowhere/TB1")
    await shop.call("GET", "/nowhere/TB2")
    await shop.call("PROPFIND", "/nowhere")
    after = [value(name, **labels) or 0 for labels in (order, command, unknown, other)]
    assert [now - then for now, then in zip(after, before, strict=True)] == [1, 1, 2, 1]
    assert b"TB1" not in generate_latest()


async def test_each_service_declares_its_own_figures(shop: Shop) -> None:
    """Payouts by state and suspense are looked up by the services that know of them; states that emptied are nought."""
    await shop.refund("TB1")
    await shop.server.settle()
    await refreshed(shop)
    assert value("aftersales_payouts", state="requested") == 1
    assert value("aftersales_suspense_fen", service="liability") == 0
    paid = {"payout": "TB1-1:refund:F1", "status": "succeeded", "channel_ref": "BANK-1"}
    await shop.must("POST", "/v1/cases/TB1-1/confirm-payout", paid, by=FINANCE)
    await shop.server.settle()
    await refreshed(shop)
    assert (value("aftersales_payouts", state="requested"), value("aftersales_payouts", state="succeeded")) == (0, 1)
    assert value("aftersales_suspense_fen", service="liability") not in (0, None)
    assert value("aftersales_database_up", service="refunds") == 1


async def test_parked_and_dead_are_told_by_cause(shop: Shop) -> None:
    """Streams that wait and messages that were given up; an order with many messages is one stream."""
    rows = [
        ("c", 1, "TB1", "waiting", "gap"),
        ("c", 2, "TB1", "waiting", "gap"),
        ("c", 3, "TB2", "dead", "failed"),
        ("c", 4, "", "dead", "invalid_envelope"),
        ("c", 5, "TB3", "redriven", "failed"),
    ]
    [done] = await shop.service("refunds").store.commit([Commit(statements=(Statement(PARK, rows),))])
    assert not isinstance(done, Exception), done
    await refreshed(shop)
    assert value("aftersales_parked_streams", service="refunds", cause="gap") == 1
    assert value("aftersales_dead_letters", service="refunds", cause="failed") == 1
    assert value("aftersales_dead_letters", service="refunds", cause="invalid_envelope") == 1
    await shop.stop()
    assert value("aftersales_parked_streams", service="refunds", cause="gap") is None
    assert value("aftersales_payouts", state="requested") is None
    await shop.start()


async def test_streams_left_behind_in_a_log_count_as_parked(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what a reader holds in memory."""

    def fails(*_: Any) -> Any:
        raise RuntimeError("a faulty rule")

    with monkeypatch.context() as patched:
        patched.setattr(shop.service("refunds").part.domain, "react", fails)
        await shop.order("TB1")
        while not any(reader.progress.parked for reader in shop.server._followers[1].readers):
            await shop.server._followers[1].readers[1].caught_up()
        await refreshed(shop)
        assert value("aftersales_parked_streams", service="refunds", cause="failed") == 1
        assert value("aftersales_consumer_lag_events", service="refunds", source="cases") == 1


async def test_lags_are_told_by_source(shop: Shop, colours: Gauge) -> None:
    """Partitions together, the consumer furthest behind, the oldest event; the relay's lag is the age of what waits."""

    async def lags() -> list[Lag]:
        return [
            Lag("refunds", "views", 2, source="refunds", seconds=2.0),
            Lag("refunds", "cashier", 5, source="refunds", seconds=1.0),
            Lag("refunds", "relay", 9, source="refunds", seconds=77.0),
            Lag("refunds", "group", 3, source="cases", seconds=3.0),
            Lag("refunds", "group", 4, source="cases", seconds=9.0),
        ]

    measure = Measure(colours, "SELECT 'red' AS colour, 3 AS n")
    gauges = Gauges("refunds", shop.service("refunds").store, lags, measures=[measure])
    await gauges.refresh()
    for source, events, seconds in (("refunds", 5, 2), ("cases", 7, 9)):
        assert value("aftersales_consumer_lag_events", service="refunds", source=source) == events
        assert value("aftersales_consumer_lag_seconds", service="refunds", source=source) == seconds
    assert value("aftersales_relay_age_seconds", service="refunds") == 77
    assert value("aftersales_test_colours", colour="red") == 3
    gauges.forget()
    assert value("aftersales_relay_age_seconds", service="refunds") is None


async def test_a_scrape_waits_for_no_database(shop: Shop, monkeypatch: pytest.MonkeyPatch, colours: Gauge) -> None:
    """While it is away its gauges stand, one metric and one line say so, and lags are told on."""
    store: Reads = shop.service("refunds").store
    behind = 1

    async def lags() -> list[Lag]:
        return [Lag("refunds", "views", behind, source="refunds", seconds=1.0)]

    gauges = Gauges("refunds", store, lags, measures=[Measure(colours, "SELECT 'red' AS colour, 3 AS n")])
    await gauges.refresh()

    async def away(*_: Any) -> Any:
        raise StoreUnavailable("gone")

    async def hangs(*_: Any) -> Any:
        await asyncio.sleep(60)

    monkeypatch.setattr("services.kernel.gauges.PATIENCE_SECONDS", 0.1)
    with capture_logs() as lines:
        for fault in (away, hangs):
            with monkeypatch.context() as patched:
                patched.setattr(store, "query", fault)
                behind += 1
                await gauges.refresh()
                text = (await scrape(shop)).decode()
        assert 'aftersales_database_up{service="refunds"} 0.0' in text
        assert 'aftersales_test_colours{colour="red"} 3.0' in text
        assert f'aftersales_consumer_lag_events{{service="refunds",source="refunds"}} {behind}.0' in text
        await gauges.refresh()
    assert [line["event"] for line in lines] == ["gauges_not_refreshed", "gauges_refreshed"]
    assert value("aftersales_database_up", service="refunds") == 1


async def scrape(shop: Shop) -> bytes:
    token = shop._token(Actor("service", "prometheus"))
    async with shop._session.get(shop.base_url + "/metrics", headers={"Authorization": f"Bearer {token}"}) as answer:
        assert answer.status == 200
        return await answer.read()
