"""Publishing a backlog: `aftersales relay cases`, beside a bare producer of the same messages on the same broker."""

import asyncio
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from aiokafka import AIOKafkaProducer

from benchmarks.figures import Figure, Report, interleaved, shares
from benchmarks.history import events, record
from benchmarks.sizes import Sizes
from benchmarks.stack import profiled
from benchmarks.stack.servers import Servers, Shop
from services.kernel.event_store import Append, Commit
from services.kernel.kafka.connection import stop
from services.kernel.kafka.message import Outgoing, outgoing
from services.kernel.kafka.relay import Relay
from services.kernel.kafka.topics import topic_of
from services.kernel.log import Record

SECTION = "relay"
#: Events of one stream, as of a usual case.
EVENTS_PER_STREAM = 10
_PAGE = 1000


class Backlog:
    """A log that grows by a backlog at once, while a relay waits for it."""

    def __init__(self, shop: Shop, size: int) -> None:
        self._shop = shop
        self._size = size
        self._rounds = count()
        self.seconds = 0.0

    def per_second(self) -> float:
        """Add a backlog, and wait until the relay noted that all of it is published."""
        return asyncio.run(self._measure())

    async def _measure(self) -> float:
        number, streams = next(self._rounds), max(1, self._size // EVENTS_PER_STREAM)
        commits = [whole_stream(f"B{number}-{n}") for n in range(streams)]
        store = self._shop.store()
        try:
            before = await store.head_position()
            await self._shop.reached("cases", Relay.name, "cases", before)
            outcomes = await store.commit(commits)
            began = time.perf_counter()
            end = max(one.position for one in outcomes if not isinstance(one, Exception))
            await self._shop.reached("cases", Relay.name, "cases", end)
            self.seconds = time.perf_counter() - began
        finally:
            await store.close()
        return (end - before) / self.seconds


def whole_stream(stream: str) -> Commit:
    """A stream as long as one of the backlog."""
    records = [record(event, number) for number, event in enumerate(events(EVENTS_PER_STREAM, stream))]
    return Commit(appends=(Append(stream, 0, records),))


def run(servers: Servers, report: Report, folder: Path, sizes: Sizes) -> None:
    """Measure in turn, then say what bounds it."""
    report.section(f"Relay ({sizes.published:,} events in the log at once, one broker)")
    with servers.shop() as shop, shop.running(("relay", "cases")) as processes:
        [process] = processes
        backlog = Backlog(shop, sizes.published)
        backlog.per_second()  # connects
        topic = topic_of("orders", shop.settings.kafka_prefix)  # nobody is there to hear it
        messages = asyncio.run(_messages(shop, topic))

        ours, bare = interleaved(
            sizes.rounds, backlog.per_second, lambda: asyncio.run(_bare_per_second(shop, messages))
        )
        report.add(Figure(SECTION, "relay", "events/s", ours, "bare aiokafka producer, send", bare, 0.7))
        with shop.spending(processes) as spending:
            backlog.per_second()
        spending.wall_seconds = backlog.seconds  # the relay waits while the backlog is written
        report.note(SECTION, f"relay, {spending.told} (PostgreSQL: with the writing of the backlog)")
        producer = -time.process_time()
        with shop.spending([]) as spending:
            rate = asyncio.run(_bare_per_second(shop, messages))
        spending.wall_seconds = len(messages) / rate
        spending.add("producer", producer + time.process_time())
        report.note(SECTION, f"bare producer, {spending.told}")
        profiled.begin(process)
        backlog.per_second()
        report.note(SECTION, f"relay, event loop: {shares(profiled.end(process))}")


async def _messages(shop: Shop, topic: str) -> list[Outgoing]:
    """What is in the log, as messages."""
    return [outgoing(one, topic) for one in await own_records(shop, "cases")]


async def own_records(shop: Shop, service: str) -> list[Record]:
    """What a service decided, as it stands in its log."""
    store = shop.store(service)
    found: list[Record] = []
    try:
        while page := await store.read_log(found[-1].position if found else 0, _PAGE, source=service, decode=False):
            found += page
    finally:
        await store.close()
    return found


async def _bare_per_second(shop: Shop, messages: Sequence[Outgoing]) -> float:
    producer = await shop.connection.producer("bare")
    try:
        await producer.partitions_for(messages[0].topic)
        began = time.perf_counter()
        await send(producer, messages)
        return len(messages) / (time.perf_counter() - began)
    finally:
        await stop(producer)


async def send(producer: AIOKafkaProducer, messages: Sequence[Outgoing]) -> None:
    """Send messages as aiokafka's documentation does it for many, and wait until all are acknowledged."""
    sent = [await producer.send(one.topic, one.value, key=one.key, headers=list(one.headers)) for one in messages]
    await asyncio.gather(*sent)
