"""Taking a file of events into the log of another installation, which is empty or holds what comes before.

The records go in by the store's own commits, in the order of the file, own events without sequence: so the store gives
positions, versions, sequences and hashes as it always does, and each must come out as the file has it. What a service
heard of the others goes in last, so that nothing is handled again that was handled where the history comes from.

A file is read twice: first all of it is checked against itself and against what is there, with nothing written; then it
is written. Whoever is interrupted imports the same file again: what is there already is compared and passed over.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Final

import msgspec

from services.kernel.event_store import (
    Append,
    Commit,
    CommitResult,
    Decode,
    EventStore,
    InboxMark,
    VersionConflict,
)
from services.kernel.heard import as_heard
from services.kernel.log import NewRecord, Record
from services.kernel.long_work import Tell, told_nobody
from services.kernel.proof import root
from services.transfer.chains import Chains, Unfit, nowhere
from services.transfer.files import OpenFile
from services.transfer.formats import FileAltered
from services.transfer.lines import Heading, Manifest

#: What a service's processes hold while they are at work on its log; an import holds it meanwhile, so long at a time.
LEASES: Final = ("relay", "steward")
HOLD_SECONDS: Final = 60.0


class NotWhole(Exception):
    """The file holds a selection of events, not all of a range: it can be read and analysed, not imported."""

    def __init__(self, file: Path, selection: dict[str, str]) -> None:
        super().__init__(f"{file} holds a selection of events: {selection}")
        self.file, self.selection = file, selection


class DoesNotFit(Exception):
    """The log holds something else at `position` than the file, or (`missing`) nothing up to there."""

    def __init__(self, file: Path, position: int, head: int, *, missing: bool = False) -> None:
        super().__init__(f"{file} does not fit a log that ends at {head}: position {position}")
        self.file, self.position, self.head, self.missing = file, position, head, missing


class UnknownTypes(Exception):
    """The file holds an event that this release cannot read: it is of a later one."""

    def __init__(self, file: Path, position: int, type: str, reason: str) -> None:
        super().__init__(f"{file}: {type} at position {position}: {reason}")
        self.file, self.position, self.type, self.reason = file, position, type, reason


class AtWork(Exception):
    """A process of the service is at work on the log, or wrote to it meanwhile: `position` came to lie elsewhere."""

    def __init__(self, service: str, position: int = 0) -> None:
        super().__init__(f"{service} is at work on this log")
        self.service, self.position = service, position


class Import(msgspec.Struct, frozen=True):
    """What an import does, or would do: `already` records of the file are there, `added` come new.

    `root`: of the log afterwards; empty where nothing was written.
    """

    manifest: Manifest
    already: int
    added: int
    root: str = ""


async def check(path: Path, store: EventStore | None, decode: Decode, tell: Tell = told_nobody) -> Import:
    """Read all of a file and find whether it can be imported into the log of its service; changes nothing.

    `store` None: there is no log yet. Raises `FileRefused`, `NotWhole`, `DoesNotFit`, `UnknownTypes` and what a store
    raises.
    """
    parts = _parts(OpenFile(path))
    heading = await anext(parts)
    assert isinstance(heading, Heading)
    if not heading.whole:
        raise NotWhole(path, heading.selection)
    head = await store.head_position() if store else 0
    if heading.first > head + 1:
        raise DoesNotFit(path, heading.first, head, missing=True)
    with Chains(heading.service) as chains:
        comparison = _Comparison(path, heading, store, head, decode, chains)
        async for part in parts:
            if isinstance(part, Manifest):
                return await comparison.judged(part)
            if not isinstance(part, Heading) and (records := [row for row in part if isinstance(row, Record)]):
                await comparison.take(records)
                await tell(records[-1].position - heading.first + 1, heading.last - heading.first + 1)
    raise AssertionError("a file without manifest")


async def import_events(path: Path, store: EventStore, decode: Decode, tell: Tell = told_nobody) -> Import:
    """Check a file, then add what it holds to the log of its service.

    The service's own processes must not run. Raises what `check` raises, before anything is written, and `AtWork`.
    """
    checked = await check(path, store, decode, tell)
    async with _alone(store, checked.manifest.heading.service) as still_alone:
        await _write(path, store, decode, checked, still_alone, tell)
    return msgspec.structs.replace(checked, root=(await root(store)).hex())


class _Comparison:
    """The records of a file beside those of the log that it is for."""

    def __init__(
        self, path: Path, heading: Heading, store: EventStore | None, head: int, decode: Decode, chains: Chains
    ) -> None:
        self._path = path
        self._heading = heading
        self._store = store
        self._head = head
        self._decode = decode
        self._chains = chains
        self._next = heading.first
        self._already = 0

    async def take(self, records: list[Record]) -> None:
        """The next records of the file."""
        for record in records:
            if record.position != self._next:
                zh, en = f"缺少第 {self._next} 条", f"position {self._next} is missing"
                raise FileAltered(self._path, zh, en, self._next - 1)
            self._next += 1
        there = [record for record in records if record.position <= self._head]
        await self._same(there)
        self._already += len(there)
        await self._follow(records, there)
        for record in records:
            self._readable(record)

    async def judged(self, manifest: Manifest) -> Import:
        """What the file amounts to, when everything was read."""
        if self._next != self._heading.last + 1 or await self._chains.root() != manifest.root:
            zh, en = (
                "Merkle 根或末位置与清单不符",
                "its Merkle root or its last position is not the one in its manifest",
            )
            raise FileAltered(self._path, zh, en, manifest.last)
        return Import(manifest, self._already, manifest.events - self._already)

    async def _same(self, records: list[Record]) -> None:
        """What the log holds already must be what the file holds."""
        if not (self._store and records):
            return
        there = await self._store.read_log(records[0].position - 1, len(records), decode=False)
        for place, record in enumerate(records):
            if place >= len(there) or there[place] != record:
                raise DoesNotFit(self._path, record.position, self._head)

    async def _follow(self, records: list[Record], there: list[Record]) -> None:
        """Each record continues its stream: from its beginning, or from what the log holds."""
        try:
            if self._heading.first == 1:
                await self._chains.follow(records, nowhere)
                return
            await self._chains.note(there)
            await self._chains.follow(records[len(there) :], self._store.head if self._store else nowhere)
        except Unfit as unfit:
            where = f"{unfit.stream} v{unfit.version}"
            raise FileAltered(self._path, f"{where} {unfit.zh}", f"{where}: {unfit.en}", unfit.position - 1) from None

    def _readable(self, record: Record) -> None:
        try:
            _new(record, self._heading.service, self._decode)
        except Exception as error:  # lifting an older version meets whatever stands in the event
            raise UnknownTypes(self._path, record.position, record.type, str(error)) from None


@asynccontextmanager
async def _alone(store: EventStore, service: str) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Keep relay and steward from the log while the block runs; what it is given, prolongs that. Raises `AtWork`."""
    holder = f"import:{uuid.uuid4().hex}"

    async def hold() -> None:
        for lease in LEASES:
            if not await store.hold(lease, holder, HOLD_SECONDS):
                raise AtWork(service)

    try:
        await hold()
        yield hold
    finally:
        for lease in LEASES:
            await store.let_go(lease, holder)


