"""Where operations on one service's log are started, steered and looked at."""

import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from contracts.event import type_of
from contracts.events.operations import (
    OperationCancelled,
    OperationEvent,
    OperationFailed,
    OperationFinished,
    OperationPaused,
    OperationResumed,
    OperationStarted,
)
from contracts.registry import encode
from services.kernel.clock import Clock
from services.kernel.event_store import Append, Commit, EventStore, IdempotentAnswer, Statement, VersionConflict
from services.kernel.files import new_id
from services.kernel.log import NewRecord
from services.kernel.long_work import CalledOff
from services.kernel.naming import OPERATION, operation_of, stream_of_operation
from services.kernel.operations.operation import (
    ENDED,
    Operation,
    Progress,
    State,
    begun,
    evolved,
    folded,
    new_operation_id,
)
from services.kernel.refusal import Refusal

#: How long whoever is at work on an operation is believed to be, without word, by the database's clock.
LEASE_SECONDS: Final = 10.0
#: How often a change is decided anew when somebody else changed the operation in between.
_TRIES: Final = 8
_LAST: Final = OPERATION[:-1] + chr(ord(OPERATION[-1]) + 1)
"""What stands behind all streams of operations."""

_NOTE = (
    "INSERT INTO operations (id, done, total, rate, told_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
    " done = excluded.done, total = excluded.total, rate = excluded.rate, told_at = excluded.told_at"
)
_AT_WORK: Final = frozenset[State]({"running", "paused"})
_NOT_ENDED: Final = frozenset[State]({"running", "paused", "interrupted"})

#: The answer to a request for a change, made of what came of it; it is kept with the change.
Answer = Callable[[Operation], IdempotentAnswer]


class Ticket(msgspec.Struct, frozen=True):
    """The right to work on an operation: whoever has it holds the lease in the name of `holder`."""

    operation: str
    kind: str
    holder: str


def lease_of(kind: str) -> str:
    """The lease that lets only one operation of a kind be at work on a service."""
    return f"operation:{kind}"


