"""The time that is handed to rules."""

from datetime import datetime, timedelta

import pytest

from services.kernel.clock import SHOP_TIME, ManualClock, SystemClock
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
