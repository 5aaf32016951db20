"""The contract of an event store: what a commit holds, what can be read, which errors a caller meets.

Every backend passes `tests/kernel/store_contract.py`.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from itertools import islice
from typing import Any, Protocol

import msgspec

from services.kernel.log import NewRecord, Record

PAGE_RECORDS = 1000
"""Records that a paged read holds in memory at a time."""

RECENT_RECORDS = 2000
"""Records kept in memory for the consumers in the same process."""


class Append(msgspec.Struct, frozen=True):
    """Records for the end of one stream, provided that it still stands at `expected_version` (0: does not
    exist)."""

    stream: str
    expected_version: int
    records: Sequence[NewRecord]


class Statement(msgspec.Struct, frozen=True):
    """SQL on read tables, run for each row in the same transaction, in the order given.

    Placeholders are `?` in every database. SQL without any takes one empty row: `[()]`; no rows, no run.
    """

    sql: str
    rows: Sequence[tuple[Any, ...]]


class InboxMark(msgspec.Struct, frozen=True):
    """Event number `sequence` of `source` in `stream` is handled by this commit."""

    source: str
    stream: str
    sequence: int


class Checkpoint(msgspec.Struct, frozen=True):
    """`consumer` has handled the log of `source` up to and including `position`."""

    consumer: str
    source: str
    position: int


class Fence(msgspec.Struct, frozen=True):
    """The writer claims to be the one consumer of `source` called `consumer`, as of its claim number `epoch`."""

    consumer: str
    source: str
    epoch: int


class Claim(msgspec.Struct, frozen=True):
    """What a consumer gets when it takes a source over: how far it was handled, and the number of this claim."""

    position: int
    epoch: int


class IdempotentAnswer(msgspec.Struct, frozen=True):
    """What a request with this key was answered, kept so that a repeated request gets the same."""

    key: str
    request_hash: bytes
    status: int
    body: bytes
    created_at: datetime
    etag: str = ""


class KeyRow(msgspec.Struct, frozen=True):
    """A key of an order's texts as it is stored. One that was destroyed, at `erased_at`, has no `secret`."""

    order_id: str
    number: int
    secret: bytes | None
    erased_at: datetime | None = None


class Commit(msgspec.Struct, frozen=True):
    """One unit of work: all of it is written, or nothing. Many commits may share one database transaction."""

    appends: tuple[Append, ...] = ()
    statements: tuple[Statement, ...] = ()
    inbox: tuple[InboxMark, ...] = ()
    checkpoint: tuple[Checkpoint, ...] = ()
    answer: IdempotentAnswer | None = None
    fence: Fence | None = None
    keys: tuple[KeyRow, ...] = ()


class CommitResult(msgspec.Struct, frozen=True):
    """The records of a commit as they now stand in the log, and the log's last position as of this commit."""

    records: tuple[Record, ...]
    position: int


class Head(msgspec.Struct, frozen=True, gc=False):
    """Where a stream stands: its last version, its last own sequence and its last hash."""

    stream: str
    version: int
    sequence: int
    hash: bytes


class StoreError(Exception):
    """Base of everything a store refuses or fails to do."""


class VersionConflict(StoreError):
    """Somebody else appended to the stream in between."""

    def __init__(self, stream: str, expected: int, actual: int) -> None:
        super().__init__(f"stream {stream} is at version {actual}, not {expected}")
        self.stream, self.expected, self.actual = stream, expected, actual


class KeyTaken(StoreError):
    """The idempotency key was used before; `answer` is what its request was answered."""

    def __init__(self, answer: IdempotentAnswer) -> None:
        super().__init__(f"idempotency key {answer.key} is taken")
        self.answer = answer


class DuplicateDelivery(StoreError):
    """The event was handled before: skip it."""

    def __init__(self, mark: InboxMark, last: int) -> None:
        super().__init__(f"{mark.source}/{mark.stream} #{mark.sequence} was handled before, last is #{last}")
        self.mark, self.last = mark, last


