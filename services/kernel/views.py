"""Read tables: each row is a pure function of a file, written behind the log and rebuilt from it at will."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec

from services.kernel.appender import Appender
from services.kernel.decider import F
from services.kernel.event_store import Checkpoint, Commit, CommitFailed, Fence, Fenced, Statement, StoreUnavailable
from services.kernel.files import Files
from services.kernel.log import Record
from services.kernel.naming import is_operation
from services.kernel.progress import Progress

#: Who writes the tables that are built beside the live ones (`services/kernel/rebuild/`).
BESIDE: Final = "views-beside"

Row = Mapping[str, Any]
Seen = TypeVar("Seen", contravariant=True)


class Views(Protocol[Seen]):
    """The read tables of one service."""

    #: Table → its columns, the key columns first.
    tables: Mapping[str, Sequence[str]]
    #: Table → how many of the first columns are its key.
    keys: Mapping[str, int]
    #: Table → the column that says whom a row is about, as the subject of an event does.
    owners: Mapping[str, str]

    def rows(self, file: Seen, subjects: Collection[str]) -> Mapping[str, Sequence[Row]]:
        """The rows that these subjects (cases) have now, by table."""


class EventViews(Views[Seen], Protocol[Seen]):
    """Read tables some of whose rows are of one event each, and say where in the log it stands."""

    def event_rows(self, file: Seen, positions: Mapping[str, int]) -> Mapping[str, Sequence[Row]]:
        """The rows of these events, whose positions are given by id, by table."""


class Changes:
    """What records are about, and where they stand: what rows are asked for."""

    def __init__(self, views: Views[Any]) -> None:
        self.subjects: set[str] = set()
        self._views = views
        self._event_rows = getattr(views, "event_rows", None)  # of `EventViews`; to ask for the protocol takes long
        self._positions: dict[str, int] = {}

    def see(self, record: Record) -> None:
        """Take in the next record."""
        self.subjects.add(record.subject)
        if self._event_rows is not None:  # else not kept: a stream may be long
            self._positions[record.id] = record.position

    def rows(self, file: Any) -> Mapping[str, Sequence[Row]]:
        """The rows that follow from the file, by table."""
        rows = self._views.rows(file, self.subjects)
        return rows if self._event_rows is None else {**rows, **self._event_rows(file, self._positions)}


def utc(moment: datetime) -> str:
    """A time as text that sorts as the times do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def upsert(table: str, columns: Sequence[str], key: int) -> str:
    """SQL that writes one row over the one with the same key; the same in SQLite and PostgreSQL."""
    names, places = ", ".join(columns), ", ".join("?" * len(columns))
    keys = ", ".join(columns[:key])
    changes = ", ".join(f"{column} = excluded.{column}" for column in columns[key:])
    return f"INSERT INTO {table} ({names}) VALUES ({places}) ON CONFLICT ({keys}) DO UPDATE SET {changes}"


def values(rows: Iterable[Row], columns: Sequence[str]) -> list[tuple[Any, ...]]:
    """The values of rows, in the order of these columns."""
    return [tuple(row[column] for column in columns) for row in rows]


class Projector(Generic[F]):
    """Keeps the read tables of a service up with its log."""

    name = "views"

    def __init__(
        self, views: Views[F], files: Files[F], appender: Appender, into: Mapping[str, str] | None = None
    ) -> None:
        """`into`: where the rows of a read table are written instead; those of others are not written then."""
        self._views = views
        self._files = files
        self._appender = appender
        into = into or {table: table for table in views.tables}
        self._sql = {table: upsert(name, views.tables[table], views.keys[table]) for table, name in into.items()}

    async def __call__(self, records: list[Record], progress: Progress) -> None:
        """Write the rows of everything that these records are about, and how far they reach.

        A file may be ahead of the records: its rows are then those of later ones, which write them once more.
        """
        streams: dict[str, list[Record]] = defaultdict(list)
        for record in records:
            if not is_operation(record.stream):
                streams[record.stream].append(record)
        statements: dict[str, tuple[Statement, ...]] = {}
        for stream, changes in streams.items():
            try:
                statements[stream] = await self._statements(stream, changes)
            except (StoreUnavailable, Fenced):  # no fault of the stream
                raise
            except Exception as error:
                progress.park(changes, error)
        noted = progress.noted(records[-1].position)
        try:
            await self._write(chain.from_iterable(statements.values()), noted)
        except CommitFailed:
            await self._write_apart(streams, statements, progress)
            await self._write((), progress.noted(records[-1].position))

    async def clear(self, fence: Fence | None = None) -> None:
        """Empty the read tables, to be written again from the first record on; raises `Fenced`."""
        statements = (Statement(f"DELETE FROM {table} WHERE ? = 1", [(1,)]) for table in self._views.tables)
        checkpoint = Checkpoint(self.name, self._files.domain.source, 0)
        await self._write(statements, Commit(checkpoint=(checkpoint,), fence=fence))

    async def _statements(self, stream: str, changes: list[Record]) -> tuple[Statement, ...]:
        seen = Changes(self._views)
        for record in changes:
            seen.see(record)
        async with self._files.reading(stream, at_least=changes[-1].version) as (file, _):
            return tuple(
                Statement(self._sql[table], values(rows, self._views.tables[table]))
                for table, rows in seen.rows(file).items()
                if rows and table in self._sql
            )

    async def _write(self, statements: Iterable[Statement], commit: Commit) -> None:
        by_sql: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
        for statement in statements:
            by_sql[statement.sql] += statement.rows
        together = tuple(Statement(sql, rows) for sql, rows in by_sql.items())
        if together or commit.checkpoint:
            await self._appender.submit(msgspec.structs.replace(commit, statements=together))

    async def _write_apart(
        self, streams: Mapping[str, list[Record]], statements: Mapping[str, Iterable[Statement]], progress: Progress
    ) -> None:
        """Write each stream's rows alone, to find the ones that the database refuses."""
        for stream, own in statements.items():
            try:
                await self._write(own, Commit(fence=progress.fence))
            except CommitFailed as error:
                progress.park(streams[stream], error)
