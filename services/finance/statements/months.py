"""A span of months, by the periods that postings belong to."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from services.finance.domain.periods import next_month
from services.finance.periods import Calendar, Condition, calendar
from services.finance.statements.scope import AsAt, must_have_begun
from services.kernel.event_store import Reads
from services.kernel.refusal import invalid

#: Months of one span at the most.
MOST: Final = 60
#: Months of a span whose first is not said, the last included.
USUAL: Final = 12


class Months(NamedTuple):
    """Months one after another. `within`: what was posted in them; `month`: SQL that says in which of them."""

    months: Sequence[str]
    within: Condition
    month: Condition
    calendar: Calendar


async def months_of(reads: Reads, first: str, last: str, as_at: AsAt) -> Months:
    """The months from one to another, both included. Raises `Refusal` `invalid` where that is upside down or long, or
    where no shop has lived them, or lives them yet."""
    for field, month in (("last_month", last), ("first_month", first)):
        await must_have_begun(reads, month, as_at, field)
    if first > last:
        zh, en = "晚于最后一个月,请对调", "is later than `last_month`; exchange the two"
        raise invalid("first_month", "upside_down", zh, en)
    months = [first]
    while months[-1] < last:
        if len(months) == MOST:
            zh, en = f"一次最多 {MOST} 个月", f"is more than {MOST} months before `last_month`; ask for fewer"
            raise invalid("first_month", "too_long", zh, en)
        months.append(next_month(months[-1]))
    closed = await calendar(reads)
    until, before = closed.before(next_month(last)), closed.before(first)
    within = Condition(f"({until.sql}) AND NOT ({before.sql})", [*until.params, *before.params])
    return Months(months, within, closed.of_each(), closed)


def months_before(month: str, count: int) -> str:
    """The month so many months before one."""
    year, number = divmod(int(month[:4]) * 12 + int(month[5:]) - 1 - count, 12)
    return f"{year:04}-{number + 1:02}"
