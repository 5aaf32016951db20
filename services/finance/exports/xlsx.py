"""Tables as XLSX that opens clean: ids and words are texts whatever they look like, money is numbers, nothing is a
formula or a link. Rows go to disk one by one."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, Final

import xlsxwriter

from services.finance.exports.tables import TOTAL, Asked, Column, Kind, Lang, Row, Value, decimal_yuan, say, shop_time

#: Rows of a sheet; a longer table goes on in the next one. A sheet of Excel has 1 048 576.
ROWS_PER_SHEET: Final = 1_000_000
#: Characters of a cell; Excel takes no more.
_LONGEST: Final = 32_767
#: A column's number format and width in characters.
_FORMATS: Final = {
    Kind.ID: ("@", 24),
    Kind.TEXT: ("@", 18),
    Kind.MONEY: ("0.00", 14),
    Kind.DAY: ("yyyy-mm-dd", 12),
    Kind.TIME: ("yyyy-mm-dd hh:mm:ss", 20),
    Kind.NUMBER: ("0", 10),
}
#: What a sheet's name must not hold, by Excel.
_NOT_IN_NAMES: Final = str.maketrans("[]:*?/\\", "       ")


@contextmanager
def xlsx(
    file: BinaryIO, asked: Asked, columns: Sequence[Column], lang: Lang, rows_per_sheet: int = ROWS_PER_SHEET
) -> Iterator["XlsxTable"]:
    """What writes a table into a file; the file is whole once the block ends well. Rows wait in a folder that is gone
    then."""
    with TemporaryDirectory() as folder:
        options = {
            "constant_memory": True,
            "tmpdir": folder,
            "strings_to_formulas": False,
            "strings_to_numbers": False,
            "strings_to_urls": False,
        }
        book = xlsxwriter.Workbook(file, options)
        book.set_properties({"title": say(asked.title, lang), "created": shop_time(asked.as_at.isoformat())})
        try:
            yield XlsxTable(book, asked, columns, lang, rows_per_sheet)
        except BaseException:
            for sheet in book.worksheets():
                sheet.row_data_fh.close()
            raise
        book.close()


class XlsxTable:
    """A table as one sheet, or as several where it is long: what was asked for, headers, rows, and sums."""

    def __init__(self, book: Any, asked: Asked, columns: Sequence[Column], lang: Lang, rows_per_sheet: int) -> None:
        self._book = book
        self._asked = asked
        self._columns = columns
        self._lang: Lang = lang
        self._rows_per_sheet = rows_per_sheet
        self._bold = book.add_format({"bold": True})
        self._heads = book.add_format({"bold": True, "bottom": 1, "num_format": "@"})
        self._sums = book.add_format({"bold": True, "top": 1, "num_format": _FORMATS[Kind.MONEY][0]})
        self._formats = [book.add_format({"num_format": _FORMATS[column.kind][0]}) for column in columns]
        self._puts: list[Callable[[int, int, Value, Any], None]] = []
        self._begin()

    def write(self, rows: Sequence[Row]) -> None:
        """Add rows."""
        for row in rows:
            if self._written == self._rows_per_sheet:
                self._end()
                self._begin()
            for place, value in enumerate(row):
                self._puts[place](self._next, place, value, self._formats[place])
            self._next += 1
            self._written += 1

    def finish(self, sums: Sequence[int | None]) -> None:
        """Add the sums."""
        self._end()
        if any(fen is not None for fen in sums):
            self._put_text(self._next, 0, say(TOTAL, self._lang), self._sums)
            for place, fen in enumerate(sums):
                if fen is not None:
                    self._put_money(self._next, place, fen, self._sums)

    def _begin(self) -> None:
        """A new sheet with its head: a title, what was asked for, and the headers, which stay in sight."""
        number = len(self._book.worksheets()) + 1
        title = say(self._asked.title, self._lang).translate(_NOT_IN_NAMES)[:25]
        self._sheet = self._book.add_worksheet(title if number == 1 else f"{title} {number}")
        puts = {
            Kind.MONEY: self._put_money,
            Kind.NUMBER: self._put_number,
            Kind.DAY: self._put_day,
            Kind.TIME: self._put_time,
        }
        self._puts = [puts.get(column.kind, self._put_text) for column in self._columns]
        for place, column in enumerate(self._columns):
            self._sheet.set_column(place, place, _FORMATS[column.kind][1])
        self._put_text(0, 0, say(self._asked.title, self._lang), self._bold)
        echo = self._asked.echo(self._lang)
        for line, (label, value) in enumerate(echo, start=1):
            self._put_text(line, 0, label, None)
            self._put_text(line, 1, value, None)
        self._head = len(echo) + 2
        for place, column in enumerate(self._columns):
            self._put_text(self._head, place, column.title(self._lang), self._heads)
        self._sheet.freeze_panes(self._head + 1, 0)
        self._next = self._head + 1
        self._written = 0

    def _end(self) -> None:
        self._sheet.autofilter(self._head, 0, max(self._next - 1, self._head), len(self._columns) - 1)

    def _put_text(self, row: int, column: int, value: Value, style: Any) -> None:
        text = str(value)
        if not text:
            return  # an empty cell needs no place in the file
        self._sheet.write_string(row, column, text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…", style)

    def _put_number(self, row: int, column: int, value: Value, style: Any) -> None:
        self._sheet.write_number(row, column, value, style)

    def _put_money(self, row: int, column: int, value: Value, style: Any) -> None:
        # The library writes 16 significant digits of whatever number it is given: of a Decimal those are its own.
        self._sheet.write_number(row, column, decimal_yuan(value), style)

    def _put_day(self, row: int, column: int, value: Value, style: Any) -> None:
        if value:
            self._sheet.write_datetime(row, column, date.fromisoformat(str(value)), style)

    def _put_time(self, row: int, column: int, value: Value, style: Any) -> None:
        if value:
            self._sheet.write_datetime(row, column, shop_time(str(value)).replace(microsecond=0), style)
