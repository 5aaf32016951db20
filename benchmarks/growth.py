"""How the cost of a command grows with the number of orders and events that are there already."""

from pathlib import Path

from benchmarks import workload
from benchmarks.figures import Figure, Report, Rounds
from benchmarks.processes import server
from benchmarks.sizes import Sizes

SECTION = "growth"
CLIENTS = 32


def run(report: Report, folder: Path, sizes: Sizes) -> None:
    """Measure on one server that fills up, with commands about orders from all of them."""
    report.section(f"Growth with orders and events ({CLIENTS} clients, all services)")
    first: Rounds | None = None
    with server("aftersales", folder / "growing") as running:
        orders: list[str] = []
        seen = 0
        for number in sizes.orders:
            orders += running.prepare(number - len(orders))
            rates = []
            for _ in range(sizes.rounds):
                step = max(1, len(orders) // CLIENTS)
                chosen = (orders[seen % step :: step] + orders)[:CLIENTS]
                plan = [workload.commands([one], sizes.commands // CLIENTS, first_round=seen) for one in chosen]
                seen += -(-sizes.commands // CLIENTS // 3) + 1
                measured, spent = running.counted(plan)
                running.drained()
                rates.append(measured.per_second)
            rate = Rounds(tuple(rates))
            first = first or rate
            name = f"{number:,} orders there ({spent.memory_mb:.0f} MB)"
            report.add(Figure(SECTION, name, "commands/s", rate, f"{sizes.orders[0]:,} orders", first))
