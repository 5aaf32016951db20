"""A service as processes of its own, by role, on a real database and a real broker."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from services.catalogue import SERVICES
from services.kernel import tracing
from services.kernel.event_store import StoreRefused
from services.kernel.kafka.connection import Connection
from services.kernel.kafka.relay import Relay
from services.kernel.kafka.topics import topic_of
from services.kernel.settings import Settings
from services.kernel.takeover import move_to
from services.process import Process
from services.stack.kafka import KafkaCluster
from services.stack.postgres import PostgresCluster
from tests.apart import Apart
from tests.kernel.collector import Receiver
from tests.kernel.kafka import forwarding, messages_in
from tests.shop import FINANCE, NOON, Api

PATIENCE_SECONDS = 60.0
CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Shop(Apart):
    """A shop of its own, and processes of it."""

    @asynccontextmanager
    async def running(self, service: str, role: str, **changed: Any) -> AsyncIterator["Running"]:
        """A process that listens and has been told to begin."""
        settings = Settings.model_validate({**self.settings.model_dump(), **changed})
        process = Process(settings, service, role)
        await process.listen()
        running = Running(process)
        try:
            yield running
        finally:
            running.beginning.cancel()
            await asyncio.wait([running.beginning])
            await process.stop()
            await running.close()


class Running(Api):
    """A process, and a client of it."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.beginning = asyncio.create_task(process.begin())
        tokens, clock = process.tokens, process.clock
        super().__init__(process.base_url, lambda actor: tokens.make(actor, clock.now(), timedelta(days=400)))

    async def ready(self) -> None:
        await until(self.is_ready)

    async def is_ready(self) -> bool:
        return (await self.call("GET", "/readyz"))[0] == 200

    async def problems(self) -> str:
        return str((await self.call("GET", "/readyz"))[1])


@pytest.fixture
async def shop(tmp_path: Path, postgres: PostgresCluster, kafka: KafkaCluster) -> AsyncIterator[Shop]:
    shop = Shop(tmp_path, postgres, kafka, clock="manual", clock_file=tmp_path / "clock")
    yield shop
    await shop.databases.drop()


async def until(holds: Callable[[], Awaitable[Any]]) -> Any:
    """Wait for what takes its way through several processes."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (found := await holds()):  # noqa: ASYNC110 - any condition
            await asyncio.sleep(0.05)
    return found


async def test_services_apart_are_one_system(shop: Shop) -> None:
    """Requests to one process, what follows in another, and what that means in a third: the books are whole, and each
    process shows what it has just been told."""
    await shop.prepare()
    async with AsyncExitStack() as processes:

        async def run(service: str, role: str) -> Running:
            return await processes.enter_async_context(shop.running(service, role))

        cases, refunds = await run("cases", "api"), await run("refunds", "all")
        liability = await run("liability", "all")
        for one in (cases, refunds, liability, await run("cases", "consume"), await run("cases", "relay")):
            await one.ready()
        case_id = await cases.refund("TB1")
        assert [row["case_id"] for row in (await cases.must("GET", "/v1/cases?wait=true"))["items"]] == [case_id]

        async def requested() -> Any:
            return (await refunds.must("GET", "/v1/payouts?wait=true"))["items"]

        assert (await until(requested))[0]["status"] == "requested"
        body = {"payout": f"{case_id}:refund:F1", "status": "succeeded", "channel_ref": "BANK-1"}
        await refunds.must("POST", f"/v1/cases/{case_id}/confirm-payout", body, by=FINANCE)
        await cases.must("POST", f"/v1/cases/{case_id}/assess-cause", {"cause": "lost_in_transit"})

        async def told() -> Any:
            case = await cases.must("GET", f"/v1/cases/{case_id}")
            return case["losses"] and case["payouts"][0]["status"] == "succeeded"

        await until(told)
        status, refused = await liability.call("GET", "/v1/cases")  # each answers for its own service
        assert (status, refused["code"], refused["params"]) == (404, "wrong_service", {"service": "cases"})
        status, refused = await cases.call("POST", f"/v1/cases/{case_id}/confirm-payout", body, by=FINANCE)
        assert (status, refused["params"]["service"]) == (404, "refunds")
        assert "refunds" in refused["detail"]
        assert (await cases.call("GET", "/v1/nothing"))[1]["code"] == "not_found"


async def test_one_trace_through_kafka_to_the_charge(shop: Shop) -> None:
    """From the caller's span over the request, the topic and the consumer to the commit that wrote `loss.charged`."""
    await shop.prepare()
    receiver = await Receiver().start()
    tracing.set_up(receiver.url)
    try:
        async with AsyncExitStack() as processes:
            running = [await processes.enter_async_context(shop.running(name, "all")) for name in SERVICES]
            for one in running:
                await one.ready()
            cases, refunds, liability, _ = running
            case_id = await cases.refund("TB1")
            await until(lambda: _items(refunds, "/v1/payouts?wait=true"))
            paid = {"payout": f"{case_id}:refund:F1", "status": "succeeded", "channel_ref": "BANK-1"}
            await refunds.must("POST", f"/v1/cases/{case_id}/confirm-payout", paid, by=FINANCE)
            await until(lambda: _lost(liability))
            path, cause = f"/v1/cases/{case_id}/assess-cause", {"cause": "lost_in_transit"}
            await cases.must("POST", path, cause, traceparent=CALLER)
            await until(lambda: _items(liability, "/v1/charges?wait=true"))
        await tracing.shut_down()
        spans = {span.span_id: span for span in receiver.trace(CALLER[3:35])}
        [charged] = [one for one in spans.values() if "loss.charged" in one.attributes.get("aftersales.events", [])]
        way = [charged]
        while way[0].parent_id in spans:
            way.insert(0, spans[way[0].parent_id])
        assert way[0].parent_id == CALLER[36:52]
        assert [(one.service, one.kind) for one in way] == [
            ("aftersales-cases", "server"),
            ("aftersales-cases", "internal"),
            ("aftersales-liability", "consumer"),
        ]
        assert any(one.kind == "producer" and "aftersales.cases.v1" in one.name for one in spans.values())
    finally:
        await tracing.shut_down()
        await receiver.close()


