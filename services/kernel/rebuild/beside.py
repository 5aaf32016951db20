"""A rebuild from its beginning to its end: build beside the live tables, catch up, compare, put in place or drop."""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, Final

import msgspec

from services.kernel.event_store import (
    Checkpoint,
    Commit,
    CorruptRecord,
    EventStore,
    Fence,
    Fenced,
    Statement,
)
from services.kernel.files import Files
from services.kernel.leases import holding
from services.kernel.log import Record
from services.kernel.log_reader import BATCH_RECORDS
from services.kernel.long_work import Tell, told_nobody
from services.kernel.rebuild.building import Fold, Part, Rules, Unbuildable, build
from services.kernel.rebuild.comparing import Compared, compare
from services.kernel.rebuild.tables import (
    Kept,
    Table,
    begun,
    built_up_to,
    dropped,
    kept,
    maker,
    put_in_place,
    tables_of,
)
from services.kernel.service import Service
from services.kernel.spans import in_order, spans
from services.kernel.takeover import as_owner, handing_over
from services.kernel.views import BESIDE, Projector

#: Streams that are folded at a time; a rebuild that was ended goes on behind the last that were done.
SPAN_STREAMS = 1_000
#: Files that are kept in memory while the copies catch up.
FILES: Final = 1_000
#: How often it is looked how far the live tables are, and after how long without any progress they count as standing.
LOOK_SECONDS: Final = 0.02
STANDING_SECONDS: Final = 2.0


class AnotherKept(Exception):
    """A rebuild of other read tables (`tables`) of this service was begun, and neither put in place nor dropped."""

    def __init__(self, service: str, tables: Sequence[str]) -> None:
        super().__init__(f"a rebuild of {', '.join(tables)} of {service} was begun")
        self.service, self.tables = service, tuple(tables)


class TakenOver(Exception):
    """Another rebuild of the same service works on the copies now."""


class Plan(msgspec.Struct, frozen=True):
    """What a rebuild would do: build these tables from so many events; `kept` is one that was begun and would go on."""

    service: str
    tables: tuple[str, ...]
    events: int
    kept: Kept | None


class Outcome(msgspec.Struct, frozen=True):
    """What came of a rebuild: the tables as of `position` of the log, built of so many `records`.

    `resumed_after`: how many of them had been built before. `ahead`: the live tables claim to be further than the log
    goes, and would miss what comes next. Where nothing differs, or the copies were `swapped` in, they are gone; else
    they are kept.
    """

    service: str
    position: int
    records: int
    resumed_after: int
    tables: tuple[Compared, ...]
    ahead: bool
    swapped: bool

    @property
    def equal(self) -> bool:
        """Whether the live tables were what the log comes to."""
        return not self.ahead and all(table.equal for table in self.tables)


def lease_of(service: str) -> str:
    """The lease of whoever rebuilds read tables of a service."""
    return f"rebuild:{service}"


async def planned(service: Service[Any], names: Sequence[str]) -> Plan:
    """What `rebuild` would do; nothing is changed. Raises `AnotherKept`, `StoreUnavailable`."""
    there = _fitting(service, await kept(service.store), names)
    head = await service.store.head_position()
    tables = tables_of(service.part.views, names)
    return Plan(service.name, tuple(table.name for table in tables), there.position if there else head, there)


async def discard(service: Service[Any], names: Sequence[str], holder: str) -> Kept | None:
    """Drop the copies of a rebuild that was begun, of these tables or some of them; gives which one it was.

    Raises `LeaseHeld`, `AnotherKept`, `StoreUnavailable`.
    """
    store = service.store
    async with holding(store, lease_of(service.name), holder):
        there = await kept(store)
        if there:
            _fitting(service, there, {*names} & {*there.tables})
            await _committed(store, Commit(statements=tuple(dropped(there.tables))))
        return there


