"""The tables of a rebuild: the copies beside the live ones, how far they are built, and the SQL that works on them."""

from collections.abc import Iterable, Sequence
from importlib import metadata
from typing import Any, Final

import msgspec

from services.kernel.decider import Domain
from services.kernel.event_store import Reads, Statement
from services.kernel.views import Views

_FORGET: Final = "DELETE FROM rebuilds"


class Table(msgspec.Struct, frozen=True):
    """A read table: its name, its columns (the key columns first), and how many of them are its key."""

    name: str
    columns: tuple[str, ...]
    key: int

    @property
    def copy(self) -> str:
        """The table that is built beside it."""
        return f"{self.name}_beside"

    @property
    def keys(self) -> tuple[str, ...]:
        """The key columns."""
        return self.columns[: self.key]


class Kept(msgspec.Struct, frozen=True):
    """A rebuild that was begun: of which tables, as of which position of the log, and up to which stream they are built
    (None: all of them), which are so many records. `made_by`: by which release, and under which policy."""

    tables: tuple[str, ...]
    position: int
    stream: str | None
    records: int
    made_by: str


def tables_of(views: Views[Any], names: Iterable[str]) -> tuple[Table, ...]:
    """Read tables by their names, in the order of their service."""
    wanted = set(names)
    return tuple(
        Table(name, tuple(columns), views.keys[name]) for name, columns in views.tables.items() if name in wanted
    )


async def kept(reads: Reads) -> Kept | None:
    """The rebuild that was begun and neither put in place nor dropped; None where there is none."""
    rows = await reads.query("SELECT name, position, stream, records, made_by FROM rebuilds ORDER BY name")
    if not rows:
        return None
    names, first = tuple(row["name"] for row in rows), rows[0]
    return Kept(names, first["position"], first["stream"], first["records"], first["made_by"])


def maker(domain: Domain[Any]) -> str:
    """By which release, and under which policy, rows are made now."""
    return f"{metadata.version('aftersales')} {domain.policy_version}"


def begun(tables: Sequence[Table], position: int, made_by: str) -> list[Statement]:
    """Make the copies, empty, and note that they are built as of a position."""
    statements = []
    for table in tables:
        columns, keys = ", ".join(table.columns), ", ".join(table.keys)
        statements += [
            _once(f"DROP TABLE IF EXISTS {table.copy}"),
            _once(f"CREATE TABLE {table.copy} AS SELECT {columns} FROM {table.name} WHERE 1 = 0"),
            _once(f"CREATE UNIQUE INDEX {table.copy}_key ON {table.copy} ({keys})"),
        ]
    noted = Statement(
        "INSERT INTO rebuilds (name, position, stream, records, made_by) VALUES (?, ?, ?, ?, ?)",
        [(table.name, position, "", 0, made_by) for table in tables],
    )
    return [_once(_FORGET), *statements, noted]


def built_up_to(stream: str | None, records: int) -> Statement:
    """Note how far the copies are built."""
    return Statement("UPDATE rebuilds SET stream = ?, records = ?", [(stream, records)])


def dropped(names: Iterable[str]) -> list[Statement]:
    """Drop the copies of these read tables, and what was noted of them."""
    return [*(_once(f"DROP TABLE IF EXISTS {Table(name, (), 0).copy}") for name in names), _once(_FORGET)]


def put_in_place(table: Table) -> list[Statement]:
    """Make the live rows those of the copy; only those are touched that are not already."""
    live, copy, columns = table.name, table.copy, ", ".join(table.columns)
    same = " AND ".join(f"{copy}.{key} = {live}.{key}" for key in table.keys)
    changes = ", ".join(f"{column} = excluded.{column}" for column in table.columns[table.key :])
    becomes = f"UPDATE SET {changes}" if changes else "NOTHING"
    return [
        _once(f"DELETE FROM {live} WHERE NOT EXISTS (SELECT 1 FROM {copy} WHERE {same})"),
        _once(
            f"INSERT INTO {live} ({columns}) SELECT {columns} FROM"
            f" (SELECT {columns} FROM {copy} EXCEPT SELECT {columns} FROM {live}) AS built WHERE 1 = 1"
            f" ON CONFLICT ({', '.join(table.keys)}) DO {becomes}"
        ),
    ]


def _once(sql: str) -> Statement:
    return Statement(sql, [()])
