"""Folding a long history into an order file, beside reading the same rows raw and the event-sourcing library."""

import subprocess
import sys
from pathlib import Path

import msgspec

from benchmarks.figures import Figure, Report, Rounds, shares
from benchmarks.fold_process import Folded
from benchmarks.history import write
from benchmarks.processes import environment
from benchmarks.sizes import Sizes

SECTION = "folds"


def run(report: Report, folder: Path, sizes: Sizes) -> None:
    """Measure each length in a process of its own, so that its memory is its own."""
    report.section("Fold of a long history (one order file; read, decode, evolve)")
    folded: dict[int, Folded] = {}
    for count in sizes.histories:
        own = folder / f"history{count}"
        own.mkdir(parents=True)
        url = write(own, count)
        rounds = sizes.rounds if count <= sizes.library_history else 1
        one = folded[count] = _in_own_process(url, count, rounds, min(count, sizes.library_history))
        ours, raw = Rounds(tuple(one.ours)), Rounds(tuple(one.raw))
        name = f"{count:,} events ({one.memory_mb:.0f} MB)"
        report.add(Figure(SECTION, name, "events/s", ours, "raw rows, bare driver", raw, 0.15))
        report.add(Figure(SECTION, name, "events/s", ours, "eventsourcing", Rounds(tuple(one.library)), 5))
    _explain(report, folded, sizes)


def _in_own_process(url: str, *numbers: int) -> Folded:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.fold_process", url, *map(str, numbers)],
        capture_output=True,
        check=True,
        env=environment(),
    )
    return msgspec.json.decode(done.stdout, type=Folded)


def _explain(report: Report, folded: dict[int, Folded], sizes: Sizes) -> None:
    *_, shorter, longest = folded
    first, last = folded[shorter], folded[longest]
    cost = Rounds((last.micros,))
    report.add(
        Figure(
            SECTION,
            f"time an event, {longest:,} events",
            "µs",
            cost,
            f"{shorter:,} events",
            Rounds((first.micros,)),
            1.5,
            at_most=True,
        )
    )
    report.note(SECTION, f"{longest:,} events: {shares(last.shares)}")
    report.note(
        SECTION,
        f"the library was given {sizes.library_history:,} events at most; longer histories compare with its rate there",
    )
    report.note(
        SECTION, f"memory: {first.memory_mb:.0f} MB for {shorter:,} events, {last.memory_mb:.0f} MB for {longest:,}"
    )