async def _write(
    path: Path,
    store: EventStore,
    decode: Decode,
    checked: Import,
    still_alone: Callable[[], Awaitable[None]],
    tell: Tell,
) -> None:
    heading = checked.manifest.heading
    done, after = 0, heading.first + checked.already - 1
    async for part in _parts(OpenFile(path)):
        if isinstance(part, Heading | Manifest):
            continue
        await still_alone()
        if marks := [row for row in part if isinstance(row, InboxMark)]:
            await _commit(store, Commit(statements=(as_heard(marks),)))
        if records := [row for row in part if isinstance(row, Record) and row.position > after]:
            await _add(store, heading.service, records, decode)
            done += len(records)
            await tell(done, checked.added)


async def _add(store: EventStore, service: str, records: list[Record], decode: Decode) -> None:
    if await store.head_position() != records[0].position - 1:
        raise AtWork(service, records[0].position)
    appends = tuple(
        Append(stream, run[0].version - 1, [_new(record, service, decode) for record in run])
        for stream, run in _runs(records)
    )
    try:
        result = await _commit(store, Commit(appends=appends))
    except VersionConflict:
        raise AtWork(service, records[0].position) from None
    for record, written in zip(records, result.records, strict=True):
        if (written.position, written.hash) != (record.position, record.hash):
            raise AtWork(service, record.position)


def _runs(records: list[Record]) -> Iterator[tuple[str, list[Record]]]:
    """Records of one stream that stand together; the order of all stays."""
    for stream, run in groupby(records, attrgetter("stream")):
        yield stream, list(run)


def _new(record: Record, service: str, decode: Decode) -> NewRecord:
    # Decoded, because readers in this process are handed what was just committed.
    event = decode(record.type, record.schema, record.data)
    return NewRecord.of(record, event, 0 if record.source == service else record.sequence)


async def _commit(store: EventStore, commit: Commit) -> CommitResult:
    [outcome] = await store.commit([commit])
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


async def _parts(file: OpenFile) -> AsyncIterator[Heading | list[Record] | list[InboxMark] | Manifest]:
    """Parts of a file, read in a thread."""
    parts = file.parts()
    while (part := await asyncio.to_thread(next, parts, None)) is not None:
        yield part
