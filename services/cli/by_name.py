"""Whoever changes something by hand says who they are, and why; options for that, and for looking first."""

from collections.abc import Iterable
from typing import Annotated, Final

import typer

from services.cli.failure import Failure

By = Annotated[str, typer.Option(help="Your name, for the log. 操作人,会留存。", show_default=False)]
Reason = Annotated[str, typer.Option(help="Why, for the log. 原因,会留存。", show_default=False)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing. 只看不改。")]

#: What is asked for where it is missing, zh and en.
_NAME: Final = ("--by:请填写操作人姓名。", "--by: say your name.")
_WHY: Final = ("--reason:请说明原因。", "--reason: say why.")


def must_be_by_somebody(by: str, *, dry_run: bool) -> None:
    """Raises `Failure` where nobody is named to have done it. A dry run is nobody's deed."""
    must_be_said([(by, _NAME)], dry_run=dry_run)


def must_be_told(by: str, reason: str, *, dry_run: bool) -> None:
    """Raises `Failure` for what is not said: who did it, and why. A dry run is nobody's deed."""
    must_be_said([(by, _NAME), (reason, _WHY)], dry_run=dry_run)


def must_be_said(options: Iterable[tuple[object, tuple[str, str]]], *, dry_run: bool) -> None:
    """Raises one `Failure` for all options that are empty: each is its value, and what asks for it in zh and en."""
    lacking = [ask for value, ask in options if not str(value or "").strip()]
    if lacking and not dry_run:
        raise Failure("invalid", "".join(zh for zh, _ in lacking), " ".join(en for _, en in lacking))
