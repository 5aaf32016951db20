"""A page against the answers of the API that it is made of, and how much a first visit loads."""

from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.console.visitor import Visitor
from benchmarks.figures import Figure, Report, Rounds, interleaved
from benchmarks.processes import server
from benchmarks.sizes import Sizes

SECTION = "pages"
#: How much longer a page may take than its answers, and the most that a first visit may load, compressed.
AIM: Final = 2.0
AIM_BYTES: Final = 150 * 1024
#: Cases that there are, and visits of a round.
CASES: Final = 200

#: Pages, and the answers that each asks for; `{case}` and `{order}` are filled in.
PAGES: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "list of cases": ("/console/cases", ("/v1/cases?count=true",)),
    "case": ("/console/cases/{case}", ("/v1/cases/{case}?timeline=50",)),
    "case, how its money comes about": (
        "/console/cases/{case}/money",
        (
            "/v1/cases/{case}/settlement/explanation",
            "/v1/cases/{case}/charges/explanation",
        ),
    ),
    "order": ("/console/orders/{order}", ("/v1/orders/{order}",)),
}


def run(report: Report, folder: Path, sizes: Sizes) -> None:
    """Measure each page and its answers in turn."""
    report.section("Pages of the console beside the JSON that they are made of (one visitor)")
    with server("aftersales", folder) as running:
        order = running.prepare(min(CASES, sizes.commands))[0]
        with closing(Visitor(running, folder)) as visitor:
            _measure(report, visitor, order, sizes)


def _measure(report: Report, visitor: Visitor, order: str, sizes: Sizes) -> None:
    visits = max(2, sizes.rows // 10)
    for name, (page, paths) in PAGES.items():
        path = page.format(case=f"{order}-1", order=order)
        asked = [one.format(case=f"{order}-1", order=order) for one in paths]
        visitor.page(path)  # its template is compiled when it is first wanted
        ours, theirs = interleaved(
            sizes.rounds,
            partial(mean, visits, partial(visitor.page, path)),
            partial(mean, visits, partial(visitor.answers, *asked)),
        )
        peer = "its answer" if len(asked) == 1 else f"its {len(asked)} answers"
        report.add(Figure(SECTION, name, "ms", ours, peer, theirs, AIM, at_most=True))
    loaded = Rounds((visitor.first_load(f"/console/cases/{order}-1"),))
    bound = Rounds((AIM_BYTES,))
    name = "first visit to a case, compressed"
    report.add(Figure(SECTION, name, "bytes", loaded, "150 KB", bound, 1, at_most=True))


def mean(times: int, measure: Callable[[], float]) -> float:
    """The mean of several measurements."""
    return sum(measure() for _ in range(times)) / times
