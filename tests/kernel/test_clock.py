"""The time that is handed to rules."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from services.kernel.clock import FileClock, ManualClock, SystemClock, clock_of
from services.kernel.settings import load_settings
from services.kernel.shop_time import SHOP_TIME
from tests.kernel.toy import NOON


def test_system_time_carries_the_shops_offset() -> None:
    """What is recorded can be read in the shop's day without knowing where the server stands."""
    now = SystemClock().now()
    assert now.tzinfo is SHOP_TIME
    assert now.utcoffset() == timedelta(hours=8)


def test_manual_clock_stands_still_and_goes_both_ways() -> None:
    """Time passes only when it is set, and may be set back as real clocks sometimes are."""
    clock = ManualClock(NOON)
    assert clock.now() == clock.now() == NOON
    clock.set(NOON + timedelta(days=400))
    clock.set(NOON - timedelta(days=1))
    assert clock.now() == NOON - timedelta(days=1)


def test_time_without_offset_is_refused() -> None:
    """A time that could mean any of 24 hours is no time."""
    with pytest.raises(ValueError, match="offset"):
        ManualClock(datetime(2026, 3, 1))
    clock = ManualClock(NOON)
    with pytest.raises(ValueError, match="offset"):
        clock.set(datetime(2026, 3, 1))
    assert clock.now() == NOON


def test_clock_in_a_file_is_shared(tmp_path: Path) -> None:
    """Processes with one clock file have one time: that of the first, until any of them sets it."""
    first = FileClock(tmp_path / "stack" / "clock", NOON)
    second = FileClock(tmp_path / "stack" / "clock", NOON + timedelta(days=1))
    assert second.now() == NOON
    second.set(NOON - timedelta(hours=1))
    assert first.now() == NOON - timedelta(hours=1)
    assert [file.name for file in (tmp_path / "stack").iterdir()] == ["clock"]
    with pytest.raises(ValueError, match="offset"):
        first.set(datetime(2026, 1, 1))


@pytest.mark.parametrize(
    ("given", "clock"),
    [({}, SystemClock), ({"clock": "manual"}, ManualClock), ({"clock": "manual", "clock_file": "clock"}, FileClock)],
)
def test_the_clock_that_is_set(tmp_path: Path, given: dict[str, str], clock: type) -> None:
    """The machine's unless said otherwise; one that is set by hand begins at the present."""
    if "clock_file" in given:
        given = {**given, "clock_file": str(tmp_path / "clock")}
    made = clock_of(load_settings({}, **given))
    assert type(made) is clock
    assert abs(made.now() - SystemClock().now()) < timedelta(minutes=1)
