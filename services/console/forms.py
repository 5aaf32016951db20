"""What people type, read: yuan as fen, numbers, shares, moments, ticks, and rows of them. The one place for it.

A reader takes a text and gives a value, or raises `Unreadable`, whose words belong at the field.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from services.kernel.shop_time import SHOP_TIME

#: What is wrong with fields, by the name of the field in the form: the rule, and that in words (`zh`, `en`).
Mistakes = dict[str, Mapping[str, str]]
Reader = Callable[[str], Any]

_AMOUNT: Final = re.compile(r"(\d{1,12}|\d{1,3}(?:,\d{3}){1,3})(?:\.(\d{1,2}))?")
_WHOLE: Final = re.compile(r"\d{1,9}")
_PER_CENT: Final = re.compile(r"(\d{1,3})(?:\.(\d{1,2}))?")
_CURRENCY: Final = re.compile(r"^[¥¥]|元$|CNY$|yuan$", re.IGNORECASE)


class Unreadable(Exception):
    """A typed text is not what the field takes."""

    def __init__(self, rule: str, zh: str, en: str) -> None:
        super().__init__(en)
        self.rule = rule
        self.zh = zh
        self.en = en

    @property
    def mistake(self) -> Mapping[str, str]:
        """What is told at the field."""
        return {"rule": self.rule, "zh": self.zh, "en": self.en}


REQUIRED: Final[Mapping[str, str]] = Unreadable("required", "请填写", "Fill this in").mistake


def text(typed: str) -> str:
    """A text as it was typed, without blanks around it."""
    return typed.strip()


def fen(typed: str) -> int:
    """An amount in yuan with up to two decimals, such as `12.5`, in fen."""
    match = _AMOUNT.fullmatch(_CURRENCY.sub("", _plain(typed)).replace(" ", ""))
    if match is None:
        raise Unreadable(
            "amount", "请填金额(元),最多两位小数,例如 12.5", "An amount in yuan with up to two decimals, such as 12.5"
        )
    return int(match[1].replace(",", "")) * 100 + int((match[2] or "").ljust(2, "0"))


def whole(typed: str) -> int:
    """A whole number."""
    plain = _plain(typed)
    if not _WHOLE.fullmatch(plain):
        raise Unreadable("whole_number", "请填整数", "A whole number")
    return int(plain)


def share_bp(typed: str) -> int:
    """A share in per cent with up to two decimals, in 1/10000."""
    match = _PER_CENT.fullmatch(_plain(typed).removesuffix("%").rstrip())
    if match is None:
        raise Unreadable(
            "share", "请填百分比,最多两位小数,例如 33.33", "A share in per cent with up to two decimals, such as 33.33"
        )
    return int(match[1]) * 100 + int((match[2] or "").ljust(2, "0"))


def yes_no(typed: str) -> bool:
    """What was chosen of yes and no."""
    if typed not in ("yes", "no"):
        raise Unreadable("yes_no", "请选择是或否", "Choose yes or no")
    return typed == "yes"


def moment(typed: str) -> str:
    """A moment by the shop's clock, such as `2026-10-06 09:00` or `2026-10-06T09:00`, as RFC 3339."""
    try:
        read = datetime.fromisoformat(_plain(typed))
    except ValueError:
        raise Unreadable("moment", "请填时间,例如 2026-10-06 09:00", "A time, such as 2026-10-06 09:00") from None
    return (read if read.tzinfo else read.replace(tzinfo=SHOP_TIME)).isoformat()


def _plain(typed: str) -> str:
    """Without blanks around it, and with digits as keyboards for Chinese write them made plain."""
    return unicodedata.normalize("NFKC", typed).strip()
