"""What a table to be exported is: named columns of known kinds, rows that come page by page, and what was asked for."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final, Literal, Protocol

import msgspec

from contracts.policy import Text
from services.kernel.long_work import Tell
from services.kernel.shop_time import SHOP_TIME

#: In which language headers and names are written.
Lang = Literal["zh", "en", "both"]
#: A cell: a text, or a whole number (of fen, or of things). Times and days are texts, as the tables hold them.
Value = str | int
Row = Sequence[Value]


class Kind(StrEnum):
    """What stands in a column. An id is a text, however much it looks like a number."""

    ID = "id"
    TEXT = "text"
    MONEY = "money"
    DAY = "day"
    TIME = "time"
    NUMBER = "number"


class Column(msgspec.Struct, frozen=True):
    """A column: its name for machines, its header for people. `summed`: money with a sum under the last row."""

    name: str
    header: Text
    kind: Kind = Kind.TEXT
    summed: bool = False

    def title(self, lang: Lang) -> str:
        """The header; times say the offset that they are shown in."""
        return f"{say(self.header, lang)}{' (+08:00)' if self.kind is Kind.TIME else ''}"


class Asked(msgspec.Struct, frozen=True):
    """A table that somebody asked for: which, for what, and as of when. `position` is the end of finance's log then."""

    name: str
    title: Text
    filters: Sequence[tuple[Text, str]]
    as_at: datetime
    position: int

    def echo(self, lang: Lang) -> list[tuple[str, str]]:
        """What a reader must know to read the figures: of when they are, and what they were chosen by."""
        when = f"{self.as_at.astimezone(SHOP_TIME):%Y-%m-%d %H:%M:%S} +08:00"
        return [
            (say(_AS_AT, lang), when),
            (say(_POSITION, lang), str(self.position)),
            *((say(label, lang), value) for label, value in self.filters),
        ]


_AS_AT: Final = Text(zh="截至", en="As at")
_POSITION: Final = Text(zh="日志位置", en="Log position")
TOTAL: Final = Text(zh="合计", en="Total")


@dataclass(frozen=True)
class Export:
    """A table and its rows, which can be gone through once. `rows`: how many there are, as far as is known."""

    asked: Asked
    columns: Sequence[Column]
    rows: int
    pages: AsyncIterator[Sequence[Row]]


class Writer(Protocol):
    """Writes a table in one format, rows in order; what it is given last is the sum of each column, None for none."""

    def write(self, rows: Sequence[Row]) -> None: ...
    def finish(self, sums: Sequence[int | None]) -> None: ...


async def write(export: Export, writer: Writer, tell: Tell) -> int:
    """Write a table to its end; gives how many rows it has. `tell` is awaited with the rows written and in all."""
    sums: list[int | None] = [0 if column.summed else None for column in export.columns]
    done = 0
    async for page in export.pages:
        _add(sums, page)
        await asyncio.to_thread(writer.write, page)
        done += len(page)
        await tell(done, max(done, export.rows))
    await asyncio.to_thread(writer.finish, sums)
    return done


def _add(sums: list[int | None], page: Sequence[Row]) -> None:
    for place, before in enumerate(sums):
        if before is not None:
            sums[place] = before + sum(int(row[place]) for row in page)


def say(text: Text, lang: Lang) -> str:
    """A text in a language, or in both, one beside the other."""
    if lang == "both":
        return f"{text.zh} {text.en}" if text.zh != text.en else text.zh
    return text.zh if lang == "zh" else text.en


def decimal_yuan(fen: Value) -> Decimal:
    """An amount as a number of yuan with two decimals, exactly."""
    return Decimal(fen).scaleb(-2)


def shop_time(time: str) -> datetime:
    """A time of a table as the shop's clock showed it, without an offset."""
    return datetime.fromisoformat(time).astimezone(SHOP_TIME).replace(tzinfo=None)
