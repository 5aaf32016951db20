"""How figures and moments look on a page."""

from datetime import datetime
from functools import lru_cache

from services.kernel.money import yuan
from services.kernel.shop_time import SHOP_TIME


def money(amount_fen: int | None) -> str:
    """An amount in yuan as people write it, e.g. `-1,299.00`; a dash where there is none."""
    return "–" if amount_fen is None else yuan(amount_fen).replace(" ", ",")


def moment(text: str | None) -> str:
    """A moment (RFC 3339) by the shop's clock, to the minute; a dash where there is none."""
    return f"{_parsed(text):%Y-%m-%d %H:%M}" if text else "–"


def day(text: str | None) -> str:
    """The day of a moment, by the shop's clock."""
    return f"{_parsed(text):%Y-%m-%d}" if text else "–"


def seconds_until(text: str, now: datetime) -> float:
    """How long it is until a moment, in seconds; negative when it passed."""
    return (_parsed(text) - now).total_seconds()


def share(part: int, whole: int) -> int:
    """What a part is of the whole in per cent, 0 to 100, for bars."""
    return max(0, min(100, round(100 * part / whole))) if whole else 0


def percent(bp: int | None) -> str:
    """A rate in 1/10000 as people read it, e.g. `12.34 %`; a dash where there is nothing to be a part of."""
    return "–" if bp is None else f"{'-' if bp < 0 else ''}{abs(bp) // 100}.{abs(bp) % 100:02d} %"


@lru_cache(maxsize=4_096)
def _parsed(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(SHOP_TIME)
