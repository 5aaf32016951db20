"""Commands per second through HTTP, beside a bare handler, one-row commits and the event-sourcing library."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks import workload
from benchmarks.figures import Figure, Report, Rounds, interleaved, percentile, shares
from benchmarks.history import stored_bytes
from benchmarks.peers import library, one_row_commits
from benchmarks.processes import Server, server
from benchmarks.server import Spent
from benchmarks.sizes import Sizes
from benchmarks.workload import Measured

SECTION = "commands"
MANY = 32


class _Side:
    """One server and what was measured on it. Whoever plays commands to it lets its consumers catch up first."""

    def __init__(self, running: Server) -> None:
        self._running = running
        self.spent: list[Spent] = []
        self.latencies: list[float] = []

    def play(self, clients: int, count: int, orders: Sequence[str] | None = None) -> Measured:
        """Play `count` commands about orders prepared for it (or, where nothing is kept, about any)."""
        needed = workload.orders_for(clients, count)
        plan = workload.spread(orders or self._running.prepare(needed), clients, count)
        measured, spent = self._running.counted(plan)
        self.spent.append(spent)
        self.latencies += measured.latencies_ms
        return measured


def run(report: Report, folder: Path, sizes: Sizes) -> None:
    """Measure in turn, round after round, then once more under the profiler."""
    report.section("Commands through HTTP (all three services and their read tables in one process)")
    _compare(report, folder, sizes)
    _explain(report, folder, sizes)


def _compare(report: Report, folder: Path, sizes: Sizes) -> None:
    few, many = max(1, sizes.commands // 4), sizes.commands
    body = stored_bytes()
    with (
        server("aftersales", folder / "all") as all_services,
        server("aftersales", folder / "alone", "--only", "cases") as cases_alone,
        server("bare", folder / "bare") as bare_server,
    ):
        everything, alone, bare = _Side(all_services), _Side(cases_alone), _Side(bare_server)
        rows = iter(range(sizes.rounds))
        libraries = iter(range(sizes.rounds))
        ours_1, bare_1, ours_many, bare_many, alone_many, row, lib = interleaved(
            sizes.rounds,
            lambda: everything.play(1, few).per_second,
            lambda: bare.play(1, few, ["TB1"]).per_second,
            lambda: everything.play(MANY, many).per_second,
            lambda: bare.play(MANY, many, [f"TB{n}" for n in range(MANY)]).per_second,
            lambda: alone.play(MANY, many).per_second,
            lambda: one_row_commits.commits_per_second(_new(folder, f"row{next(rows)}"), body, sizes.rows),
            lambda: library.commands_per_second(
                library.on_sqlite(_new(folder, f"lib{next(libraries)}") / "library.db"), sizes.library_commands
            ),
        )
    unit = "commands/s"

    def add(name: str, ours: Rounds, peer: str = "", theirs: Rounds | None = None, aim: float = 0.0) -> None:
        report.add(Figure(SECTION, name, unit, ours, peer, theirs, aim))

    add("1 client", ours_1, "bare aiohttp handler", bare_1)
    add(f"{MANY} clients", ours_many, "bare aiohttp handler", bare_many, 0.4)
    add(f"{MANY} clients", ours_many, "one-row commits, SQLAlchemy async", row, 2)
    add(f"{MANY} clients", ours_many, "eventsourcing, in process", lib, 2)
    add(f"{MANY} clients", ours_many, "1 client", ours_1)
    add(f"{MANY} clients, cases service alone", alone_many, f"{MANY} clients, all services", ours_many)
    p50, p99 = percentile(everything.latencies, 0.5), percentile(everything.latencies, 0.99)
    report.note(SECTION, f"latency over all rounds: p50 {p50:.1f} ms, p99 {p99:.1f} ms")


def _new(folder: Path, name: str) -> Path:
    (folder / name).mkdir(parents=True)
    return folder / name


def _explain(report: Report, folder: Path, sizes: Sizes) -> None:
    """Processor time per command by thread, without profiler; then where the event loop spends it, with."""
    for name, kind in (("aftersales", "aftersales"), ("bare handler", "bare")):
        orders = [f"TB{n}" for n in range(MANY)] if kind == "bare" else None
        with server(kind, folder / f"counted-{kind}") as running:
            side = _Side(running)
            measured = side.play(MANY, sizes.commands, orders)
            loop, sql = (1e6 * seconds / measured.requests for seconds in _seconds(side.spent[-1]))
            busy = side.spent[-1].loop_seconds / measured.seconds
        with server(kind, folder / f"profiled-{kind}", "--profile") as running:
            side = _Side(running)
            side.play(MANY, sizes.commands // 2, orders)
        report.note(
            SECTION,
            f"{name}: {loop:.0f} µs of event loop ({busy:.0%} busy) and {sql:.0f} µs of database threads a command; "
            f"generator {measured.cpu_share:.0%} of its core; {side.spent[-1].memory_mb:.0f} MB",
        )
        report.note(SECTION, f"{name}, event loop: {shares(side.spent[-1].shares)}")


def _seconds(spent: Spent) -> tuple[float, float]:
    return spent.loop_seconds, spent.sql_seconds
