"""The time: the machine's, or one that is set by hand, as scenario runs need it."""

import os
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Protocol

from services.kernel.settings import Settings

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


class FileClock(ManualClock):
    """A clock set by hand that processes share: it is as one of them set it, read anew each time. For scenarios."""

    def __init__(self, file: Path, start: datetime) -> None:
        """Whoever comes first sets it to `start`; raises `ValueError` for a time without offset."""
        self._file = file
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            self._write(start, os.link)  # of several processes that begin at once, the first one's counts

    def now(self) -> datetime:
        return datetime.fromisoformat(self._file.read_text(encoding="ascii"))

    def set(self, now: datetime) -> None:
        self._write(now, os.replace)

    def _write(self, now: datetime, put: Callable[[Path, Path], None]) -> None:
        """Written beside it and then put in its place, so that nobody reads half a time."""
        if now.tzinfo is None:
            raise ValueError("the time needs an offset")
        draft = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        draft.write_text(now.isoformat(), encoding="ascii")
        with suppress(FileExistsError):
            put(draft, self._file)
        draft.unlink(missing_ok=True)


def clock_of(settings: Settings) -> Clock:
    """The clock that the settings name; one that is set by hand begins at the machine's time."""
    if settings.clock == "system":
        return SystemClock()
    start = SystemClock().now()
    return FileClock(settings.clock_file, start) if settings.clock_file else ManualClock(start)
