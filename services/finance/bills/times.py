"""Times as channels write them: the clock of the shop, which the files do not name."""

import re
from datetime import UTC, datetime, tzinfo
from typing import Final

from services.finance.bills.mistakes import Wrong
from services.kernel.shop_time import SHOP_TIME

#: How bills write a time, said to people and tried by `strptime`.
USUAL: Final = "%Y-%m-%d %H:%M:%S"

_USUAL: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)


def moment_of(text: str, field: str) -> datetime:
    """The moment in `2026-05-01 10:00:00` by the shop's clock; raises `Wrong`."""
    if _USUAL.fullmatch(text) is None:
        raise _no_time(text, field, USUAL)
    try:
        return datetime.fromisoformat(text).replace(tzinfo=SHOP_TIME)
    except ValueError:
        raise Wrong("time_impossible", field, found=text) from None


def moment_by(text: str, field: str, form: str, zone: tzinfo) -> datetime:
    """The moment in a text of this form (`strptime`), in this zone unless the text says its own; raises `Wrong`."""
    try:
        moment = datetime.strptime(text, form)
    except ValueError as error:
        impossible = "unconverted" not in str(error) and "does not match" not in str(error)
        raise Wrong("time_impossible", field, found=text) if impossible else _no_time(text, field, form) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    if moment < _EARLIEST:
        raise Wrong("time_impossible", field, found=text)
    return moment


def is_form(form: str) -> bool:
    """Whether a text says how times are written (`strptime`), with a day at least."""
    try:
        datetime.strptime(_EARLIEST.strftime(form), form)
    except ValueError:
        return False
    return all(sign in form for sign in ("%Y", "%m", "%d"))


def _no_time(text: str, field: str, form: str) -> Wrong:
    return Wrong("time", field, found=text, wanted=form) if text else Wrong("missing", field)
