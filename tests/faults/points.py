"""Points at which a process dies, or freezes, exactly: just before or just after a certain commit.

Everything that a process does ends in a commit of its store, so a point is a kind of commit and a side of it. The
product has no hooks for this: the store's public method is wrapped (`doomed.py`).
"""

import os
import signal
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from services.kernel.event_store import Commit, CommitResult
from services.kernel.postgres.store import PostgresStore

#: The consumer name under which a relay notes how far it published.
RELAY = "relay"


class Point(NamedTuple):
    """Before or after the commit that a function recognises."""

    after: bool
    is_meant: Callable[[Commit], bool]


def _command(commit: Commit) -> bool:
    return bool(commit.appends) and commit.answer is not None


def _published(commit: Commit) -> bool:
    return any(checkpoint.consumer == RELAY for checkpoint in commit.checkpoint)


def _handled(commit: Commit) -> bool:
    """An event of another service with what follows from it."""
    return bool(commit.inbox) and bool(commit.appends)


POINTS = {
    "before_commit": Point(False, _command),
    "after_commit": Point(True, _command),
    "published": Point(False, _published),
    "handled_before_commit": Point(False, _handled),
    "handled_after_commit": Point(True, _handled),
}


class Doom(NamedTuple):
    """What becomes of a process, the `nth` time that it reaches a point."""

    point: str
    nth: int = 1
    freezes: bool = False

    def __str__(self) -> str:
        return f"{self.point}:{self.nth}" + (":freeze" if self.freezes else "")

    @classmethod
    def parse(cls, text: str) -> "Doom":
        """Read `point`, `point:n` or `point:n:freeze`; raises KeyError for an unknown point, ValueError else."""
        point, _, rest = text.partition(":")
        nth, _, how = (rest or "1").partition(":")
        if how not in ("", "freeze"):
            raise ValueError(f"a process dies, or it is to freeze, not to {how}")
        POINTS[point]
        return cls(point, int(nth), how == "freeze")

    def strike(self) -> None:
        """End this process as a power cut does, or let it hang until somebody wakes it."""
        os.kill(os.getpid(), signal.SIGSTOP if self.freezes else signal.SIGKILL)


def doom(fate: Doom) -> None:
    """Let this process meet its fate in whatever store it opens."""
    point, left, commit = POINTS[fate.point], fate.nth, PostgresStore.commit

    def reached() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            fate.strike()

    async def doomed(store: PostgresStore, batch: Sequence[Commit]) -> Sequence[Any]:
        meant = [point.is_meant(one) for one in batch]
        if not point.after and any(meant):
            reached()
        outcomes = await commit(store, batch)
        written = [isinstance(outcome, CommitResult) for outcome in outcomes]
        if point.after and any(map(all, zip(meant, written, strict=True))):
            reached()
        return outcomes

    PostgresStore.commit = doomed  # type: ignore[assignment,method-assign]
