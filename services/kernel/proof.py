"""Proof that a log was not altered: walk the hash chain of each stream, and one root over all of them.

The chain of a stream stands alone, so proof never makes writers of different streams wait for each other.
Whoever owns the database could rewrite a whole stream with new hashes, or drop it; a root noted elsewhere
earlier shows that.
"""

import hashlib
from collections.abc import AsyncIterator

import msgspec

from services.kernel.event_store import PAGE_RECORDS, CorruptRecord, EventStore, Head, Reads
from services.kernel.log import GENESIS, Record, expected_hash


class BrokenLink(msgspec.Struct, frozen=True):
    """The first place where a log is not what was written."""

    stream: str
    version: int
    reason: str


async def verify(store: EventStore, stream: str | None = None) -> BrokenLink | None:
    """Walk one stream, or all, and give the first broken link: a record altered, missing, inserted or moved.

    Memory stays flat. All is read from one snapshot, so that writers may go on meanwhile. Two spellings of
    the same time are the same time and no break.
    """
    async with store.snapshot() as reads:
        try:
            return await _first_break(reads, stream)
        except CorruptRecord as corrupt:
            return BrokenLink(corrupt.stream, corrupt.version, corrupt.reason)


async def root(store: EventStore) -> bytes:
    """One hash for the state of all streams: the root of a Merkle tree (shaped as in RFC 6962) over their
    heads in the order of their names; 32 zero bytes for an empty log."""
    subtrees: list[tuple[int, bytes]] = []  # (leaves, hash), each at most half as large as the one before
    async with store.snapshot() as reads:
        async for head in _heads(reads):
            leaf = (
                1,
                hashlib.sha256(b"\0" + msgspec.json.encode((head.stream, head.version, head.hash))).digest(),
            )
            while subtrees and subtrees[-1][0] == leaf[0]:
                leaf = _joined(subtrees.pop(), leaf)
            subtrees.append(leaf)
    if not subtrees:
        return GENESIS
    tree = subtrees.pop()
    while subtrees:
        tree = _joined(subtrees.pop(), tree)
    return tree[1]


def _joined(left: tuple[int, bytes], right: tuple[int, bytes]) -> tuple[int, bytes]:
    return left[0] + right[0], hashlib.sha256(b"\1" + left[1] + right[1]).digest()


async def _first_break(reads: Reads, stream: str | None) -> BrokenLink | None:
    heads = _heads(reads, stream)
    head: Head | None = None
    last: Record | None = None
    async for record in _records(reads, stream):
        if head is None or record.stream != head.stream:
            if broken := _unfinished(last, head):
                return broken
            head, last = await anext(heads, None), None
            if head is None or record.stream < head.stream:
                return BrokenLink(record.stream, record.version, "records of a stream that has no head")
            if head.stream < record.stream:
                return BrokenLink(head.stream, 1, "all records are missing")
        if broken := _broken(last, record):
            return broken
        last = record
    if broken := _unfinished(last, head):
        return broken
    head = await anext(heads, None)
    return BrokenLink(head.stream, 1, "all records are missing") if head else None


def _broken(last: Record | None, record: Record) -> BrokenLink | None:
    version = last.version + 1 if last else 1
    if record.version != version:
        return BrokenLink(record.stream, version, "record is missing")
    if record.hash != expected_hash(last.hash if last else GENESIS, record):
        return BrokenLink(record.stream, version, "record does not fit its hash and the record before")
    if last and record.position <= last.position:
        return BrokenLink(record.stream, version, "record stands in the log before its predecessor")
    return None


def _unfinished(last: Record | None, head: Head | None) -> BrokenLink | None:
    if last is None or head is None:
        return None
    if last.version < head.version:
        return BrokenLink(last.stream, last.version + 1, "record is missing")
    if last.version > head.version:
        return BrokenLink(last.stream, head.version + 1, "record beyond the stream's head")
    if last.hash != head.hash:
        return BrokenLink(last.stream, last.version, "record is not the one the stream's head names")
    return None


async def _heads(reads: Reads, stream: str | None = None) -> AsyncIterator[Head]:
    if stream is not None:
        if head := await reads.head(stream):
            yield head
        return
    after = ""
    while page := await reads.streams(after):
        for head in page:
            yield head
        after = page[-1].stream


async def _records(reads: Reads, stream: str | None) -> AsyncIterator[Record]:
    after, limit = (stream or "", 0), PAGE_RECORDS
    while True:
        try:
            if stream is None:
                page = await reads.read_by_stream(after, limit)
            else:
                page = await reads.read_stream(stream, after[1], limit=limit, decode=False)
        except CorruptRecord:
            if limit == 1:
                raise
            limit //= 2  # what stands before the damaged one comes first
            continue
        if not page:
            return
        for record in page:
            yield record
        after = (page[-1].stream, page[-1].version)