async def rebuild(
    service: Service[Any],
    names: Sequence[str],
    holder: str,
    *,
    swap: bool = False,
    tell: Tell = told_nobody,
    by: Fold | None = None,
    ahead: int = 0,
) -> Outcome:
    """Build read tables of a service beside the live ones, or go on with what was begun; catch up and compare.

    Where nothing differs, the copies are dropped. Where something does, they are put in place if `swap` says so, and
    kept if not. `by`: who folds a span, up to `ahead` spans ahead of the one that is waited for. Raises `LeaseHeld`,
    `AnotherKept`, `Unbuildable`, `TakenOver`, `StoreUnavailable`, `CommitFailed` where the live tables refuse what was
    built, and what `tell` raises: the live tables are then as they were, and the next rebuild goes on from there.
    """
    async with holding(service.store, lease_of(service.name), holder):
        work = _Rebuild(service, tables_of(service.part.views, names), tell)
        try:
            await work.begin()
            await work.build(by or partial(build, service.store, work.rules), ahead)
            return await work.compared(holder, swap)
        except Fenced as fenced:
            raise TakenOver from fenced


def _fitting(service: Service[Any], there: Kept | None, names: Collection[str]) -> Kept | None:
    """What was begun, if it can go on: not where another release or policy began it, whose rows may be others."""
    if there and set(there.tables) != set(names):
        raise AnotherKept(service.name, there.tables)
    return there if there and there.made_by == maker(service.part.domain) else None


