"""The chains of streams: each record must fit its hash, the record before it, and in the end the stream's head."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec

from services.kernel.event_store import Head
from services.kernel.log import GENESIS, hash_onto, rfc3339
from services.kernel.proof.merkle import leaf

Kind = Literal["altered", "missing", "added"]


class BrokenLink(msgspec.Struct, frozen=True):
    """The first place where a log is not what was written.

    `stream` is empty and `version` 0 where it concerns the log and no stream; `position` is None where nobody knows it.
    """

    stream: str
    version: int
    position: int | None
    kind: Kind
    zh: str
    en: str

    @property
    def reason(self) -> str:
        """What is wrong, for logs."""
        return self.en


class Fault(NamedTuple):
    """What can be wrong, to be said in both languages."""

    kind: Kind
    zh: str
    en: str

    def at(self, stream: str, version: int, position: int | None = None) -> BrokenLink:
        """This fault, there."""
        return BrokenLink(stream, version, position, *self)


MISSING = Fault("missing", "这条记录缺失", "record is missing")
ALL_MISSING = Fault("missing", "整个流的记录缺失", "all records are missing")
ALTERED = Fault("altered", "记录与其哈希及前一条记录不符", "record does not fit its hash and the record before")
REORDERED = Fault("altered", "记录的位置排在前一条之前", "record stands in the log before its predecessor")
NOT_THE_HEAD = Fault("altered", "记录不是流的末条所指的那条", "record is not the one the stream's head names")
TWICE = Fault("added", "这一版本多出一条记录", "record was added: its version is taken")
BEYOND_HEAD = Fault("added", "记录超出流的末条", "record beyond the stream's head")
NO_HEAD = Fault("added", "流没有末条登记,记录是加进来的", "records of a stream that has no head")

_VERSION, _TIME, _DATA, _HASH, _POSITION = 1, 8, 14, 15, 16


class Chains:
    """Checks streams one after the other, in the order of their names, as the rows of their records come in.

    `ends` are positions, upwards. Records behind the last one are not checked; at each of them, the leaves of the
    streams as they stood there are collected.
    """

    def __init__(self, ends: Sequence[int]) -> None:
        self.records = 0
        """Records checked."""
        self.leaves = [bytearray() for _ in ends]
        """For each end, the leaves of the streams, one behind the other."""
        self._ends = ends
        self._heads: list[Head] = []
        self._begin(None)

    def expect(self, heads: Iterable[Head]) -> None:
        """The heads of the streams whose records come next."""
        self._heads = [*heads][::-1]

    def take(self, rows: Iterable[Sequence[Any]]) -> BrokenLink | None:
        """Check rows (`EVENT_COLUMNS`) that follow those taken before, ordered by stream and version."""
        for row in rows:
            if (self._head is None or row[0] != self._head.stream) and (broken := self._turn_to(row)):
                return broken
            if self._end < len(self._ends) and (broken := self._check(row)):
                return broken
        return None

    def finish(self) -> BrokenLink | None:
        """No more rows come for the heads that were expected."""
        if broken := self._complete():
            return broken
        self._begin(None)
        return ALL_MISSING.at(self._heads[-1].stream, 1) if self._heads else None

    def _begin(self, head: Head | None) -> None:
        self._head = head
        self._version, self._hash, self._position = 0, GENESIS, 0
        self._end = 0

    def _turn_to(self, row: Sequence[Any]) -> BrokenLink | None:
        if broken := self._complete():
            return broken
        stream = row[0]
        self._begin(self._heads.pop() if self._heads else None)
        # A database that was tampered with may hold what is no text.
        if self._head is None or not isinstance(stream, str) or stream < self._head.stream:
            return NO_HEAD.at(str(stream), row[_VERSION], row[_POSITION])
        if self._head.stream < stream:
            return ALL_MISSING.at(self._head.stream, 1)
        return None

    def _check(self, row: Sequence[Any]) -> BrokenLink | None:
        stream, version, position = row[0], row[_VERSION], row[_POSITION]
        if version > self._version + 1:
            return MISSING.at(stream, self._version + 1)
        if version <= self._version:
            return TWICE.at(stream, version, position)
        if position > self._ends[self._end]:
            self._pass(position)
            if self._end == len(self._ends):
                return None
        if not _fits(self._hash, row):
            return ALTERED.at(stream, version, position)
        if position <= self._position:
            return REORDERED.at(stream, version, position)
        self._version, self._hash, self._position = version, row[_HASH], position
        self.records += 1
        return None

    def _complete(self) -> BrokenLink | None:
        """The stream has no more records: it must end where its head says."""
        head = self._head
        if head is None:
            return None
        if self._end < len(self._ends):
            if self._version < head.version:
                return MISSING.at(head.stream, self._version + 1)
            if self._version > head.version:
                return BEYOND_HEAD.at(head.stream, head.version + 1)
            if self._hash != head.hash:
                return NOT_THE_HEAD.at(head.stream, self._version, self._position)
            self._pass(self._ends[-1] + 1)
        return None

    def _pass(self, position: int) -> None:
        """Note how the stream stood at the ends before a position."""
        while self._end < len(self._ends) and position > self._ends[self._end]:
            if self._head is not None and self._version:
                self.leaves[self._end] += leaf(self._head.stream, self._version, self._hash)
            self._end += 1


def _fits(previous: bytes, row: Sequence[Any]) -> bool:
    """Whether a row carries the hash that it must carry. Two spellings of the same time are the same time."""
    try:
        # Fails for bytes: SQLite keeps them in a column of text if it is told to, and their JSON may be that of a text.
        "".join((*row[3:5], *row[6:_DATA]))
        fields, data, hash = tuple(row[:_DATA]), row[_DATA], row[_HASH]
        if hash_onto(previous, fields, data) == hash:
            return True
        time = rfc3339(datetime.fromisoformat(fields[_TIME]))
        return bool(hash_onto(previous, (*fields[:_TIME], time, *fields[_TIME + 1 :]), data) == hash)
    except (TypeError, ValueError):
        return False