class DeliveryGap(StoreError):
    """Events before this one are missing: it must not be handled yet, and never be skipped."""

    def __init__(self, mark: InboxMark, last: int) -> None:
        super().__init__(f"{mark.source}/{mark.stream} #{mark.sequence} came too early, last is #{last}")
        self.mark, self.last = mark, last


class Fenced(StoreError):
    """Another process took over what the writer was working on: it must stop, nothing of the commit was written."""

    def __init__(self, fence: Fence, epoch: int) -> None:
        super().__init__(f"{fence.consumer} on {fence.source} was taken over: claim {fence.epoch}, now {epoch}")
        self.fence, self.epoch = fence, epoch


class CommitFailed(StoreError):
    """The database refused what the commit wanted written (a constraint, a wrong statement). Nothing of it
    was."""


class StoreUnavailable(StoreError):
    """The database is locked, full, away or closed. Nothing was written; the same commit may be tried
    again. (Where a server was lost while it committed and is not back in time, that is not known: the version, mark or
    key of the commit then tells when it is tried again.)"""


class StoreRefused(StoreUnavailable):
    """The database lets nobody in so: wrong name or password, too few rights, or there is no such database. Waiting
    does not help, somebody has to put it right; nothing was written."""


class CorruptRecord(StoreError):
    """A stored record cannot be read back: it was damaged, or nobody here knows its type."""

    def __init__(self, stream: str, version: int, reason: str) -> None:
        super().__init__(f"stream {stream} version {version} cannot be read: {reason}")
        self.stream, self.version, self.reason = stream, version, reason


class Decode(Protocol):
    """Turns stored bytes into the contract struct of that type and schema version."""

    def __call__(self, type: str, schema: int, data: bytes, /) -> Any: ...


