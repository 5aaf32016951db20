"""Which decisions are taken again: those from one point of the log of cases to another, both included."""

from datetime import datetime
from typing import Final

import msgspec

from services.kernel.event_store import Reads
from services.kernel.history import point_of, span
from services.kernel.log import Record
from services.kernel.refusal import invalid

_FIRST: Final = 0


class Period(msgspec.Struct, frozen=True):
    """Positions of the log of cases, and times; what is None says nothing."""

    first: int = _FIRST
    last: int | None = None
    since: datetime | None = None
    until: datetime | None = None

    def holds(self, record: Record) -> bool:
        """Whether a decision is taken again: by its own place and time, wherever the rest of its stream is."""
        return (
            record.position >= self.first
            and (self.last is None or record.position <= self.last)
            and (self.since is None or record.time >= self.since)
            and (self.until is None or record.time <= self.until)
        )


async def period_of(begin: str, end: str, log: Reads, now: datetime) -> Period:
    """The period that somebody asks for: each end a position, a day of the shop's or a time; empty: where the log
    begins or ends.

    Raises `Refusal` `invalid` for `from` or `to`: none of these, past the end, in the future, or upside down.
    """
    first, since, last, until = _FIRST, None, None, None
    if begin:
        point = await point_of(begin, "from", log, now)
        if point.time is None:
            first = point.position
        else:
            since, _ = span(begin)
    if end:
        point = await point_of(end, "to", log, now)
        if point.time is None:
            last = point.position
        else:
            until = point.time
    if (last is not None and last < first) or (since is not None and until is not None and until < since):
        raise invalid(
            "from",
            "upside_down",
            f"{begin} 在结束 {end} 之后,请对调",
            f"{begin} comes after the end {end}; exchange the two",
        )
    return Period(first, last, since, until)
