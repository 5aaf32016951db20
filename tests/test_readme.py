"""The READMEs do what they say."""

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.readme import LANGUAGES, ROOT, STATIC, Block, blocks, normalised, play_all, visible


def _text(readme: str) -> str:
    return (ROOT / readme).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def played() -> dict[str, dict[Block, str]]:
    """Both READMEs, run side by side."""
    with ThreadPoolExecutor() as threads:
        return dict(zip(LANGUAGES, threads.map(play_all, LANGUAGES), strict=True))


@pytest.mark.parametrize("readme", LANGUAGES)
def test_every_command_runs_and_prints_what_is_shown(readme: str, played: dict[str, dict[Block, str]]) -> None:
    """A newcomer who follows the README sees what it shows (`make readme` writes it anew)."""
    for block, printed in played[readme].items():
        if block.shown is not None:
            assert normalised(visible(block.shown, printed)) == normalised(block.shown), block.commands


@pytest.mark.parametrize("readme", LANGUAGES)
def test_every_command_is_a_block_that_is_run_or_checked(readme: str) -> None:
    """No command hides in a fence that the tour does not see."""
    fences = re.findall(r"^```(\w*)$", _text(readme), re.MULTILINE)
    assert set(fences) <= {"sh", "text", "yaml", ""}
    assert fences.count("sh") == len(blocks(_text(readme)))


@pytest.mark.parametrize("command", sorted(STATIC))
def test_commands_that_are_not_run_here_exist(command: str) -> None:
    """What installs, tests or measures is a target of the Makefile that make can plan."""
    plan = subprocess.run([*command.split(), "-n"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert plan.returncode == 0, plan.stderr


def test_both_languages_give_the_same_commands() -> None:
    """Neither README falls behind the other."""
    chinese, english = ([block.commands for block in blocks(_text(readme))] for readme in sorted(LANGUAGES))
    assert [_without_words(one) for one in chinese] == [_without_words(one) for one in english]


def _without_words(commands: str) -> str:
    """Commands without comments, and without the language that is asked for."""
    return re.sub(r"\s+# .*$", "", commands, flags=re.MULTILINE).replace('["zh"]', '["en"]')


@pytest.mark.parametrize("document", ["README.md", "README.zh.md", "ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_links_and_paths_lead_somewhere(document: str) -> None:
    """Every relative link, and every path in backquotes, is a file or folder of the repository."""
    text = _text(document)
    links = [link for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text) if "://" not in link]
    paths = re.findall(r"`((?:services|contracts|tests|benchmarks|deploy|\.ci)/[\w./-]*)`", text)
    missing = [path for path in (*links, *paths) if not (ROOT / path).exists()]
    assert not missing


def test_ci_runs_the_test_command_of_the_readme() -> None:
    """What lands has passed what a contributor can run."""
    assert (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()[-1] == "make test"
    assert "make test" in _text("README.md")
