"""The benchmarks of finance run, reconcile what they say, and measure books that could be a shop's."""

from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.finance import __main__ as benchmarks
from benchmarks.finance.join_process import joined, reconciled
from benchmarks.finance.made import made
from benchmarks.finance.year import DAYS, TENTH, parts
from services.finance.views import FinanceViews
from services.stack.postgres import PostgresCluster


def test_it_prints_its_ratios(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs from beginning to end on few rows, in processes of its own, and says how it compares."""
    monkeypatch.chdir(tmp_path)
    assert benchmarks.main(["--tiny", "--on", "SQLite", "--json", "figures.json"]) == 0
    written = msgspec.json.decode((tmp_path / "figures.json").read_bytes())
    assert {one["section"] for one in written["figures"]} == set(benchmarks.SECTIONS)
    assert all(value > 0 for figure in written["figures"] for value in figure["ours"]["values"])


def test_statements_are_measured_on_both_databases(
    postgres: PostgresCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each document stands beside a scan of the same database, once both databases said the same; nothing is left."""
    monkeypatch.chdir(tmp_path)
    assert benchmarks.main(["statements", "--tiny", "--json", "figures.json"], postgres) == 0
    written = msgspec.json.decode((tmp_path / "figures.json").read_bytes())
    scanned = Counter(one["name"].partition(",")[0] for one in written["figures"] if one["peer"] == "bare scan")
    assert scanned == {"SQLite": 6, "PostgreSQL": 6}
    assert not list((tmp_path / "var").iterdir())
    postgres.create_database("benchmark_statements")  # fails if it is still there
    postgres.execute('DROP DATABASE "benchmark_statements"')


def test_a_year_is_one_that_books_could_hold() -> None:
    """About as many postings as asked for, each event balanced, some heard of too late for their month; a tenth of the
    year is there before the rest."""
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    tables, days = FinanceViews().tables, []
    for part in parts(2_000):
        days.append(part.days)
        for table, some in part.rows.items():
            rows[table] += (dict(zip(tables[table], row, strict=True)) for row in some)
    assert len(days) == 13
    assert {TENTH, DAYS} < {*days}
    postings = sorted(rows["posting_view"], key=lambda row: row["position"])
    assert len(postings) == pytest.approx(2_000, rel=0.03)
    sums: Counter[str] = Counter()
    for one in postings:
        sums[one["event_id"]] += one["amount_fen"]
    assert not any(sums.values())
    assert any(earlier["month"] > later["month"] for earlier, later in pairwise(postings))
    assert not any(row["misposted"] for row in rows["order_fact_view"])
    assert all(rows[table] for table in ("case_fact_view", "refund_line_view", "compensation_view"))


def test_both_go_through_the_same_rows() -> None:
    """Every row that is made is seen by both, and the faults that are made among them are found."""
    rows = sum(len(one.rows) for one in made(30_000, 5))
    seen, _, run = reconciled(30_000, 5)
    assert (seen, joined(30_000, 5)[0], sum(run.tally.rows.values())) == (rows, rows, rows)
    assert set(run.tally.by_kind) <= {"missing_at_channel", "amount"}
