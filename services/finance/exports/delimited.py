"""Tables as CSV with a byte order mark, so that Excel reads Chinese: a row of headers, then rows and nothing else."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from typing import BinaryIO, Final

from services.finance.exports.tables import Asked, Column, Kind, Lang, Row, Value, decimal_yuan, shop_time
from services.kernel.delimited import ENCODING, harmless


@contextmanager
def delimited(file: BinaryIO, asked: Asked, columns: Sequence[Column], lang: Lang) -> Iterator["DelimitedTable"]:
    """What writes a table into a file, which stays open; it is whole once the block ends well."""
    text = TextIOWrapper(file, encoding=ENCODING, newline="", write_through=False)
    try:
        yield DelimitedTable(text, columns, lang)
    finally:
        text.detach()  # what it holds is written to the file, which is not its to close


class DelimitedTable:
    """A table as CSV."""

    def __init__(self, text: TextIOWrapper, columns: Sequence[Column], lang: Lang) -> None:
        self._rows = csv.writer(text)
        self._shown = [_SHOWN.get(column.kind, harmless) for column in columns]
        self._rows.writerow([column.title(lang) for column in columns])

    def write(self, rows: Sequence[Row]) -> None:
        """Add rows."""
        shown = self._shown
        self._rows.writerows([show(value) for show, value in zip(shown, row, strict=True)] for row in rows)

    def finish(self, sums: Sequence[int | None]) -> None:
        """Sums are no rows: who reads the file can add it up."""


def _money(value: Value) -> str:
    return str(decimal_yuan(value))


def _time(value: Value) -> str:
    return f"{shop_time(str(value)):%Y-%m-%d %H:%M:%S}" if value else ""


_SHOWN: Final[Mapping[Kind, Callable[[Value], str]]] = {
    Kind.MONEY: _money,
    Kind.NUMBER: str,
    Kind.DAY: str,
    Kind.TIME: _time,
}
