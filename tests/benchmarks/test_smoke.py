"""The benchmarks run and compare. How fast anything is, is never asserted: that depends on the machine."""

from pathlib import Path

import msgspec
import pytest

from benchmarks import __main__ as benchmarks
from benchmarks.figures import Figure, Rounds, line


@pytest.mark.parametrize("name", list(benchmarks.SECTIONS))
def test_benchmark_prints_its_ratios(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each benchmark runs from beginning to end with next to nothing to do, and says how it compares."""
    monkeypatch.chdir(tmp_path)
    assert benchmarks.main([name, "--tiny", "--json", "figures.json"]) == 0
    printed = capsys.readouterr().out
    assert "cores" in printed
    assert "ratio" in printed
    written = msgspec.json.decode((tmp_path / "figures.json").read_bytes())
    assert {figure["section"] for figure in written["figures"]} == {name}
    assert all(value > 0 for figure in written["figures"] for value in figure["ours"]["values"])
    assert not list((tmp_path / "var").iterdir()), "nothing is left behind"


def test_unknown_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A mistyped name ends with the names that there are, not with a run of nothing."""
    with pytest.raises(SystemExit):
        benchmarks.main(["comands"])
    assert "commands" in capsys.readouterr().err


def test_figure_says_whether_its_aim_holds() -> None:
    """An aim is held against the ratio of medians, from below or from above."""
    ours, theirs = Rounds((10.0, 30.0, 20.0)), Rounds((10.0, 10.0, 40.0))
    more = Figure("s", "n", "x/s", ours, "peer", theirs, aim=2)
    less = Figure("s", "n", "ms", ours, "peer", theirs, aim=1.5, at_most=True)
    assert (more.ratio, more.holds, less.holds) == (2.0, True, False)
    assert line(more).endswith("ratio 2.00   aim ≥ 2: holds")
    assert line(less).endswith("aim ≤ 1.5: MISSED")
    assert ours.spread == 0.5
