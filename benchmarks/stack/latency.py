"""From the answer of a command that costs money to the charge at another service, beside a message's round trip."""

import asyncio
import time
from contextlib import suppress
from itertools import count, cycle, islice
from pathlib import Path
from typing import Any

import aiohttp
from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks import workload
from benchmarks.figures import Figure, Report, interleaved, percentile
from benchmarks.processes import play, preparing
from benchmarks.sizes import Sizes
from benchmarks.stack.servers import PATIENCE_SECONDS, Servers, Shop
from benchmarks.workload import Request
from services.kernel.kafka.connection import stop
from services.kernel.kafka.topics import topic_of
from services.stack.processes import ServiceProcess

SECTION = "latency"
ROLES = (
    ("api", "cases"),
    ("relay", "cases"),
    ("consume", "cases"),
    ("api", "liability"),
    ("consume", "liability"),
)
CASES = 10
#: Pause before a command, and between looks at the other service, in seconds.
IDLE_SECONDS = 0.1
LOOK_SECONDS = 0.001
#: How long it is looked what everything costs while nothing happens, in seconds.
QUIET_SECONDS = 1.0


class Way:
    """Commands at one service, looked for at the other."""

    def __init__(self, shop: Shop, processes: list[ServiceProcess]) -> None:
        self._shop = shop
        self._cases, self._liability = processes[0].url, processes[3].url
        self._http: aiohttp.ClientSession | None = None
        self._arrived: dict[bytes, float] = {}
        self._numbers = count()
        #: Milliseconds from the answer: to the message in the topic, and to the charge at the other service.
        self.to_topic: list[float] = []
        self.to_charge: list[float] = []
        #: Milliseconds that the command itself took, and one look.
        self.command: list[float] = []
        self.look: list[float] = []

    def begin(self, http: aiohttp.ClientSession) -> None:
        """Ask by this client from here."""
        self._http = http

    async def measure(self, order_id: str) -> None:
        """One command, followed to the end."""
        await asyncio.sleep(IDLE_SECONDS)
        before = await self._net_fen(order_id)
        self._arrived.clear()
        began = time.perf_counter()
        await self._send(workload.pickup(order_id, next(self._numbers)))
        answered = time.perf_counter()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self._net_fen(order_id) != before + workload.PICKUP_FEN:  # noqa: ASYNC110 - another process
                await asyncio.sleep(LOOK_SECONDS)
        seen = time.perf_counter()
        self.command.append(1000 * (answered - began))
        self.to_charge.append(1000 * (seen - answered))
        if arrived := self._arrived.get(order_id.encode()):
            self.to_topic.append(1000 * (arrived - answered))

    async def known(self, order_id: str) -> None:
        """Wait until the other service knows the cause of the case."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (await self._charges(order_id)).get("shares"):  # noqa: ASYNC110 - another process
                await asyncio.sleep(IDLE_SECONDS)

    async def watch(self, consumer: AIOKafkaConsumer) -> None:
        """Note when messages arrive, for ever."""
        async for message in consumer:
            self._arrived[message.key] = time.perf_counter()

    async def _net_fen(self, order_id: str) -> int:
        began = time.perf_counter()
        net_fen: int = (await self._charges(order_id))["net_fen"]
        self.look.append(1000 * (time.perf_counter() - began))
        return net_fen

    async def _charges(self, order_id: str) -> dict[str, Any]:
        assert self._http is not None
        async with self._http.get(f"{self._liability}/v1/cases/{order_id}-1/charges", headers=self._headers) as answer:
            document: dict[str, Any] = await answer.json()
            return document

    async def _send(self, request: Request) -> None:
        headers = {**self._headers, "Idempotency-Key": request.key, "Content-Type": "application/json"}
        assert self._http is not None
        async with self._http.post(self._cases + request.path, data=request.body, headers=headers) as answer:
            if answer.status != 200:
                raise RuntimeError(await answer.text())

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._shop.token}"}


def run(servers: Servers, report: Report, folder: Path, sizes: Sizes) -> None:
    """Measure both, one after the other, on the same broker."""
    report.section("Latency between services (from a command's answer to the charge in the other service's answer)")
    with servers.shop() as shop, shop.running(*ROLES) as processes:
        orders = workload.order_ids(CASES)
        play(shop.load(processes[:1], preparing(workload.losses(orders, 0))))
        way, trips = Way(shop, processes), list[float]()
        ours, theirs = interleaved(
            sizes.rounds,
            lambda: asyncio.run(_followed(shop, way, orders, sizes.charges)),
            lambda: asyncio.run(_round_trips(shop, trips, sizes.charges)),
        )
        p99 = percentile(way.to_charge, 0.99)
        peer = f"bare produce and consume (p99 {percentile(trips, 0.99):.1f} ms)"
        report.add(Figure(SECTION, f"p50 (p99 {p99:.1f} ms)", "ms", ours, peer, theirs, 5, at_most=True))
        report.note(
            SECTION,
            f"p50 of the command itself {percentile(way.command, 0.5):.1f} ms; from its answer to the message in the "
            f"topic {percentile(way.to_topic, 0.5):.1f} ms; a look at the other service "
            f"{percentile(way.look, 0.5):.1f} ms",
        )
        with shop.spending(processes) as spending:
            time.sleep(QUIET_SECONDS)
        report.note(SECTION, f"while nothing happens, {spending.told}")


async def _followed(shop: Shop, way: Way, orders: list[str], number: int) -> float:
    """The median milliseconds to the charge."""
    async with aiohttp.ClientSession() as http:
        way.begin(http)
        for order_id in orders:
            await way.known(order_id)
        consumer = await _consumer_at_end(shop, topic_of("cases", shop.settings.kafka_prefix))
        watching = asyncio.create_task(way.watch(consumer))
        try:
            for order_id in islice(cycle(orders), number):
                await way.measure(order_id)
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            await stop(consumer)
    return percentile(way.to_charge[-number:], 0.5)


async def _round_trips(shop: Shop, found: list[float], number: int) -> float:
    """The median milliseconds from sending a message to its arrival at a consumer in the same process."""
    topic = topic_of("orders", shop.settings.kafka_prefix)
    consumer = await _consumer_at_end(shop, topic)
    producer = await shop.connection.producer("bare")
    try:
        for key in range(number):
            await asyncio.sleep(IDLE_SECONDS)
            began = time.perf_counter()
            sent = await producer.send(topic, bytes(500), key=str(key).encode())
            await consumer.getone()
            found.append(1000 * (time.perf_counter() - began))
            await sent
    finally:
        await stop(producer)
        await stop(consumer)
    return percentile(found[-number:], 0.5)


async def _consumer_at_end(shop: Shop, topic: str) -> AIOKafkaConsumer:
    consumer = await shop.connection.consumer("watcher")
    partitions = [TopicPartition(topic, number) for number in range(shop.settings.kafka_partitions)]
    consumer.assign(partitions)
    await consumer.seek_to_end(*partitions)
    for one in partitions:
        await consumer.position(one)
    return consumer
