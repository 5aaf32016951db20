"""Files at work: kept in memory, one writer at a time, decided on and committed as one unit."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any, Generic

import msgspec
import uuid_utils

from contracts.event import CaseEvent, Event, free_texts, type_of
from contracts.events.cases import CaseOpened, PersonalDataErased
from contracts.registry import encode
from services.kernel import tracing
from services.kernel.actor import SYSTEM, Actor
from services.kernel.appender import Appender
from services.kernel.clock import Clock
from services.kernel.decider import Context, Domain, F
from services.kernel.event_store import (
    Append,
    Commit,
    EventStore,
    Fence,
    IdempotentAnswer,
    InboxMark,
    KeyRow,
    StoreError,
    StoreUnavailable,
    VersionConflict,
)
from services.kernel.intake import intake
from services.kernel.log import NewRecord, Record
from services.kernel.logging import at_work_on
from services.kernel.sealing import LearnedLocks, Sealer, Texts

#: Files kept in memory; the ones that nobody asked for the longest are read again when needed.
CACHED_FILES = 20_000
#: How often a command is decided anew when another process wrote to the same file in between.
CONFLICT_TRIES = 8
#: Follow-ups of follow-ups: more than any file needs, so that a faulty rule stops.
FOLLOW_UP_ROUNDS = 1_000


class Origin(msgspec.Struct, frozen=True):
    """Where a unit of work comes from, for the records that it makes."""

    actor: Actor
    correlation_id: str
    causation_id: str = ""
    traceparent: str = ""


class Decided(msgspec.Struct, frozen=True):
    """A unit of work that is on disk: the file's new version and what was recorded.

    `words`: what people wrote, by how it is sealed in the records.
    """

    stream: str
    version: int
    records: tuple[NewRecord, ...]
    words: Mapping[str, str] = {}


class StaleVersion(Exception):
    """The file is not at the version that the caller saw."""

    def __init__(self, version: int) -> None:
        super().__init__(version)
        self.version = version


class _Held(Generic[F]):
    """A file in memory and the version it stands at. `users` hold its lock or wait for it.

    `sealer`: what its next text is sealed with as of that version, where that was asked for.
    """

    __slots__ = ("file", "lock", "sealer", "users", "version")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.file: F | None = None
        self.sealer: Sealer | None = None
        self.version = 0
        self.users = 0


class Files(Generic[F]):
    """All files of one service. A file is changed under its lock and thrown away if its commit fails."""

    def __init__(
        self,
        domain: Domain[F],
        store: EventStore,
        appender: Appender,
        clock: Clock,
        capacity: int = CACHED_FILES,
        texts: Texts | None = None,
    ) -> None:
        self.domain = domain
        self.clock = clock
        self.texts = texts or LearnedLocks(store)
        self._store = store
        self._appender = appender
        self._held: OrderedDict[str, _Held[F]] = OrderedDict()
        self._capacity = capacity

    async def forget(self) -> None:
        """Drop what is in memory, so that every file is folded from the log again."""
        for held in list(self._held.values()):
            async with held.lock:
                held.file = None

    @asynccontextmanager
    async def reading(self, stream: str, at_least: int | None = None) -> AsyncIterator[tuple[F, int]]:
        """A file and its version, with everything that is committed; it must not be changed, nor used afterwards.

        Who knows of a version from the log, and needs no later one, asks for `at_least` that one.
        """
        held = await self._take(stream)
        try:
            latest = at_least is None and self._store.shared
            yield await self._load(stream, held, at_least or 0, latest=latest), held.version
        finally:
            self._back(held)

    async def command(
        self,
        stream: str,
        case_id: str,
        name: str,
        body: Any,
        origin: Origin,
        *,
        expected_version: int | None = None,
        answer: Callable[[Decided], IdempotentAnswer | None] | None = None,
    ) -> Decided:
        """Decide a command and commit what follows from it, together with the answer to its sender.

        Raises `Refusal`, `StaleVersion`, `KeyTaken` (the answer was stored before), `StoreUnavailable`.
        """

        async def decide(unit: "_Unit[F]") -> None:
            if expected_version is not None and expected_version != unit.version:
                raise StaleVersion(unit.version)
            context = Context(now=unit.now, actor=origin.actor)
            await unit.apply(intake(self.domain, unit.file, case_id, name, body, context))

        step = self._step(f"decide {name}", stream, origin)
        return await self._unit(stream, origin, decide, step, answer=answer)

    async def record(self, stream: str, decide: Callable[[F, Context], Iterable[Event]], origin: Origin) -> Decided:
        """Commit what the service itself decides about a file; commits nothing where that is nothing."""

        async def apply(unit: "_Unit[F]") -> None:
            await unit.apply(decide(unit.file, Context(now=unit.now, actor=origin.actor)))

        return await self._unit(stream, origin, apply, self._step("record", stream, origin))

    async def let_pass(self, stream: str, case_ids: Collection[str], now: datetime) -> Decided:
        """Commit what is due in these cases because it became `now`."""

        async def nothing(unit: "_Unit[F]") -> None:
            unit.touched.update(case_ids)
            unit.now = now

        origin = self._own_origin()
        return await self._unit(stream, origin, nothing, self._step("let pass", stream, origin))

    async def hear(self, record: Record, fence: Fence | None = None) -> Decided:
        """Commit what follows from an event of another service, once, or from one of another stream of this service.

        Raises `DuplicateDelivery` for one that was handled, `DeliveryGap` for one that comes too early, `Fenced` where
        the consumer behind `fence` is no longer the one that hears.
        """
        foreign = record.source != self.domain.source
        inbox = (InboxMark(record.source, record.stream, record.sequence),) if foreign else ()
        event: Event = record.event
        own = Actor(SYSTEM, self.domain.source)

        async def learn(unit: "_Unit[F]") -> None:
            if record.type in self.domain.learns:
                unit.learn(record)
            if isinstance(event, CaseEvent):
                unit.touched.add(event.case_id)
            await unit.apply(self.domain.react(unit.file, record, Context(now=unit.now, actor=own)))

        source, about = self.domain.source, tracing.about(record)
        origin = Origin(own, record.correlation_id, record.id, record.traceparent)
        step = tracing.span(source, f"handle {record.type}", "consumer", record.traceparent, about)
        with at_work_on(record, source, step.trace_id):
            home = self.domain.home_of(event, record.stream)
            return await self._unit(home, origin, learn, step, inbox=inbox, fence=fence)

    async def learn(self, records: Sequence[Record], fence: Fence | None = None) -> Decided:
        """Commit at once that these events of one stream of another service are known, in their order: for a service
        that keeps what it hears and in which nothing follows from it.

        Raises as `hear` does; then none of them is kept.
        """
        stream = records[0].stream
        inbox = tuple(InboxMark(record.source, record.stream, record.sequence) for record in records)

        async def keep(unit: "_Unit[F]") -> None:
            for record in records:
                if record.type in self.domain.learns:
                    unit.learn(record)

        origin = msgspec.structs.replace(self._own_origin(), traceparent=records[0].traceparent)
        step = self._step("learn", stream, origin)
        home = self.domain.home_of(records[0].event, stream)
        return await self._unit(home, origin, keep, step, inbox=inbox, fence=fence)

    def _step(self, name: str, stream: str, origin: Origin) -> tracing.Span:
        about = {"aftersales.order_id": stream}
        return tracing.span(self.domain.source, name, parent=origin.traceparent, attributes=about)

    def _own_origin(self) -> Origin:
        return Origin(Actor(SYSTEM, self.domain.source), correlation_id=new_id())

    # -- units of work

    async def _unit(
        self,
        stream: str,
        origin: Origin,
        work: Callable[["_Unit[F]"], Any],
        step: tracing.Span,
        *,
        inbox: tuple[InboxMark, ...] = (),
        answer: Callable[[Decided], IdempotentAnswer | None] | None = None,
        fence: Fence | None = None,
    ) -> Decided:
        """Do it as a step of the origin's trace: what follows from the records that it makes follows from this step."""
        origin = msgspec.structs.replace(origin, traceparent=step.traceparent)
        with step:
            decided = await self._decided(stream, origin, work, inbox, answer, fence)
            if step.recording:
                own = [record.type for record in decided.records if record.source == self.domain.source]
                step.tell({"aftersales.events": own})
            return decided

    async def _decided(
        self,
        stream: str,
        origin: Origin,
        work: Callable[["_Unit[F]"], Any],
        inbox: tuple[InboxMark, ...],
        answer: Callable[[Decided], IdempotentAnswer | None] | None,
        fence: Fence | None,
    ) -> Decided:
        for _ in range(CONFLICT_TRIES):
            unit = _Unit(self, stream, origin)
            try:
                await unit.open()
                await work(unit)
                await unit.follow_up()
                if self._store.shared and await unit.outdated(unit.only_read):
                    unit.discard()
                    continue
                return await unit.commit(self._appender, inbox, answer, fence)
            except VersionConflict:
                unit.discard()
            except BaseException as error:
                unit.discard()
                if isinstance(error, StoreError) or not isinstance(error, Exception):
                    raise
                if not await unit.outdated(unit.read):
                    raise
            finally:
                unit.close()
        raise StoreUnavailable(f"{stream}: other processes wrote to it {CONFLICT_TRIES} times in between")

    async def _take(self, stream: str) -> _Held[F]:
        """A file under its lock, until it is given `_back`."""
        held = self._held.get(stream)
        if held is None:
            held = self._held[stream] = _Held()
        else:
            self._held.move_to_end(stream)
        held.users += 1
        self._make_room()
        try:
            await held.lock.acquire()
        except BaseException:
            held.users -= 1
            raise
        return held

    def _back(self, held: _Held[F]) -> None:
        held.lock.release()
        held.users -= 1

    def _make_room(self) -> None:
        """Let go of what was not used the longest, never of what somebody waits for: two would change it at once."""
        while len(self._held) > self._capacity:
            oldest = next(iter(self._held))
            if self._held[oldest].users:
                self._held.move_to_end(oldest)
                return
            del self._held[oldest]

    async def _load(self, stream: str, held: _Held[F], at_least: int = 0, *, latest: bool = False) -> F:
        """The file, folded on from what is in memory. `latest`: asks the log even if that seems to be enough."""
        if held.file is not None and held.version >= at_least and not latest:
            return held.file
        file, version = (self.domain.new_file(stream), 0) if held.file is None else (held.file, held.version)
        if held.file is None:
            held.sealer = None
        async for page in self._store.stream_pages(stream, version):
            held.file = held.sealer = None  # until it is whole again
            for record in page:
                file.evolve(record)
            version = page[-1].version
        held.file, held.version = file, version
        return file


