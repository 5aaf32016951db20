"""Traces: one from a request to everything that follows from it, told to a collector that nobody ever waits for."""

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from contracts.envelope import headers, parse
from services.catalogue import SERVICES
from services.kernel import tracing
from services.kernel.actor import Actor
from tests.kernel.collector import Receiver, Told
from tests.shop import FINANCE, Shop

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE = CALLER[3:35]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = await Receiver().start()
    yield receiver
    await tracing.shut_down()
    await receiver.close()


async def records(shop: Shop, service: str) -> list[Any]:
    return await shop.server._running[service].service.store.read_log(0, 1000)


async def send(shop: Shop, path: str, body: Any, traceparent: str) -> tuple[int, Any]:
    """A command with a trace of the caller's."""
    token = shop.server.token(Actor("store_manager", "老陈"))
    given = {"Authorization": f"Bearer {token}", "Idempotency-Key": path, "traceparent": traceparent}
    async with aiohttp.ClientSession(headers=given) as session, session.post(shop.base_url + path, json=body) as answer:
        return answer.status, await answer.json(content_type=None)


async def charge(shop: Shop, traceparent: str) -> None:
    """A refund that is paid, and then the cause, which charges somebody with the loss."""
    await shop.refund("TB1")
    await shop.server.settle()
    paid = {"payout": "TB1-1:refund:F1", "status": "succeeded", "channel_ref": "BANK-1"}
    await shop.must("POST", "/v1/cases/TB1-1/confirm-payout", paid, by=FINANCE)
    await shop.server.settle()
    status, body = await send(shop, "/v1/cases/TB1-1/assess-cause", {"cause": "lost_in_transit"}, traceparent)
    assert status == 200, body
    await shop.server.settle()


def line(spans: list[Told], last: Told) -> list[Told]:
    """A span and its ancestors, the oldest first."""
    by_id = {span.span_id: span for span in spans}
    found = [last]
    while found[0].parent_id in by_id:
        found.insert(0, by_id[found[0].parent_id])
    return found


async def test_one_trace_from_the_command_to_the_charge(shop: Shop, receiver: Receiver) -> None:
    """From the caller's span over the request, its command and the event between services to the charge itself."""
    tracing.set_up(receiver.url)
    await charge(shop, CALLER)
    await tracing.shut_down()
    spans = receiver.trace(TRACE)
    [charged] = [one for one in spans if "loss.charged" in one.attributes.get("aftersales.events", [])]
    told = [(one.service, one.kind, one.name) for one in line(spans, charged)]
    assert told == [
        ("aftersales-cases", "server", "POST /v1/cases/{case_id}/assess-cause"),
        ("aftersales-cases", "internal", "decide assess_cause"),
        ("aftersales-liability", "consumer", "handle cause.assessed"),
    ]
    request = line(spans, charged)[0]
    assert request.parent_id == CALLER[36:52]
    assert request.attributes["http.response.status_code"] == 200
    assert request.resource["service.version"]
    assert charged.attributes["aftersales.order_id"] == "TB1"
    heard = [one for one in spans if one.name == "handle loss.charged"]
    assert [one.parent_id for one in heard] == [charged.span_id]
    [record] = [one for one in await records(shop, "liability") if one.type == "loss.charged"]
    assert record.traceparent == f"00-{TRACE}-{charged.span_id}-01"


async def test_every_record_carries_a_trace_without_a_collector(shop: Shop) -> None:
    """With tracing off the caller's trace, or one that begins here, is handed on through all services all the same."""
    await charge(shop, CALLER)
    for service in SERVICES:
        for record in await records(shop, service):
            assert parse(record.stream.encode(), headers(record), record.data).traceparent == record.traceparent
            assert tracing.TRACEPARENT.fullmatch(record.traceparent), record
    [record] = [one for one in await records(shop, "liability") if one.type == "loss.charged"]
    assert record.traceparent == CALLER
    opened = next(one for one in await records(shop, "cases") if one.type == "case.opened")
    assert opened.traceparent.endswith("-00")  # nobody recorded it
    assert opened.correlation_id == opened.traceparent[3:35]


