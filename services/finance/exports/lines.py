"""Tables as JSON Lines for machines: an object a row, by the names of the columns; money is whole fen."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

import msgspec

from services.finance.exports.tables import Asked, Column, Lang, Row

_encode = msgspec.json.Encoder().encode


@contextmanager
def lines(file: BinaryIO, asked: Asked, columns: Sequence[Column], lang: Lang) -> Iterator["LinesTable"]:
    """What writes a table into a file, which stays open."""
    yield LinesTable(file, columns)


class LinesTable:
    """A table as JSON Lines."""

    def __init__(self, file: BinaryIO, columns: Sequence[Column]) -> None:
        self._file = file
        self._names = [column.name for column in columns]

    def write(self, rows: Sequence[Row]) -> None:
        """Add rows."""
        names = self._names
        self._file.writelines(_encode(dict(zip(names, row, strict=True))) + b"\n" for row in rows)

    def finish(self, sums: Sequence[int | None]) -> None:
        """Sums are no rows: who reads the file can add it up."""
