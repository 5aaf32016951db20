"""How the cost of a command grows with the number of orders and events that are there already."""

from collections import Counter
from pathlib import Path

from benchmarks import workload
from benchmarks.figures import Figure, Report, Rounds
from benchmarks.processes import server
from benchmarks.sizes import Sizes

SECTION = "growth"
CLIENTS = 32
#: Commands of one round about an order in the workload.
ROUND = 3


def run(report: Report, folder: Path, sizes: Sizes) -> None:
    """Measure on one server that fills up, with commands about orders from all of them."""
    report.section(f"Growth with orders and events ({CLIENTS} clients, all services)")
    first: Rounds | None = None
    each = max(1, sizes.commands // CLIENTS // ROUND) * ROUND
    with server("aftersales", folder / "growing") as running:
        orders: list[str] = []
        used: Counter[str] = Counter()
        for number in sizes.orders:
            orders += running.prepare(number - len(orders))
            rates = []
            for _ in range(sizes.rounds):
                chosen = sorted(orders, key=used.__getitem__)[:CLIENTS]
                plan = [workload.commands([one], each, first_round=used[one]) for one in chosen]
                used.update(dict.fromkeys(chosen, each // ROUND))
                measured, spent = running.counted(plan)
                running.drained()
                rates.append(measured.per_second)
            rate = Rounds(tuple(rates))
            first = first or rate
            name = f"{number:,} orders there ({spent.memory_mb:.0f} MB)"
            report.add(Figure(SECTION, name, "commands/s", rate, f"{sizes.orders[0]:,} orders", first))
