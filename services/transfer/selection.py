"""Which events are meant, and reading them from a log page by page."""

from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import Any

import msgspec

from services.kernel.event_store import PAGE_RECORDS, Reads
from services.kernel.log import NoSuchRange, Record, rfc3339
from services.kernel.naming import order_of


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which events. Everything that is named must hold; what is empty says nothing."""

    case: str = ""
    order: str = ""
    types: tuple[str, ...] = ()
    party: str = ""
    """A party that the event names, `courier/YTO`, or all of a kind, `courier`."""
    since: datetime | None = None
    until: datetime | None = None
    """Business time, both ends included."""
    first: int = 1
    last: int = 0
    """Positions, both ends included; 0: up to the end that the log has now."""
    learned: bool = True
    """Also what the service learned from others, not only its own events."""

    @property
    def stream(self) -> str:
        """The one stream that all of them stand in, where that is known."""
        return self.order or order_of(self.case)

    @property
    def whole(self) -> bool:
        """Whether it is every record of a range."""
        return self == Selection(first=self.first, last=self.last)

    @property
    def said(self) -> dict[str, str]:
        """What is asked for, as text."""
        told = {
            "case": self.case,
            "order": self.order,
            "types": " ".join(self.types),
            "party": self.party,
            "since": rfc3339(self.since) if self.since else "",
            "until": rfc3339(self.until) if self.until else "",
            "learned": "" if self.learned else "no",
        }
        return {name: text for name, text in told.items() if text}

    def takes(self, record: Record, service: str) -> bool:
        """Whether a record is meant, wherever it stands."""
        return (
            (self.learned or record.source == service)
            and (not self.case or record.subject == self.case)
            and (not self.stream or record.stream == self.stream)
            and (not self.types or record.type in self.types)
            and (self.since is None or record.time >= self.since)
            and (self.until is None or record.time <= self.until)
            and (not self.party or _names(self.party, record.data))
        )


class Page(msgspec.Struct, frozen=True):
    """The records of one read that are meant, and how far that read came: `done` of `total` places of the log."""

    records: list[Record]
    done: int
    total: int


async def pages(reads: Reads, service: str, selection: Selection) -> AsyncIterator[Page]:
    """Undecoded records in the order of the log, those of one order by its stream alone.

    What is committed meanwhile is left out. Raises `NoSuchRange`.
    """
    first, last = await bounds(reads, selection)
    if selection.stream:
        head = await reads.head(selection.stream)
        total = head.version if head else 0
        async for page in reads.stream_pages(selection.stream, upto=total, decode=False):
            within = (record for record in page if first <= record.position <= last)
            yield Page([record for record in within if selection.takes(record, service)], page[-1].version, total)
        return
    source = None if selection.learned else service
    after = first - 1
    while after < last:
        page = await reads.read_log(after, PAGE_RECORDS, source, decode=False)
        after = page[-1].position if page else last
        taken = [record for record in page if record.position <= last and selection.takes(record, service)]
        yield Page(taken, min(after, last) - first + 1, last - first + 1)


async def latest(reads: Reads, service: str, selection: Selection, limit: int) -> list[Record]:
    """The last `limit` of them, in the order of the log; read from the end, so that a long log costs no more.

    Raises `NoSuchRange`.
    """
    first, last = await bounds(reads, selection)
    found: list[Record] = []
    if selection.stream:
        async for page in pages(reads, service, selection):
            found = [*found, *page.records][-limit:]
        return found
    while last >= first and len(found) < limit:
        before = max(first - 1, last - PAGE_RECORDS)
        read = await reads.read_log(before, last - before, decode=False)
        found = [record for record in read if record.position <= last and selection.takes(record, service)] + found
        last = before
    return found[-limit:]


async def bounds(reads: Reads, selection: Selection) -> tuple[int, int]:
    """First and last position that are meant; (1, 0) in an empty log of which all is meant. Raises `NoSuchRange`."""
    head = await reads.head_position()
    first, last = selection.first, selection.last or head
    if last > head or (last < first and (first, head) != (1, 0)):
        raise NoSuchRange(first, selection.last or max(first, head), head)
    return first, last


def _names(party: str, data: bytes) -> bool:
    """Whether an event names a party, as a field of its own or of something within."""
    return b'"party"' in data and any(
        name == party or name.startswith(f"{party}/") for name in _parties(msgspec.json.decode(data))
    )


def _parties(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        if isinstance(name := value.get("party"), str):
            yield name
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _parties(one)
