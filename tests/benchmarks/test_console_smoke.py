"""The benchmarks of the console run, and every page that is measured is there."""

from pathlib import Path

import msgspec
import pytest

from benchmarks.console import __main__ as benchmarks


def test_it_prints_its_ratios(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs from beginning to end on few cases, beside real servers, and says how it compares."""
    monkeypatch.chdir(tmp_path)
    assert benchmarks.main(["--tiny", "--json", "figures.json"]) == 0
    written = msgspec.json.decode((tmp_path / "figures.json").read_bytes())
    assert {one["section"] for one in written["figures"]} == set(benchmarks.SECTIONS)
    assert all(figure["ratio"] > 0 for figure in written["figures"])
