"""Commands that the product names as a way out can be typed as they are written, with a name filled in."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from services.cli.main import app
from services.doctor import ways
from services.doctor.checks import CHECKS
from services.doctor.finding import Way

ROOT: Final = Path(__file__).parents[2]
#: What changes something, and is told in texts.
CHANGING: Final = (
    "republish",
    "resume",
    "rewind",
    "rebuild",
    "dlq redrive",
    "dlq discard",
    "events resend",
    "events import",
)
NEEDS_REASON: Final = ("discard", "resend", "import")
#: A command line within a text ends where something stands that is written in none.
_LINE = re.compile(rf"aftersales (?:{'|'.join(CHANGING)})(?: (?:[\w./-]*[\w/]))*", re.ASCII)
_STANDS_FOR = re.compile(r"\{\{.*?\}\}")


class Unusable(Exception):
    """A command line that would not do what it is named for."""


def _only_read(group: TyperGroup) -> TyperGroup:
    """These commands, none of which does anything: each gives back its name and what its options were given."""
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            _only_read(command)
        else:
            command.callback = lambda name=name, **given: (name, given)
    return group


CLI: Final = _only_read(cast(TyperGroup, get_command(app)))


def must_work(line: str) -> None:
    """It can be typed, and says who does it and why where the command asks for that. Raises `Unusable`."""
    try:
        name, options = CLI.main(line.split()[1:], standalone_mode=False)
    except Exception as error:
        raise Unusable(str(error)) from error
    if "by" in options and "dry_run" in options and not options["by"]:
        raise Unusable("by whom?")
    if name in NEEDS_REASON and not options["reason"]:
        raise Unusable("why?")


def test_a_command_that_lacks_something_would_be_found() -> None:
    """The test itself can fail: on an unknown option, a missing argument, and where nobody is named."""
    must_work("aftersales resume cases --by NAME")
    for line in (
        "aftersales resume --by NAME",
        "aftersales resume cases --who NAME",
        "aftersales resumes cases --by NAME",
        "aftersales resume cases",
        "aftersales dlq discard t/0/1 --service cases --by NAME",
    ):
        with pytest.raises(Unusable):
            must_work(line)


@pytest.mark.parametrize(
    "way",
    [
        ways.restore("cases", "refunds"),
        ways.rebuild("cases"),
        ways.republish("cases", 7),
        ways.resume("cases"),
        ways.rewind("cases", "cases-hears-refunds"),
        ways.redrive("cases", "aftersales.refunds.v1/0/1"),
        ways.look_at("cases", "aftersales.refunds.v1/0/1"),
        ways.start("refunds"),
        ways.finance("refunds"),
        ways.topics(),
        ways.republish_then_resume("cases", "refunds"),
        ways.brokers(),
    ],
    ids=lambda way: way.command,
)
def test_what_a_finding_names_can_be_typed(way: Way) -> None:
    """The command that mends a finding is a whole one."""
    for line in way.command.split(" && "):
        must_work(line)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_what_the_table_of_checks_names_can_be_typed(check: Any) -> None:
    """What usually mends what a check finds is a whole command."""
    for line in check.mend.split(" | "):
        if line.startswith("aftersales "):
            must_work(line)


def _texts(file: Path) -> Iterator[str]:
    """What a file says to its readers."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".py":
        yield from _strings(ast.parse(text))
    elif file.suffix == ".md":  # elsewhere it names a command, here it says what to type
        yield from (one for one in re.findall(r"`(aftersales [^`]*)`", text) if " --" in one)
    else:
        yield _STANDS_FOR.sub("X", text)


def _strings(tree: ast.Module) -> Iterator[str]:
    """The texts of a program, without docstrings; a value that is filled in is written as 1."""
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    within = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "1" for part in node.values)
        elif (
            isinstance(node, ast.Constant) and isinstance(node.value, str) and not {id(node)} & (documentation | within)
        ):
            yield node.value


def _named() -> Iterator[tuple[str, str]]:
    """Where a command is named, and how."""
    files = [
        *(one for one in (ROOT / "services").rglob("*.py") if one.name not in ("ways.py", "checks.py")),
        ROOT / "deploy/prometheus/alerts.yml",
        *(ROOT / "deploy").rglob("*.md"),
        *(ROOT / "contracts/decisions").glob("*.md"),
        *ROOT.glob("*.md"),
    ]
    for file in files:
        for text in _texts(file):
            lines = [text] if file.suffix == ".md" else _LINE.findall(text.replace("姓名", "NAME"))
            yield from ((str(file.relative_to(ROOT)), line) for line in lines if _LINE.match(line))


def test_what_texts_and_documents_name_can_be_typed() -> None:
    """A command that changes something is a whole one wherever a program, an alert or a document tells to run it."""
    named = sorted(set(_named()))
    assert {file.partition("/")[0] for file, _ in named} >= {"services", "deploy", "README.md", "README.zh.md"}
    wrong = []
    for file, line in named:
        try:
            must_work(line)
        except Unusable as error:
            wrong.append(f"{file}: {line}: {error}")
    assert not wrong, "\n".join(wrong)
