"""What both bills of WeChat Pay have in common: lines with backticks, and a footer of totals."""

from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from typing import Final

from services.finance.bills.amounts import count_of, fen_of
from services.finance.bills.columns import row_of
from services.finance.bills.examination import Examination
from services.finance.bills.lines import Lines
from services.finance.bills.mistakes import Unreadable, Wrong
from services.finance.bills.rows import Row
from services.finance.bills.unpacking import MAX_LINE_BYTES

CHANNEL: Final = "wechat"
#: Decimals of a fee.
FEE_DECIMALS: Final = 5

_PREFIX: Final = "`"
#: Totals that are numbers of rows.
_COUNTS: Final = frozenset({"总交易单数", "资金流水总笔数", "收入笔数", "支出笔数"})


def sheet(
    lines: Lines,
    seen: Examination,
    names: list[str],
    take: Callable[[dict[str, str], int], Row],
    totals: Collection[str],
) -> Generator[Row, None, dict[str, str]]:
    """The rows between header and footer, as `take` reads them; gives what the footer says, by the names of totals."""
    for begins, text in _whole_rows(lines, len(names), totals):
        if begins == 0:
            return _footer(text, lines, totals)
        try:
            yield take(row_of(names, _fields(text)), begins)
        except Wrong as wrong:
            seen.leave_out(lines, wrong, begins)
    raise Unreadable("cut", missing_zh="汇总行", missing_en="its line of totals")


def _whole_rows(lines: Lines, width: int, totals: Collection[str]) -> Iterator[tuple[int, str]]:
    """Each row with the line it begins in; last of all the header of the footer, as if it began in line 0."""
    begins, row = 0, ""
    for line in lines:
        text = line.rstrip("\r\n")
        is_footer = text.split(",", 1)[0].strip() in totals
        broken = row.count(",`") + 1 < width and len(row) < MAX_LINE_BYTES
        if row and broken and not is_footer and not text.startswith(_PREFIX):
            row += f"\n{text}"
            continue
        if row:
            yield begins, row
        begins, row = lines.number, text
        if is_footer:
            yield 0, text
            return
    if row:
        yield begins, row


def _fields(row: str) -> list[str]:
    if not row.startswith(_PREFIX):
        raise Wrong("prefix")
    return row[1:].split(",`")


def _footer(header: str, lines: Lines, totals: Collection[str]) -> dict[str, str]:
    names = [name.strip() for name in header.split(",")]
    for name in names:
        if name not in totals:
            raise Unreadable("column_unknown", name)
    values = next(lines, "").strip()
    if not values:
        raise Unreadable("cut", missing_zh="汇总行", missing_en="its line of totals")
    footer = row_of(names, _fields(values))
    number = lines.number  # what is wrong with a total is wrong in this line
    if any(line.strip() for line in lines):
        lines.wrong(Wrong("after_footer"))
    lines.number = number
    return footer


def check(lines: Lines, seen: Examination, footer: Mapping[str, str], found: Mapping[str, int]) -> None:
    """Compare the footer, figure by figure, with what the rows give."""
    for figure, text in footer.items():
        try:
            if figure in _COUNTS:
                seen.check(lines, figure, count_of(text, figure), found[figure], is_count=True)
            else:
                seen.check(lines, figure, fen_of(text, figure, decimals=FEE_DECIMALS), found[figure])
        except Wrong as wrong:
            lines.wrong(wrong)
