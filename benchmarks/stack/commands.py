"""Commands per second through HTTP into PostgreSQL: one `aftersales api cases`, and two."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from benchmarks import workload
from benchmarks.figures import Figure, Report, Rounds, interleaved, percentile, shares
from benchmarks.peers import library
from benchmarks.processes import Server, play, preparing, server
from benchmarks.sizes import Sizes
from benchmarks.stack import profiled
from benchmarks.stack.servers import Servers, Shop
from benchmarks.stack.spending import Spending
from benchmarks.workload import Measured
from services.stack.processes import ServiceProcess

SECTION = "commands"
CLIENTS = (1, 16, 64)
MANY = CLIENTS[-1]


class Side:
    """The processes of one shop that take commands, and what was measured on them."""

    def __init__(self, shop: Shop, processes: list[ServiceProcess]) -> None:
        self.shop = shop
        self.processes = processes
        self.spending: Spending | None = None
        self.measured: list[Measured] = []

    def prepare(self, count: int) -> list[str]:
        """Record so many orders and open a case about each."""
        orders = workload.order_ids(count)
        play(self.shop.load(self.processes, preparing(workload.openings(orders))))
        return orders

    def per_second(self, clients: int, count: int) -> float:
        """Play `count` commands about orders of their own."""
        orders = self.prepare(workload.orders_for(clients, count))
        load = self.shop.load(self.processes, workload.spread(orders, clients, count))
        with self.shop.spending(self.processes) as spending:
            measured = play(load)
        spending.add("load generator", measured.cpu_share * measured.seconds)
        spending.wall_seconds = measured.seconds  # not until the generator had started
        self.spending = spending
        self.measured.append(measured)
        return measured.per_second


def count_for(clients: int, sizes: Sizes) -> int:
    """One client sends a quarter, which takes long enough."""
    return max(clients, sizes.commands // 4 if clients == 1 else sizes.commands)


def run(servers: Servers, report: Report, folder: Path, sizes: Sizes) -> None:
    """Measure in turn, round after round, then say what bounds it."""
    report.section("Commands through HTTP into PostgreSQL (processes of the role api of the cases service)")
    with ExitStack() as stack:
        one, two = (stack.enter_context(_side(servers, processes)) for processes in (1, 2))
        bare = stack.enter_context(server("bare", folder / "bare"))
        _compare(report, sizes, one, two, bare)
        _explain(report, sizes, one, two)
    report.note(SECTION, f"disk: {servers.flushes_per_second():,.0f} flushes of one block/s, one after another")


@contextmanager
def _side(servers: Servers, processes: int) -> Iterator[Side]:
    with servers.shop(broker=False) as shop, shop.running(*[("api", "cases")] * processes) as running:
        yield Side(shop, running)


def _compare(report: Report, sizes: Sizes, one: Side, two: Side, bare: Server) -> None:
    def bare_per_second(clients: int) -> float:
        count = count_for(clients, sizes)
        return bare.play(workload.spread([f"TB{n}" for n in range(clients)], clients, count)).per_second

    def library_per_second() -> float:
        # In the database of one of the sides, which is idle meanwhile.
        app = library.on_postgres(one.shop.databases.url_of("cases"))
        return library.commands_per_second(app, sizes.library_commands)

    measures = [
        measure
        for clients in CLIENTS
        for measure in (
            partial(one.per_second, clients, count_for(clients, sizes)),
            partial(bare_per_second, clients),
        )
    ]
    *through_http, pair, lib = interleaved(
        sizes.rounds, *measures, lambda: two.per_second(MANY, sizes.commands), library_per_second
    )
    for number, clients in enumerate(CLIENTS):
        ours, theirs = through_http[2 * number : 2 * number + 2]
        aim = 0.35 if clients == MANY else 0.0
        _add(report, f"{clients} client{'s' * (clients > 1)}, one process", ours, "bare aiohttp handler", theirs, aim)
    _add(report, f"{MANY} clients, one process", ours, "eventsourcing on PostgreSQL, in process", lib, 5)
    _add(report, f"{MANY} clients, two processes", pair, "one process", ours, 1.5)
    latencies = [latency for measured in one.measured[2::3] for latency in measured.latencies_ms]
    p50, p99 = percentile(latencies, 0.5), percentile(latencies, 0.99)
    report.note(SECTION, f"one process, {MANY} clients: latency p50 {p50:.1f} ms, p99 {p99:.1f} ms")


def _add(report: Report, name: str, ours: Rounds, peer: str, theirs: Rounds, aim: float) -> None:
    report.add(Figure(SECTION, name, "commands/s", ours, peer, theirs, aim))


def _explain(report: Report, sizes: Sizes, one: Side, two: Side) -> None:
    for name, side in (("one process", one), ("two processes", two)):
        assert side.spending is not None
        requests = side.measured[-1].requests
        each = ", ".join(f"{who} {1e6 * spent / requests:.0f}" for who, spent in side.spending.seconds.items())
        report.note(SECTION, f"{name}, {MANY} clients, {side.spending.told}; µs a command: {each}")
    [process] = one.processes
    profiled.begin(process)
    one.per_second(MANY, sizes.commands)
    report.note(SECTION, f"one process, event loop (openings too): {shares(profiled.end(process))}")
