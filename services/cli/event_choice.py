"""Which events a command is about: its options, and what they mean."""

import difflib
import os
import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from contracts.registry import EVENT_TYPES
from services.catalogue import SERVICES
from services.cli.environment import settings_in_force
from services.cli.failure import Failure
from services.cli.output import AsJson, DataDir, InLanguage
from services.cli.words import Language, Words, usual_language
from services.kernel.clock import SHOP_TIME
from services.kernel.settings import Settings
from services.policy import policy_in_force
from services.transfer.selection import Selection

OfService = Annotated[str, typer.Argument(metavar="SERVICE", help=f"{', '.join(SERVICES)}. 服务名。")]
OfServices = Annotated[
    str, typer.Argument(metavar="[SERVICE]", help=f"{', '.join(SERVICES)}; all unless named. 服务名,不写为全部。")
]
By = Annotated[str, typer.Option(help="Your name, for the log. 操作人,会留存。", show_default=False)]
Reason = Annotated[str, typer.Option(help="Why, for the log. 原因,会留存。", show_default=False)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing. 只看不改。")]

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, kw_only=True)
class Which:
    """Which events, and how they are shown."""

    case: Annotated[str, typer.Option(help="Of this case. 某一售后单。", show_default=False)] = ""
    order: Annotated[str, typer.Option(help="Of this order. 某一订单。", show_default=False)] = ""
    type: Annotated[
        list[str] | None, typer.Option("--type", help="Of this type; may be repeated. 某一类型,可重复。")
    ] = None
    party: Annotated[
        str, typer.Option(help="That name this party: courier/YTO, or courier. 涉及某责任方。", show_default=False)
    ] = ""
    data_dir: Annotated[Path | None, DataDir] = None
    lang: Annotated[Language | None, InLanguage] = None
    json: Annotated[bool, AsJson] = False

    def selection(self) -> Selection:
        """What is asked for. Raises `Failure` for a type that does not exist."""
        unknown = [name for name in self.type or () if name not in EVENT_TYPES]
        if unknown:
            raise _unknown_type(unknown[0])
        return Selection(case=self.case, order=self.order, types=tuple(self.type or ()), party=self.party)

    def settings(self) -> Settings:
        """The settings to work by."""
        return settings_in_force(data_dir=self.data_dir)

    def words(self, settings: Settings) -> Words:
        """What things are called for whoever asks."""
        return Words(policy_in_force(settings), self.lang or usual_language(os.environ))


_POINT: Final = "a position (included), a day or a time"
_POINT_ZH: Final = "位置(含)、日期或时间"


@dataclass(frozen=True, kw_only=True)
class Range(Which):
    """Which events, also by where they stand or when they happened."""

    first: Annotated[str, typer.Option("--from", help=f"From {_POINT}. 起:{_POINT_ZH}。", show_default=False)] = ""
    last: Annotated[str, typer.Option("--to", help=f"To {_POINT}. 止:{_POINT_ZH}。", show_default=False)] = ""

    def selection(self) -> Selection:
        """What is asked for. Raises `Failure` for what is no position, day or time, and for a range upside down."""
        which = super().selection()
        first, since = _point("--from", self.first, end=False)
        last, until = _point("--to", self.last, end=True)
        if (last and last < first) or (since and until and until <= since):
            raise upside_down(self.first, self.last)
        return Selection(
            case=which.case,
            order=which.order,
            types=which.types,
            party=which.party,
            since=since,
            until=until,
            first=first or 1,
            last=last,
        )


def upside_down(first: object, last: object) -> Failure:
    """A range that ends before it begins."""
    return Failure(
        "range_upside_down",
        f"--from {first} 在 --to {last} 之后,请对调。",
        f"--from {first} comes after --to {last}; turn them round.",
    )


def must_be_told(by: str, reason: str) -> None:
    """Who does something that changes anything, and why. Raises `Failure` where that is not said."""
    if not by.strip():
        raise Failure("invalid", "--by:请填写操作人姓名。", "--by: say your name.")
    if not reason.strip():
        raise Failure("invalid", "--reason:请说明原因。", "--reason: say why.")


def _point(option: str, text: str, *, end: bool) -> tuple[int, datetime | None]:
    """A position, 0 for none, or a time; a day means its beginning, as an end that it is over."""
    if not text:
        return 0, None
    if text.isascii() and text.isdecimal() and 0 < int(text[:20]) < 2**63:
        return int(text), None
    try:
        if _DAY.fullmatch(text):
            day = date.fromisoformat(text) + timedelta(days=end)
            return 0, datetime.combine(day, time(), SHOP_TIME)
        moment = datetime.fromisoformat(text)
        return 0, moment if moment.tzinfo else moment.replace(tzinfo=SHOP_TIME)
    except (ValueError, OverflowError):
        raise Failure(
            "invalid",
            f"{option}:{text} 不是位置(从 1 起的整数)、日期(2026-10-05)或时间(2026-10-05T10:00:00+08:00)。",
            f"{option}: {text} is no position (1 or more), day (2026-10-05) or time (2026-10-05T10:00:00+08:00).",
        ) from None


def _unknown_type(name: str) -> Failure:
    near = difflib.get_close_matches(name, EVENT_TYPES, n=1)
    zh, en = (f"是否想写 {near[0]}?", f" Did you mean {near[0]}?") if near else ("", "")
    return Failure("invalid", f"--type:没有事件类型 {name}。{zh}", f"--type: there is no event type {name}.{en}")