class Reads(Protocol):
    """Everything that can be read. No read ever waits for a writer, none sees anything uncommitted.

    `decode=False` leaves `Record.event` None: for replays, relays and proofs that need the bytes only.
    All raise StoreUnavailable (as StoreRefused where it is a matter of credentials), those that decode CorruptRecord.
    """

    async def read_stream(
        self,
        stream: str,
        after_version: int = 0,
        upto: int | None = None,
        limit: int | None = None,
        decode: bool = True,
    ) -> list[Record]:
        """Records of one stream with `after_version` < version ≤ `upto`, in order; empty if it does not
        exist."""
        ...

    async def stream_pages(
        self,
        stream: str,
        after_version: int = 0,
        upto: int | None = None,
        page_records: int = PAGE_RECORDS,
        decode: bool = True,
    ) -> AsyncIterator[list[Record]]:
        """The same page by page, so that memory stays flat however long the stream is."""
        while page := await self.read_stream(stream, after_version, upto, page_records, decode):
            yield page
            after_version = page[-1].version

    async def read_log(
        self, after_position: int, limit: int, source: str | None = None, decode: bool = True
    ) -> list[Record]:
        """Records behind a position in log order, of all sources or of one."""
        ...

    async def read_by_stream(
        self, after: tuple[str, int], limit: int, last: str | None = None, decode: bool = False
    ) -> list[Record]:
        """Records of all streams up to and including `last` (None: to the end), ordered by stream and version, behind
        (stream, version)."""
        ...

    async def rows_by_stream(self, after: tuple[str, int], last: str | None, limit: int) -> Sequence[Sequence[Any]]:
        """Rows as stored (`ledger.EVENT_COLUMNS`) of all streams up to and including `last` (None: to the end), ordered
        by stream and version, behind (stream, version). Nothing is made of them, so nothing in them can fail."""
        ...

    async def streams(self, after: str = "", limit: int = PAGE_RECORDS) -> list[Head]:
        """Heads of the streams behind a name, ordered by the code points of their names."""
        ...

    async def head(self, stream: str) -> Head | None:
        """Where one stream stands; None if it does not exist."""
        ...

    async def head_position(self) -> int:
        """The log's last position; 0 if it is empty."""
        ...

    async def answer(self, key: str) -> IdempotentAnswer | None:
        """The stored answer to a request with this idempotency key."""
        ...

    async def inbox(self, source: str, streams: Iterable[str]) -> dict[str, int]:
        """The last handled sequence of each stream that has one."""
        ...

    async def checkpoint(self, consumer: str, source: str) -> int:
        """The position up to which a consumer has handled a source; 0 before its first commit."""
        ...

    async def epoch(self, consumer: str, source: str) -> int:
        """The number of the last claim; 0 before the first."""
        ...

    async def holder(self, lease: str) -> str:
        """Who holds a lease by the database's clock; "" for nobody."""
        ...

    async def query(self, sql: str, params: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Rows of a read table, each as column → value. It cannot write."""
        ...


class EventStore(Reads, Protocol):
    """A log with its read tables."""

    committed: "CommitSignal"

    shared: bool
    """Whether other processes write to it too: what was read a moment ago may then be no longer so."""

    async def commit(self, batch: Sequence[Commit]) -> list[CommitResult | Exception]:
        """Write many commits in one transaction, each all or nothing, one after another.

        A commit that cannot be written is left out and answered with its error, without hurting the others:
        KeyTaken, Fenced, DuplicateDelivery, DeliveryGap, VersionConflict, CommitFailed or ValueError, and
        StoreUnavailable where the database cannot write at all. If the caller is cancelled, the transaction
        ends all the same.
        """
        ...

    async def claim(self, consumer: str, source: str) -> Claim:
        """Take a source over, from whoever worked on it: commits under an earlier claim are refused from now on.

        Commits that were under way are in the position that it gives, or refused. After an error, or where the caller
        is cancelled, it may have been taken over all the same: claim again.
        """
        ...

    async def hold(self, lease: str, holder: str, seconds: float) -> bool:
        """Take a lease, or keep it, for so long by the database's clock; False while somebody else holds it.

        A lease only says who should work. It may run out unnoticed: what must not be done twice needs a claim.
        """
        ...

    async def let_go(self, lease: str, holder: str) -> None:
        """Give a lease back before its time, if it is held by `holder`."""
        ...

    def snapshot(self) -> AbstractAsyncContextManager[Reads]:
        """Several reads that all see the log and its tables at one and the same moment."""
        ...

    async def close(self) -> None:
        """Give all connections back. Reading or writing afterwards raises StoreUnavailable."""
        ...


class CommitSignal:
    """Wakes those who wait for new events. A store that cannot tell of other processes' commits leaves it to them to
    look now and then, hence the timeout.

    It also keeps what was just committed for the consumers in this process, who otherwise each read it back from the
    database. Together with larger batches (`log_reader.LINGER_SECONDS`), measured on two busy cores: from 150 to
    between 240 and 480 commands a second with one client.
    """

    def __init__(self) -> None:
        self.position = 0
        """Last position known to be committed, 0 before the first commit of this store."""
        self._waiting = asyncio.Event()
        self._recent: deque[Record] = deque(maxlen=RECENT_RECORDS)

    def recent(self, after_position: int, limit: int, source: str | None = None) -> list[Record]:
        """What `Reads.read_log` would begin with, as far as it is kept here; nothing found says nothing."""
        if not self._recent or after_position + 1 < self._recent[0].position:
            return []
        behind = islice(self._recent, after_position + 1 - self._recent[0].position, None)
        return list(islice((record for record in behind if source in (None, record.source)), limit))

    def announce(self, position: int, records: Iterable[Record] = ()) -> None:
        """Tell that the log now reaches `position`, and what was added to it, in order."""
        for record in records:
            if self._recent and record.position != self._recent[-1].position + 1:
                self._recent.clear()  # another process wrote in between
            self._recent.append(record)
        if position > self.position:
            self.position = position
            waiting, self._waiting = self._waiting, asyncio.Event()
            waiting.set()

    async def beyond(self, position: int, timeout_s: float | None = None) -> bool:
        """Wait until the log reaches further than `position`; False when the time ran out before."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.position <= position:
                    await self._waiting.wait()
        except TimeoutError:
            return False
        return True
