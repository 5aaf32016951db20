"""The benchmark of reconciliation runs, and reconciles what it says."""

from pathlib import Path

import msgspec
import pytest

from benchmarks.finance import __main__ as benchmarks
from benchmarks.finance.join_process import joined, reconciled
from benchmarks.finance.made import made


def test_it_prints_its_ratios(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs from beginning to end on few rows, in processes of its own, and says how it compares."""
    monkeypatch.chdir(tmp_path)
    assert benchmarks.main(["--tiny", "--json", "figures.json"]) == 0
    written = msgspec.json.decode((tmp_path / "figures.json").read_bytes())
    assert {one["section"] for one in written["figures"]} == set(benchmarks.SECTIONS)
    assert all(value > 0 for figure in written["figures"] for value in figure["ours"]["values"])


def test_both_go_through_the_same_rows() -> None:
    """Every row that is made is seen by both, and the faults that are made among them are found."""
    rows = sum(len(one.rows) for one in made(30_000, 5))
    seen, _, run = reconciled(30_000, 5)
    assert (seen, joined(30_000, 5)[0], sum(run.tally.rows.values())) == (rows, rows, rows)
    assert set(run.tally.by_kind) <= {"missing_at_channel", "amount"}
