"""What a check is given: one service as it is at one moment, and all logs as they are now."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec

from contracts.policy import Text
from contracts.registry import decode
from services.doctor import ways
from services.doctor.finding import Wrong
from services.kernel.event_store import CorruptRecord, EventStore, Reads
from services.kernel.log import Record
from services.kernel.naming import is_operation
from services.kernel.service import Part
from services.kernel.settings import Settings
from services.refunds.gateway import Gateway

#: Records, or rows, that are in memory at a time.
PAGE: Final = 500
#: Values in one question: well below what databases take.
ASKED_AT_ONCE: Final = 500


@dataclass(frozen=True)
class Shop:
    """All services, and whom they work with."""

    settings: Settings
    parts: Mapping[str, Part]
    stores: Mapping[str, EventStore]
    gateway: Gateway
    now: datetime


@dataclass(frozen=True)
class Look:
    """One service, its log and tables read at one moment (`reads`), and the shop around it as it is now."""

    name: str
    reads: Reads
    shop: Shop
    seen: Callable[[int], Awaitable[None]]
    """Awaited with the number of records that were read."""

    @property
    def part(self) -> Part:
        """What makes the service this one."""
        return self.shop.parts[self.name]

    @property
    def live(self) -> EventStore:
        """The service's log as it is now: not shorter than in `reads`."""
        return self.shop.stores[self.name]


class Fold(Protocol):
    """What is made of one stream, record by record."""

    def see(self, record: Record) -> None:
        """Take the next record of the stream, decoded."""


T = TypeVar("T", bound=Fold)


@dataclass(frozen=True)
class Stream(Generic[T]):
    """One stream: what was made of it, or at which record and why that ended (`broken`)."""

    name: str
    fold: T
    broken: Wrong | None = None


async def streams(look: Look, new: Callable[[str], T]) -> AsyncIterator[Stream[T]]:
    """Every file of the log with what is made of it, in the order of their names; memory stays flat."""
    name, fold, broken = "", new(""), None
    async for record in _records(look):
        stream = record.stream
        if is_operation(stream):
            continue
        if stream != name:
            if name:
                yield Stream(name, fold, broken)
            name, fold, broken = stream, new(stream), None
        if broken is None:
            broken = _seen(look.name, fold, record)
    if name:
        yield Stream(name, fold, broken)


def _seen(service: str, fold: Fold, record: Record | CorruptRecord) -> Wrong | None:
    """Why a record cannot be folded; None where it was."""
    try:
        if isinstance(record, CorruptRecord):
            raise record
        fold.see(msgspec.structs.replace(record, event=decode(record.type, record.schema, record.data)))
    except Exception as error:  # whatever stands in a damaged log
        return Wrong(
            f"{record.stream}#{record.version}",
            Text(
                zh="这条事件读不懂,或接不上前面的事件",
                en="this event cannot be read, or does not follow from those before",
            ),
            "",
            f"{type(error).__name__}: {error}",
            ways.restore(service),
        )
    return None


async def _records(look: Look) -> AsyncIterator[Record | CorruptRecord]:
    """All records by stream and version; for one that cannot be read, the error that says so."""
    after, limit = ("", 0), PAGE
    while True:
        try:
            page = await look.reads.read_by_stream(after, limit)
        except CorruptRecord as corrupt:
            if limit > 1:
                limit //= 2  # what stands before it comes first
                continue
            yield corrupt
            after, limit = (corrupt.stream, corrupt.version), PAGE
            continue
        if not page:
            return
        for record in page:
            yield record
        after = (page[-1].stream, page[-1].version)
        await look.seen(len(page))


async def asked(reads: Reads, sql: str, values: Sequence[Any], *before: Any) -> list[dict[str, Any]]:
    """Rows of a question with `IN ({})` for many values, which come last; `before` fills the places before them."""
    found: list[dict[str, Any]] = []
    for first in range(0, len(values), ASKED_AT_ONCE):
        some = values[first : first + ASKED_AT_ONCE]
        found += await reads.query(sql.format(", ".join("?" * len(some))), (*before, *some))
    return found


async def pages(reads: Reads, sql: str, *params: Any, key: str) -> AsyncIterator[list[dict[str, Any]]]:
    """Rows page by page of a question that ends with `key > ? … LIMIT ?`; keys are whole numbers from 1 on."""
    after = 0
    while rows := await reads.query(sql, (*params, after, PAGE)):
        yield rows
        after = rows[-1][key]
