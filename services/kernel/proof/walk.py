"""Walking the streams of a log by their names, a few at a time."""

import msgspec

from services.kernel.event_store import PAGE_RECORDS, EventStore, Head, Reads
from services.kernel.proof.chain import BrokenLink, Chains
from services.kernel.spans import Span

SLICE_STREAMS = 1024
"""Streams that are read from one snapshot: it is held for a moment only, so that databases can clean up behind
writers however long a proof takes."""

_FIRST, _LAST = -(2**63), 2**63 - 1
"""Below and above every version."""


class Walked(msgspec.Struct, frozen=True):
    """What came of a walk: how many records were checked, the leaves of the streams as of each end (`Chains.leaves`),
    and the first broken link."""

    records: int
    leaves: list[bytes]
    broken: BrokenLink | None = None


async def walk(store: EventStore, span: Span, ends: tuple[int, ...]) -> Walked:
    """Check all streams of a span, each against its head of the same moment. Memory stays flat."""
    chains = Chains(ends)
    after, broken, more = span.after, None, True
    while more and broken is None:
        async with store.snapshot() as reads:
            heads = await reads.streams(after, SLICE_STREAMS)
            if span.upto is not None:
                heads = [head for head in heads if head.stream <= span.upto]
            more = len(heads) == SLICE_STREAMS and heads[-1].stream != span.upto
            upto = heads[-1].stream if more else span.upto
            broken = await _checked(reads, chains, heads, (after, _LAST if after else _FIRST), upto)
        after = upto or ""
    return _walked(chains, broken)


async def walk_stream(store: EventStore, stream: str, end: int) -> Walked:
    """Check one stream up to a position."""
    chains = Chains((end,))
    async with store.snapshot() as reads:
        head = await reads.head(stream)
        broken = await _checked(reads, chains, [head] if head else [], (stream, _FIRST), stream)
    return _walked(chains, broken)


async def _checked(
    reads: Reads, chains: Chains, heads: list[Head], after: tuple[str, int], upto: str | None
) -> BrokenLink | None:
    chains.expect(heads)
    more = True
    while more:
        rows = await reads.rows_by_stream(after, upto, PAGE_RECORDS)
        if broken := chains.take(rows):
            return broken
        if more := len(rows) == PAGE_RECORDS:
            after = (rows[-1][0], rows[-1][1])
    return chains.finish()


def _walked(chains: Chains, broken: BrokenLink | None) -> Walked:
    return Walked(chains.records, [bytes(leaves) for leaves in chains.leaves], broken)