class _Rebuild:
    """One rebuild at work, under its lease."""

    def __init__(self, service: Service[Any], tables: Sequence[Table], tell: Tell) -> None:
        self._service = service
        self._store = service.store
        self._tables = tables
        self._tell = tell
        self.rules = Rules(service.part.domain, service.part.views)
        files: Files[Any] = Files(service.part.domain, service.store, service.appender, service.clock, FILES)
        into = {table.name: table.copy for table in tables}
        self._projector = Projector(service.part.views, files, service.appender, into)
        self._fence = Fence(BESIDE, service.name, 0)
        self._kept = Kept((), 0, "", 0, "")
        self._resumed_after = 0
        self._rows, self._all_rows = 0, 0
        self._stood_at = -1

    async def begin(self) -> None:
        """Claim the copies, and make them where none were begun."""
        names = [table.name for table in self._tables]
        there = _fitting(self._service, await kept(self._store), names)
        claim = await self._store.claim(BESIDE, self._service.name)
        self._fence = Fence(BESIDE, self._service.name, claim.epoch)
        if there is None:
            head, made_by = await self._store.head_position(), maker(self.rules.domain)
            there = Kept(tuple(names), head, "", 0, made_by)
            await self._commit(begun(self._tables, head, made_by))
        self._kept, self._resumed_after = there, there.records

    async def build(self, by: Fold, ahead: int) -> None:
        """Fold every stream that was not yet."""
        if self._kept.stream is None:
            return
        part = Part(tuple(self._tables), self._kept.position, self._fence)
        pieces = spans(self._store, self._kept.stream, SPAN_STREAMS)
        async with aclosing(in_order(pieces, partial(by, part), ahead)) as done:
            async for span, records in done:
                await self._note(span.upto, self._kept.records + records)
                await self._told()

    async def _note(self, stream: str | None, records: int) -> None:
        self._kept = msgspec.structs.replace(self._kept, stream=stream, records=records)
        checkpoint = () if stream else (Checkpoint(BESIDE, self._service.name, self._kept.position),)
        await self._commit([built_up_to(stream, records)], *checkpoint)

    async def compared(self, holder: str, swap: bool) -> Outcome:
        """Catch up and compare; drop the copies, keep them or put them in place."""
        await self._level()
        self._all_rows = sum([await self._count(table) for table in self._tables])
        tables = tuple([await compare(self._store, table, self._level, self._counted) for table in self._tables])
        ahead = await self._live() > await self._store.head_position()
        differs = ahead or not all(table.equal for table in tables)
        if differs and swap:
            await self._swap(holder)
        elif not differs:
            await self._commit(dropped(self._kept.tables))
        return Outcome(
            service=self._service.name,
            position=await self._copied(),
            records=self._kept.records,
            resumed_after=self._resumed_after,
            tables=tables,
            ahead=ahead,
            swapped=differs and swap,
        )

    async def _swap(self, holder: str) -> None:
        """Put the copies in place, in one transaction, as the owner of the live tables: whoever writes them is refused
        from the claim on, and goes on from where the copies are."""
        source = self._service.name

        async def put(fence: Fence) -> None:
            await self._catch_up(await self._store.head_position(), quietly=True)
            statements = [statement for table in self._tables for statement in put_in_place(table)]
            whole = len(self._tables) == len(self.rules.views.tables)
            position = await self._copied()
            # Tables that were not built are only as far as they were when they were claimed.
            position = position if whole else min(position, await self._live())
            checkpoint = Checkpoint(Projector.name, source, position)
            swapped = (*statements, *dropped(self._kept.tables))
            await _committed(self._store, Commit(statements=swapped, checkpoint=(checkpoint,), fence=fence))

        await self._level()  # so that little is left to do while nobody writes the live tables
        async with holding(self._store, handing_over(Projector.name, source), holder):
            await as_owner(self._store, Projector.name, source, put)

    async def _counted(self, rows: int) -> None:
        self._rows += rows
        await self._told()

    async def _told(self) -> None:
        """Tell how much is done, of records to be folded and rows to be compared."""
        # What operations leave in the log comes to no rows: how much that is, is known once all is folded.
        folded = self._kept.records if self._kept.stream is None else self._kept.position
        await self._tell(self._kept.records + self._rows, folded + max(self._rows, self._all_rows))

    # -- keeping up with the log

    async def _level(self) -> None:
        """Have both tables pass what the log holds by now; the live ones as far as they come on at all."""
        head = await self._store.head_position()
        await self._catch_up(head)
        loop = asyncio.get_running_loop()
        live, since = await self._live(), loop.time()
        while live < head and live != self._stood_at:
            await asyncio.sleep(LOOK_SECONDS)
            before, live = live, await self._live()
            if live != before:
                since = loop.time()
            elif loop.time() - since > STANDING_SECONDS:
                self._stood_at = live

    async def _catch_up(self, upto: int, *, quietly: bool = False) -> None:
        """Write into the copies what the log holds behind their position. `quietly`: nobody is told, so that nobody can
        hold it up."""
        position = await self._copied()
        while position < upto:
            records = await self._next(position)
            await self._projector(records, _Following(self._service.name, self._fence))
            position = records[-1].position
            if not quietly:
                await self._told()

    async def _next(self, position: int) -> list[Record]:
        try:
            return await self._store.read_log(position, BATCH_RECORDS)
        except CorruptRecord as error:
            raise Unbuildable(error.stream, error.version, error.reason) from error

    async def _live(self) -> int:
        return await self._store.checkpoint(Projector.name, self._service.name)

    async def _copied(self) -> int:
        return await self._store.checkpoint(BESIDE, self._service.name)

    async def _count(self, table: Table) -> int:
        [row] = await self._store.query(f"SELECT count(*) AS n FROM {table.name}")
        return int(row["n"])

    async def _commit(self, statements: Sequence[Statement], *checkpoint: Checkpoint) -> None:
        await _committed(self._store, Commit(statements=tuple(statements), checkpoint=checkpoint, fence=self._fence))


class _Following:
    """Progress of the copies in the log. Nothing is left behind: a stream that does not go on ends the rebuild."""

    def __init__(self, source: str, fence: Fence) -> None:
        self._source = source
        self.fence: Fence | None = fence

    def park(self, records: Sequence[Record], error: Exception) -> None:
        """Raises `Unbuildable`."""
        raise Unbuildable(records[0].stream, records[0].version, repr(error)) from error

    def noted(self, position: int) -> Commit:
        """How far the copies are."""
        return Commit(checkpoint=(Checkpoint(BESIDE, self._source, position),), fence=self.fence)


async def _committed(store: EventStore, commit: Commit) -> None:
    [outcome] = await store.commit([commit])
    if isinstance(outcome, Exception):
        raise outcome
