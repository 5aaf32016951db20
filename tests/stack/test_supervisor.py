"""What dies is told at once, and is started again until it runs."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from services.stack import supervisor
from services.stack.processes import ProcessFailed
from services.stack.stack import Stack
from services.stack.supervisor import Supervisor, Watched


async def test_death_is_told_before_the_new_start_and_why_one_failed_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line for each death, however long the start takes; another only for a start that fails."""
    monkeypatch.setattr(supervisor, "PAUSES_SECONDS", (0.0,))
    told: list[str] = []
    told_by_start: list[list[str]] = []
    runs, up = asyncio.Event(), asyncio.Event()

    async def start() -> None:
        told_by_start.append(told.copy())
        if len(told_by_start) == 1:
            raise ProcessFailed("no room")
        runs.set()
        if len(told_by_start) == 3:
            up.set()
        else:
            asyncio.get_running_loop().call_later(0.01, runs.clear)

    class OfOne(Supervisor):
        def _watched(self) -> list[Watched]:
            return [Watched("cases-all", runs.is_set, lambda: " (-9)", start)]

    work = asyncio.create_task(OfOne(Stack(tmp_path), lambda zh, en: told.append(en)).run())
    await asyncio.wait_for(up.wait(), 20)
    work.cancel()
    with suppress(asyncio.CancelledError):
        await work
    died, failed = "cases-all died (-9), starting again", "cases-all did not start again; next try in 0 s: no room"
    assert told_by_start == [[died], [died, failed], [died, failed, died]]
    assert told == [died, failed, died]
