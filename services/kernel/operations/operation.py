"""What an operation is by now: its events folded, and what is known of it beside them."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final, Literal, get_args

import msgspec

from contracts.events.operations import (
    OperationCancelled,
    OperationEvent,
    OperationFailed,
    OperationFinished,
    OperationPaused,
    OperationResumed,
    OperationStarted,
)
from services.kernel.log import Record

State = Literal["running", "paused", "interrupted", "cancelled", "finished", "failed"]
STATES: Final[tuple[State, ...]] = get_args(State)
#: States that last.
ENDED: Final = frozenset({"cancelled", "finished", "failed"})

_ID: Final = re.compile(r"\d{8}T\d{12}Z-([a-z]+)-[a-z_]+")


class Progress(msgspec.Struct, frozen=True):
    """How far an operation is: `done` of `total` units, at `rate` units a second lately. `seconds_left` is None where
    nobody can tell."""

    done: int
    total: int
    rate: float
    told_at: datetime
    seconds_left: float | None


class Trouble(msgspec.Struct, frozen=True):
    """Why an operation failed."""

    code: str
    zh: str
    en: str


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One operation. `interrupted`: nobody is at work on it though it was neither ended nor cancelled.

    `since`: when it came to be in its state; `by_last` and `reason_last`: who started or steered it last, and why.
    """

    id: str
    service: str
    kind: str
    options: dict[str, Any]
    state: State
    by: str
    reason: str
    started_at: datetime
    since: datetime
    by_last: str
    reason_last: str
    outcome: dict[str, Any] = {}
    trouble: Trouble | None = None
    progress: Progress | None = None
    version: int = 0


def new_operation_id(service: str, kind: str) -> str:
    """An id that sorts by the time it was drawn, and says what it is: `20261005T020000000000Z-cases-verify`."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}Z-{service}-{kind}"


def service_in(operation: str) -> str:
    """The service that an operation works on, by its id; "" for what is no id."""
    match = _ID.fullmatch(operation)
    return match[1] if match else ""


def folded(service: str, records: Iterable[Record]) -> Operation:
    """An operation by the events of its stream, of which there is at least the first."""
    operation: Operation | None = None
    for record in records:
        event: OperationEvent = record.event
        if operation is None:
            operation = begun(service, event, record.time, record.actor)
        else:
            operation = evolved(operation, event, record.time, record.actor)
    assert operation is not None
    return operation


def begun(service: str, event: OperationEvent, time: datetime, actor: str) -> Operation:
    """An operation after its first event."""
    assert isinstance(event, OperationStarted)
    return Operation(
        id=event.operation,
        service=service,
        kind=event.kind,
        options=event.options,
        state="running",
        by=actor,
        reason=event.reason,
        started_at=time,
        since=time,
        by_last=actor,
        reason_last=event.reason,
        version=1,
    )


def evolved(operation: Operation, event: OperationEvent, time: datetime, actor: str) -> Operation:
    """An operation after its next event."""
    changes: dict[str, Any] = {"since": time, "version": operation.version + 1}
    match event:
        case OperationPaused(reason=reason):
            changes |= {"state": "paused", "by_last": actor, "reason_last": reason}
        case OperationResumed(reason=reason):
            changes |= {"state": "running", "by_last": actor, "reason_last": reason}
        case OperationCancelled(reason=reason):
            changes |= {"state": "cancelled", "by_last": actor, "reason_last": reason}
        case OperationFinished(outcome=outcome):
            changes |= {"state": "finished", "outcome": outcome}
        case OperationFailed(code=code, zh=zh, en=en):
            changes |= {"state": "failed", "trouble": Trouble(code, zh, en)}
    return msgspec.structs.replace(operation, **changes)
