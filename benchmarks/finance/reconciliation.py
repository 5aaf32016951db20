"""Rows of bills that are reconciled per second, beside a bare hash join of the same rows in the same process."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.figures import Figure, Report, Rounds
from benchmarks.finance import join_process, stored
from benchmarks.finance.join_process import Compared
from benchmarks.finance.made import days_of
from benchmarks.finance.stored import Stored
from benchmarks.processes import environment
from benchmarks.sizes import QUICK, TINY, Sizes

SECTION: Final = "reconciliation"
STORED: Final = "stored"
#: Rows of bills; where nothing smaller is asked for, up to a million.
ROWS: Final = (10_000, 100_000, 1_000_000)
FEWER: Final = {QUICK: (10_000, 100_000), TINY: (2_000, 4_000)}
#: Of the rate of the bare join: every row is put together with up to two others, told, counted and hashed.
AIM: Final = 0.04
#: How much longer a row may take among the most rows than among the fewest: more is not linear.
GROWTH_AIM: Final = 1.5
#: What a process may hold, however many rows there are: some four days of them, and what is open.
MEMORY_MB: Final = 150.0
#: Days of a month, for a shop that has the most rows in one.
_MONTH: Final = 30


def run(report: Report, folder: Path, sizes: Sizes) -> None:
    """Measure each number of rows in a process of its own, so that its memory is its own."""
    report.section("Reconciliation (both bills of a shop with a million rows a year; fees, and faults among them)")
    numbers = FEWER.get(sizes, ROWS)
    seen = [compared(rows, days_of(rows), sizes.rounds) for rows in numbers]
    for one in seen:
        _figure(report, f"{one.rows:,} rows of bills", one)
    least, most = seen[0], seen[-1]
    first, last = (Rounds(tuple(1e6 / rate for rate in one.ours)) for one in (least, most))
    name, peer = f"time a row of {most.rows:,}", f"of {least.rows:,}"
    report.add(Figure(SECTION, name, "µs", last, peer, first, GROWTH_AIM, at_most=True))
    memory, allowed = Rounds((most.memory_mb,)), Rounds((MEMORY_MB,))
    name = f"memory of {most.rows:,} rows"
    report.add(Figure(SECTION, name, "MB", memory, "allowed", allowed, 1, at_most=True))
    report.note(SECTION, ", ".join(f"{one.rows:,} rows: {one.memory_mb:.0f} MB" for one in seen))
    report.note(SECTION, f"{most.matches:,} matches and {most.discrepancies:,} discrepancies among {most.rows:,} rows")
    month = compared(numbers[-1], _MONTH, 1)
    _figure(report, f"{month.rows:,} rows of one month", month)
    report.note(SECTION, f"{month.rows:,} rows of one month: {month.memory_mb:.0f} MB, as a day has more of them")


def _figure(report: Report, name: str, one: Compared) -> None:
    ours, bare = Rounds(tuple(one.ours)), Rounds(tuple(one.bare))
    report.add(Figure(SECTION, name, "rows/s", ours, "bare hash join", bare, AIM))


def compared(rows: int, days: int, rounds: int) -> Compared:
    """Reconcile and join so many, in a process of its own."""
    return msgspec.json.decode(_said_by(join_process.__name__, rows, days, rounds), type=Compared)


def run_stored(report: Report, folder: Path, sizes: Sizes) -> None:
    """The same through the service: rows and postings read from its database, and what agrees noted there."""
    report.section("Reconciliation from and into a database (SQLite: each day read, each match noted)")
    seen: list[Stored] = []
    for rows in FEWER.get(sizes, ROWS):
        own = folder / str(rows)
        own.mkdir(parents=True)
        seen.append(msgspec.json.decode(_said_by(stored.__name__, own, rows, days_of(rows)), type=Stored))
        one = seen[-1]
        report.add(Figure(STORED, f"{one.rows:,} rows of bills", "rows/s", Rounds((one.per_second,))))
    first, last = (Rounds((1e6 / one.per_second,)) for one in (seen[0], seen[-1]))
    name, peer = f"time a row of {seen[-1].rows:,}", f"of {seen[0].rows:,}"
    report.add(Figure(STORED, name, "µs", last, peer, first, GROWTH_AIM, at_most=True))
    report.note(STORED, ", ".join(f"{one.rows:,} rows: {one.memory_mb:.0f} MB" for one in seen))


def _said_by(module: str, *arguments: object) -> bytes:
    """What a process of its own says."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=True, env=environment()).stdout
