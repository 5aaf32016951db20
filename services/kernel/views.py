"""Read tables: each row is a pure function of a file, written behind the log and rebuilt from it at will."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Generic, Protocol, TypeVar

from services.kernel.appender import Appender
from services.kernel.decider import F
from services.kernel.event_store import Checkpoint, Commit, Statement
from services.kernel.files import Files
from services.kernel.log import Record

Row = Mapping[str, Any]
Seen = TypeVar("Seen", contravariant=True)


class Views(Protocol[Seen]):
    """The read tables of one service."""

    #: Table → its columns, the key columns first.
    tables: Mapping[str, Sequence[str]]
    #: Table → how many of the first columns are its key.
    keys: Mapping[str, int]

    def rows(self, file: Seen, subjects: Collection[str]) -> Mapping[str, Sequence[Row]]:
        """The rows that these subjects (cases) have now, by table."""


def utc(moment: datetime) -> str:
    """A time as text that sorts as the times do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def upsert(table: str, columns: Sequence[str], key: int) -> str:
    """SQL that writes one row over the one with the same key; the same in SQLite and PostgreSQL."""
    names, places = ", ".join(columns), ", ".join("?" * len(columns))
    keys = ", ".join(columns[:key])
    changes = ", ".join(f"{column} = excluded.{column}" for column in columns[key:])
    return f"INSERT INTO {table} ({names}) VALUES ({places}) ON CONFLICT ({keys}) DO UPDATE SET {changes}"


class Projector(Generic[F]):
    """Keeps the read tables of a service up with its log."""

    name = "views"

    def __init__(self, views: Views[F], files: Files[F], appender: Appender) -> None:
        self._views = views
        self._files = files
        self._appender = appender
        self._sql = {table: upsert(table, columns, views.keys[table]) for table, columns in views.tables.items()}

    async def __call__(self, records: list[Record]) -> None:
        """Write the rows of everything that these records are about, and how far they reach."""
        touched: dict[str, set[str]] = defaultdict(set)
        for record in records:
            touched[record.stream].add(record.subject)
        rows: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
        for stream, subjects in touched.items():
            async with self._files.reading(stream) as (file, _):
                for table, found in self._views.rows(file, subjects).items():
                    columns = self._views.tables[table]
                    rows[table] += [tuple(row[column] for column in columns) for row in found]
        statements = tuple(Statement(self._sql[table], found) for table, found in rows.items() if found)
        checkpoint = Checkpoint(self.name, self._files.domain.source, records[-1].position)
        await self._appender.submit(Commit(statements=statements, checkpoint=(checkpoint,)))

    async def clear(self) -> None:
        """Empty the read tables, to be written again from the first record on."""
        statements = tuple(Statement(f"DELETE FROM {table} WHERE ? = 1", [(1,)]) for table in self._views.tables)
        checkpoint = Checkpoint(self.name, self._files.domain.source, 0)
        await self._appender.submit(Commit(statements=statements, checkpoint=(checkpoint,)))
