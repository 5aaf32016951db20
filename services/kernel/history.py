"""The past of a service: a point in the life of its log, and what a file was there.

A point is a position of the log, or a time. For a time, a file counts up to its first event that is later: the order of
the log decides, not the clocks. Only a beginning of a stream can be folded, and nothing that is later is ever shown.
"""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic

import msgspec

from contracts.event import Moment
from services.kernel.decider import Domain, F
from services.kernel.event_store import Reads
from services.kernel.log import Record
from services.kernel.refusal import invalid
from services.kernel.shop_time import SHOP_TIME, begin_of, end_of

#: No position, day or time is written longer.
_LONGEST: Final = 64
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_NUMBER: Final = re.compile(r"-?\d{1,20}", re.ASCII)


class Point(msgspec.Struct, frozen=True):
    """What is asked for: everything up to `position` of the log, and nothing later than `time` where one is given."""

    asked: str
    position: int
    time: datetime | None = None

    def holds(self, record: Record) -> bool:
        """Whether a record counts, as far as it alone says; behind one that does not, none of its stream does."""
        return record.position <= self.position and (self.time is None or record.time <= self.time)

    def is_behind(self, other: "Point") -> bool:
        """Whether it is later than another one; a time and a position do not tell."""
        if self.time is None and other.time is None:
            return self.position > other.position
        return self.time is not None and other.time is not None and self.time > other.time


class AsOf(msgspec.Struct, frozen=True):
    """What a document tells of that is not of now: `asked` is what was asked for, `position` (in the log of the service
    that answers) and `time` are those of the last event that counts; 0 and null where none does."""

    asked: str
    position: int
    time: datetime | None


@dataclass(frozen=True, slots=True)
class Past(Generic[F]):
    """A file as it was, its version then, and of when that is."""

    file: F
    version: int
    as_of: AsOf


async def point_of(asked: str, field: str, log: Reads, now: datetime) -> Point:
    """The point that somebody asks for: a position, a day (its end in the shop's time) or a time with its offset.

    Raises `Refusal` `invalid` for `field`: it is none of these, behind the end of the log, or in the future.
    """
    head = await log.head_position()
    if (position := written_position(asked)) is not None:
        return Point(asked, _position(position, field, head))
    return Point(asked, head, _time(asked, field, now))


async def the_end(log: Reads) -> Point:
    """The present: everything that the log holds."""
    return Point("", await log.head_position())


async def file_as_of(domain: Domain[F], log: Reads, stream: str, point: Point) -> Past[F]:
    """The file of a stream as it was: folded from its first event on, beside the one that is at work."""
    file, version, as_of = domain.new_file(stream), 0, AsOf(point.asked, 0, None)
    async for record in _until(point, log, stream):
        file.evolve(record)
        version, as_of = record.version, AsOf(point.asked, record.position, record.time)
    return Past(file, version, as_of)


async def _until(point: Point, log: Reads, stream: str) -> AsyncIterator[Record]:
    async for page in log.stream_pages(stream):
        for record in page:
            if not point.holds(record):
                return
            yield record


def _position(position: int, field: str, head: int) -> int:
    if position > head:
        raise invalid(
            field,
            "position_past_end",
            f"日志只到位置 {head},没有 {position};位置须为 0 到 {head}",
            f"the log ends at position {head}, there is no {position}; say one from 0 to {head}",
        )
    return position


def _time(asked: str, field: str, now: datetime) -> datetime:
    try:
        begins, ends = span(asked)
    except ValueError:
        raise invalid(field, "moment", *why_unreadable(asked)) from None
    if begins > now:
        at = now.astimezone(SHOP_TIME).isoformat(timespec="seconds")
        raise invalid(
            field, "future", f"还没有到这个时间,现在是 {at}", f"has not come yet: it is {at} now; say an earlier time"
        )
    return ends


def written_position(asked: str) -> int | None:
    """The position that is written here, wherever the log ends; None for what is not written like one."""
    return int(asked) if len(asked) <= _LONGEST and asked.isascii() and asked.isdecimal() else None


def span(asked: str) -> tuple[datetime, datetime]:
    """When a day of the shop's begins and ends, or a single moment; raises ValueError for what is neither."""
    if _DAY.fullmatch(asked):
        return begin_of(asked), end_of(asked)
    moment = msgspec.convert(asked, Moment)
    return moment, moment


def why_unreadable(asked: str) -> tuple[str, str]:
    """What is wrong with a text that is no position, day or time, zh and en."""
    if _NUMBER.fullmatch(asked):
        return f"没有位置 {asked}", f"there is no position {asked}"
    if _DAY.fullmatch(asked):
        return f"没有 {asked} 这一天", f"there is no day {asked}"
    if _is_time(f"{asked}+08:00"):
        return f"时间须带时区,如 {asked}+08:00", f"the time lacks its offset; write {asked}+08:00"
    if _is_time(asked.replace(" ", "+")):  # as an address hands on what was written with a plus
        return "时区的 + 在网址中须写作 %2B", "the + of the offset must be written as %2B in an address"
    return (
        "须为日志位置(如 120)、带时区的时间(如 2026-10-05T18:00:00+08:00)或日期(如 2026-10-05)",
        "must be a position of the log (120), a time with its offset (2026-10-05T18:00:00+08:00) or a day (2026-10-05)",
    )


def _is_time(text: str) -> bool:
    try:
        span(text)
    except ValueError:
        return False
    return True
