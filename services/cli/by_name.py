"""Whoever changes something by hand says who they are, and why; options for that, and for looking first."""

from typing import Annotated

import typer

from services.cli.failure import Failure

By = Annotated[str, typer.Option(help="Your name, for the log. 操作人,会留存。", show_default=False)]
Reason = Annotated[str, typer.Option(help="Why, for the log. 原因,会留存。", show_default=False)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing. 只看不改。")]


def must_be_by_somebody(by: str, *, dry_run: bool) -> None:
    """Raises `Failure` where nobody is named to have done it. A dry run is nobody's deed."""
    if not dry_run and not by.strip():
        raise Failure("invalid", "--by:请填写操作人姓名。", "--by: say your name.")


def must_be_told(by: str, reason: str, *, dry_run: bool) -> None:
    """Raises `Failure` where it is not said who did it, or not why. A dry run is nobody's deed."""
    must_be_by_somebody(by, dry_run=dry_run)
    if not dry_run and not reason.strip():
        raise Failure("invalid", "--reason:请说明原因。", "--reason: say why.")
