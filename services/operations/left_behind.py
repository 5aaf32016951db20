"""Messages that a service left behind, as documents."""

import base64
from datetime import datetime
from typing import Any

import msgspec

from contracts.policy import Text
from services.kernel.kafka.parking import ParkedMessage
from services.kernel.shop_time import SHOP_TIME


class LeftBehind(msgspec.Struct, frozen=True, kw_only=True):
    """A message that `service` left behind: `place` is topic/partition/offset; `stream` its order, `sequence` its
    number among the events of `source` about that order; `cause` why, and `error` what went wrong."""

    service: str
    place: str
    state: str
    cause: str
    stream: str
    sequence: int
    type: str
    source: str
    error: str
    tries: int
    parked_at: datetime


class KeptMessage(LeftBehind, frozen=True, kw_only=True):
    """A message, and what somebody did about it: who and why, and when it was resolved."""

    resolved_at: datetime | None
    resolved_by: str
    note: str


class WholeMessage(KeptMessage, frozen=True, kw_only=True):
    """All that is known of a message. `readable`: why this program cannot read it, "" where it can; `body`: JSON as it
    is, else text, or base64 where it is none."""

    readable: str
    published_at: datetime | None
    key: str | None
    headers: list[tuple[str, str | None]]
    body: Any


class MessageOutcome(LeftBehind, frozen=True, kw_only=True):
    """A message, and what became of it or would.

    Redriven: `handled`, `dead` once more, `waits` for one before it, `trying`: nothing yet. Given up: `discarded`, or
    `refused`, for one before it was not handled either. Of a preview: `would_be_handled`, `would_fail` in its handling,
    `would_be_dead` because nobody can read it, `would_wait`, `would_be_discarded`, or `handled` and `refused`.

    `why`: what to do first; `trouble`: what goes wrong; `events`: types of what the service would record; `follow`: how
    many messages that wait behind it would then be handled too.
    """

    outcome: str
    why: Text | None = None
    trouble: str = ""
    events: list[str] = []
    follow: int = 0


def left_behind(service: str, message: ParkedMessage) -> LeftBehind:
    """What a list says of a message."""
    return LeftBehind(**_line(service, message))


def kept(service: str, message: ParkedMessage) -> KeptMessage:
    """What a list says of a message that may be resolved."""
    return KeptMessage(**_line(service, message), **_resolved(message))


def outcome_of(service: str, message: ParkedMessage, outcome: str, **said: Any) -> MessageOutcome:
    """What became of a message. `said`: further fields of `MessageOutcome`."""
    return MessageOutcome(**_line(service, message), outcome=outcome, **said)


def whole_message(service: str, message: ParkedMessage, unreadable: str) -> WholeMessage:
    """All that is known of a message. `unreadable`: why this program cannot read it, if it cannot."""
    return WholeMessage(
        **_line(service, message),
        **_resolved(message),
        readable=unreadable,
        published_at=at(message.published_at) if message.published_at is not None else None,
        key=_text(message.message.key),
        headers=[(name, _text(value)) for name, value in message.message.headers],
        body=_body(message.message.value),
    )


def at(seconds: float) -> datetime:
    """Seconds since 1970 as the shop's time, whole seconds."""
    return datetime.fromtimestamp(int(seconds), SHOP_TIME)


def _line(service: str, message: ParkedMessage) -> dict[str, Any]:
    return {
        "service": service,
        "place": str(message.place),
        "state": message.state,
        "cause": message.cause,
        "stream": message.stream,
        "sequence": message.sequence,
        "type": message.type,
        "source": message.source,
        "error": message.error,
        "tries": message.tries,
        "parked_at": at(message.parked_at),
    }


def _resolved(message: ParkedMessage) -> dict[str, Any]:
    return {
        "resolved_at": at(message.resolved_at) if message.resolved_at is not None else None,
        "resolved_by": message.resolved_by,
        "note": message.note,
    }


def _body(value: bytes | None) -> Any:
    try:
        return msgspec.json.decode(value or b"null")
    except (msgspec.DecodeError, RecursionError):
        return _text(value)


def _text(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return "base64:" + base64.b64encode(value or b"").decode()
