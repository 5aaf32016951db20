"""The benchmarks of the services apart run and compare, on servers that are there already."""

from pathlib import Path

import msgspec
import pytest

from benchmarks.stack import __main__ as benchmarks
from services.stack.kafka import KafkaCluster
from services.stack.postgres import PostgresCluster


def test_each_benchmark_prints_its_ratios(
    postgres: PostgresCluster,
    kafka: KafkaCluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """All of them run from beginning to end with next to nothing to do, say how they compare and what bounds them."""
    monkeypatch.chdir(tmp_path)
    assert benchmarks.main(["--tiny", "--json", "figures.json"], postgres, kafka) == 0
    assert "positions dense, order kept" in capsys.readouterr().out
    written = msgspec.json.decode((tmp_path / "figures.json").read_bytes())
    sections = set(benchmarks.SECTIONS)
    assert {figure["section"] for figure in written["figures"] if figure["theirs"]} == sections
    assert {note["section"] for note in written["notes"]} == sections - {"growth"}
    assert all(value > 0 for figure in written["figures"] for value in figure["ours"]["values"])
    assert not list((tmp_path / "var").iterdir()), "nothing is left behind"


def test_unknown_benchmark_is_refused_before_anything_starts(capsys: pytest.CaptureFixture[str]) -> None:
    """A mistyped name ends with the names that there are, and no server was started for it."""
    with pytest.raises(SystemExit):
        benchmarks.main(["relays"])
    assert "relay" in capsys.readouterr().err
