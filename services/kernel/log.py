"""The record: one event as a log holds it, and the hash that ties it to the one before in its stream."""

import hashlib
from datetime import datetime
from typing import Any

import msgspec

GENESIS = bytes(32)
"""What the first record of a stream is chained to."""

MAX_DATA_BYTES = 1_000_000
"""Largest event accepted; stays below the size of one message that brokers take by default (1 MiB)."""

_MAX_INTEGER = 2**63 - 1
_encode = msgspec.json.Encoder().encode


class NewRecord(msgspec.Struct, frozen=True, gc=False):
    """One event that a caller wants appended.

    `sequence` 0 marks an own event: the store gives it the stream's next own sequence. A learned event brings
    the sequence, source, id and time of its origin. `event` is handed through unread; `data` is what is
    stored and hashed. Raises ValueError or TypeError for values that no store could keep faithfully.
    """

    id: str
    type: str
    schema: int
    source: str
    subject: str
    time: datetime
    actor: str
    correlation_id: str
    causation_id: str
    policy: str
    traceparent: str
    event: Any
    data: bytes
    sequence: int = 0

    def __post_init__(self) -> None:
        texts = (
            self.id,
            self.type,
            self.source,
            self.subject,
            self.actor,
            self.correlation_id,
            self.causation_id,
            self.policy,
            self.traceparent,
        )
        # Joining fails for anything but text, which a store would quietly turn into text and so break the
        # chain. Unprintable are, among others, NUL and lone surrogates, which stores cannot keep.
        if not "".join(texts).isprintable():
            raise ValueError(f"record {self.id!r}: unprintable characters in {texts}")
        if not (self.id and self.type and self.source):
            raise ValueError(f"record {self.id!r}: id, type and source are required")
        if type(self.schema) is not int or not 1 <= self.schema <= _MAX_INTEGER:
            raise ValueError(f"record {self.id!r}: schema must be a positive integer, got {self.schema!r}")
        if type(self.sequence) is not int or not 0 <= self.sequence <= _MAX_INTEGER:
            raise ValueError(f"record {self.id!r}: sequence must not be negative, got {self.sequence!r}")
        if type(self.data) is not bytes:
            raise TypeError(f"record {self.id!r}: data must be bytes, got {type(self.data).__name__}")
        if len(self.data) > MAX_DATA_BYTES:
            raise ValueError(f"record {self.id!r}: {len(self.data)} bytes of data, allowed are {MAX_DATA_BYTES}")
        rfc3339(self.time)

    @classmethod
    def of(cls, record: "Record", event: Any, sequence: int) -> "NewRecord":
        """What a log holds, to be appended to another one or to another stream. `event`: what its data says."""
        return cls(
            id=record.id,
            type=record.type,
            schema=record.schema,
            source=record.source,
            subject=record.subject,
            time=record.time,
            actor=record.actor,
            correlation_id=record.correlation_id,
            causation_id=record.causation_id,
            policy=record.policy,
            traceparent=record.traceparent,
            event=event,
            data=record.data,
            sequence=sequence,
        )


class Record(msgspec.Struct, frozen=True, gc=False):
    """One event as a log holds it."""

    stream: str
    version: int
    """Place in the stream, dense from 1, learned events included."""
    sequence: int
    """Place among the stream's own (published) events, dense from 1; a learned event keeps its origin's."""
    id: str
    type: str
    schema: int
    source: str
    """The service that decided it."""
    subject: str
    time: datetime
    """Business time, aware, with the offset and microseconds it was given with."""
    actor: str
    correlation_id: str
    causation_id: str
    policy: str
    traceparent: str
    event: Any
    """The decoded contract struct; None when it was read with `decode=False`."""
    data: bytes
    """The event exactly as stored and hashed."""
    hash: bytes
    position: int = 0
    """Place in this log, dense from 1."""


class NoSuchRange(ValueError):
    """A range of positions, both ends included, that a log does not have: upside down, or past its end at `head`."""

    def __init__(self, first: int, last: int, head: int) -> None:
        super().__init__(f"no positions {first} to {last} in a log that ends at {head}")
        self.first, self.last, self.head = first, last, head

    @property
    def upside_down(self) -> bool:
        """Whether it ends before it begins."""
        return self.last < self.first


def rfc3339(time: datetime) -> str:
    """Write a time with its own offset, microseconds kept.

    Raises ValueError for a naive time and for an offset that is not whole minutes (RFC 3339 has no seconds
    there).
    """
    text = time.isoformat()
    if text[-6] not in "+-":
        raise ValueError(f"time needs an offset of whole minutes, got {text}")
    return text


def chain_hash(
    previous: bytes,
    stream: str,
    version: int,
    sequence: int,
    id: str,
    type: str,
    schema: int,
    source: str,
    subject: str,
    time: str,
    actor: str,
    correlation_id: str,
    causation_id: str,
    policy: str,
    traceparent: str,
    data: bytes,
) -> bytes:
    """Hash a record onto its predecessor in the stream: SHA-256 over the previous hash, a JSON array of the
    fields and the data. A JSON array ends where it ends and the hash has a fixed length, so no two records
    share the same bytes."""
    fields = (
        stream,
        version,
        sequence,
        id,
        type,
        schema,
        source,
        subject,
        time,
        actor,
        correlation_id,
        causation_id,
        policy,
        traceparent,
    )
    return hash_onto(previous, fields, data)


def hash_onto(previous: bytes, fields: tuple[Any, ...], data: bytes) -> bytes:
    """As `chain_hash`, for whoever has the fields in one piece, as a row holds them."""
    return hashlib.sha256(previous + _encode(fields) + data).digest()


def expected_hash(previous: bytes, record: Record) -> bytes:
    """The hash that a record must carry if it and everything before it in its stream are untouched."""
    return chain_hash(
        previous,
        record.stream,
        record.version,
        record.sequence,
        record.id,
        record.type,
        record.schema,
        record.source,
        record.subject,
        rfc3339(record.time),
        record.actor,
        record.correlation_id,
        record.causation_id,
        record.policy,
        record.traceparent,
        record.data,
    )
