"""The time: the machine's, or one that is set by hand, as scenario runs need it."""

from datetime import datetime
from pathlib import Path
from typing import Protocol

from services.kernel.settings import Settings
from services.kernel.shop_time import SHOP_TIME
from services.kernel.whole_file import put, put_first


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


class FileClock(ManualClock):
    """A clock set by hand that processes share: it is as one of them set it, read anew each time. For scenarios."""

    def __init__(self, file: Path, start: datetime) -> None:
        """Whoever comes first sets it to `start`; raises `ValueError` for a time without offset."""
        self._file = file
        if not file.exists():
            put_first(file, _written(start))

    def now(self) -> datetime:
        return datetime.fromisoformat(self._file.read_text(encoding="ascii"))

    def set(self, now: datetime) -> None:
        put(self._file, _written(now))


def _written(time: datetime) -> bytes:
    if time.tzinfo is None:
        raise ValueError("the time needs an offset")
    return time.isoformat().encode("ascii")


def clock_of(settings: Settings) -> Clock:
    """The clock that the settings name; one that is set by hand begins at the machine's time."""
    if settings.clock == "system":
        return SystemClock()
    start = SystemClock().now()
    return FileClock(settings.clock_file, start) if settings.clock_file else ManualClock(start)


def clock_seen(settings: Settings) -> Clock:
    """The shop's time for who only looks: nothing is written, and where only another process knows the time that was
    set by hand, it is the machine's."""
    shared = settings.clock_file is not None and settings.clock_file.exists()
    return clock_of(settings) if shared else SystemClock()
