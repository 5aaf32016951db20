"""An event as a Kafka message, in both directions; the envelope itself is `contracts.envelope`."""

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from contracts import envelope
from contracts.envelope import Envelope, Published
from contracts.registry import UnknownEvent
from services.kernel.event_store import Decode
from services.kernel.log import MAX_DATA_BYTES, Record

#: Sources that are other companies' systems: whatever their events call themselves, the topic says who they are.
UPSTREAM: Final = frozenset({"orders"})

Headers: TypeAlias = Sequence[tuple[str, bytes | None]]
Cause: TypeAlias = Literal["invalid_envelope", "unknown_type", "invalid_body", "too_large"]

#: How the headers of a dead letter begin that say why it is one.
ERRORS: Final = "__streams.errors."

_MAX_INTEGER = 2**63 - 1


class Message(msgspec.Struct, frozen=True):
    """A message as a topic holds it; `timestamp_ms` is when it was sent, by the sender's clock."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int


class Outgoing(msgspec.Struct, frozen=True):
    """A message to be sent.

    It carries the time of sending, not that of the event: brokers forget by it, and an old event that is published
    again would be forgotten at once.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers


class Unreadable(Exception):
    """A message that no handler may see; it would be no different at the next try.

    `envelope` is what could be read of it; None where it is not known which stream it belongs to.
    """

    def __init__(self, cause: Cause, reason: str, envelope: Envelope | None = None) -> None:
        super().__init__(reason)
        self.cause: Cause = cause
        self.envelope = envelope


def outgoing(record: Published, topic: str) -> Outgoing:
    """The message of a record of one's own log."""
    return Outgoing(topic, envelope.key(record), record.data, envelope.headers(record))


def dead_letter(message: Message, topic: str, error: str) -> Outgoing:
    """A message for a topic of dead letters: bytes and headers as they are, and what went wrong. `error` is the class
    of the error, then what it says. The headers are those of Kafka Streams (KIP-1034)."""
    exception, _, reason = error.partition(": ")
    told = {
        "exception": exception,
        "message": reason,
        "topic": message.topic,
        "partition": str(message.partition),
        "offset": str(message.offset),
    }
    kept = [header for header in message.headers if not header[0].startswith(ERRORS)]
    headers = [*kept, *((ERRORS + name, text.encode("utf-8", "backslashreplace")) for name, text in told.items())]
    return Outgoing(topic, message.key, message.value, headers)


def incoming(message: Message, source: str, decode: Decode) -> Record:
    """The record of a message on the topic of `source`: version and sequence are one and the same, there is no hash,
    and the position is the offset behind it. Raises Unreadable."""
    whole = _whole(message, source)
    if len(whole.data) > MAX_DATA_BYTES:
        raise Unreadable("too_large", f"{len(whole.data)} bytes of data, allowed are {MAX_DATA_BYTES}", whole)
    try:
        event = decode(whole.type, whole.schema, whole.data)
    except UnknownEvent as error:
        raise Unreadable("unknown_type", str(error), whole) from error
    except Exception as error:  # lifting an older version meets whatever stands in the body
        raise Unreadable("invalid_body", _said(error), whole) from error
    return Record(
        stream=whole.stream,
        version=whole.sequence,
        sequence=whole.sequence,
        id=whole.id,
        type=whole.type,
        schema=whole.schema,
        source=source,
        subject=whole.subject,
        time=whole.time,
        actor=whole.actor,
        correlation_id=whole.correlation_id,
        causation_id=whole.causation_id,
        policy=whole.policy,
        traceparent=whole.traceparent,
        event=event,
        data=whole.data,
        hash=b"",
        position=message.offset + 1,
    )


def _whole(message: Message, source: str) -> Envelope:
    try:
        whole = envelope.parse(message.key, message.headers, message.value)
    except ValueError as error:  # EnvelopeInvalid, or a number with thousands of digits
        raise Unreadable("invalid_envelope", str(error)) from error
    if source not in UPSTREAM and whole.source != source:
        raise Unreadable("invalid_envelope", f"ce_source: {whole.source} does not publish on {message.topic}")
    texts = (
        *(whole.stream, whole.id, whole.type, whole.subject, whole.actor, whole.correlation_id, whole.causation_id),
        *(whole.policy, whole.traceparent),
    )
    if not "".join(texts).isprintable():  # no store could keep them
        raise Unreadable("invalid_envelope", "unprintable characters in its key or headers")
    if max(whole.sequence, whole.schema) > _MAX_INTEGER:
        raise Unreadable("invalid_envelope", "a number beyond 64 bits")
    return whole


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, msgspec.MsgspecError) else f"{type(error).__name__}: {error}"
