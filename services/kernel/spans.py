"""Work on all streams of a log in pieces, by the order of their names: several pieces at once, what comes of them in
order."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TypeVar

import msgspec

from services.kernel.event_store import Reads

T = TypeVar("T")


class Span(msgspec.Struct, frozen=True):
    """Streams behind a name, up to and including another; None: to the end."""

    after: str = ""
    upto: str | None = None


async def spans(store: Reads, after: str, streams: int) -> AsyncIterator[Span]:
    """Spans of so many streams each, from behind a name to the end."""
    sql = (
        "SELECT max(stream) AS last, count(*) AS streams"
        " FROM (SELECT stream FROM streams WHERE stream > ? ORDER BY stream LIMIT ?) AS following"
    )
    while True:
        [row] = await store.query(sql, (after, streams))
        if row["streams"] < streams:
            yield Span(after)
            return
        yield Span(after, row["last"])
        after = row["last"]


async def in_order(
    pieces: AsyncIterator[Span], work: Callable[[Span], Awaitable[T]], ahead: int
) -> AsyncGenerator[tuple[Span, T], None]:
    """What comes of each span, in their order, whoever is done earlier; up to `ahead` of them are begun ahead of the
    one that is waited for. To be closed (`aclosing`): what is still under way then is ended."""
    under_way: deque[tuple[Span, asyncio.Future[T]]] = deque()
    try:
        async for span in pieces:
            under_way.append((span, asyncio.ensure_future(work(span))))
            if len(under_way) > ahead:
                yield under_way[0][0], await under_way[0][1]
                under_way.popleft()
        while under_way:
            yield under_way[0][0], await under_way[0][1]
            under_way.popleft()
    finally:
        for _, working in under_way:
            working.cancel()
        await asyncio.gather(*(working for _, working in under_way), return_exceptions=True)
