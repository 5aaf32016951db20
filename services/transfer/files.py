"""Files of events: written whole or not at all, read page by page, and checked against what they say of themselves."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from services.kernel.event_store import InboxMark
from services.kernel.log import Record
from services.transfer.formats import FileAltered, Format, ParquetMissing, Reader, Writer
from services.transfer.json_lines import JsonLinesReader, JsonLinesWriter
from services.transfer.lines import Digest, Heading, Manifest, Row, line_of

_PARQUET: Final = b"PAR1"


class EventFile:
    """A file being written: what was written so far stands beside its place until it is whole."""

    def __init__(self, writer: Writer, part: Path, place: Path) -> None:
        self._writer = writer
        self._part = part
        self._place = place
        self._digest = Digest()

    def begin(self, heading: Heading) -> None:
        """Say what comes."""
        self._digest.add(line_of(heading))
        self._writer.begin(heading)

    def write(self, rows: Sequence[Row]) -> None:
        """Add rows; blocks."""
        lines = [line_of(row) for row in rows]
        for line in lines:
            self._digest.add(line)
        self._writer.write(rows, lines)

    def finish(self, manifest: Manifest) -> Manifest:
        """Seal the file and put it in its place; gives the manifest with its digest."""
        sealed = msgspec.structs.replace(manifest, sha256=self._digest.of(manifest))
        self._writer.finish(sealed)
        self._writer.close()
        with self._part.open("rb") as written:
            os.fsync(written.fileno())
        self._part.replace(self._place)
        return sealed


@contextmanager
def new_file(place: Path, format: Format) -> Iterator[EventFile]:
    """A file of events to be written; where the block does not finish it, nothing stays behind.

    Raises `FileExistsError`: no file is overwritten.
    """
    if place.exists():
        raise FileExistsError(17, os.strerror(17), str(place))
    part = place.with_name(f".{place.name}.part")
    writer = _writer(part, format, gzip=place.suffix == ".gz")
    try:
        yield EventFile(writer, part, place)
    finally:
        writer.close()
        with suppress(FileNotFoundError):
            part.unlink()


class OpenFile:
    """A file being read and checked: each pass over its parts reads it from the beginning."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def heading(self) -> Heading:
        """Its heading alone; raises as `parts` does."""
        heading = next(self.parts())
        assert isinstance(heading, Heading)
        return heading

    def parts(self) -> Iterator[Heading | list[Record] | list[InboxMark] | Manifest]:
        """Its heading, its records, its marks, and its manifest when all of it is as the manifest says; blocks.

        Raises `FileCut`, `FileAltered`, `NoFileOfEvents`, `ParquetMissing` and `OSError`.
        """
        digest, heading, counted = Digest(), None, _Counted()
        for part in _reader(self.file).parts():
            if isinstance(part, Manifest):
                if (heading, counted) != (part.heading, _Counted.of(part)):
                    raise FileAltered(
                        self.file, "内容与清单不符", "what it holds is not what its manifest says", counted.last
                    )
                if digest.of(part) != part.sha256:
                    zh, en = "SHA-256 与清单不符", "its SHA-256 is not the one in its manifest"
                    raise FileAltered(self.file, zh, en, counted.last)
                yield part
            elif isinstance(part, Heading):
                heading = part
                digest.add(line_of(part))
                yield part
            else:
                for row in part:
                    digest.add(line_of(row))
                yield from counted.take(part)


class _Counted(msgspec.Struct):
    """What a file was found to hold."""

    events: int = 0
    heard: int = 0
    first: int = 0
    last: int = 0

    @classmethod
    def of(cls, manifest: Manifest) -> "_Counted":
        """What it should hold."""
        return cls(manifest.events, manifest.heard, manifest.first, manifest.last)

    def take(self, rows: list[Row]) -> Iterator[list[Record] | list[InboxMark]]:
        """Count rows; gives the records among them, and the marks."""
        records = [row for row in rows if isinstance(row, Record)]
        marks = [row for row in rows if isinstance(row, InboxMark)]
        if records:
            self.events += len(records)
            self.first, self.last = self.first or records[0].position, records[-1].position
            yield records
        if marks:
            self.heard += len(marks)
            yield marks


def _writer(part: Path, format: Format, gzip: bool) -> Writer:
    if format == "parquet":
        with _parquet():
            from services.transfer.parquet import ParquetWriter

            return ParquetWriter(part)
    return JsonLinesWriter(part, gzip=gzip)


def _reader(file: Path) -> Reader:
    with file.open("rb") as opened:
        begins = opened.read(len(_PARQUET))
    if begins == _PARQUET:
        with _parquet():
            from services.transfer.parquet import ParquetReader

            return ParquetReader(file)
    return JsonLinesReader(file)


@contextmanager
def _parquet() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise ParquetMissing(str(error)) from None
