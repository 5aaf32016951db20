"""Hearing a backlog: `aftersales consume` of liability and refunds, one and two processes, few and many partitions."""

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from benchmarks import workload
from benchmarks.figures import Figure, Report, Rounds, interleaved, shares
from benchmarks.processes import play, preparing
from benchmarks.sizes import Sizes
from benchmarks.stack import profiled
from benchmarks.stack.relay import own_records, send
from benchmarks.stack.servers import PARTITIONS, Servers, Shop
from benchmarks.stack.spending import Spending
from services.kernel.kafka.connection import stop
from services.kernel.kafka.message import outgoing
from services.kernel.kafka.topics import group_of, topic_of
from services.kernel.log import Record
from services.stack.processes import ServiceProcess

SECTION = "consumer"
#: Pickups of each case; each is recorded as a loss and charged.
PICKUPS = 7
#: What liability hears of a case besides: that it was opened, and its cause. Its order is not heard.
EVENTS_PER_CASE = PICKUPS + 3


class Group(NamedTuple):
    """So many processes of some services, on topics with so many partitions."""

    services: tuple[str, ...]
    processes: int
    partitions: int

    def __str__(self) -> str:
        processes = "1 process" if self.processes == 1 else f"{self.processes} processes"
        partitions = "1 partition" if self.partitions == 1 else f"{self.partitions} partitions"
        return f"{' and '.join(self.services)}, {processes}, {partitions}"


class Heard(NamedTuple):
    """What was seen while a backlog was handled; `effects`: events that were written because of it."""

    per_second: float
    effects: int
    spending: Spending
    shares: dict[str, float]


class Hearing:
    """Handles the same backlog again and again, each time with empty databases and topics of its own."""

    def __init__(self, servers: Servers, backlog: Sequence[Record]) -> None:
        self._servers = servers
        self.backlog = backlog
        self.last: dict[Group, Heard] = {}

    def per_second(self, group: Group, *, profile: bool = False) -> float:
        """Events of the backlog that a group handles in a second; of several services, each handles all of them."""
        with self._servers.shop(partitions=group.partitions) as shop:
            roles = [("consume", service) for service in group.services for _ in range(group.processes)]
            with shop.running(*roles) as processes:
                heard = self.last[group] = self._measure(shop, group, processes, profile)
        return heard.per_second

    def _measure(self, shop: Shop, group: Group, processes: list[ServiceProcess], profile: bool) -> Heard:
        if profile:
            profiled.begin(processes[0])
        for one in processes:
            one.freeze()  # the backlog is there before anything of it is handled
        asyncio.run(self._publish(shop))
        with shop.spending(processes) as spending:
            for one in processes:
                one.thaw()
            asyncio.run(self._handled(shop, group))
        found = profiled.end(processes[0]) if profile else {}
        effects = sum(len(asyncio.run(own_records(shop, service))) for service in group.services)
        return Heard(len(self.backlog) / spending.wall_seconds, effects, spending, found)

    async def _publish(self, shop: Shop) -> None:
        topic = topic_of("cases", shop.settings.kafka_prefix)
        producer = await shop.connection.producer("backlog")
        try:
            await send(producer, [outgoing(one, topic) for one in self.backlog])
        finally:
            await stop(producer)

    async def _handled(self, shop: Shop, group: Group) -> None:
        prefix = shop.settings.kafka_prefix
        topic, wanted = topic_of("cases", prefix), len(self.backlog)
        await asyncio.gather(
            *(shop.reached(service, group_of(service, prefix), f"{topic}/%", wanted) for service in group.services)
        )


def backlog(servers: Servers, events: int) -> list[Record]:
    """Events of cases, as commands made them."""
    with servers.shop(broker=False) as shop, shop.running(("api", "cases")) as processes:
        orders = workload.order_ids(max(1, events // EVENTS_PER_CASE))
        play(shop.load(processes, preparing(workload.losses(orders, PICKUPS))))
        return asyncio.run(own_records(shop, "cases"))


def run(servers: Servers, report: Report, folder: Path, sizes: Sizes) -> None:
    """Measure in turn, then say what bounds it."""
    report.section(f"Consumers (a backlog of {sizes.heard:,} events of cases, {PICKUPS} of {EVENTS_PER_CASE} charged)")
    hearing = Hearing(servers, backlog(servers, sizes.heard))
    most = sizes.partitions[-1]
    alone = [Group(("liability",), 1, partitions) for partitions in sizes.partitions]
    pairs = [Group(("liability",), 2, partitions) for partitions in sizes.partitions if partitions > 1]
    others = [Group(("refunds",), 1, most), Group(("liability", "refunds"), 1, most)]
    groups = [*alone, *pairs, *others]
    rates = dict(
        zip(
            groups,
            interleaved(sizes.rounds, *(partial(hearing.per_second, group) for group in groups)),
            strict=True,
        )
    )
    for group in groups:
        peer = Group(("liability",), 1, most if group.processes == 1 else group.partitions)
        theirs: Rounds | None = None if group == peer else rates[peer]
        report.add(Figure(SECTION, str(group), "events/s", rates[group], str(peer) if theirs else "", theirs))
    _explain(report, hearing, alone[-1], pairs[-1])


def _explain(report: Report, hearing: Hearing, one: Group, two: Group) -> None:
    for group in (one, two):
        heard = hearing.last[group]
        each = ", ".join(
            f"{name} {1e6 * seconds / len(hearing.backlog):.0f}" for name, seconds in heard.spending.seconds.items()
        )
        report.note(
            SECTION, f"{group}: {heard.effects:,} events of its own; {heard.spending.told}; µs an event: {each}"
        )
    hearing.per_second(one, profile=True)
    report.note(SECTION, f"{one}, event loop: {shares(hearing.last[one].shares)}")
    report.note(SECTION, f"a topic has {PARTITIONS} partitions unless told otherwise")
