"""Whether a case of many events and a list of many cases are as quick as small ones."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.console.pages import mean
from benchmarks.console.visitor import Visitor
from benchmarks.figures import Figure, Report, interleaved
from benchmarks.processes import Server, server
from benchmarks.sizes import Sizes
from benchmarks.workload import Request

SECTION = "growth"
AIM: Final = 2.0
#: Events of a long case, and cases of a long list, against short ones.
EVENTS: Final = 1_000
CASES: Final = 100_000
SHORT_LIST: Final = 100
#: One of so many cases is open.
OPEN: Final = 20


def run(report: Report, folder: Path, sizes: Sizes) -> None:
    """Measure short and long in turn."""
    report.section("Pages by the number of events and cases (one visitor)")
    many = sizes.rows >= 100
    with server("aftersales", folder / "short") as short, server("aftersales", folder / "long") as long:
        few_cases, orders = short.prepare(SHORT_LIST if many else 4), long.prepare(SHORT_LIST if many else 4)
        _lengthen(long, orders[0], EVENTS if many else 20)
        _fill(folder / "long" / "cases.db", CASES if many else 50)
        visits = max(2, sizes.rows // 20)
        few, much = closing(Visitor(short, folder / "short")), closing(Visitor(long, folder / "long"))
        pages = {
            f"case of {EVENTS:,} events": (f"/console/cases/{orders[0]}-1", f"/console/cases/{few_cases[0]}-1"),
            f"list of {CASES:,} cases": ("/console/cases", "/console/cases"),
            f"unassigned among {CASES:,} cases": ("/console/cases?status=open&assigned=no",) * 2,
            "home, with the counts of all work lists": ("/console/", "/console/"),
        }
        with few as one, much as other:
            for name, (large, small) in pages.items():
                other.page(large), one.page(small)  # templates are compiled when they are first wanted
                ours, theirs = interleaved(
                    sizes.rounds,
                    partial(mean, visits, partial(other.page, large)),
                    partial(mean, visits, partial(one.page, small)),
                )
                report.add(Figure(SECTION, name, "ms", ours, "small", theirs, AIM, at_most=True))


def _lengthen(running: Server, order: str, events: int) -> None:
    """Let so much happen in the case of an order."""
    body = '{"role": "team_lead", "reason": "the buyer asked once more"}'
    running.play([[Request("POST", f"/v1/cases/{order}-1/escalate", body, f"more-{n}") for n in range(events)]])
    running.drained()


def _fill(database: Path, cases: int) -> None:
    """Let a list have so many rows, copies of those that are there, as the server would have written them; most of
    them are closed, as in any shop that is not new."""
    with sqlite3.connect(database, timeout=30) as connection:
        connection.row_factory = sqlite3.Row
        rows = [dict(row) for row in connection.execute("SELECT * FROM case_view")]
        names = list(rows[0])
        sql = f"INSERT INTO case_view ({', '.join(names)}) VALUES ({', '.join(':' + name for name in names)})"
        connection.executemany(sql, _copies(rows, cases - len(rows)))
    connection.close()


def _copies(rows: list[dict[str, Any]], number: int) -> Iterator[dict[str, Any]]:
    for n in range(number):
        row = {**rows[n % len(rows)], "order_id": f"COPY{n}", "case_id": f"COPY{n}-1"}
        yield row if n % OPEN == 0 else row | {"status": "closed", "stages": "", "waits_for": "", "next_due_at": None}
