"""Read tables against their log: each row is what its file comes to, row by row.

The writer of the tables notes its checkpoint together with the rows, but a file may be ahead of it. So a row counts as
right where it is what the file came to at the checkpoint, or by any record since.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from contracts.policy import Text
from services.doctor import ways
from services.doctor.finding import Wrong
from services.doctor.look import Look, Stream, asked, streams
from services.kernel.log import Record
from services.kernel.service import Part
from services.kernel.views import Changes, Projector

#: Streams whose rows are fetched together.
STREAMS_AT_ONCE: Final = 100
#: A stream with more records since the checkpoint is on its way: its rows are compared another time.
SINCE_MOST: Final = 100

Row = Mapping[str, Any]
Key = tuple[Any, ...]


class _File:
    """A file as it was at the checkpoint, and the rows that it came to by each record since."""

    def __init__(self, stream: str, part: Part, checkpoint: int) -> None:
        self.changes = Changes(part.views)
        self.rows: Mapping[str, Sequence[Row]] = {}
        """At the checkpoint."""
        self.since: list[Mapping[str, Sequence[Row]]] = []
        self.on_its_way = False
        self._file = part.domain.new_file(stream)
        self._checkpoint = checkpoint

    def see(self, record: Record) -> None:
        later = record.position > self._checkpoint
        if later and not self.since:
            self.close()
        self._file.evolve(record)
        self.changes.see(record)
        if later:
            self.on_its_way = len(self.since) >= SINCE_MOST
            if not self.on_its_way:
                self.since.append(self._now())

    def close(self) -> None:
        """All records up to the checkpoint were seen."""
        if not self.since:
            self.rows = self._now()

    def _now(self) -> Mapping[str, Sequence[Row]]:
        return self.changes.rows(self._file)


async def tables(look: Look) -> AsyncIterator[Wrong]:
    """Every row of a read table is what its log comes to, and there is no other."""
    checkpoint = await look.reads.checkpoint(Projector.name, look.name)
    known: Counter[str] = Counter()
    batch: list[Stream[_File]] = []
    new: Callable[[str], _File] = partial(_File, part=look.part, checkpoint=checkpoint)
    async for stream in streams(look, new):
        if stream.broken:
            yield stream.broken
        batch.append(stream)
        if len(batch) == STREAMS_AT_ONCE:
            for wrong in await _compared(look, batch, known):
                yield wrong
            batch = []
    for wrong in await _compared(look, batch, known):
        yield wrong
    for table in look.part.views.tables:
        for wrong in await _strays(look, table, known[table]):
            yield wrong


async def _compared(look: Look, batch: Sequence[Stream[_File]], known: Counter[str]) -> list[Wrong]:
    """What is wrong with the rows of these streams. `known` counts the rows that belong to one."""
    found: list[Wrong] = []
    for one in batch:
        if not one.broken:
            one.fold.close()
    subjects = sorted({subject for one in batch for subject in one.fold.changes.subjects})
    uncompared = {one.name for one in batch if one.broken or one.fold.on_its_way}
    sound = [one.fold for one in batch if one.name not in uncompared]
    for table, columns in look.part.views.tables.items():
        written = await asked(
            look.reads, f"SELECT {', '.join(columns)} FROM {table} WHERE {_owner(look, table)} IN ({{}})", subjects
        )
        found += _differences(look, table, written, sound, {one.name for one in batch}, uncompared, known)
    return found


def _differences(
    look: Look,
    table: str,
    written: Sequence[Row],
    files: Sequence[_File],
    orders: set[str],
    uncompared: set[str],
    known: Counter[str],
) -> list[Wrong]:
    def key(row: Row) -> Key:
        return tuple(row[column] for column in look.part.views.tables[table][: look.part.views.keys[table]])

    must: dict[Key, Row] = {key(row): dict(row) for file in files for row in file.rows.get(table, ())}
    may: list[tuple[Key, Row]] = [
        (key(row), dict(row)) for file in files for rows in file.since for row in rows.get(table, ())
    ]
    allowed: dict[Key, list[Row]] = {place: [row] for place, row in must.items()}
    for place, row in may:
        allowed.setdefault(place, []).append(row)
    found: list[Wrong] = []
    for row in written:
        place = key(row)
        order_id = row.get("order_id") if _of_orders(look, table) else None
        if place in allowed:
            known[table] += 1
            must.pop(place, None)
            if row not in allowed[place]:
                found.append(_differs(look, table, place, allowed[place][-1], row))
        elif order_id in uncompared or (order_id is None and uncompared):
            known[table] += 1
        elif order_id is None or order_id in orders:
            known[table] += 1
            found.append(_stray(look, table, place, row))
    found += [_missing(look, table, place, row) for place, row in must.items()]
    return found


async def _strays(look: Look, table: str, known: int) -> list[Wrong]:
    """Rows that belong to nothing that the log tells of; looked for where there are more rows than known ones."""
    [count] = await look.reads.query(f"SELECT count(*) AS n FROM {table}")
    if count["n"] == known:
        return []
    columns = look.part.views.tables[table]
    lost = f"{_owner(look, table)} NOT IN (SELECT subject FROM events)"
    if "order_id" in columns and _of_orders(look, table):
        lost += " OR order_id NOT IN (SELECT stream FROM streams)"
    rows = await look.reads.query(f"SELECT {', '.join(columns)} FROM {table} WHERE {lost}")
    keys = look.part.views.keys[table]
    return [_stray(look, table, tuple(row[column] for column in columns[:keys]), row) for row in rows]


def _owner(look: Look, table: str) -> str:
    """The column that names what a row is about, as the subject of an event does."""
    return look.part.views.owners[table]


def _of_orders(look: Look, table: str) -> bool:
    """Whether each row is of the file of the order that it names."""
    return _owner(look, table) in ("case_id", "order_id")


def _place(table: str, key: Key) -> str:
    return f"{table} {'/'.join(map(str, key))}"


def _differs(look: Look, table: str, key: Key, expected: Row, found: Row) -> Wrong:
    names = [name for name in expected if expected[name] != found[name]]
    return Wrong(
        _place(table, key),
        Text(zh="这一行与日志不符", en="this row is not what the log comes to"),
        _json({name: expected[name] for name in names}),
        _json({name: found[name] for name in names}),
        ways.rebuild(look.name),
    )


def _missing(look: Look, table: str, key: Key, expected: Row) -> Wrong:
    return Wrong(
        _place(table, key),
        Text(zh="按日志应有这一行,表里没有", en="the log comes to this row, but it is not there"),
        _json(expected),
        "",
        ways.rebuild(look.name),
    )


def _stray(look: Look, table: str, key: Key, found: Row) -> Wrong:
    return Wrong(
        _place(table, key),
        Text(zh="日志里没有这一行的来历", en="this row is of nothing that the log tells of"),
        "",
        _json(found),
        ways.rebuild(look.name),
    )


def _json(row: Row) -> str:
    return msgspec.json.encode(row).decode()
