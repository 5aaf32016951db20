"""How far a service has heard the others, read and set as a whole: what moves with a log when it moves.

Without it a service would handle again what it heard before its log was moved: not everything that it does about an
event can be seen in its own log to be done already.
"""

from collections.abc import AsyncIterator, Iterable
from typing import Final

from services.kernel.event_store import PAGE_RECORDS, InboxMark, Reads, Statement

_PAGE: Final = (
    "SELECT source, stream, sequence FROM inbox WHERE (source, stream) > (?, ?) ORDER BY source, stream LIMIT ?"
)
_SET: Final = """INSERT INTO inbox (source, stream, sequence) VALUES (?, ?, ?)
ON CONFLICT (source, stream) DO UPDATE SET sequence = excluded.sequence WHERE inbox.sequence < excluded.sequence"""


async def heard(reads: Reads) -> AsyncIterator[list[InboxMark]]:
    """The last event that was handled of each stream of each source, page by page."""
    after = ("", "")
    while rows := await reads.query(_PAGE, (*after, PAGE_RECORDS)):
        page = [InboxMark(**row) for row in rows]
        yield page
        after = (page[-1].source, page[-1].stream)


def as_heard(marks: Iterable[InboxMark]) -> Statement:
    """Have these and all before them count as handled; what was handled beyond them stays so."""
    return Statement(_SET, [(mark.source, mark.stream, mark.sequence) for mark in marks])
