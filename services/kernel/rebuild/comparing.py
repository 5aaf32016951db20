"""A read table and its copy, row by row, in both directions, while both are written to.

Rows are compared by the database, a range of keys at a time, so memory stays flat. What differs may only be on its
way: a difference counts where it is found again, the same, after both tables have passed what the log held at the
first look.
"""

from collections.abc import Awaitable, Callable, Sequence
from itertools import chain
from typing import Any, Final

import msgspec

from services.kernel.event_store import EventStore, Reads
from services.kernel.rebuild.tables import Table

#: Rows of each table in a range of keys.
RANGE_ROWS: Final = 5_000
#: Differing rows that are collected before they are looked at again.
SUSPECTS: Final = 1_000
#: How often they are looked at again, where they change each time.
LOOKS: Final = 10
#: Differences that are told one by one; all are counted.
TOLD_MOST: Final = 20
#: Keys in one question.
KEYS_AT_ONCE: Final = 50

Key = tuple[Any, ...]
Row = tuple[Any, ...]
Pair = tuple[Row | None, Row | None]
"""The live row of a key and the one that was built."""


class Difference(msgspec.Struct, frozen=True):
    """One value that differs. `column` "": the whole row is missing in the live table, or should not be there."""

    key: Key
    column: str
    live: Any
    built: Any


class Compared(msgspec.Struct):
    """What came of comparing a table: rows that were compared, that are `missing` in the live table, that are in it and
    should not be (`extra`), and that differ; with the first differences."""

    table: str
    rows: int = 0
    missing: int = 0
    extra: int = 0
    different: int = 0
    first: list[Difference] = msgspec.field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Whether no row differs."""
        return not (self.missing or self.extra or self.different)


#: Returns when both tables have passed what the log holds by now, or the live one does not come on at all.
Level = Callable[[], Awaitable[None]]
#: Told how many rows were compared since it was told before.
Counted = Callable[[int], Awaitable[None]]


async def compare(store: EventStore, table: Table, level: Level, counted: Counted) -> Compared:
    """Compare a read table with the copy beside it. Raises `StoreUnavailable`."""
    compared = Compared(table.name)
    suspects: dict[Key, Pair] = {}
    after: Key | None = None
    more = True
    while more:
        async with store.snapshot() as reads:
            upto = await _end_of_range(reads, table, after)
            rows, pairs = await _differing(reads, table, after, upto)
        suspects |= pairs
        if len(suspects) >= SUSPECTS:
            _note(compared, table, await _standing(store, table, suspects, level))
            suspects = {}
        compared.rows += rows
        await counted(rows)
        after, more = upto, upto is not None
    if suspects:
        _note(compared, table, await _standing(store, table, suspects, level))
    return compared


async def _standing(store: EventStore, table: Table, suspects: dict[Key, Pair], level: Level) -> dict[Key, Pair]:
    """What still differs when it is looked at again; what changes each time is looked at repeatedly."""
    standing: dict[Key, Pair] = {}
    for _ in range(LOOKS):
        await level()
        async with store.snapshot() as reads:
            now = await _look(reads, table, list(suspects))
        standing |= {key: pair for key, pair in now.items() if pair == suspects[key]}
        suspects = {key: pair for key, pair in now.items() if key not in standing}
        if not suspects:
            break
    return standing | suspects


async def _end_of_range(reads: Reads, table: Table, after: Key | None) -> Key | None:
    """The key up to which neither table has more than so many rows; None: to the end."""
    behind, given = _bounds(table, after, None)
    keys = ", ".join(table.keys)
    ends = []
    for name in (table.name, table.copy):
        sql = f"SELECT {keys} FROM {name}{behind} ORDER BY {keys} LIMIT 1 OFFSET {RANGE_ROWS - 1}"
        ends += [tuple(row.values()) for row in await reads.query(sql, given)]
    return min(ends, default=None)


async def _differing(reads: Reads, table: Table, after: Key | None, upto: Key | None) -> tuple[int, dict[Key, Pair]]:
    """How many rows the live table has in a range, and what differs there."""
    between, given = _bounds(table, after, upto)
    columns = ", ".join(table.columns)
    [count] = await reads.query(f"SELECT count(*) AS n FROM {table.name}{between}", given)
    only = (
        f"SELECT {columns} FROM {{}}{between} EXCEPT SELECT {columns} FROM {{}}{between}",
        (*given, *given),
    )
    live = await reads.query(only[0].format(table.name, table.copy), only[1])
    built = await reads.query(only[0].format(table.copy, table.name), only[1])
    pairs = _pairs(table, live, built)
    return count["n"] + sum(1 for live_row, _ in pairs.values() if live_row is None), pairs


async def _look(reads: Reads, table: Table, keys: Sequence[Key]) -> dict[Key, Pair]:
    """What differs of these rows."""
    found: dict[Key, Pair] = {}
    columns, one = ", ".join(table.columns), " AND ".join(f"{key} = ?" for key in table.keys)
    for first in range(0, len(keys), KEYS_AT_ONCE):
        some = keys[first : first + KEYS_AT_ONCE]
        wanted = " OR ".join([f"({one})"] * len(some))
        sql, given = f"SELECT {columns} FROM {{}} WHERE {wanted}", tuple(chain.from_iterable(some))
        live = await reads.query(sql.format(table.name), given)
        built = await reads.query(sql.format(table.copy), given)
        found |= _pairs(table, live, built)
    return found


def _pairs(table: Table, live: Sequence[dict[str, Any]], built: Sequence[dict[str, Any]]) -> dict[Key, Pair]:
    """Rows of both tables by their keys, as far as they differ."""
    rows = [{row[: table.key]: row for row in map(tuple, map(dict.values, side))} for side in (live, built)]
    pairs = {key: (rows[0].get(key), rows[1].get(key)) for key in chain(*rows)}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def _bounds(table: Table, after: Key | None, upto: Key | None) -> tuple[str, Key]:
    """The condition for a range of keys, and its values."""
    keys, places = ", ".join(table.keys), ", ".join("?" * table.key)
    conditions = [f"({keys}) {sign} ({places})" for sign, end in ((">", after), ("<=", upto)) if end is not None]
    return " WHERE " + " AND ".join(conditions) if conditions else "", (*(after or ()), *(upto or ()))


def _note(compared: Compared, table: Table, pairs: dict[Key, Pair]) -> None:
    for key, (live, built) in sorted(pairs.items()):
        if live is None:
            compared.missing += 1
        elif built is None:
            compared.extra += 1
        else:
            compared.different += 1
        if len(compared.first) < TOLD_MOST:
            compared.first += _told(table, key, live, built)


def _told(table: Table, key: Key, live: Row | None, built: Row | None) -> list[Difference]:
    if live is None or built is None:
        return [Difference(key, "", live and list(live), built and list(built))]
    values = zip(table.columns, live, built, strict=True)
    return [Difference(key, column, one, other) for column, one, other in values if one != other]
