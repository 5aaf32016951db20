"""The table of messages that could not be handled where they came: with their bytes, so that no broker is asked again.

A message waits (for another try, for one that is missing, or behind one of its stream that does not go on) or it is
dead: it will not be tried again until somebody says so.
"""

import math
import time
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from services.kernel.event_store import Commit, Reads, Statement
from services.kernel.kafka.message import Message, Unreadable
from services.kernel.log import Record

WAITING: Final = "waiting"
DEAD: Final = "dead"
DISCARDED: Final = "discarded"
REDRIVEN: Final = "redriven"

FAILED: Final = "failed"
GAP: Final = "gap"
BEHIND: Final = "behind"

#: `due_at` of what waits for another message, not for a time.
NEVER: Final = math.inf
#: `due_at` of what somebody asked for, whatever the clock says.
AT_ONCE: Final = 0.0

#: Messages of one stream that are in memory at a time when it is tried again.
PAGE_MESSAGES: Final = 50

_COLUMNS = (
    *("consumer", "topic", "partition", "position", "key", "headers", "value", "timestamp_ms"),
    *("stream", "sequence", "type", "source", "state", "cause", "error", "tries", "due_at", "parked_at"),
    *("published_at", "resolved_at", "resolved_by", "note"),
)
_PLACE = _COLUMNS[:4]
_PARK = f"""INSERT INTO parked_messages ({", ".join(_COLUMNS)}) VALUES ({", ".join("?" * len(_COLUMNS))})
ON CONFLICT ({", ".join(_PLACE)}) DO UPDATE
SET {", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name not in _PLACE)}"""
SELECT = f"SELECT {', '.join(_COLUMNS)} FROM parked_messages"
_OF_PARTITION = "consumer = ? AND topic = ? AND partition = ?"
_OF_STREAM = f"{_OF_PARTITION} AND stream = ?"
_AT = " AND ".join(f"{name} = ?" for name in _PLACE)
_UNRESOLVED = f"state IN ('{WAITING}', '{DEAD}')"

# The first of each stream; of several with its number, one that waits.
_HEADS = f"""SELECT stream, sequence, state, cause, error, tries, due_at FROM (
    SELECT stream, sequence, state, cause, error, tries, due_at,
        row_number() OVER (PARTITION BY stream ORDER BY sequence, state DESC, position) AS place
    FROM parked_messages WHERE {_OF_PARTITION} AND stream <> '' AND {_UNRESOLVED}
) AS ranked WHERE place = 1"""
_PAGE = f"{SELECT} WHERE {_OF_STREAM} AND {_UNRESOLVED} ORDER BY sequence, state DESC, position LIMIT ?"
_CALLED = f"SELECT DISTINCT topic, partition, stream FROM parked_messages WHERE consumer = ? AND due_at = {AT_ONCE}"
_CALLED_STRAYS = f"""{SELECT} WHERE {_OF_STREAM} AND state = '{WAITING}' AND due_at = {AT_ONCE}
ORDER BY position LIMIT ?"""
_UNPUBLISHED = f"""{SELECT} WHERE {_OF_PARTITION} AND state = '{DEAD}' AND published_at IS NULL
ORDER BY position LIMIT ?"""
_COUNTS = "SELECT topic, partition, state, count(*) AS number FROM parked_messages WHERE consumer = ? AND "
_COUNTS += f"{_UNRESOLVED} GROUP BY topic, partition, state"

