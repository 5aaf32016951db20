"""Which postings belong to which month: by the month in which they were made, unless it was closed before the books
heard of them; then they are late, and belong to the first month that was open.

A month that was closed at position P of the log of finance holds, together with all months before it, the postings of
its time and earlier that stand in the log up to P. So what a closed month holds never changes.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from services.finance.domain.periods import next_month
from services.kernel.event_store import Reads


class Condition(NamedTuple):
    """SQL about `postings p`, the same in every database, and the values of its places."""

    sql: str
    params: list[Any]


_ALL = Condition("1 = 1", [])
_NONE = Condition("1 = 0", [])


class Calendar:
    """The closed months, in order, each with the position of the log at which it was closed."""

    def __init__(self, closed: Iterable[tuple[str, int]]) -> None:
        self._closed = list(closed)
        self._position = dict(self._closed)

    def inside(self, month: str) -> Condition:
        """What belongs to a month; to all of them where it is empty.

        The first open month takes what came too late for the closed ones.
        """
        if not month:
            return _ALL
        if month in self._position:
            return _but(self._until(month), self.before(month))
        if not self._closed or month > next_month(self._last):
            return Condition("p.month = ?", [month])
        if month < self._last:
            return _NONE
        return _but(Condition("p.month <= ?", [month]), self.before(month))

    def before(self, month: str) -> Condition:
        """What belongs to the months before one: what its accounts held when it began."""
        if not month:
            return _NONE
        if not self._closed or month > next_month(self._last):
            return Condition("p.month < ?", [month])
        earlier = [one for one, _ in self._closed if one < month]
        return self._until(earlier[-1]) if earlier else _NONE

    def of_each(self) -> Condition:
        """SQL that says of a posting to which month it belongs."""
        if not self._closed:
            return Condition("p.month", [])
        closed = [self._until(month) for month, _ in self._closed]
        taken = [f"WHEN {one.sql} THEN '{month}'" for one, (month, _) in zip(closed, self._closed, strict=True)]
        first_open = next_month(self._last)
        late = f"WHEN p.month < '{first_open}' THEN '{first_open}'"
        params = [value for one in closed for value in one.params]
        return Condition(f"CASE {' '.join(taken)} {late} ELSE p.month END", params)

    @property
    def _last(self) -> str:
        return self._closed[-1][0]

    def _until(self, month: str) -> Condition:
        """What belongs to a closed month and all before it."""
        return Condition("p.month <= ? AND p.position <= ?", [month, self._position[month]])


def _but(one: Condition, other: Condition) -> Condition:
    return Condition(f"({one.sql}) AND NOT ({other.sql})", [*one.params, *other.params])


async def calendar(reads: Reads) -> Calendar:
    """The closed months, as the read tables know them."""
    rows = await reads.query("SELECT month, position FROM period_view ORDER BY month")
    return Calendar((row["month"], row["position"]) for row in rows)
