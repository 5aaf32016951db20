"""A sample of a table: how its file is written, its columns, and what is likely to be what, for a first suggestion."""

import csv
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Final, NamedTuple

from services.console.forms import Unreadable

#: Of a file; of longer ones the beginning is looked at.
BYTES_MOST: Final = 1 << 20
#: Rows that are shown, and those in which words are looked for.
ROWS_SHOWN: Final = 5
_ROWS_LOOKED_AT: Final = 2_000
_WORDS_MOST: Final = 30
#: Lines that tell how a file is written.
_LINES_LOOKED_AT: Final = 40
_NAMES_MOST: Final = 200

#: Encodings as mappings name them, and how they are read; delimiters as the form names them.
CODECS: Final = {"UTF-8": "utf-8-sig", "GBK": "gb18030", "GB18030": "gb18030"}
DELIMITERS: Final = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}
#: How times may be written; the first is the usual one.
TIME_FORMATS: Final = (
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d",
    "%Y%m%d%H%M%S",
    "%Y%m%d",
    "%Y年%m月%d日 %H:%M:%S",
    "%Y年%m月%d日",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y",
    "%Y-%m-%dT%H:%M:%S%z",
)
#: What the name of a column says of what it may be; the first column that fits is suggested, each once.
_LIKELY: Final[Mapping[str, Sequence[str]]] = {
    "occurred_at": ("时间", "日期", "time", "date"),
    "channel_order_ref": ("运单", "waybill", "tracking"),
    "refund_ref": ("退款单号", "refund"),
    "order_ref": ("商家单号", "商户单号", "商户订单", "订单", "order"),
    "channel_ref": ("理赔单号", "流水", "单号", "编号", "reference", "claim"),
    "fee": ("手续费", "服务费", "fee"),
    "balance": ("余额", "balance"),
    "status": ("状态", "status"),
    "amount": ("金额", "amount"),
}
_TOTALS: Final = ("合计", "总计", "total", "sum")


class Shape(NamedTuple):
    """How a file is written: the names of its encoding and delimiter, and lines above its header."""

    encoding: str
    delimiter: str
    skip_lines: int


class Table(NamedTuple):
    """The columns of a table, and its first rows."""

    names: Sequence[str]
    rows: Sequence[Sequence[str]]

    def words(self, column: str) -> list[str]:
        """What stands in a column, each once."""
        if column not in self.names:
            return []
        at = self.names.index(column)
        there = (row[at].strip() for row in self.rows if len(row) == len(self.names))
        return list(islice(dict.fromkeys(word for word in there if word), _WORDS_MOST))

    @property
    def total_row(self) -> str:
        """What the last row begins with, where that seems to add up the others."""
        first = self.rows[-1][0].strip() if self.rows else ""
        return first if first.lower().startswith(_TOTALS) else ""


def shape_of(content: bytes) -> Shape:
    """How a file seems to be written. Raises `Unreadable` for what is no text, or no table."""
    encoding = next((one for one in CODECS if _is_in(content, one)), "")
    if not encoding:
        raise Unreadable(
            "no_text",
            "不是文本表格。请在表格软件中另存为 CSV(UTF-8)后再选",
            "This is no text. Save it as CSV (UTF-8) in your spreadsheet, and choose that",
        )
    lines = _text(content, encoding).splitlines()[:_LINES_LOOKED_AT]
    usual = {name: _usual_width(lines, sign) for name, sign in DELIMITERS.items()}
    delimiter = max(usual, key=lambda name: usual[name])
    if usual[delimiter] < 2:
        raise Unreadable("no_columns", "没有找到几列的表头", "No header with several columns was found")
    widths = [_width(line, DELIMITERS[delimiter]) for line in lines]
    return Shape(encoding, delimiter, widths.index(usual[delimiter]))


def table_of(content: bytes, shape: Shape) -> Table:
    """The table in a file that is written so; without columns where there are none."""
    lines = _text(content, shape.encoding).splitlines(keepends=True)[shape.skip_lines :]
    records = _records(lines, DELIMITERS[shape.delimiter])
    names = [cell.strip() for cell in next(records, [])]
    return Table(names[:_NAMES_MOST], list(islice(records, _ROWS_LOOKED_AT)))


def typed_names(typed: str) -> Table:
    """Columns whose names somebody typed: one a line, or as a header is written."""
    names = [name.strip() for line in typed.splitlines() for sign in (_sign_in(line),) for name in line.split(sign)]
    return Table([name for name in dict.fromkeys(names) if name][:_NAMES_MOST], [])


def suggested(table: Table) -> dict[str, str]:
    """Which column is likely what, how its times are written, and what its last row begins with."""
    found: dict[str, str] = {}
    for field, parts in _LIKELY.items():
        free = [name for name in table.names if name and name not in found.values()]
        found[field] = next((name for part in parts for name in free if part in _plain(name)), "")
    columns = {f"columns.{field}": name for field, name in found.items() if name}
    moments = table.words(found["occurred_at"])[:1]
    forms = [form for form in TIME_FORMATS for moment in moments if _is_written(moment, form)]
    return {**columns, **({"time_format": forms[0]} if forms else {}), "total_row": table.total_row}


def _is_in(content: bytes, encoding: str) -> bool:
    """Whether a file, or the beginning of one, may be text of this encoding."""
    end = content if len(content) < BYTES_MOST else content[: content.rfind(b"\n") + 1]
    try:
        return "\x00" not in end.decode(CODECS[encoding])
    except UnicodeDecodeError:
        return False


def _text(content: bytes, encoding: str) -> str:
    return content.decode(CODECS[encoding], "replace")


def _usual_width(lines: Sequence[str], sign: str) -> int:
    """How many columns most lines have that have several."""
    widths = Counter(width for line in lines if (width := _width(line, sign)) > 1)
    return widths.most_common(1)[0][0] if widths else 1


def _width(line: str, sign: str) -> int:
    return len(next(_records([line], sign), []))


def _records(lines: Sequence[str], sign: str) -> Iterator[list[str]]:
    """The records that have something in them, up to one that cannot be read."""
    try:
        yield from (record for record in csv.reader(lines, delimiter=sign) if any(cell.strip() for cell in record))
    except csv.Error:
        return


def _sign_in(line: str) -> str:
    return next((sign for sign in ("\t", ";", "|", ",", "，", "、") if sign in line), ",")


def _plain(name: str) -> str:
    return unicodedata.normalize("NFKC", name).lower()


def _is_written(moment: str, form: str) -> bool:
    try:
        datetime.strptime(moment, form)
    except ValueError:
        return False
    return True
