"""Whoever changes something by hand says who they are."""

from typing import Final

from services.cli.failure import Failure

_NOBODY: Final = ("--by:请填写操作人姓名。", "--by: say your name.")


def must_be_by_somebody(by: str, *, dry_run: bool) -> None:
    """Raises `Failure` where nobody is named to have done it. A dry run is nobody's deed."""
    if not dry_run and not by.strip():
        raise Failure("invalid", *_NOBODY)
