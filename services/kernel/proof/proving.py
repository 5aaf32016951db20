"""Proving a log, whole or in part."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Protocol

import msgspec

from services.kernel.event_store import EventStore, Head, Reads
from services.kernel.log import NoSuchRange
from services.kernel.long_work import Tell, told_nobody
from services.kernel.proof.chain import BrokenLink
from services.kernel.proof.merkle import Tree, leaf
from services.kernel.proof.positions import first_hole
from services.kernel.proof.walk import Walked, walk, walk_stream
from services.kernel.spans import Span, in_order, spans

SPAN_STREAMS = 1024
"""Streams that one worker checks at a time."""
WINDOW_POSITIONS = 2000
"""Positions of a range that are looked at together."""
_NO_END = 2**63 - 1


class Root(msgspec.Struct, frozen=True):
    """One hash (hex) for the state of all streams as of a position: the root of the tree of their heads in the order
    of their names."""

    position: int
    streams: int
    hash: str


class Proven(msgspec.Struct, frozen=True):
    """How far a proof came: every stream up to and including `after` is what was written, as of the last of `ends`.

    `trees` stand for how those streams stood at each of `ends` (positions, upwards).
    """

    ends: tuple[int, ...]
    trees: tuple[Tree, ...]
    after: str = ""
    records: int = 0

    @classmethod
    def nothing(cls, *ends: int) -> "Proven":
        """Where the proof of a log begins; roots are wanted as of these positions, the last one is where it ends."""
        known = tuple(sorted(set(ends)))
        return cls(known, tuple(Tree() for _ in known))

    @property
    def roots(self) -> tuple[Root, ...]:
        """The roots over the streams so far."""
        pairs = zip(self.ends, self.trees, strict=True)
        return tuple(Root(end, tree.leaves, tree.root().hex()) for end, tree in pairs)


class Proof(msgspec.Struct, frozen=True):
    """What came of it: how many records were checked, up to which position, the first broken link if there is one, and
    the roots where all streams were walked and hold."""

    records: int
    position: int
    broken: BrokenLink | None = None
    roots: tuple[Root, ...] = ()


class Walk(Protocol):
    """How a span is checked: here, or by a worker."""

    async def __call__(self, span: Span, ends: tuple[int, ...], /) -> Walked: ...


def note_nothing(proven: Proven) -> None:
    """For a proof that is not to be resumed."""


async def prove(
    store: EventStore,
    begun: Proven,
    *,
    by: Walk | None = None,
    ahead: int = 0,
    tell: Tell = told_nobody,
    note: Callable[[Proven], None] = note_nothing,
) -> Proof:
    """Walk all streams from where a proof was begun, then the positions.

    Everything up to the last end is checked, the rest of a log that grows meanwhile is not. `by`: who checks a span,
    up to `ahead` spans ahead of the one that is waited for. `note` is told how far it came and what may be trusted in
    a later run, from then on.
    """

    async def walked_through(span: Span) -> Walked:
        return await (by(span, begun.ends) if by else walk(store, span, begun.ends))

    proven, end = begun, begun.ends[-1]
    pieces = spans(store, begun.after, SPAN_STREAMS)
    async with aclosing(in_order(pieces, walked_through, ahead)) as walks:
        async for span, walked in walks:
            proven = _with(proven, span, walked)
            if walked.broken:
                return Proof(proven.records, end, walked.broken)
            if span.upto is not None:
                note(proven)
            await tell(proven.records, max(end, proven.records))
    return Proof(proven.records, end, await first_hole(store, 1, end), proven.roots)


async def prove_range(store: EventStore, first: int, last: int, tell: Tell = told_nobody) -> Proof:
    """Walk every stream that has a record between two positions (both included), each from its beginning up to `last`;
    then the positions of the range. Raises NoSuchRange."""
    end = await store.head_position()
    if not 1 <= first <= last <= end:
        raise NoSuchRange(first, last, end)
    records = 0
    for start in range(first, last + 1, WINDOW_POSITIONS):
        upto = min(start + WINDOW_POSITIONS - 1, last)
        for stream in await _entering(store, first, start, upto):
            walked = await walk_stream(store, stream, last)
            records += walked.records
            if walked.broken:
                return Proof(records, last, walked.broken)
        await tell(upto - first + 1, last - first + 1)
    return Proof(records, last, await first_hole(store, first, last))


async def prove_stream(store: EventStore, stream: str) -> Proof:
    """Walk one stream; without any record where it does not exist."""
    end = await store.head_position()
    walked = await walk_stream(store, stream, end)
    return Proof(walked.records, end, walked.broken)


async def verify(store: EventStore, stream: str | None = None) -> BrokenLink | None:
    """The first broken link in the chain of one stream, or of all as they stand. Positions are not looked at."""
    if stream is not None:
        return (await walk_stream(store, stream, _NO_END)).broken
    return (await walk(store, Span(), (_NO_END,))).broken


async def root(store: EventStore) -> bytes:
    """The root over all streams as their heads are now, nothing being checked."""
    async with store.snapshot() as reads:
        return await root_of(_heads(reads))


async def root_of(heads: AsyncIterator[Head]) -> bytes:
    """The root over these heads, given in the order of the code points of their names."""
    tree = Tree()
    async for head in heads:
        tree.add(leaf(head.stream, head.version, head.hash))
    return tree.root()


async def _heads(reads: Reads) -> AsyncIterator[Head]:
    after = ""
    while page := await reads.streams(after):
        for head in page:
            yield head
        after = page[-1].stream


def _with(proven: Proven, span: Span, walked: Walked) -> Proven:
    for tree, leaves in zip(proven.trees, walked.leaves, strict=True):
        tree.add(leaves)
    return msgspec.structs.replace(proven, after=span.upto or "", records=proven.records + walked.records)


async def _entering(store: EventStore, first: int, start: int, upto: int) -> list[str]:
    """Streams whose first record since `first` stands between `start` and `upto`."""
    sql = (
        "SELECT DISTINCT stream FROM events WHERE position BETWEEN ? AND ? AND NOT EXISTS ("
        " SELECT 1 FROM events AS earlier WHERE earlier.stream = events.stream"
        " AND earlier.version = events.version - 1 AND earlier.position >= ?)"
        " ORDER BY stream"
    )
    return [row["stream"] for row in await store.query(sql, (start, upto, first))]
