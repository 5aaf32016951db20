"""What a statement is of: a month, by the period that postings belong to, or all time; and of when the books are."""

from datetime import date, datetime, timedelta
from typing import Final

import msgspec

from services.finance.domain.periods import next_month
from services.finance.periods import Condition, calendar
from services.kernel.event_store import Reads
from services.kernel.refusal import invalid
from services.kernel.shop_time import SHOP_TIME, shop_month

#: No shop has sold anything earlier; calendars end somewhere.
_EARLIEST: Final = "1970-01"


class AsAt(msgspec.Struct, frozen=True):
    """Of when the books are: `position` of finance's log is the last that their tables show, `time` is when they were
    read."""

    position: int
    time: datetime


class Scope(msgspec.Struct, frozen=True):
    """A month, or all time where `month` is empty.

    `within`: what was posted in it. `by_end`: that, and what was posted before. Days are the shop's; `first_day` is
    empty for all time, `last_day` is not behind today, and ages are counted on it.
    """

    month: str
    as_at: AsAt
    first_day: str
    last_day: str
    within: Condition
    by_end: Condition


async def scope_of(reads: Reads, month: str, as_at: AsAt) -> Scope:
    """What a statement of the month is of. Raises `Refusal` `invalid` for one that no shop has lived, or lives yet."""
    today = as_at.time.astimezone(SHOP_TIME).date()
    months = await calendar(reads)
    if not month:
        everything = months.inside("")
        return Scope("", as_at, "", today.isoformat(), everything, everything)
    await must_have_begun(reads, month, as_at)
    first, last = days_of(month)
    last_day = min(last, max(today, first))
    within, by_end = months.inside(month), months.before(next_month(month))
    return Scope(month, as_at, first.isoformat(), last_day.isoformat(), within, by_end)


def days_of(month: str) -> tuple[date, date]:
    """The first and the last day of a month."""
    return date.fromisoformat(f"{month}-01"), date.fromisoformat(f"{next_month(month)}-01") - timedelta(days=1)


async def must_have_begun(reads: Reads, month: str, as_at: AsAt, field: str = "month") -> None:
    """Raises `Refusal` `invalid` for a month that no shop has lived, or lives yet: by the clock, or by what is posted,
    as events may be of a shop whose clock is ahead."""
    if month < _EARLIEST:
        raise invalid(field, "range", f"不能早于 {_EARLIEST}", f"must not be before {_EARLIEST}")
    present = shop_month(as_at.time)
    if month <= present:
        return
    [row] = await reads.query("SELECT MAX(p.month) AS month FROM postings p")
    last = max(present, row["month"] or "")
    if month > last:
        zh, en = f"{month} 还没有开始,最近的月份是 {last}", f"has not begun: the latest month is {last}"
        raise invalid(field, "future", zh, en)
