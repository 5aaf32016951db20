"""Rows 12, 16, 17 and 18 of `faults.md`: several processes at the same work, clocks that jump, owners that change."""

import asyncio
import re
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from tests.faults.clock import set_clock
from tests.faults.patience import until
from tests.faults.points import Doom
from tests.faults.stage import Stage


async def test_reader_misses_nothing_that_two_writers_commit(stage: Stage) -> None:
    """Two processes append to one log at the same time; whoever follows its positions sees every event."""
    await stage.begin("cases-api-2")
    done = asyncio.Event()
    readers = [asyncio.create_task(_follow(stage.database("cases"), done)) for _ in range(3)]
    try:
        async with stage.load(commands_per_second=60, senders=20) as load:
            await load.acknowledged(200)
        await stage.quiet()
    finally:
        done.set()
        seen = await asyncio.gather(*readers)
        await stage.end("cases-api-2")
    written = [row["position"] for row in await stage.rows("cases", "SELECT position FROM events ORDER BY position")]
    assert all(positions == written for positions in seen)
    await stage.must_be_sound()


async def _follow(url: str, done: asyncio.Event) -> list[int]:
    """Positions as a reader meets them that asks for what is behind the last one it saw."""
    connection = await asyncpg.connect(url)
    seen: list[int] = []
    try:
        while True:
            last_look = done.is_set()
            sql = "SELECT position FROM events WHERE position > $1 ORDER BY position"
            seen += [row["position"] for row in await connection.fetch(sql, seen[-1] if seen else 0)]
            if last_look:
                return seen
            await asyncio.sleep(0.002)
    finally:
        await connection.close()


async def test_order_is_by_position_when_the_clock_jumps(stage: Stage, tmp_path: Path) -> None:
    """The clock of the process that decides jumps ahead by days and back again: events say so, and all goes by
    position."""
    clock = tmp_path / "clock"
    await stage.process("cases-api").stop()
    set_clock(clock, timedelta())
    await stage.begin("cases-api", CLOCK="manual", CLOCK_FILE=str(clock))
    async with stage.load() as load:
        for days in (2, -3, 1, -1):
            set_clock(clock, timedelta(days=days))
            await load.acknowledged(25)
    await stage.end("cases-api")
    history = await stage.must_be_sound()
    times = [datetime.fromisoformat(event.time) for event in history.logs["cases"].own()]
    assert times != sorted(times)
    assert max(times) - min(times) > timedelta(days=4)


async def test_rebalance_under_load_loses_nothing(stage: Stage) -> None:
    """Members join and leave a group while events are handled: each event is handled once."""
    async with stage.load() as load:
        for _ in range(3):
            await stage.begin("refunds-consume-2")
            await load.acknowledged(20)
            await stage.end("refunds-consume-2")
            await load.acknowledged(10)
    await stage.must_be_sound()


@pytest.mark.parametrize(
    ("name", "point", "fenced"),
    [
        ("liability-consume", "handled_before_commit", "partition_fenced"),
        ("refunds-relay", "published", "reader_fenced|leading_no_more"),
    ],
)
async def test_frozen_process_is_fenced_when_it_wakes(stage: Stage, name: str, point: str, fenced: str) -> None:
    """A process freezes right before a commit, another takes its work over, and it wakes: its commit is refused, and
    it says so."""
    await stage.process(name).stop()
    frozen = await stage.begin(name, Doom(point, 3, freezes=True))
    try:
        async with stage.load() as load:
            await until(lambda: _is_frozen(frozen.pid))
            await stage.begin(f"{name}-2")
            await load.acknowledged(30)
        await stage.quiet()
        frozen.thaw()
        await until(lambda: re.search(fenced, frozen.log) is not None)
        await stage.must_be_sound()
    finally:
        frozen.thaw()
        await stage.end(f"{name}-2")
        await stage.end(name)
    await stage.must_be_sound()


def _is_frozen(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