class Desk:
    """The operations on one service. Changes raise `Refusal` where they are not possible: `unknown_operation`,
    `operation_state`, `operation_at_work`; everything raises what a store raises."""

    def __init__(self, store: EventStore, service: str, clock: Clock) -> None:
        self.store = store
        self.service = service
        self._clock = clock

    # -- looking

    async def show(self, operation: str) -> Operation:
        """One operation as it is now; raises `Refusal`."""
        records = await self.store.read_stream(stream_of_operation(operation))
        if not records:
            raise Refusal("unknown_operation", operation=operation)
        known = folded(self.service, records)
        rows = await self.store.query("SELECT * FROM operations WHERE id = ?", (operation,))
        return msgspec.structs.replace(
            known,
            state=known.state if known.state in ENDED or await self._is_live(known) else "interrupted",
            progress=_progress(rows[0], known) if rows else None,
        )

    async def names(self, before: str = "", limit: int = 100) -> list[str]:
        """Ids of operations, newest first, older than `before`."""
        rows = await self.store.query(
            "SELECT stream FROM streams WHERE stream > ? AND stream < ? ORDER BY stream DESC LIMIT ?",
            (OPERATION, stream_of_operation(before) if before else _LAST, limit),
        )
        return [operation_of(row["stream"]) for row in rows]

    async def _is_live(self, operation: Operation) -> bool:
        return (await self.store.holder(lease_of(operation.kind))).startswith(f"{operation.id}/")

    # -- changes

    async def start(
        self, kind: str, options: dict[str, Any], by: str, reason: str, answer: Answer | None = None
    ) -> Ticket:
        """Begin an operation; whoever gets the ticket is to be at work on it soon. Raises `Refusal` where one of its
        kind is, and `KeyTaken`."""
        operation = new_operation_id(self.service, kind)
        ticket = await self._taken(operation, kind)
        event = OperationStarted(operation=operation, kind=kind, reason=reason, options=options)
        now = self._clock.now()
        told = answer(begun(self.service, event, now, by)) if answer else None
        try:
            await self._append(0, [event], now, by, told)
        except BaseException:
            await self.let_go(ticket)
            raise
        return ticket

    async def done(self, kind: str, options: dict[str, Any], by: str, reason: str, outcome: dict[str, Any]) -> str:
        """Tell of an operation that took no time: it is over as it begins. Gives its id."""
        operation = new_operation_id(self.service, kind)
        started = OperationStarted(operation=operation, kind=kind, reason=reason, options=options)
        finished = OperationFinished(operation=operation, outcome=outcome)
        await self._append(0, [started, finished], self._clock.now(), by)
        return operation

    async def announce(self, kind: str, options: dict[str, Any], by: str, reason: str) -> str:
        """Tell of an operation that takes a moment, before it is done. No lease is taken for it: several of its kind do
        no harm at a time. Gives its id, to be finished."""
        operation = new_operation_id(self.service, kind)
        started = OperationStarted(operation=operation, kind=kind, reason=reason, options=options)
        await self._append(0, [started], self._clock.now(), by)
        return operation

    async def pause(
        self, operation: str, by: str, reason: str, answer: Answer | None = None, version: int | None = None
    ) -> None:
        """Have an operation hold on where it is."""
        event = OperationPaused(operation=operation, reason=reason)
        await self._change(event, by, frozenset({"running"}), "pause", answer, version)

    async def resume(
        self, operation: str, by: str, reason: str, answer: Answer | None = None, version: int | None = None
    ) -> Ticket | None:
        """Have an operation go on. Gives a ticket where nobody is at work on it any more: it is then to be taken up."""
        known = await self.show(operation)
        ticket = await self._taken(operation, known.kind) if known.state == "interrupted" else None
        event = OperationResumed(operation=operation, reason=reason)
        may = _AT_WORK if ticket else frozenset[State]({"paused"})
        try:
            await self._change(event, by, may, "resume", answer, version)
        except BaseException:
            if ticket:
                await self.let_go(ticket)
            raise
        return ticket

    async def cancel(
        self, operation: str, by: str, reason: str, answer: Answer | None = None, version: int | None = None
    ) -> None:
        """Call an operation off. Whoever is at work on it stops after the page that it is at."""
        event = OperationCancelled(operation=operation, reason=reason)
        await self._change(event, by, _NOT_ENDED, "cancel", answer, version)

    async def finish(self, operation: str, by: str, outcome: dict[str, Any]) -> None:
        """Tell that an operation came to its end. Raises `CalledOff` where it was cancelled before."""
        await self._end(OperationFinished(operation=operation, outcome=outcome), by)

    async def fail(self, operation: str, by: str, code: str, zh: str, en: str) -> None:
        """Tell that an operation cannot go on. Raises `CalledOff` where it was cancelled before."""
        await self._end(OperationFailed(operation=operation, code=code, zh=zh, en=en), by)

    async def _end(self, event: OperationEvent, by: str) -> None:
        try:
            await self._change(event, by, _NOT_ENDED, "end")
        except Refusal as refusal:
            raise CalledOff(str(refusal)) from refusal

    async def _change(
        self,
        event: OperationEvent,
        by: str,
        may: frozenset[State],
        command: str,
        answer: Answer | None = None,
        version: int | None = None,
    ) -> None:
        """Add an event where the operation is in one of these states, whoever else changes it meanwhile."""
        for _ in range(_TRIES):
            known = await self.show(event.operation)
            if version not in (None, known.version):
                raise Refusal("version_conflict", version=known.version)
            if known.state not in may:
                raise Refusal("operation_state", operation=known.id, state=known.state, command=command)
            now = self._clock.now()
            told = answer(evolved(known, event, now, by)) if answer else None
            try:
                await self._append(known.version, [event], now, by, told)
            except VersionConflict:
                continue
            return
        raise VersionConflict(stream_of_operation(event.operation), known.version, known.version + 1)

    async def _append(
        self,
        version: int,
        events: Sequence[OperationEvent],
        now: datetime,
        by: str,
        answer: IdempotentAnswer | None = None,
    ) -> None:
        correlation = new_id()
        records = [
            NewRecord(
                id=new_id(),
                type=type_of(event),
                schema=event.schema_version,
                source=self.service,
                subject=event.subject,
                time=now,
                actor=by,
                correlation_id=correlation,
                causation_id="",
                policy="",
                traceparent="",
                event=event,
                data=encode(event),
            )
            for event in events
        ]
        append = Append(stream_of_operation(events[0].operation), version, records)
        await self._write(Commit(appends=(append,), answer=answer))

    async def _write(self, commit: Commit) -> None:
        [outcome] = await self.store.commit([commit])
        if isinstance(outcome, Exception):
            raise outcome

    # -- being at work

    async def _taken(self, operation: str, kind: str) -> Ticket:
        ticket = Ticket(operation, kind, f"{operation}/{uuid.uuid4().hex}")
        if not await self.hold(ticket):
            holder = (await self.store.holder(lease_of(kind))).partition("/")[0]
            raise Refusal("operation_at_work", service=self.service, kind=kind, operation=holder)
        return ticket

    async def hold(self, ticket: Ticket) -> bool:
        """Keep the right to work on an operation; False where another has it by now."""
        return await self.store.hold(lease_of(ticket.kind), ticket.holder, LEASE_SECONDS)

    async def let_go(self, ticket: Ticket) -> None:
        """Give the right to work on an operation back."""
        await self.store.let_go(lease_of(ticket.kind), ticket.holder)

    async def note(self, operation: str, done: int, total: int, rate: float) -> None:
        """Write down how far an operation is."""
        row = (operation, done, total, rate, time.time())
        await self._write(Commit(statements=(Statement(_NOTE, [row]),)))


def _progress(row: dict[str, Any], operation: Operation) -> Progress:
    done, total, rate = row["done"], row["total"], row["rate"]
    going_on = operation.state == "running" and rate > 0
    left = max(0, total - done) / rate if going_on else None
    return Progress(done, total, round(rate, 1), datetime.fromtimestamp(row["told_at"], UTC), left)
