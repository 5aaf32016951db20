"""A process that reconciles so many rows, and joins the same rows bare; it says what both took.

`python -m benchmarks.finance.join_process ROWS DAYS ROUNDS`. What makes the rows is not counted. The peak of memory is
that of reconciling alone: the join, which keeps all postings, comes afterwards.
"""

import sys
import time
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.finance.made import made, scope
from services.finance.reconciling.classifying import Known
from services.finance.reconciling.items import reference_of
from services.finance.reconciling.run import Run

#: What is wrong with one in so many refunds.
_KINDS: Final = ("missing_at_channel", "amount")


class Compared(msgspec.Struct, frozen=True):
    """Rows per second in each round, the rows, what was found, and megabytes of memory."""

    rows: int
    ours: list[float]
    bare: list[float]
    matches: int
    discrepancies: int
    result: str
    memory_mb: float


def reconciled(rows: int, days: int) -> tuple[int, float, Run]:
    """Reconcile so many; gives how many there were, and seconds."""
    run, seen, seconds = Run(scope(days)), 0, 0.0
    for one in made(rows, days):
        began = time.perf_counter()
        run.take(one.day, one.postings, one.rows)
        seconds += time.perf_counter() - began
        seen += len(one.rows)
    began = time.perf_counter()
    run.wanted()
    run.finish(Known())
    return seen, seconds + time.perf_counter() - began, run


def joined(rows: int, days: int) -> tuple[int, int, float]:
    """A hash join by reference and amount, and nothing else; gives rows, hits and seconds."""
    postings: dict[tuple[str, int], str] = {}
    seen, hits, seconds = 0, 0, 0.0
    for one in made(rows, days):
        began = time.perf_counter()
        for posting in one.postings:
            postings[posting.item, posting.amount_fen] = posting.event_id
        for row in one.rows:
            if (reference_of(row), row.amount_fen) in postings:
                hits += 1
        seconds += time.perf_counter() - began
        seen += len(one.rows)
    return seen, hits, seconds


def peak_mb() -> float:
    """What this process held at the most. (`getrusage` would tell of the one that started it, if that held more.)"""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    """Measure in turn, and say what was measured."""
    rows, days, rounds = (int(argument) for argument in sys.argv[1:4])
    ours: list[float] = []
    bare: list[float] = []
    seen, seconds, run = reconciled(rows, days)
    held_mb = peak_mb()
    ours.append(seen / seconds)
    for number in range(rounds):
        joined_rows, _, seconds = joined(rows, days)
        bare.append(joined_rows / seconds)
        if number + 1 < rounds:
            _, seconds, run = reconciled(rows, days)
            ours.append(seen / seconds)
    if set(run.tally.by_kind) - set(_KINDS) or not run.tally.matches:
        raise RuntimeError(f"{run.tally.by_kind} was found, {run.tally.matches} matched")
    found = (run.tally.matches, run.tally.discrepancies, run.result)
    sys.stdout.buffer.write(msgspec.json.encode(Compared(seen, ours, bare, *found, held_mb)))


if __name__ == "__main__":
    main()