_KEEP_REDRIVEN = f"""UPDATE parked_messages SET state = '{REDRIVEN}', resolved_at = ?, due_at = ?
WHERE {_OF_STREAM} AND sequence < ? AND {_UNRESOLVED} AND resolved_by <> ''"""
_DELETE_HANDLED = f"DELETE FROM parked_messages WHERE {_OF_STREAM} AND sequence < ? AND {_UNRESOLVED}"
_ANSWER_CALLS = f"UPDATE parked_messages SET due_at = ? WHERE {_OF_STREAM} AND due_at = {AT_ONCE} AND NOT {_UNRESOLVED}"
_FALL_BEHIND = f"""UPDATE parked_messages SET cause = '{BEHIND}', error = '', due_at = ?
WHERE {_OF_STREAM} AND state = '{WAITING}' AND sequence >= ? AND (cause <> '{BEHIND}' OR due_at <> ?)"""
_TRY_LATER = f"UPDATE parked_messages SET cause = ?, error = ?, tries = ?, due_at = ? WHERE {_AT}"
_DIE = f"""UPDATE parked_messages SET state = '{DEAD}', cause = ?, error = ?, tries = ?, due_at = ?, published_at = NULL
WHERE {_AT}"""
_JOIN_STREAM = f"""UPDATE parked_messages SET stream = ?, sequence = ?, type = ?, source = ?, cause = '{BEHIND}'
WHERE {_AT}"""
_NOTE_PUBLISHED = f"UPDATE parked_messages SET published_at = ? WHERE {_AT} AND state = '{DEAD}'"

_headers_in = msgspec.msgpack.Encoder().encode
_headers_out = msgspec.msgpack.Decoder(tuple[tuple[str, bytes | None], ...]).decode


class Place(NamedTuple):
    """Where a message stands in its topic."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"

    @classmethod
    def parse(cls, text: str) -> "Place":
        """The place that a person wrote. Raises ValueError."""
        topic, partition, offset = text.rsplit("/", 2)
        return cls(topic, int(partition), int(offset))


class ParkedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table. Times are seconds since 1970, by the clock of who wrote them."""

    consumer: str
    message: Message
    stream: str = ""
    sequence: int = 0
    type: str = ""
    source: str = ""
    state: str
    cause: str
    error: str = ""
    tries: int = 0
    due_at: float = NEVER
    parked_at: float
    published_at: float | None = None
    resolved_at: float | None = None
    resolved_by: str = ""
    note: str = ""

    @property
    def place(self) -> Place:
        return Place(self.message.topic, self.message.partition, self.message.offset)

    def without_body(self) -> "ParkedMessage":
        """The same for who only lists it, and many more."""
        return msgspec.structs.replace(self, message=msgspec.structs.replace(self.message, value=None))

    def row(self) -> tuple[Any, ...]:
        """The values of its columns."""
        message = self.message
        return (
            *(self.consumer, message.topic, message.partition, message.offset, message.key),
            *(_headers_in(message.headers), message.value, message.timestamp_ms),
            *(self.stream, self.sequence, self.type, self.source, self.state, self.cause, self.error),
            *(self.tries, self.due_at, self.parked_at),
            *(self.published_at, self.resolved_at, self.resolved_by, self.note),
        )


class Head(msgspec.Struct, frozen=True):
    """The first message of a parked stream."""

    stream: str
    sequence: int
    state: str
    cause: str
    error: str
    tries: int
    due_at: float


def parked_message(row: dict[str, Any]) -> ParkedMessage:
    """What a row says."""
    message = Message(
        row.pop("topic"),
        row.pop("partition"),
        row.pop("position"),
        row.pop("key"),
        row.pop("value"),
        _headers_out(row.pop("headers")),
        row.pop("timestamp_ms"),
    )
    return ParkedMessage(message=message, **row)


def waiting(
    consumer: str, record: Record, message: Message, cause: str, error: str = "", tries: int = 0, due_at: float = NEVER
) -> ParkedMessage:
    """A readable message that has to wait."""
    return ParkedMessage(
        consumer=consumer,
        message=message,
        stream=record.stream,
        sequence=record.sequence,
        type=record.type,
        source=record.source,
        state=WAITING,
        cause=cause,
        error=error,
        tries=tries,
        due_at=due_at,
        parked_at=time.time(),
    )


def dead(consumer: str, message: Message, source: str, unreadable: Unreadable) -> ParkedMessage:
    """A message that nobody here can read."""
    envelope = unreadable.envelope
    return ParkedMessage(
        consumer=consumer,
        message=message,
        stream=envelope.stream if envelope else "",
        sequence=envelope.sequence if envelope else 0,
        type=envelope.type if envelope else "",
        source=source,
        state=DEAD,
        cause=unreadable.cause,
        error=told(unreadable),
        tries=1,
        parked_at=time.time(),
    )


