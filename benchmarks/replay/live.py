"""Commands per second of a service at work, alone and while its read tables are rebuilt by another process."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks import workload
from benchmarks.figures import Figure, Report, interleaved
from benchmarks.processes import environment, server
from benchmarks.replay import rebuilding
from benchmarks.replay.logs import Log, Logs
from benchmarks.sizes import Sizes

SECTION = "live"
CLIENTS = 16
#: Of the rate without a rebuild.
AIM = 0.75


class Rebuilding:
    """A process that rebuilds a service's read tables again and again, whenever it is told to."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.events = 0
        """How many it went through so far."""

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """It is at work within the block."""
        process = subprocess.Popen(
            [sys.executable, "-m", rebuilding.__name__, str(self._log.data_dir), self._log.database_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
        )
        assert process.stdout is not None
        try:
            process.stdout.readline()  # it begins
            yield
        finally:
            said, _ = process.communicate(timeout=60)  # ends its standard input
        self.events += int(said)


def run(logs: Logs, report: Report, folder: Path, sizes: Sizes) -> None:
    """Measure in turn, on the long log of each database."""
    report.section(f"Commands while read tables are rebuilt ({CLIENTS} clients, one process, another one rebuilds)")
    for database in logs.databases:
        log = logs.of(database, sizes)[-1]
        beside = Rebuilding(log)
        with _at_work(log, sizes.commands) as per_second:
            alone, under = interleaved(sizes.rounds, per_second, partial(_while, beside, per_second))
        report.add(Figure(SECTION, f"{log.name}, rebuilt", "commands/s", under, "alone", alone, AIM))
        report.note(SECTION, f"{database}: {beside.events:,} events were gone through meanwhile")


def _while(beside: Rebuilding, per_second: Callable[[], float]) -> float:
    with beside.at_work():
        return per_second()


@contextmanager
def _at_work(log: Log, commands: int) -> Iterator[Callable[[], float]]:
    with server("aftersales", log.data_dir, "--only", "cases", "--database-url", log.database_url) as running:

        def per_second() -> float:
            orders = running.prepare(workload.orders_for(CLIENTS, commands))
            return running.play(workload.spread(orders, CLIENTS, commands)).per_second

        yield per_second
