"""What a format of event files does, and what can be wrong with a file."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from services.transfer.lines import Heading, Manifest, Row

Format: TypeAlias = Literal["jsonl", "parquet"]


class FileRefused(Exception):
    """A file that is not to be worked with. `position`: behind which record that was found, 0 before the first."""

    def __init__(self, file: Path, zh: str, en: str, position: int = 0) -> None:
        super().__init__(f"{file}: {en}" + (f" (behind position {position})" if position else ""))
        self.file, self.zh, self.en, self.position = file, zh, en, position


class FileCut(FileRefused):
    """A file of events that ends before its end."""


class FileAltered(FileRefused):
    """A file of events that is not as it was written."""


class NoFileOfEvents(FileRefused):
    """Some other file."""


class ParquetMissing(Exception):
    """Parquet needs a library that was not installed: `pip install 'aftersales[parquet]'`."""


class Writer(Protocol):
    """Writes one file."""

    def begin(self, heading: Heading) -> None:
        """The beginning of the file."""

    def write(self, rows: Sequence[Row], lines: Sequence[bytes]) -> None:
        """Rows, and the same as lines."""

    def finish(self, manifest: Manifest) -> None:
        """The end of the file."""

    def close(self) -> None:
        """Let go of it."""


class Reader(Protocol):
    """Reads one file. Raises `FileCut`, `FileAltered` and `NoFileOfEvents`."""

    def parts(self) -> Iterator[Heading | list[Row] | Manifest]:
        """Its heading, its rows, and its manifest."""