class _Unit(Generic[F]):
    """One unit of work: files under their locks, and the records to commit for each."""

    def __init__(self, files: Files[F], stream: str, origin: Origin) -> None:
        self.stream = stream
        self.touched: set[str] = set()
        self.now = files.clock.now()
        self._files = files
        self._domain = files.domain
        self._origin = origin
        self._taken: list[_Held[F]] = []
        self._held: dict[str, _Held[F]] = {}
        self._records: dict[str, list[NewRecord]] = {}
        self._sealers: dict[str, Sealer | None] = {}
        self._keys: list[KeyRow] = []
        self._words: dict[str, str] = {}

    @property
    def file(self) -> F:
        file = self._held[self.stream].file
        assert file is not None
        return file

    @property
    def version(self) -> int:
        return self._held[self.stream].version

    async def open(self) -> None:
        await self._take(self.stream)

    async def _take(self, stream: str) -> None:
        if stream not in self._held:
            held = await self._files._take(stream)
            self._taken.append(held)
            await self._files._load(stream, held)
            self._held[stream] = held
            self._records[stream] = []

    async def apply(self, events: Iterable[Event], origin: Origin | None = None) -> None:
        """Seal own events, and fold each into the file of its stream."""
        for event in events:
            stream = self._domain.stream_of(event, self.stream)
            sealed = await self._sealed(stream, event)
            self._fold(stream, _record(sealed, origin or self._origin, self.now, self._domain))

    async def _sealed(self, stream: str, event: Event) -> Event:
        """The event without a word that people wrote, and with the lock that other services seal theirs with."""
        if isinstance(event, PersonalDataErased):
            self._sealers[stream], rows = await self._files.texts.erase(stream, self.now)
            self._keys += rows
        changes = {}
        for field, words in free_texts(event).items():
            if sealer := await self._sealer(stream):
                changes[field] = sealer.seal(words)
                self._words[changes[field]] = words
        if isinstance(event, CaseOpened | PersonalDataErased) and (sealer := await self._sealer(stream)):
            changes["text_lock"] = str(sealer.lock)
        return msgspec.structs.replace(event, **changes) if changes else event

    async def _sealer(self, stream: str) -> Sealer | None:
        if stream not in self._sealers:
            known = self._held[stream].sealer
            self._sealers[stream], rows = (known, ()) if known else await self._files.texts.sealer(stream)
            self._keys += rows
        return self._sealers[stream]

    def learn(self, record: Record) -> None:
        """Keep another service's event as it is."""
        if isinstance(record.event, CaseOpened | PersonalDataErased):
            self._held[self.stream].sealer = None  # it tells the lock from now on
        self._fold(self.stream, NewRecord.of(record, record.event, record.sequence))

    def _fold(self, stream: str, record: NewRecord) -> None:
        self._records[stream].append(record)
        file = self._held[stream].file
        assert file is not None
        file.evolve(record)
        if isinstance(record.event, CaseEvent):
            self.touched.add(record.event.case_id)

    async def follow_up(self) -> None:
        """Let follow what is due, until nothing is."""
        context = Context(now=self.now, actor=Actor(SYSTEM, self._domain.source))
        for _ in range(FOLLOW_UP_ROUNDS):
            for stream in self._domain.needs(self.file, self.touched):
                await self._take(stream)
            others = {name: held.file for name, held in self._held.items() if name != self.stream}
            events = self._domain.follow_ups(self.file, others, self.touched, context)  # type: ignore[arg-type]
            if not events:
                return
            await self.apply(events, msgspec.structs.replace(self._origin, actor=context.actor))
        raise RuntimeError(f"{self._domain.source}: follow-ups of {self.stream} do not come to an end")

    def discard(self) -> None:
        """Throw away files that were folded in place and not committed (or nobody knows): the log will tell."""
        for stream, held in self._held.items():
            if self._records[stream]:
                held.file = None

    def close(self) -> None:
        """Let others have the files."""
        for held in self._taken:
            self._files._back(held)

    @property
    def read(self) -> list[str]:
        """Files that were looked at."""
        return list(self._held)

    @property
    def only_read(self) -> list[str]:
        """Files that were looked at and get no record: no append will tell whether they are what they were."""
        return [stream for stream, records in self._records.items() if not records]

    async def outdated(self, streams: Iterable[str]) -> bool:
        """Whether another process wrote to these files, so that what was decided about them does not count."""
        found = False
        for stream in streams:
            held, head = self._held[stream], await self._files._store.head(stream)
            if (head.version if head else 0) != held.version:
                held.file, found = None, True
        return found

    async def commit(
        self,
        appender: Appender,
        inbox: tuple[InboxMark, ...],
        answer: Callable[[Decided], IdempotentAnswer | None] | None,
        fence: Fence | None,
    ) -> Decided:
        records = self._records[self.stream]
        decided = Decided(self.stream, self.version + len(records), tuple(records), self._words)
        commit = Commit(
            appends=tuple(
                Append(stream, self._held[stream].version, records)
                for stream, records in self._records.items()
                if records
            ),
            inbox=inbox,
            answer=answer(decided) if answer else None,
            fence=fence,
            keys=tuple(self._keys),
        )
        if not commit.appends and not commit.inbox and commit.answer is None:
            return decided
        try:
            await appender.submit(commit)
        except asyncio.CancelledError:
            # It may be in a transaction already. Nobody may read the file before it is known how that ended: an empty
            # commit ends after it.
            with suppress(StoreError):
                await appender.submit(Commit())
            raise
        for stream, records in self._records.items():
            self._held[stream].version += len(records)
        for stream, sealer in self._sealers.items():
            self._held[stream].sealer = sealer
        return decided


def new_id() -> str:
    """An id that sorts by the time it was drawn."""
    return str(uuid_utils.uuid7())


def _record(event: Event, origin: Origin, now: datetime, domain: Domain[Any]) -> NewRecord:
    return NewRecord(
        id=new_id(),
        type=type_of(event),
        schema=event.schema_version,
        source=domain.source,
        subject=event.subject,
        time=now,
        actor=str(origin.actor),
        correlation_id=origin.correlation_id,
        causation_id=origin.causation_id,
        policy=domain.policy_version,
        traceparent=origin.traceparent,
        event=event,
        data=encode(event),
    )
