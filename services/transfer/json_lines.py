"""Events as JSON Lines, plain or gzipped: one row a line, the manifest last."""

import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import IO, Final, cast

from services.kernel.event_store import PAGE_RECORDS
from services.kernel.log import MAX_DATA_BYTES, Record
from services.transfer.formats import FileAltered, FileCut, NoFileOfEvents
from services.transfer.lines import Heading, Manifest, Row, line_of, row_of

#: The longest line that is read: an event in base64, and all else that a log knows of it.
MAX_LINE_BYTES: Final = 2 * MAX_DATA_BYTES
#: How a page ends early: no more than so much of the file at a time.
PAGE_BYTES: Final = 16 * 1024 * 1024

_GZIP: Final = b"\x1f\x8b"


class JsonLinesWriter:
    """Writes lines as they are given."""

    def __init__(self, place: Path, *, gzip: bool) -> None:
        self._raw = place.open("wb")
        self._file = cast(IO[bytes], _packed(self._raw)) if gzip else self._raw

    def begin(self, heading: Heading) -> None:
        """The first line."""
        self._file.write(line_of(heading))

    def write(self, rows: Sequence[Row], lines: Sequence[bytes]) -> None:
        """Rows, and the same as lines."""
        self._file.writelines(lines)

    def finish(self, manifest: Manifest) -> None:
        """The last line."""
        self._file.write(line_of(manifest))

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
        self._raw.close()


class JsonLinesReader:
    """Reads line by line."""

    def __init__(self, file: Path) -> None:
        self._place = file
        self._position = 0

    def parts(self) -> Iterator[Heading | list[Row] | Manifest]:
        """Its heading, its rows, and its manifest."""
        with self._place.open("rb") as raw:
            lines = self._lines(raw)
            yield self._heading(next(lines, b""))
            rows: list[Row] = []
            size = 0
            for line in lines:
                row = self._row(line)
                if isinstance(row, Manifest):
                    if rows:
                        yield rows
                    if next(lines, None) is not None:
                        raise FileAltered(
                            self._place, "清单之后还有内容", "there is more behind its manifest", self._position
                        )
                    yield row
                    return
                rows.append(row)
                size += len(line)
                self._position = row.position if isinstance(row, Record) else self._position
                if len(rows) == PAGE_RECORDS or size >= PAGE_BYTES:
                    yield rows
                    rows, size = [], 0
            raise FileCut(self._place, "缺少末行(清单)", "its last line, the manifest, is missing", self._position)

    def _lines(self, raw: BufferedReader) -> Iterator[bytes]:
        packed = raw.peek(2)[:2] == _GZIP
        file = cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if packed else raw
        try:
            while line := file.readline(MAX_LINE_BYTES):
                if not line.endswith(b"\n"):
                    raise FileCut(self._place, "最后一行不完整", "its last line is not whole", self._position)
                yield line
        except EOFError:
            raise FileCut(
                self._place, "压缩数据提前结束", "the compressed data ends too early", self._position
            ) from None
        except (zlib.error, gzip.BadGzipFile) as error:
            raise FileAltered(
                self._place, f"无法解压({error})", f"it cannot be unpacked: {error}", self._position
            ) from None

    def _heading(self, line: bytes) -> Heading:
        with suppress(ValueError, RecursionError):
            if isinstance(heading := row_of(line), Heading):
                return heading
        zh, en = "首行不是事件文件的标头", "its first line is not the heading of a file of events"
        raise NoFileOfEvents(self._place, zh, en)

    def _row(self, line: bytes) -> Row | Manifest:
        with suppress(ValueError, RecursionError):
            row = row_of(line)
            if not isinstance(row, Heading):
                return row
        raise FileAltered(self._place, "有一行不是事件", "a line is no event", self._position)


def _packed(raw: IO[bytes]) -> gzip.GzipFile:
    """Without name and time, so that the same events make the same file."""
    return gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0)
