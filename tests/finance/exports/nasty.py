"""A small table with everything that spreadsheets spoil: long numbers that are ids, names that are formulas, amounts
that no binary fraction is equal to."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Final

from contracts.policy import Text
from services.finance.exports.tables import Asked, Column, Export, Kind, Row

AS_AT: Final = datetime(2026, 11, 1, 2, 30, tzinfo=UTC)

COLUMNS: Final = (
    Column("ref", Text(zh="流水号", en="Reference"), Kind.ID),
    Column("name", Text(zh="名称", en="Name")),
    Column("day", Text(zh="日期", en="Day"), Kind.DAY),
    Column("time", Text(zh="时间", en="Time"), Kind.TIME),
    Column("amount_fen", Text(zh="金额", en="Amount"), Kind.MONEY, summed=True),
    Column("count", Text(zh="数量", en="Count"), Kind.NUMBER),
)

#: Names that a spreadsheet would take for a formula, or a link.
NAMES: Final = (
    '=HYPERLINK("http://evil.example","click")',
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1:A9)",
    "\tTab",
    "\rReturn",
    "＝1+1",
    "https://evil.example",
    '="quoted"',
    "圆通",
)
AMOUNTS: Final = (995, -1, 0, 10, 129_900, 99_999_999_999, 841, -995, 58, 3)
ROWS: Final = [
    (f"4200001234567890123456{place:02d}", name, "2026-10-05", "2026-10-05T02:00:00.000000+00:00", fen, place)
    for place, (name, fen) in enumerate(zip(NAMES, AMOUNTS, strict=True))
]


def asked() -> Asked:
    """What the table was asked for."""
    return Asked("nasty", Text(zh="样表", en="Sample"), [(Text(zh="月份", en="Month"), "2026-10")], AS_AT, 42)


def export(rows: Sequence[Row] = ROWS, page: int = 4) -> Export:
    """The table, in pages."""

    async def pages() -> AsyncIterator[Sequence[Row]]:
        for start in range(0, len(rows), page):
            yield rows[start : start + page]

    return Export(asked(), COLUMNS, len(rows), pages())


def many(count: int, page: int = 100) -> Export:
    """A long table whose rows are made as they are asked for."""

    async def pages() -> AsyncIterator[Sequence[Row]]:
        for start in range(0, count, page):
            yield [(f"R{number}", f"name {number}", *ROWS[0][2:]) for number in range(start, min(start + page, count))]

    return Export(asked(), COLUMNS, count, pages())