def told(error: Exception) -> str:
    """An error as it is kept: its class, then what it says."""
    return f"{type(error).__name__}: {error}".replace("\0", "\\0")


class Parking:
    """What one partition left behind, for its owner."""

    def __init__(self, consumer: str, topic: str, partition: int) -> None:
        self.consumer = consumer
        self._partition = (consumer, topic, partition)

    async def heads(self, store: Reads) -> list[Head]:
        """The first message of each stream that does not go on."""
        return [Head(**row) for row in await store.query(_HEADS, self._partition)]

    async def page(self, store: Reads, stream: str) -> list[ParkedMessage]:
        """The first messages of a stream, by their numbers; of those with the same number, dead ones last."""
        rows = await store.query(_PAGE, (*self._partition, stream, PAGE_MESSAGES))
        return [parked_message(row) for row in rows]

    async def called_strays(self, store: Reads) -> list[ParkedMessage]:
        """Messages of unknown streams that somebody wants tried again."""
        rows = await store.query(_CALLED_STRAYS, (*self._partition, "", PAGE_MESSAGES))
        return [parked_message(row) for row in rows]

    async def unpublished(self, store: Reads, limit: int) -> list[ParkedMessage]:
        """Dead messages that are not in the dead letter topic yet."""
        rows = await store.query(_UNPUBLISHED, (*self._partition, limit))
        return [parked_message(row) for row in rows]

    def park(self, messages: Iterable[ParkedMessage]) -> Statement:
        """Keep messages; what an earlier topic had in their places makes room."""
        return Statement(_PARK, [one.row() for one in messages])

    def resolve(self, stream: str, below: int) -> tuple[Statement, ...]:
        """Everything of a stream below a number is handled. What a person asked for is kept as a proof."""
        here = (*self._partition, stream)
        return (
            Statement(_KEEP_REDRIVEN, [(time.time(), NEVER, *here, below)]),
            Statement(_DELETE_HANDLED, [(*here, below)]),
            Statement(_ANSWER_CALLS, [(NEVER, *here)]),
        )

    def fall_behind(self, streams: Iterable[tuple[str, int]]) -> Statement:
        """What waits in a stream from a number on waits for one before it."""
        return Statement(_FALL_BEHIND, [(NEVER, *self._partition, *one, NEVER) for one in streams])

    def try_later(self, offset: int, cause: str, error: Exception, tries: int, due_at: float) -> Statement:
        """Try a message again, not before `due_at`."""
        return Statement(_TRY_LATER, [(cause, told(error), tries, due_at, *self._partition, offset)])

    def die(self, offset: int, cause: str, error: Exception, tries: int) -> Statement:
        """Try a message no more."""
        return Statement(_DIE, [(cause, told(error), tries, NEVER, *self._partition, offset)])

    def join(self, offset: int, record: Record) -> Statement:
        """A message of unknown stream turned out to be of this one."""
        row = (record.stream, record.sequence, record.type, record.source, *self._partition, offset)
        return Statement(_JOIN_STREAM, [row])

    def published(self, offsets: Collection[int]) -> Commit:
        """These are in the dead letter topic."""
        rows = [(time.time(), *self._partition, offset) for offset in offsets]
        return Commit(statements=(Statement(_NOTE_PUBLISHED, rows),))


async def called(store: Reads, consumer: str) -> Sequence[tuple[str, int, str]]:
    """Topic, partition and stream ('' unknown) of what somebody wants tried again."""
    rows = await store.query(_CALLED, (consumer,))
    return [(row["topic"], row["partition"], row["stream"]) for row in rows]


async def counts(store: Reads, consumer: str) -> dict[tuple[str, int, str], int]:
    """How many messages there are by topic, partition and state (waiting or dead)."""
    rows = await store.query(_COUNTS, (consumer,))
    return {(row["topic"], row["partition"], row["state"]): row["number"] for row in rows}