async def test_a_refusal_is_told_with_its_code_and_no_fault(shop: Shop, receiver: Receiver) -> None:
    """A no is an answer: its code is on the spans, its trace id in the answer, and nothing is marked as an error."""
    tracing.set_up(receiver.url)
    await shop.refund("TB1")
    status, body = await send(shop, "/v1/cases/TB1-1/close-case", {"resolution": ""}, CALLER)
    assert status == 422
    assert body["trace_id"] == TRACE
    await tracing.shut_down()
    request = next(one for one in receiver.trace(TRACE) if one.kind == "server")
    assert request.attributes["aftersales.problem"] == "invalid"
    decision = next(one for one in receiver.trace(TRACE) if one.kind == "internal")
    assert decision.attributes["aftersales.refused"] == "invalid"
    assert not any(one.failed for one in receiver.spans)


async def test_faults_are_marked_and_name_nobody(receiver: Receiver) -> None:
    """A step that ends by an error of ours is failed, with its text masked as in logs."""
    tracing.set_up(receiver.url)
    with pytest.raises(ValueError), tracing.span("cases", "try", parent="odd") as span:
        raise ValueError("call 13812345678")
    await tracing.shut_down()
    [told] = receiver.spans
    assert (told.failed, told.attributes["error.type"]) == (True, "ValueError")
    assert (told.trace_id, told.parent_id) == (span.trace_id, "")


async def test_publishing_is_told_in_the_trace_of_each_record(shop: Shop, receiver: Receiver) -> None:
    """A batch for the broker holds records of many traces; each tells when it was acknowledged, or that it was not."""
    await charge(shop, CALLER)
    [record] = [one for one in await records(shop, "liability") if one.type == "loss.charged"]
    with tracing.publishing("liability", "aftersales.liability.v1", [record]):
        pass
    tracing.set_up(receiver.url)
    with pytest.raises(TimeoutError), tracing.publishing("liability", "aftersales.liability.v1", [record]):
        raise TimeoutError
    await tracing.shut_down()
    [told] = receiver.trace(TRACE)
    assert (told.kind, told.name, told.failed) == ("producer", "publish aftersales.liability.v1", True)
    assert told.parent_id == CALLER[36:52]
    assert told.attributes["messaging.message.id"] == record.id


async def test_callers_who_are_not_sampled_are_not_told(shop: Shop, receiver: Receiver) -> None:
    """Who sends a trace decides whether it is recorded; records carry it on in either case."""
    tracing.set_up(receiver.url)
    await charge(shop, CALLER[:-2] + "00")
    await tracing.shut_down()
    assert receiver.trace(TRACE) == []
    [record] = [one for one in await records(shop, "liability") if one.type == "loss.charged"]
    assert re.fullmatch(f"00-{TRACE}-[0-9a-f]{{16}}-00", record.traceparent)


async def test_a_collector_that_is_away_costs_a_warning(shop: Shop, receiver: Receiver, monkeypatch: Any) -> None:
    """Commands go on, one line says so and one that it is back, and from then on spans arrive."""
    monkeypatch.setattr("services.kernel.collector.AWAY_SECONDS", 0.1)
    monkeypatch.setattr("services.kernel.collector.EXPORT_SECONDS", 0.3)
    monkeypatch.setattr("services.kernel.collector.COLLECT_MS", 50)
    receiver.status = 503
    tracing.set_up(receiver.url)
    with capture_logs() as lines:
        for n in range(30):
            await shop.order(f"TB{n}")
            if n == 15:
                await _until(lambda: any(line["event"] == "collector_away" for line in lines))
                receiver.status = 200
        await _until(lambda: any(line["event"] == "collector_is_there" for line in lines))
        await tracing.shut_down()
    events = [line["event"] for line in lines if line["event"].startswith("collector")]
    assert events == ["collector_away", "collector_is_there"]
    assert receiver.spans


async def test_the_end_waits_no_longer_than_it_may(receiver: Receiver) -> None:
    """A collector that takes requests and never answers does not hold up the end of the process."""
    receiver.hold.clear()
    tracing.set_up(receiver.url)
    with tracing.span("cases", "last"):
        pass
    began = time.monotonic()
    with capture_logs() as lines:
        await tracing.shut_down(0.5)
    assert time.monotonic() - began < 1.0
    assert [line["event"] for line in lines] == ["spans_lost_at_the_end"]
    with tracing.span("cases", "later") as span:
        assert not span.recording


def test_without_collector_nothing_of_opentelemetry_is_loaded() -> None:
    """Tracing that is off costs neither memory nor the start."""
    program = """
import sys, services.embedded
from services.kernel import tracing
tracing.set_up("")
tracing.span("cases", "x")
sys.exit(any(name.startswith("opentelemetry") for name in sys.modules))
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


async def _until(condition: Any) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
