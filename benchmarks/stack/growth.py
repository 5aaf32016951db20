"""How the cost of an append and of a command grows with the events and streams that are there already."""

import asyncio
from pathlib import Path

from benchmarks.figures import Figure, Report, Rounds
from benchmarks.sizes import Sizes
from benchmarks.stack.appends import Appending, appending
from benchmarks.stack.commands import MANY, Side
from benchmarks.stack.relay import EVENTS_PER_STREAM, Backlog, whole_stream
from benchmarks.stack.servers import Servers, Shop

SECTION = "growth"
#: Streams of one commit while a log is filled.
_CHUNK = 200


def run(servers: Servers, report: Report, folder: Path, sizes: Sizes) -> None:
    """Measure on one database that fills up."""
    report.section("Growth with events and streams (two processes append; one takes commands; one relays)")
    first: dict[str, Rounds] = {}
    with (
        servers.shop() as shop,
        shop.running(("api", "cases"), ("relay", "cases")) as (api, _),
        appending() as processes,
    ):
        appends, side = Appending(shop, processes, "events", sizes.appends), Side(shop, [api])
        backlog = Backlog(shop, sizes.published // 4)
        there = 0
        for size in sizes.log_events:
            asyncio.run(_fill(shop, there, size))
            there = size
            measures = {
                "appends": appends.per_second,
                "commands": lambda: side.per_second(MANY, sizes.commands),
                "relayed events": backlog.per_second,
            }
            for what, measure in measures.items():
                rate = Rounds(tuple(measure() for _ in range(sizes.rounds)))
                name = f"{size:,} events in {size // EVENTS_PER_STREAM:,} streams before, {what}"
                peer = first.setdefault(what, rate)
                report.add(Figure(SECTION, name, "1/s", rate, f"{sizes.log_events[0]:,} events", peer))


async def _fill(shop: Shop, begin: int, end: int) -> None:
    """Write streams until the log has so many more events."""
    names = [f"F{number}" for number in range(begin // EVENTS_PER_STREAM, end // EVENTS_PER_STREAM)]
    store = shop.store()
    try:
        for at in range(0, len(names), _CHUNK):
            await store.commit([whole_stream(name) for name in names[at : at + _CHUNK]])
        await shop.reached("cases", "relay", "cases", await store.head_position())
    finally:
        await store.close()
