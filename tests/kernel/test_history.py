"""Points in the life of a log, and what counts at one."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from services.kernel.decider import Domain
from services.kernel.event_store import Reads
from services.kernel.history import Point, file_as_of, point_of
from services.kernel.log import Record
from services.kernel.refusal import Refusal

NOW = datetime.fromisoformat("2026-10-06T09:00:00+08:00")
HEAD = 120


class Log:
    """A log of one stream, whose records come two to a page."""

    def __init__(self, *minutes: int) -> None:
        self._records = [_record(version, minute) for version, minute in enumerate(minutes, start=1)]

    async def head_position(self) -> int:
        return HEAD

    async def stream_pages(self, stream: str) -> AsyncIterator[Sequence[Record]]:
        for place in range(0, len(self._records), 2):
            yield self._records[place : place + 2]


class Versions:
    """A domain whose file lists what it folded."""

    def new_file(self, stream: str) -> Any:
        class File(list[int]):
            def evolve(self, record: Record) -> None:
                self.append(record.version)

        return File()


def _record(version: int, minute: int) -> Record:
    time = NOW + timedelta(minutes=minute)
    texts = ("", "", "", "", "")
    return Record(
        "TB1", version, version, f"e{version}", "t", 1, "cases", "TB1-1", time, *texts, None, b"", b"", 10 * version
    )


async def _point(asked: str) -> Point:
    return await point_of(asked, "as_of", cast(Reads, Log()), NOW)


async def _folded(log: Log, point: Point) -> tuple[list[int], int, int]:
    past = await file_as_of(cast(Domain[Any], Versions()), cast(Reads, log), "TB1", point)
    return list(past.file), past.version, past.as_of.position


@pytest.mark.parametrize(
    ("asked", "rule", "said"),
    [
        ("121", "position_past_end", "120"),
        ("9" * 64, "position_past_end", "120"),
        ("9" * 65, "moment", ""),
        ("2026-10-07", "future", "2026-10-06T09:00:00+08:00"),
        ("2026-10-06T09:00:01+08:00", "future", "2026-10-06T09:00:00+08:00"),
        ("9999-12-31T23:59:59-08:00", "future", ""),
        ("", "moment", "2026-10-05"),
        ("-1", "moment", "no position -1"),
        ("١٢", "moment", ""),
        ("1.5", "moment", ""),
        ("yesterday", "moment", "must be a position"),
        ("2026-10-05T18:00:00", "moment", "write 2026-10-05T18:00:00+08:00"),
        ("2026-10-05T18:00:00 08:00", "moment", "%2B"),
        ("2026-02-30", "moment", "no day 2026-02-30"),
        ("2026-10-05T25:00:00Z", "moment", ""),
    ],
)
async def test_a_point_that_is_none_is_refused(asked: str, rule: str, said: str) -> None:
    """Nobody gets an answer about another moment than the one that they meant; what is wrong is said."""
    with pytest.raises(Refusal) as refused:
        await _point(asked)
    [error] = refused.value.errors
    assert (refused.value.code, error["field"], error["rule"]) == ("invalid", "as_of", rule)
    assert said in error["en"]
    assert error["zh"]
    assert ("%2B" in error["en"]) == (" " in asked)  # only who wrote an address has to hear of it


async def test_points_are_read() -> None:
    """A position is one of the log, a day is over at midnight of the shop's time, a time is a time wherever it is."""
    assert await _point("0") == Point("0", 0)
    assert await _point("120") == Point("120", HEAD)
    end_of_day = datetime.fromisoformat("2026-10-05T23:59:59.999999+08:00")
    assert await _point("2026-10-05") == Point("2026-10-05", HEAD, end_of_day)
    assert (await _point("2026-10-06")).time == end_of_day + timedelta(days=1)  # it has begun
    assert (await _point("2026-10-06T01:00:00Z")).time == NOW


async def test_a_file_ends_before_its_first_later_event() -> None:
    """Nothing is shown that came later, and nothing behind it either, whatever its clock said: a file has no holes."""
    log = Log(1, 2, 9, 3, 10)
    assert await _folded(log, Point("", HEAD, NOW + timedelta(minutes=2))) == ([1, 2], 2, 20)
    assert await _folded(log, Point("", HEAD, NOW + timedelta(minutes=8))) == ([1, 2], 2, 20)
    assert await _folded(log, Point("", HEAD, NOW + timedelta(minutes=9))) == ([1, 2, 3, 4], 4, 40)
    assert await _folded(log, Point("", HEAD, NOW)) == ([], 0, 0)


async def test_a_file_ends_at_its_last_event_up_to_a_position() -> None:
    """A position between two events of a file is as good as that of the first."""
    log = Log(1, 2, 9, 3, 10)
    assert await _folded(log, Point("", 29)) == await _folded(log, Point("", 20)) == ([1, 2], 2, 20)
    assert await _folded(log, Point("", HEAD)) == ([1, 2, 3, 4, 5], 5, 50)
