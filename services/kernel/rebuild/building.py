"""Rows made anew: each stream is folded once, from its first record to the last one that counts."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final, Generic, NamedTuple, Protocol

import msgspec

from services.kernel.decider import Domain, F
from services.kernel.event_store import (
    PAGE_RECORDS,
    Commit,
    CorruptRecord,
    EventStore,
    Fence,
    Statement,
)
from services.kernel.log import Record
from services.kernel.naming import is_operation
from services.kernel.rebuild.tables import Table
from services.kernel.spans import Span
from services.kernel.views import Changes, Row, Views, upsert, values

#: Rows that are held in memory before they are written.
ROWS_AT_ONCE: Final = 2_000

_FIRST, _LAST = -(2**63), 2**63 - 1
"""Below and above every version."""


class Unbuildable(Exception):
    """A stream does not come to rows: a record of it (`version`) cannot be read or folded, or its rows cannot be made
    or written."""

    def __init__(self, stream: str, version: int, reason: str) -> None:
        super().__init__(stream, version, reason)
        self.stream, self.version, self.reason = stream, version, reason

    def __str__(self) -> str:
        return f"stream {self.stream} version {self.version}: {self.reason}"


class Rules(NamedTuple):
    """What rows follow from."""

    domain: Domain[Any]
    views: Views[Any]


class Part(msgspec.Struct, frozen=True):
    """What is built: copies of these tables, as of position `end` of the log, by the owner of this fence."""

    tables: tuple[Table, ...]
    end: int
    fence: Fence


class Fold(Protocol):
    """Builds a span of streams, here or in another process; see `build`."""

    async def __call__(self, part: Part, span: Span, /) -> int: ...


async def build(store: EventStore, rules: Rules, part: Part, span: Span) -> int:
    """Write the rows of the streams of a span into the copies; gives how many records they are. Memory stays flat,
    however long a stream is. What was written before is written over.

    Raises `Unbuildable`, `StoreUnavailable`, and `Fenced` where another one took the work over.
    """
    sheet = _Sheet(store, part)
    stream: _Stream[Any] | None = None
    records = 0
    async with aclosing(_pages(store, span)) as pages:
        async for page in pages:
            for record in page:
                if stream is None or record.stream != stream.name:
                    sheet.add(stream)
                    stream = _Stream(rules, record.stream)
                if record.position <= part.end and stream.counts:
                    stream.see(record)
                    records += 1
            if sheet.full:
                await sheet.write()
    sheet.add(stream)
    await sheet.write()
    return records


async def _pages(store: EventStore, span: Span) -> AsyncGenerator[list[Record], None]:
    """The records of a span. The next ones are on their way already while some are folded."""
    reading = asyncio.ensure_future(_page(store, (span.after, _LAST if span.after else _FIRST), span.upto))
    try:
        while page := await reading:
            reading = asyncio.ensure_future(_page(store, (page[-1].stream, page[-1].version), span.upto))
            await asyncio.sleep(0)  # so that they are asked for
            yield page
    finally:
        reading.cancel()
        await asyncio.wait([reading])


async def _page(store: EventStore, after: tuple[str, int], last: str | None) -> list[Record]:
    try:
        return await store.read_by_stream(after, PAGE_RECORDS, last, decode=True)
    except CorruptRecord as error:
        raise Unbuildable(error.stream, error.version, error.reason) from error


class _Stream(Generic[F]):
    """A stream that is being folded."""

    def __init__(self, rules: Rules, name: str) -> None:
        self.name = name
        #: Whether it is one that rows are made of.
        self.counts = not is_operation(name)
        self.version = 0
        self._file = rules.domain.new_file(name)
        self._changes = Changes(rules.views)

    def see(self, record: Record) -> None:
        """Fold the next record."""
        self.version = record.version
        try:
            self._file.evolve(record)
        except Exception as error:  # whatever a log holds that these rules do not know
            raise Unbuildable(self.name, self.version, repr(error)) from error
        self._changes.see(record)

    def rows(self) -> Mapping[str, Sequence[Row]]:
        """What it comes to, by read table."""
        try:
            return self._changes.rows(self._file)
        except Exception as error:
            raise Unbuildable(self.name, self.version, repr(error)) from error


class _Sheet:
    """Rows that are to be written together."""

    def __init__(self, store: EventStore, part: Part) -> None:
        self._store = store
        self._fence = part.fence
        self._columns = {table.name: table.columns for table in part.tables}
        self._sql = {table.name: upsert(table.copy, table.columns, table.key) for table in part.tables}
        self._rows: dict[str, list[tuple[Any, ...]]] = {table.name: [] for table in part.tables}

    @property
    def full(self) -> bool:
        """Whether it is time to write."""
        return sum(map(len, self._rows.values())) >= ROWS_AT_ONCE

    def add(self, stream: _Stream[Any] | None) -> None:
        """Take the rows of a stream, if there was one before and it has records that count."""
        for table, rows in stream.rows().items() if stream and stream.version else ():
            if table in self._rows:
                self._rows[table] += values(rows, self._columns[table])

    async def write(self) -> None:
        """Write what was taken."""
        statements = tuple(Statement(self._sql[table], rows) for table, rows in self._rows.items() if rows)
        if statements:
            [outcome] = await self._store.commit([Commit(statements=statements, fence=self._fence)])
            if isinstance(outcome, Exception):
                raise outcome
            self._rows = {table: [] for table in self._rows}
