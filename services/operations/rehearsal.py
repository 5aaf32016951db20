"""What would become of dead messages if they were tried again: they really are handled, in memory.

The rules of the service hear them on its files as one moment of its database shows them, with all the checks that a
commit passes. Nothing is written, so what only a database may refuse while it writes is not seen; nothing is paid or
published, because that follows from the log.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from itertools import groupby
from typing import Any, Final, cast

import msgspec

from contracts.policy import Policy, Text
from contracts.registry import decode
from services.catalogue import SERVICES
from services.kernel.appender import Appender
from services.kernel.clock import Clock
from services.kernel.event_store import (
    PAGE_RECORDS,
    Commit,
    CommitResult,
    CommitSignal,
    DuplicateDelivery,
    EventStore,
    Head,
    InboxMark,
    Reads,
    StoreUnavailable,
)
from services.kernel.files import Files
from services.kernel.kafka import dead_letters, parking
from services.kernel.kafka.dead_letters import Next, Selection
from services.kernel.kafka.message import Unreadable, incoming
from services.kernel.kafka.parking import DEAD, WAITING, ParkedMessage, Place
from services.kernel.ledger import Ledger
from services.kernel.log import Record
from services.kernel.sealing import KeptKeys, LearnedLocks
from services.kernel.service import Part
from services.kernel.settings import Settings
from services.operations.left_behind import MessageOutcome, outcome_of
from services.operations.way_out import way_out

#: Messages of one order that are looked at, those that wait behind dead ones too.
OF_STREAM: Final = 500


class Rehearsal:
    """A store that shows one moment of another one, takes commits by the same rules, and keeps them in memory."""

    shared = False  # nobody else writes to it

    def __init__(self, reads: Reads, position: int) -> None:
        self.committed = CommitSignal()
        self.recorded: list[Record] = []
        self._reads = reads
        self._heads: dict[str, Head] = {}
        self._inbox: dict[tuple[str, str], int] = {}
        self._ledger = Ledger(position, self._heads, {}, self._inbox, {})
        self._added: dict[str, list[Record]] = defaultdict(list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reads, name)

    async def read_stream(
        self,
        stream: str,
        after_version: int = 0,
        upto: int | None = None,
        limit: int | None = None,
        decode: bool = True,
    ) -> list[Record]:
        """What the moment shows, and what was committed here since."""
        found = await self._reads.read_stream(stream, after_version, upto, limit, decode)
        if limit is not None and len(found) >= limit:
            return found
        added = (one for one in self._added[stream] if one.version > after_version)
        return [*found, *(one for one in added if upto is None or one.version <= upto)][:limit]

    async def stream_pages(
        self,
        stream: str,
        after_version: int = 0,
        upto: int | None = None,
        page_records: int = PAGE_RECORDS,
        decode: bool = True,
    ) -> AsyncIterator[list[Record]]:
        """The same page by page."""
        while page := await self.read_stream(stream, after_version, upto, page_records, decode):
            yield page
            after_version = page[-1].version

    async def head(self, stream: str) -> Head | None:
        """Where a stream stands here."""
        if stream not in self._heads and (head := await self._reads.head(stream)):
            self._heads[stream] = head
        return self._heads.get(stream)

    async def handled(self, source: str, stream: str) -> int:
        """The last number of a stream that was handled."""
        if (source, stream) not in self._inbox:
            self._inbox[source, stream] = (await self._reads.inbox(source, [stream])).get(stream, 0)
        return self._inbox[source, stream]

    async def commit(self, batch: Sequence[Commit]) -> list[CommitResult | Exception]:
        """Take commits as a store would, but for what only its database can refuse."""
        outcomes: list[CommitResult | Exception] = []
        for commit in batch:
            for append in commit.appends:
                await self.head(append.stream)
            for mark in commit.inbox:
                await self.handled(mark.source, mark.stream)
            try:
                outcome = self._ledger.admit(commit)
            except Exception as error:
                outcomes.append(error)
                continue
            for record in outcome.records:
                self._added[record.stream].append(record)
            self.recorded += outcome.records
            outcomes.append(outcome)
        return outcomes


class Rehearser:
    """Tries messages that a service left behind, one order after another."""

    def __init__(self, part: Part, reads: Reads, position: int, clock: Clock) -> None:
        self._service = part.domain.source
        self._hears = part.domain.hears
        self._reads = reads
        self._store = Rehearsal(reads, position)
        store = cast(EventStore, self._store)
        self._appender = Appender(store)
        texts = KeptKeys(store) if part.keeps_keys else LearnedLocks(store)
        self._files: Files[Any] = Files(part.domain, store, self._appender, clock, texts=texts)

    async def try_all(self, messages: Sequence[ParkedMessage]) -> list[MessageOutcome]:
        """What would become of these dead messages if all of them were tried again, in their order."""
        outcomes: dict[Place, MessageOutcome] = {}
        streams: dict[tuple[str, str], list[ParkedMessage]] = defaultdict(list)
        for one in messages:
            try:
                message = one if one.stream else _joined(one)
            except Unreadable as error:
                outcomes[one.place] = self._told(one, "would_be_dead", trouble=_trouble(error))
            else:
                streams[message.source, message.stream].append(message)
        for (source, stream), chosen in streams.items():
            outcomes |= await self._try(source, stream, chosen)
        return [outcomes[one.place] for one in messages]

    async def close(self) -> None:
        """End what commits here."""
        await self._appender.close()

    async def _try(self, source: str, stream: str, chosen: Sequence[ParkedMessage]) -> dict[Place, MessageOutcome]:
        """Try what waits in a stream, as its owner does: up to the first that does not go on."""
        outcomes: dict[Place, MessageOutcome] = {}
        places = {one.place for one in chosen}
        blocked: Text | None = None
        latest: Place | None = None
        handled = await self._store.handled(source, stream)
        for sequence, alike in groupby(await self._left(source, stream, chosen), _sequence):
            copies = list(alike)
            mine = [one for one in copies if one.place in places]
            if sequence <= handled:
                outcomes |= {one.place: self._told(one, "handled") for one in mine}
                continue
            if blocked is None and sequence > handled + 1:
                blocked = way_out(self._service, Next(source, stream, handled + 1, None))
            if blocked is not None:
                outcomes |= {one.place: self._told(one, "would_wait", why=blocked) for one in mine}
                continue
            tried = await self._try_copies([one for one in copies if one.state == WAITING or one.place in places])
            outcomes |= {place: one for place, one in tried.items() if place in places}
            if any(one.outcome == "would_be_handled" for one in tried.values()):
                handled = sequence
                if mine:
                    latest = mine[0].place
                elif latest:
                    outcomes[latest] = msgspec.structs.replace(outcomes[latest], follow=outcomes[latest].follow + 1)
            else:
                stops = msgspec.structs.replace(copies[0], state=DEAD)
                blocked = way_out(self._service, Next(source, stream, sequence, stops))
        return outcomes

    async def _left(self, source: str, stream: str, chosen: Iterable[ParkedMessage]) -> list[ParkedMessage]:
        """All that was left behind of a stream, and what is chosen, by number; of copies, dead ones last."""
        selection = Selection(source=source, stream=stream, states=(DEAD, WAITING))
        found = {one.place: one for one in await dead_letters.selected(self._reads, selection, limit=OF_STREAM)}
        found |= {one.place: one for one in chosen}
        return sorted(found.values(), key=lambda one: (one.sequence, one.state == DEAD, one.place))

    async def _try_copies(self, copies: Iterable[ParkedMessage]) -> dict[Place, MessageOutcome]:
        """Handle the first of several messages with the same number that can be read."""
        outcomes: dict[Place, MessageOutcome] = {}
        done = False
        for one in copies:
            if done:
                outcomes[one.place] = self._told(one, "handled")
                continue
            before = len(self._store.recorded)
            try:
                await self._hear(_read(one))
            except Unreadable as error:
                outcomes[one.place] = self._told(one, "would_be_dead", trouble=_trouble(error))
            except (StoreUnavailable, asyncio.CancelledError):
                raise
            except Exception as error:
                return outcomes | {one.place: self._told(one, "would_fail", trouble=parking.told(error))}
            else:
                own = [r.type for r in self._store.recorded[before:] if r.source == self._service]
                outcomes[one.place] = self._told(one, "would_be_handled", events=own)
                done = True
        return outcomes

    async def _hear(self, record: Record) -> None:
        with suppress(DuplicateDelivery):
            if record.type in self._hears:
                await self._files.hear(record)
            else:
                mark = InboxMark(record.source, record.stream, record.sequence)
                await self._appender.submit(Commit(inbox=(mark,)))

    def _told(self, message: ParkedMessage, outcome: str, **said: Any) -> MessageOutcome:
        return outcome_of(self._service, message, outcome, **said)


async def rehearse(
    settings: Settings, policy: Policy, clock: Clock, store: EventStore, service: str, messages: Sequence[ParkedMessage]
) -> list[MessageOutcome]:
    """What would become of these dead messages if all of them were tried again now. Nothing is changed."""
    assembly = SERVICES[service](settings, policy, clock)  # for its rules: of its own database nothing is opened
    try:
        async with store.snapshot() as reads:
            rehearser = Rehearser(assembly.service.part, reads, await reads.head_position(), clock)
            try:
                return await rehearser.try_all(messages)
            finally:
                await rehearser.close()
    finally:
        await assembly.closed()
        await assembly.service.close()


def _joined(message: ParkedMessage) -> ParkedMessage:
    """A message of unknown stream with the one that it turns out to be of. Raises `Unreadable`."""
    record = _read(message)
    return msgspec.structs.replace(message, stream=record.stream, sequence=record.sequence, type=record.type)


def _read(message: ParkedMessage) -> Record:
    return incoming(message.message, message.source, decode)


def _trouble(error: Unreadable) -> str:
    return f"{error.cause}: {error}"


def _sequence(message: ParkedMessage) -> int:
    return message.sequence
