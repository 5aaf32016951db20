"""Days and months are the shop's, wherever a time was written."""

from datetime import datetime, timedelta

import pytest

from services.kernel.shop_time import begin_of, end_of, shop_day, shop_month


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("2026-10-31T15:59:59+00:00", "2026-10-31"),
        ("2026-10-31T16:00:00+00:00", "2026-11-01"),
        ("2026-11-01T00:00:00+08:00", "2026-11-01"),
        ("2026-10-31T23:59:59+08:00", "2026-10-31"),
        ("2026-12-31T16:00:00+00:00", "2027-01-01"),
    ],
)
def test_days_and_months_are_the_shops_wherever_the_time_was_written(moment: str, day: str) -> None:
    """What happens in the last hours of a month of UTC is booked in the next month of the shop's."""
    assert shop_day(datetime.fromisoformat(moment)) == day
    assert shop_month(datetime.fromisoformat(moment)) == day[:7]


def test_a_day_begins_and_ends_at_the_shops_midnight() -> None:
    """A day has all of its 24 hours and nothing of the next one."""
    assert begin_of("2026-10-31") == datetime.fromisoformat("2026-10-30T16:00:00+00:00")
    assert end_of("2026-10-31") == begin_of("2026-11-01") - timedelta(microseconds=1)
    assert shop_day(begin_of("2026-10-31")) == shop_day(end_of("2026-10-31")) == "2026-10-31"


@pytest.mark.parametrize("day", ["2026-02-30", "2026-13-01", ""])
def test_what_is_no_day_neither_begins_nor_ends(day: str) -> None:
    """A day that the calendar does not have is refused, and not moved to another one."""
    for moment in (begin_of, end_of):
        with pytest.raises(ValueError, match=r".+"):
            moment(day)