async def _lost(liability: Running) -> bool:
    return any(row["net_fen"] for row in await _items(liability, "/v1/losses?wait=true"))


async def _items(service: Running, path: str) -> Any:
    return (await service.must("GET", path))["items"]


async def test_a_process_waits_for_its_database_and_says_so(shop: Shop, postgres: PostgresCluster) -> None:
    """While the server is away, and then while migrations are pending, it lives, is not ready, refuses requests as
    retryable and tells why; it begins by itself as soon as it can."""
    await shop.databases.make()
    await asyncio.to_thread(postgres.stop)
    try:
        with capture_logs() as logs:
            async with shop.running("cases", "api") as api:
                await until(lambda: _has(api, "waiting for database"))
                assert (await api.call("GET", "/healthz"))[0] == 200
                assert (await api.call("GET", "/v1/cases"))[1]["code"] == "unavailable"
                await asyncio.to_thread(postgres.start)
                await until(lambda: _has(api, "aftersales migrate cases"))
                await shop.databases.migrate(shop.settings.data_dir)
                await api.ready()
                assert (await api.must("GET", "/v1/cases"))["items"] == []
        waiting = [one for one in logs if one["event"] == "waiting"]
        assert [one["what"] for one in waiting] == ["database", "migrations"]
    finally:
        if not postgres.pid:
            await asyncio.to_thread(postgres.start)


async def _has(one: Running, words: str) -> bool:
    return words in await one.problems()


async def test_a_relay_waits_for_its_topics_and_says_so(shop: Shop) -> None:
    """A topic that is missing is not made by chance: it is named with the command that makes it right."""
    await shop.databases.make()
    await shop.databases.migrate(shop.settings.data_dir)
    async with shop.running("cases", "relay") as relay:
        await until(lambda: _has(relay, "aftersales topics ensure"))
        assert topic_of("cases", shop.settings.kafka_prefix) in await relay.problems()
        await shop.make_topics()
        await relay.ready()


@pytest.mark.parametrize("role", ["relay", "consume"])
async def test_who_needs_a_broker_waits_for_it(shop: Shop, unused_tcp_port: int, role: str) -> None:
    """A relay or consumer whose broker is away lives, is not ready and tells why."""
    await shop.databases.make()
    await shop.databases.migrate(shop.settings.data_dir)
    async with shop.running("cases", role, kafka_servers=f"127.0.0.1:{unused_tcp_port}") as one:
        await until(lambda: _has(one, "waiting for broker"))
        assert (await one.call("GET", "/healthz"))[0] == 200
        assert not await one.is_ready()


