"""Which events a command is about: its options, and what they mean."""

import difflib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from contracts.registry import EVENT_TYPES
from services.catalogue import SERVICES
from services.cli.environment import settings_in_force, words_in
from services.cli.failure import Failure
from services.cli.output import AsJson, DataDir, InLanguage
from services.kernel.history import span, why_unreadable, written_position
from services.kernel.settings import Settings
from services.transfer.selection import Selection
from services.wording.words import Language, Words

OfService = Annotated[str, typer.Argument(metavar="SERVICE", help=f"{', '.join(SERVICES)}. 服务名。")]
OfServices = Annotated[
    str, typer.Argument(metavar="[SERVICE]", help=f"{', '.join(SERVICES)}; all unless named. 服务名,不写为全部。")
]


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
        return words_in(settings, self.lang)


_POINT: Final = "a position, a day or a time with offset, included"
_POINT_ZH: Final = "位置、日期或带时区的时间(含)"


@dataclass(frozen=True, kw_only=True)
class Since(Which):
    """Which events, also by where they begin or from when on."""

    first: Annotated[str, typer.Option("--from", help=f"From {_POINT}. 起:{_POINT_ZH}。", show_default=False)] = ""

    def selection(self) -> Selection:
        """What is asked for. Raises `Failure` for what is no position, day or time."""
        first, since, _ = _point("--from", self.first)
        return msgspec.structs.replace(super().selection(), first=first or 1, since=since)


@dataclass(frozen=True, kw_only=True)
class Range(Since):
    """Which events, also by where they stand or when they happened."""

    last: Annotated[str, typer.Option("--to", help=f"To {_POINT}. 止:{_POINT_ZH}。", show_default=False)] = ""

    def selection(self) -> Selection:
        """What is asked for. Raises `Failure` for what is no position, day or time, and for a range upside down."""
        begin = super().selection()
        last, _, until = _point("--to", self.last)
        if (last and last < begin.first) or (begin.since and until and until < begin.since):
            raise upside_down(self.first, self.last)
        return msgspec.structs.replace(begin, last=last, until=until)


def upside_down(first: object, last: object) -> Failure:
    """A range that ends before it begins."""
    return Failure(
        "range_upside_down",
        f"--from {first} 在 --to {last} 之后,请对调。",
        f"--from {first} comes after --to {last}; turn them round.",
    )


def _point(option: str, text: str) -> tuple[int, datetime | None, datetime | None]:
    """A position, 0 for none, or when a day or moment begins and ends. It is written as a point in the past is, but may
    be in the future; whether the log has the position is found where it is read."""
    if not text:
        return 0, None, None
    if position := written_position(text):
        return position, None, None
    try:
        return 0, *span(text)
    except ValueError:
        zh, en = why_unreadable(text)
        raise Failure("invalid", f"{option}:{zh}。", f"{option}: {en}.") from None


def _unknown_type(name: str) -> Failure:
    near = difflib.get_close_matches(name, EVENT_TYPES, n=1)
    zh, en = (f"是否想写 {near[0]}?", f" Did you mean {near[0]}?") if near else ("", "")
    return Failure("invalid", f"--type:没有事件类型 {name}。{zh}", f"--type: there is no event type {name}.{en}")
