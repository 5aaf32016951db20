"""Folding the file of every order of a log, in this process or in several."""

from contextlib import aclosing
from functools import partial

from contracts.registry import decode
from services.cases.domain.file import OrderFile
from services.kernel.event_store import PAGE_RECORDS, EventStore
from services.kernel.spans import Span, in_order, spans
from services.kernel.workers import AHEAD, workers

SPAN_STREAMS = 1000
_BEHIND_ALL = 2**63 - 1


async def folded(store: EventStore, span: Span) -> int:
    """Fold the files of a span, one after another; gives the number of events."""
    after, file, events = (span.after, _BEHIND_ALL if span.after else 0), OrderFile(""), 0
    while page := await store.read_by_stream(after, PAGE_RECORDS, span.upto, decode=True):
        for record in page:
            if record.stream != file.order_id:
                file = OrderFile(record.stream)
            file.evolve(record)
        after, events = (page[-1].stream, page[-1].version), events + len(page)
    return events


async def folded_by(processes: int, store: EventStore, database_url: str) -> int:
    """Fold all files; gives the number of events."""
    if processes == 1:
        return await folded(store, Span())
    with workers(store, database_url, processes, decode) as pool:

        async def by_a_worker(span: Span) -> int:
            return await pool.run(partial(folded, span=span))

        async with aclosing(in_order(spans(store, "", SPAN_STREAMS), by_a_worker, processes * AHEAD)) as pieces:
            return sum([events async for _, events in pieces])
