"""The commands that are short: `demo`, `scenario run`, `version`, and help for all."""

from pathlib import Path

import pytest

from services.cli.demo import PLAYED
from tests.cli.terminal import ROOT, aftersales


def test_demo_plays_cases_that_hold() -> None:
    """What is shown to newcomers works: every case of the demo ends as its file says."""
    told = aftersales("demo", "--json")
    assert told.status == 0
    assert told.json["ok"] is True
    assert len(told.json["results"]) == len(PLAYED)
    assert all(result["read"]["cases"] for result in told.json["results"])


def test_scenario_run_is_mounted(tmp_path: Path) -> None:
    """Scenario files are played from the same command line, and a wrong one is a failure."""
    library = ROOT / "services/scenarios/library"
    told = aftersales("scenario", "run", str(library / f"{PLAYED[0]}.yaml"), "--json")
    assert told.status == 0
    assert told.json["ok"] is True
    (tmp_path / "wrong.yaml").write_text("scenario: wrong\n")
    assert aftersales("scenario", "run", str(tmp_path / "wrong.yaml")).status == 1


def test_version() -> None:
    """A report of a mistake can say which release and policy it is about."""
    assert aftersales("version").out.startswith("aftersales ")
    assert aftersales("version", "--json").json.keys() == {"version", "policy"}


@pytest.mark.parametrize(
    "command",
    [(), ("serve",), ("token",), ("case", "show"), ("scenario", "run"), ("config", "check"), ("demo",), ("version",)],
)
def test_every_command_explains_itself(command: tuple[str, ...]) -> None:
    """`--help` works everywhere, and every command that shows something can show it to machines."""
    told = aftersales(*command, "--help")
    assert told.status == 0
    assert not command or "--json" in told.out
