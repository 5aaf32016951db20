"""The shop's clock: the one offset in which its days and months are counted, and times are shown."""

from datetime import date, datetime, time, timedelta, timezone
from typing import Final

#: Always ahead of UTC by eight hours: there has been no summer time since 1991.
SHOP_TIME: Final = timezone(timedelta(hours=8), "Asia/Shanghai")


def shop_day(moment: datetime) -> str:
    """The shop's day at an aware moment, as `2026-10-31`."""
    return moment.astimezone(SHOP_TIME).date().isoformat()


def shop_month(moment: datetime) -> str:
    """The shop's month at an aware moment, as `2026-10`."""
    return shop_day(moment)[:7]


def begin_of(day: str) -> datetime:
    """When a day of the shop's begins; raises `ValueError` for what is no day."""
    return datetime.combine(date.fromisoformat(day), time.min, SHOP_TIME)


def end_of(day: str) -> datetime:
    """The last moment of a day of the shop's; raises `ValueError` for what is no day."""
    return datetime.combine(date.fromisoformat(day), time.max, SHOP_TIME)
