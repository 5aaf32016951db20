"""Going through a whole log, beside reading the same rows raw: folding all files, proving all chains, rebuilding."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.figures import Figure, Report, Rounds
from benchmarks.replay.logs import POSTGRES, SQLITE, Log, Logs
from benchmarks.replay.work import (
    FOLD,
    FOLD_BY_TWO,
    LIBRARY,
    LIBRARY_EVENTS,
    LIBRARY_LOG,
    RAW,
    REBUILD,
    REBUILD_BY_TWO,
    VERIFY,
    VERIFY_BY_TWO,
    Worked,
)
from benchmarks.sizes import Sizes

#: Of the rate at which the same rows are read raw.
AIMS = {POSTGRES: 0.4, SQLITE: 0.15}
#: Of one process, by two on two cores.
BY_TWO_AIM = 1.6
LIBRARY_AIM = 5.0
#: How much longer an event may take in the longest log than in the shortest: more is not linear.
GROWTH_AIM = 1.25
#: What a process may hold, however long the log is.
MEMORY_MB = 300.0


def _walk(
    section: str, title: str, work: str, by_two: str, logs: Logs, report: Report, folder: Path, sizes: Sizes
) -> None:
    """Measure a work on each log of both databases, on the long one by two workers too, in turn with reading raw."""
    report.section(title)
    for database in logs.databases:
        seen: list[tuple[Log, Worked]] = []
        short, long = logs.of(database, sizes)
        for log, works in ((short, [work, RAW]), (long, [work, by_two, RAW])):
            measured = log.worked(sizes.rounds, *works)
            seen.append((log, measured))
            ours = measured.rounds(work)
            report.add(Figure(section, log.name, "events/s", ours, RAW, measured.rounds(RAW), AIMS[database]))
        pair, one = measured.rounds(by_two), measured.rounds(work)
        report.add(Figure(section, f"{long.name}, two workers", "events/s", pair, "one", one, BY_TWO_AIM))
        _growth(report, section, work, seen)


def _growth(report: Report, section: str, work: str, seen: Sequence[tuple[Log, Worked]]) -> None:
    (short, first), (long, last) = seen[0], seen[-1]
    micros = [Rounds(tuple(1e6 / rate for rate in one.rates[work])) for one in (first, last)]
    name, peer = f"{long.database}, time an event of {long.events:,}", f"of {short.events:,}"
    report.add(Figure(section, name, "µs", micros[1], peer, micros[0], GROWTH_AIM, at_most=True))
    memory, allowed = Rounds((last.memory_mb,)), Rounds((MEMORY_MB,))
    name = f"{long.database}, memory of {long.events:,} events"
    report.add(Figure(section, name, "MB", memory, "allowed", allowed, 1, at_most=True))
    report.note(section, f"{short.database}, memory of {short.events:,} events: {first.memory_mb:.0f} MB")


fold = partial(_walk, "fold", "Fold of all order files (read, decode, evolve)", FOLD, FOLD_BY_TWO)
verify = partial(_walk, "verify", "Proof of all hash chains", VERIFY, VERIFY_BY_TWO)
_BESIDE = "Rebuild of all read tables beside the live ones, and comparison"
rebuild = partial(_walk, "rebuild", _BESIDE, REBUILD, REBUILD_BY_TWO)


def library(logs: Logs, report: Report, folder: Path, sizes: Sizes) -> None:
    """Fold beside the library, which replays as many events of the same size."""
    report.section("Fold of all order files, beside the event-sourcing library on the same database")
    for database in logs.databases:
        log = logs.of(database, sizes)[-1]
        measured = log.worked(sizes.rounds, FOLD, LIBRARY, LIBRARY_LOG)
        ours = measured.rounds(FOLD)
        report.add(Figure("library", log.name, "events/s", ours, LIBRARY, measured.rounds(LIBRARY), LIBRARY_AIM))
        report.add(Figure("library", log.name, "events/s", ours, LIBRARY_LOG, measured.rounds(LIBRARY_LOG)))
        if log.events > LIBRARY_EVENTS:
            report.note("library", f"the library was given {LIBRARY_EVENTS:,} events: to write more takes it long")
