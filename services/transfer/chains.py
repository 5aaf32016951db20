"""The chains of hashes of all streams, followed record by record, kept on disk: there may be millions of streams."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import closing
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from services.kernel.event_store import PAGE_RECORDS, Head, InboxMark
from services.kernel.log import GENESIS, Record, expected_hash
from services.kernel.proof import root_of

#: The own sequence of a stream of which only learned records were seen.
_UNKNOWN: Final = -1
#: Where a stream stands that these chains have not met yet; None where nobody has.
Base = Callable[[str], Awaitable[Head | None]]

_TABLES: Final = """
CREATE TABLE heads (stream TEXT PRIMARY KEY, version INTEGER, sequence INTEGER, hash BLOB) WITHOUT ROWID;
CREATE TABLE marks (source TEXT, stream TEXT, sequence INTEGER, PRIMARY KEY (source, stream)) WITHOUT ROWID;
"""
_HEADS_OF: Final = """SELECT stream, version, sequence, hash FROM heads
WHERE stream IN (SELECT value FROM json_each(?))"""
_KEEP: Final = "INSERT OR REPLACE INTO heads VALUES (?, ?, ?, ?)"
_HEADS: Final = "SELECT stream, version, sequence, hash FROM heads WHERE stream > ? ORDER BY stream LIMIT ?"
_MARKS: Final = """SELECT source, stream, sequence FROM marks
WHERE (source, stream) > (?, ?) ORDER BY source, stream LIMIT ?"""


class Unfit(Exception):
    """A record that does not continue its stream: altered, missing, added or moved."""

    def __init__(self, record: Record, zh: str, en: str) -> None:
        super().__init__(f"position {record.position}, {record.stream} version {record.version}: {en}")
        self.position, self.stream, self.version = record.position, record.stream, record.version
        self.zh, self.en = zh, en


async def nowhere(_: str) -> Head | None:
    """A base for chains that begin at the beginning."""
    return None


class Chains:
    """Where each stream stands after the records that were given, and marks that are kept for later.

    All of it lies in a file without name, which is gone with this object.
    """

    def __init__(self, service: str) -> None:
        self._service = service
        self._file = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._file.executescript(_TABLES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._file.close()

    async def note(self, records: Sequence[Record]) -> None:
        """Take records as they are."""
        await asyncio.to_thread(self._keep, {record.stream: self._head(record) for record in records})

    async def follow(self, records: Sequence[Record], base: Base | None) -> None:
        """Take records, each of which must continue its stream, in version, sequence and hash.

        `base` None: nobody knows what was before, the first record of a stream is believed. Raises `Unfit`; nothing is
        taken then.
        """
        heads = await asyncio.to_thread(self._heads_of, {record.stream for record in records})
        for record in records:
            head = heads.get(record.stream)
            if base is not None and (head is None or head.sequence == _UNKNOWN):
                head = await base(record.stream) or Head(record.stream, 0, 0, GENESIS)
            heads[record.stream] = self._continued(head, record)
        await asyncio.to_thread(self._keep, heads)

    def _continued(self, head: Head | None, record: Record) -> Head:
        own = record.source == self._service
        if head is None:
            return self._head(record)
        if record.version != head.version + 1:
            raise Unfit(record, f"缺少版本 {head.version + 1}", f"version {head.version + 1} is missing")
        if own and head.sequence != _UNKNOWN and record.sequence != head.sequence + 1:
            raise Unfit(record, f"缺少序号 {head.sequence + 1}", f"sequence {head.sequence + 1} is missing")
        if record.hash != expected_hash(head.hash, record):
            raise Unfit(record, "与其哈希及前一条记录不符", "it does not fit its hash and the record before")
        return Head(record.stream, record.version, record.sequence if own else head.sequence, record.hash)

    async def root(self) -> str:
        """Root of the Merkle tree over all streams, hexadecimal."""
        return (await root_of(self._heads())).hex()

    async def keep_marks(self, marks: Sequence[InboxMark]) -> None:
        """Keep marks for later."""
        rows = [(mark.source, mark.stream, mark.sequence) for mark in marks]
        await asyncio.to_thread(self._many, "INSERT INTO marks VALUES (?, ?, ?)", rows)

    async def marks(self) -> AsyncIterator[list[InboxMark]]:
        """The marks that were kept, page by page."""
        after = ("", "")
        while rows := await asyncio.to_thread(self._rows, _MARKS, (*after, PAGE_RECORDS)):
            yield [InboxMark(*row) for row in rows]
            after = rows[-1][:2]

    async def _heads(self) -> AsyncIterator[Head]:
        after = ""
        while rows := await asyncio.to_thread(self._rows, _HEADS, (after, PAGE_RECORDS)):
            for row in rows:
                yield Head(*row)
            after = rows[-1][0]

    def _heads_of(self, streams: set[str]) -> dict[str, Head]:
        rows = self._rows(_HEADS_OF, (msgspec.json.encode(list(streams)).decode(),))
        return {row[0]: Head(*row) for row in rows}

    def _keep(self, heads: dict[str, Head]) -> None:
        self._many(_KEEP, [(head.stream, head.version, head.sequence, head.hash) for head in heads.values()])

    def _rows(self, sql: str, params: tuple[object, ...]) -> list[Any]:
        with closing(self._file.execute(sql, params)) as cursor:
            return cursor.fetchall()

    def _many(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        self._file.execute("BEGIN")
        self._file.executemany(sql, rows)
        self._file.execute("COMMIT")

    def _head(self, record: Record) -> Head:
        own = record.source == self._service
        return Head(record.stream, record.version, record.sequence if own else _UNKNOWN, record.hash)
