"""Events as Apache Parquet, for analysis and for moving: one row a record, the manifest in the file's metadata.

Rows without position say how far the service heard the others. Needs `aftersales[parquet]`.
"""

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa
from pyarrow import parquet

from services.kernel.event_store import PAGE_RECORDS, InboxMark
from services.kernel.log import Record, rfc3339
from services.transfer.formats import FileAltered, FileCut, NoFileOfEvents
from services.transfer.lines import Heading, Manifest, Row

#: Rows that are compressed together; fewer where they are large.
GROUP_ROWS: Final = 16_384
GROUP_BYTES: Final = 32 * 1024 * 1024
#: What a file begins and ends with.
MAGIC: Final = b"PAR1"
#: The manifest's name in the metadata.
MANIFEST: Final = b"aftersales.manifest"

_INTEGERS: Final = ("position", "version", "sequence", "schema")
_TEXTS: Final = (
    *("stream", "id", "type", "source", "subject", "time"),
    *("actor", "correlation_id", "causation_id", "policy", "traceparent"),
)
_SCHEMA: Final = pa.schema(
    [
        *(pa.field(name, pa.int64()) for name in _INTEGERS),
        *(pa.field(name, pa.string()) for name in _TEXTS),
        pa.field("data", pa.binary()),
        pa.field("hash", pa.binary()),
    ]
)


class ParquetWriter:
    """Collects rows and writes them in groups, compressed by Zstandard."""

    def __init__(self, place: Path) -> None:
        self._writer = parquet.ParquetWriter(place, _SCHEMA, compression="zstd")
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0

    def begin(self, heading: Heading) -> None:
        """The manifest holds it."""

    def write(self, rows: Sequence[Row], lines: Sequence[bytes]) -> None:
        """Rows, and the same as lines."""
        self._rows += [_columns(row) for row in rows]
        self._bytes += sum(map(len, lines))
        if len(self._rows) >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self._flush()

    def finish(self, manifest: Manifest) -> None:
        """What is left, and the metadata."""
        self._flush()
        self._writer.add_key_value_metadata({MANIFEST.decode(): msgspec.json.encode(manifest).decode()})

    def close(self) -> None:
        """Let go of the file."""
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, _SCHEMA))
            self._rows, self._bytes = [], 0


class ParquetReader:
    """Reads rows in groups."""

    def __init__(self, file: Path) -> None:
        self._place = file
        self._position = 0

    def parts(self) -> Iterator[Heading | list[Row] | Manifest]:
        """Its heading, its rows, and its manifest."""
        try:
            file = parquet.ParquetFile(self._place)
            manifest = (file.metadata.metadata or {}).get(MANIFEST)
            columns_fit = file.schema_arrow.equals(_SCHEMA)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self._unreadable(error) from None
        with file:
            if manifest is None or not columns_fit:
                zh, en = "列或元数据不是事件文件的", "its columns and metadata are not those of a file of events"
                raise NoFileOfEvents(self._place, zh, en)
            read = self._sensible(manifest)
            yield read.heading
            yield from self._batches(file)
            yield read

    def _unreadable(self, error: Exception) -> FileCut | FileAltered:
        """A file ends as it begins, unless it was cut."""
        with self._place.open("rb") as raw:
            raw.seek(-len(MAGIC), os.SEEK_END)
            refused = FileAltered if raw.read() == MAGIC else FileCut
        return refused(self._place, "文件末尾无法读取", f"its end cannot be read: {error}")

    def _batches(self, file: Any) -> Iterator[list[Row]]:
        batches = file.iter_batches(batch_size=PAGE_RECORDS)
        while True:
            try:
                batch = next(batches, None)
                if batch is None:
                    return
                page = [_row(columns) for columns in batch.to_pylist()]
            except (pa.ArrowException, OSError, ValueError) as error:
                raise FileAltered(
                    self._place, "有的行无法读取", f"rows cannot be read: {error}", self._position
                ) from None
            self._position = max((row.position for row in page if isinstance(row, Record)), default=self._position)
            yield page

    def _sensible(self, manifest: bytes) -> Manifest:
        try:
            return msgspec.json.decode(manifest, type=Manifest)
        except ValueError as error:
            raise FileAltered(self._place, "清单无法识别", f"its manifest makes no sense: {error}") from None


def _columns(row: Row) -> dict[str, Any]:
    if isinstance(row, InboxMark):
        return {"source": row.source, "stream": row.stream, "sequence": row.sequence}
    return {name: getattr(row, name) for name in _SCHEMA.names} | {"time": rfc3339(row.time)}


def _row(columns: dict[str, Any]) -> Row:
    """Raises `ValueError` for what is no row of ours."""
    if columns["position"] is None:
        return InboxMark(columns["source"], columns["stream"], columns["sequence"])
    if None in columns.values():
        raise ValueError(f"an empty field at position {columns['position']}")
    return Record(**columns | {"time": datetime.fromisoformat(columns["time"]), "event": None})
