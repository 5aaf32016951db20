"""The time: the machine's, or one that is set by hand, as scenario runs need it."""

from datetime import datetime, timedelta, timezone
from typing import Protocol

#: The offset in which the shop's day is counted and times are shown.
SHOP_TIME = timezone(timedelta(hours=8))


class Clock(Protocol):
    """What tells the time to those who hand it on to rules."""

    def now(self) -> datetime:
        """The present, aware."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(SHOP_TIME)


class ManualClock:
    """A clock that stands still until it is set, forwards or backwards."""

    def __init__(self, start: datetime) -> None:
        """Raises `ValueError` for a time without offset."""
        self.set(start)

    def now(self) -> datetime:
        return self._now

    def set(self, now: datetime) -> None:
        """Make it `now`; raises `ValueError` for a time without offset."""
        if now.tzinfo is None:
            raise ValueError("the time needs an offset")
        self._now = now