async def test_requests_are_answered_while_the_broker_is_away(
    shop: Shop, kafka: KafkaCluster, unused_tcp_port: int
) -> None:
    """Commands, lists and readiness need the database only; what waits is told in log and `/readyz`, and what was
    written meanwhile is published as soon as the broker is there."""
    await shop.prepare()
    with capture_logs() as logs:
        async with shop.running("cases", "all", kafka_servers=f"127.0.0.1:{unused_tcp_port}") as cases:
            await cases.ready()
            assert "waiting for broker" in (await cases.must("GET", "/readyz"))["waiting"]["cases"][0]
            case_id = await cases.refund("TB1")
            assert [row["case_id"] for row in await _items(cases, "/v1/cases?wait=true")] == [case_id]
            async with forwarding(unused_tcp_port, kafka.servers):

                async def published() -> bool:
                    topic = topic_of("cases", shop.settings.kafka_prefix)
                    return bool(await messages_in(Connection.of(shop.settings), topic))

                await until(published)
                await until(lambda: _waits_for_nothing(cases))
                assert await cases.is_ready()
    told = [one for one in logs if one["event"] in ("waiting", "waited_for", "started", "stopped")]
    assert [one["event"] for one in told] == ["waiting", "waited_for", "started", "stopped"]
    assert "requests are answered" in told[0]["meanwhile"]


async def _waits_for_nothing(one: Running) -> bool:
    return "waiting" not in await one.must("GET", "/readyz")


@pytest.mark.parametrize("wrong", ["password", "database"])
async def test_who_is_refused_does_not_wait(shop: Shop, wrong: str) -> None:
    """A wrong password or a database that is not there is for people to mend: the process ends."""
    if wrong == "password":
        await shop.databases.make()
        user, _, rest = shop.databases.url.partition("@")
        url = user.rpartition(":")[0] + ":wrong@" + rest
    else:
        url = shop.databases.url
    process = Process(Settings.model_validate({**shop.settings.model_dump(), "database_url": url}), "cases", "api")
    try:
        with pytest.raises(StoreRefused):
            await process.begin()
    finally:
        await process.stop()


async def test_the_second_takes_over_from_the_first(shop: Shop) -> None:
    """Of two stewards and two relays one works; when it ends, the other goes on at once, and nothing is lost."""
    await shop.prepare()
    async with shop.running("cases", "all") as second:
        async with shop.running("cases", "all") as first:
            await first.ready()
            await second.ready()
            await first.refund("TB1")
        began = time.monotonic()
        assert (await second.must("GET", "/v1/cases?wait=true"))["items"]
        await second.refund("TB2")
        listed = (await second.must("GET", "/v1/cases?wait=true"))["items"]
        assert {row["order_id"] for row in listed} == {"TB1", "TB2"}
        assert time.monotonic() - began < 5

        async def published() -> bool:
            topic = topic_of("cases", shop.settings.kafka_prefix)
            keys = [message.key for message in await messages_in(Connection.of(shop.settings), topic)]
            return keys.count(b"TB2") >= 3

        await until(published)


async def test_time_is_one_for_all_processes(shop: Shop) -> None:
    """A clock that is set by hand at one process is set for all, and what is due by then happens there."""
    await shop.prepare()
    async with shop.running("cases", "all") as cases, shop.running("refunds", "api") as refunds:
        await cases.ready()
        await cases.must("PUT", "/v1/clock", {"now": NOON.isoformat()})
        await cases.order("TB1")
        body = {"order_id": "TB1", "problem": "logistics_delay", "description": "没收到"}
        case_id = (await cases.must("POST", "/v1/cases", body))["case_id"]
        await cases.must("PUT", "/v1/clock", {"now": (NOON + timedelta(hours=3)).isoformat()})
        assert (await cases.must("GET", f"/v1/cases/{case_id}"))["promise"] == "broken"
        assert refunds.process.clock.now() == NOON + timedelta(hours=3)


async def test_published_again_and_rebuilt_while_at_work(shop: Shop) -> None:
    """An operator moves checkpoints under the hands of running processes: the same events come again in the same order,
    nothing happens twice, and the tables are as before."""
    await shop.prepare()
    async with shop.running("cases", "all") as cases, shop.running("refunds", "all") as refunds:
        await cases.ready()
        await refunds.ready()
        await cases.refund("TB1")
        connection, topic = Connection.of(shop.settings), topic_of("cases", shop.settings.kafka_prefix)

        async def payouts() -> list[Any]:
            return list((await refunds.must("GET", "/v1/payouts?wait=true"))["items"])

        await until(payouts)
        once = [message.value for message in await messages_in(connection, topic)]
        service = cases.process.service
        await move_to(service.store, Relay.name, "cases", 0)

        async def twice() -> bool:
            return [message.value for message in await messages_in(connection, topic)] == once * 2

        await until(twice)
        views = service.projector.name
        claim = await service.store.claim(views, "cases")
        assert claim.epoch == 2
        await move_to(service.store, views, "cases", 0)
        assert len((await cases.must("GET", "/v1/cases?wait=true"))["items"]) == 1
        assert len(await payouts()) == 1
