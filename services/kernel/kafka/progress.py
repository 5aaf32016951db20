"""How far a consumer came in a partition, what it left behind there, and how that is tried again.

Unlike in a log, the checkpoint moves on past a stream that does not: its messages stand in the parking table.
"""

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import groupby
from typing import Final

import msgspec
import structlog

from services.kernel.event_store import Checkpoint, Claim, Commit, DeliveryGap, Fence, Statement
from services.kernel.kafka import parking
from services.kernel.kafka.message import Message, Unreadable
from services.kernel.kafka.parking import BEHIND, DEAD, FAILED, GAP, Head, ParkedMessage, Parking
from services.kernel.log import Record
from services.kernel.progress import MAX_PARKED, TRIES_BEFORE_ALARM

#: Reads a message; raises Unreadable.
Read = Callable[[Message], Record]

_NEVER: Final = math.inf

log = structlog.get_logger(__name__)


class ParkedStream(msgspec.Struct):
    """A stream that does not go on: its first message that does not, why, and when it is tried again (monotonic)."""

    sequence: int
    cause: str
    reason: str
    dead: bool = False
    tries: int = 1
    due: float = _NEVER


class Batch:
    """Messages of one partition as they came, read as far as they can be read."""

    def __init__(self, messages: Sequence[Message], read: Read) -> None:
        self.upto = messages[-1].offset + 1
        self.records: list[Record] = []
        self.unreadable: list[tuple[Message, Unreadable]] = []
        self.messages: dict[int, Message] = {}
        """By the position behind them, which is that of their records."""
        for message in messages:
            try:
                record = read(message)
            except Unreadable as error:
                self.unreadable.append((message, error))
            else:
                self.records.append(record)
                self.messages[record.position] = message

    @property
    def unreadable_streams(self) -> set[str]:
        return {error.envelope.stream for _, error in self.unreadable if error.envelope}


class _Left(msgspec.Struct):
    """Records of a stream that did not go on, the first of them because of `error`."""

    records: Sequence[Record]
    error: Exception

    @property
    def first(self) -> Record:
        return min(self.records, key=_sequence)


class PartitionProgress:
    """The place of one owner in one partition. `begin` a batch, hand on what passes, write what is `noted`, `settle`.

    In memory are the names of parked streams only, and of a bounded number: with more, the fault is not theirs, and the
    partition waits (`full`).
    """

    def __init__(
        self, consumer: str, topic: str, partition: int, source: str, claim: Claim, retry_seconds: Sequence[float]
    ) -> None:
        self.position = claim.position
        """The next offset to handle."""
        self.fence = Fence(consumer, f"{topic}/{partition}", claim.epoch)
        self.parked: dict[str, ParkedStream] = {}
        self.parking = Parking(consumer, topic, partition)
        self.has_dead = True  # it may have from earlier on
        self.retry_seconds = retry_seconds
        self._consumer = consumer
        self._source = source
        self._batch: Batch | None = None
        self._left: dict[str, _Left] = {}
        self._rows: list[ParkedMessage] = []
        self._dead: dict[str, ParkedStream] = {}

    @property
    def name(self) -> str:
        """Its source, as checkpoints call it."""
        return self.fence.source

    @property
    def full(self) -> bool:
        """No more streams may be left behind."""
        return len(self.parked) >= MAX_PARKED

    @property
    def stuck(self) -> str:
        """What does not go on although it was tried repeatedly, for people."""
        stuck = [(stream, one) for stream, one in self.parked.items() if one.dead or one.tries >= TRIES_BEFORE_ALARM]
        if not stuck:
            return ""
        stream, first = stuck[0]
        return f"{self.name}: {len(stuck)} parked, {stream} from #{first.sequence}: {first.reason}"

    def restore(self, heads: Sequence[Head]) -> None:
        """Take over what earlier owners left behind."""
        now, wall, longest = time.monotonic(), time.time(), self.retry_seconds[-1]
        for head in heads:
            dead = head.state == DEAD
            wait = 0.0 if head.due_at == parking.NEVER else min(max(0.0, head.due_at - wall), longest)
            self.parked[head.stream] = ParkedStream(
                head.sequence, head.cause, head.error, dead, head.tries, _NEVER if dead else now + wait
            )

    def begin(self, batch: Batch, handled: Mapping[str, int]) -> list[Record]:
        """The records of a batch that need not wait. `handled`: the inbox of its unreadable streams."""
        self._batch, self._left, self._rows, self._dead = batch, {}, [], {}
        for message, error in batch.unreadable:
            envelope = error.envelope
            if envelope and envelope.sequence <= handled.get(envelope.stream, 0):
                continue  # it was handled when it still could be read
            self._rows.append(parking.dead(self._consumer, message, self._source, error))
            if envelope:
                self._is_dead(envelope.stream, envelope.sequence, error)
        passing = []
        for record in batch.records:
            parked, dead = self.parked.get(record.stream), self._dead.get(record.stream)
            if parked is None and (dead is None or record.sequence < dead.sequence):
                passing.append(record)
            else:
                message = batch.messages[record.position]
                self._rows.append(parking.waiting(self._consumer, record, message, BEHIND))
        return passing

    def park(self, records: Sequence[Record], error: Exception) -> None:
        """Leave a stream behind from the first of these records on."""
        self._left[records[0].stream] = _Left(records, error)

    def noted(self, position: int) -> Commit:
        """What to write once everything up to `position`, and so the whole batch, is handled or parked."""
        batch = self._batch
        assert batch is not None
        rows = [*self._rows, *(row for left in self._left.values() for row in self._left_behind(left, batch))]
        fallen = [(stream, one.sequence) for stream, one in self._dead.items()]
        checkpoint = Checkpoint(self._consumer, self.name, max(position, batch.upto))
        # The order matters: what falls behind a dead message may stand in the table only since this very commit.
        statements = (self.parking.park(rows), self.parking.fall_behind(fallen))
        return Commit(checkpoint=(checkpoint,), statements=_not_empty(statements), fence=self.fence)

    def settle(self) -> None:
        """The batch is on disk."""
        batch, self._batch = self._batch, None
        assert batch is not None
        for stream, left in self._left.items():
            self._is_parked(stream, left)
        for stream, dead in self._dead.items():
            parked = self.parked.get(stream)
            if parked is None or dead.sequence <= parked.sequence:
                self.parked[stream] = dead
        for row in self._rows:
            if row.state == DEAD:
                self.tell_dead(row)
            elif parked := self.parked.get(row.stream):
                _wake(parked, row.sequence)
        self.position = batch.upto
        self._left, self._rows, self._dead = {}, [], {}

    def due(self) -> list[str]:
        """Parked streams that are to be tried again now."""
        now = time.monotonic()
        return [stream for stream, one in self.parked.items() if one.due <= now]

    def call(self, stream: str) -> None:
        """Somebody wants a stream tried again now."""
        parked = self.parked.setdefault(stream, ParkedStream(0, BEHIND, ""))
        parked.due = 0.0

    def pause_s(self, longest_s: float) -> float:
        """Seconds to wait for new messages before the next parked stream is due."""
        next_due = min((one.due for one in self.parked.values()), default=_NEVER)
        return min(longest_s, max(0.0, next_due - time.monotonic()))

    def tell_dead(self, row: ParkedMessage) -> None:
        """A message is dead: somebody has to look, and it has to get into the dead letter topic."""
        self.has_dead = True
        log.error(
            "message_dead",
            consumer=self._consumer,
            place=str(row.place),
            stream=row.stream,
            sequence=row.sequence,
            cause=row.cause,
            error=row.error,
        )

    def wait_s(self, tries: int) -> float:
        """Seconds until a message that failed so often is tried again."""
        return self.retry_seconds[min(tries, len(self.retry_seconds)) - 1]

    def tell_parked(self, stream: str, sequence: int, error: Exception) -> None:
        log.error(
            "stream_parked",
            consumer=self._consumer,
            source=self.name,
            stream=stream,
            sequence=sequence,
            exc_info=error,
        )

    def _is_dead(self, stream: str, sequence: int, error: Unreadable) -> None:
        known = self._dead.get(stream)
        if known is None or sequence < known.sequence:
            self._dead[stream] = ParkedStream(sequence, error.cause, str(error), dead=True)

    def _is_parked(self, stream: str, left: _Left) -> None:
        self.parked[stream] = ParkedStream(
            left.first.sequence, _cause(left.error), parking.told(left.error), due=time.monotonic() + self.wait_s(1)
        )
        self.tell_parked(stream, left.first.sequence, left.error)

    def _left_behind(self, left: _Left, batch: Batch) -> list[ParkedMessage]:
        rows = []
        for record in left.records:
            message = batch.messages[record.position]
            if record is left.first:
                due_at = time.time() + self.wait_s(1)
                told = parking.told(left.error)
                rows.append(
                    parking.waiting(self._consumer, record, message, _cause(left.error), told, tries=1, due_at=due_at)
                )
            else:
                rows.append(parking.waiting(self._consumer, record, message, BEHIND))
        return rows


class StreamRetry:
    """Another try of what waits in one parked stream: a page of it, up to the first message that is dead."""

    def __init__(
        self, progress: PartitionProgress, stream: str, page: Sequence[ParkedMessage], handled: int, read: Read
    ) -> None:
        """`handled`: the number up to which everything in the stream was handled, by whomever."""
        self.fence = progress.fence
        self.records: list[Record] = []
        self.over = not page
        """Nothing more of the stream can be tried now."""
        self._progress = progress
        self._parking = progress.parking
        self._stream = stream
        self._rows: dict[int, ParkedMessage] = {}
        self._handled = handled
        self._unreadable: list[tuple[ParkedMessage, Unreadable]] = []
        self._blocked: ParkedMessage | None = None
        self._left: _Left | None = None
        for sequence, copies in groupby(page, key=_sequence):
            if sequence > handled and not self._take(list(copies), read):
                break

    def park(self, records: Sequence[Record], error: Exception) -> None:
        """Leave the stream behind once more."""
        self._left = _Left(records, error)

    def noted(self, position: int = 0) -> Commit:
        """What to write once these records are handled, or left behind again."""
        statements = [
            *self._parking.resolve(self._stream, self._below),
            *(self._parking.die(row.message.offset, e.cause, e, row.tries + 1) for row, e in self._unreadable),
        ]
        if self._left:
            statements += self._try_later(self._left)
        elif self._blocked:
            statements.append(self._parking.fall_behind([(self._stream, self._blocked.sequence)]))
        return Commit(statements=_not_empty(statements), fence=self.fence)

    def settle(self) -> None:
        """It is on disk."""
        for row, error in self._unreadable:
            self._progress.tell_dead(msgspec.structs.replace(row, cause=error.cause, error=parking.told(error)))
        if self._left:
            self._is_left(self._left)
        elif self._blocked:
            self._is_blocked(self._blocked)
        elif self.over:
            parked = self._progress.parked.pop(self._stream)
            log.info("stream_resumed", source=self._progress.name, stream=self._stream, tries=parked.tries)

    @property
    def _below(self) -> int:
        """Everything below this number is handled."""
        if self._left:
            return self._left.first.sequence
        return max([self._handled, *(record.sequence for record in self.records)]) + 1

    def _take(self, copies: Sequence[ParkedMessage], read: Read) -> bool:
        """Take the first of several messages with the same number that can be read; False where none can."""
        for row in copies:
            if row.state == DEAD:
                continue
            try:
                record = read(row.message)
            except Unreadable as error:
                self._unreadable.append((row, error))
            else:
                self.records.append(record)
                self._rows[record.position] = row
                return True
        self._blocked, self.over = copies[0], True
        return False

    def _try_later(self, left: _Left) -> list[Statement]:
        row, sequence, tries = self._first(left)
        statements = [self._parking.fall_behind([(self._stream, sequence)])]
        if self._is_hopeless(left):
            statements.append(self._parking.die(row.message.offset, FAILED, left.error, tries))
        else:
            due_at = time.time() + self._progress.wait_s(tries)
            later = self._parking.try_later(row.message.offset, _cause(left.error), left.error, tries, due_at)
            statements.append(later)
        return statements

    def _is_left(self, left: _Left) -> None:
        self.over = True
        row, sequence, tries = self._first(left)
        before, dead = self._progress.parked[self._stream], self._is_hopeless(left)
        self._progress.parked[self._stream] = ParkedStream(
            sequence,
            _cause(left.error),
            parking.told(left.error),
            dead,
            tries,
            _NEVER if dead else time.monotonic() + self._progress.wait_s(tries),
        )
        if dead:
            told = parking.told(left.error)
            self._progress.tell_dead(msgspec.structs.replace(row, cause=FAILED, error=told))
        elif before.sequence != sequence or before.cause != _cause(left.error):  # told once, not at every try
            self._progress.tell_parked(self._stream, sequence, left.error)

    def _is_blocked(self, row: ParkedMessage) -> None:
        self._progress.parked[self._stream] = ParkedStream(
            row.sequence, row.cause, row.error, dead=True, tries=row.tries
        )

    def _is_hopeless(self, left: _Left) -> bool:
        """A missing message is waited for however long it takes."""
        tries = self._first(left)[2]
        return not isinstance(left.error, DeliveryGap) and tries > len(self._progress.retry_seconds)

    def _first(self, left: _Left) -> tuple[ParkedMessage, int, int]:
        """The row of the first record left behind, its number, and how often it failed now."""
        row = self._rows[left.first.position]
        return row, row.sequence, row.tries + 1


def _wake(parked: ParkedStream, sequence: int) -> None:
    """What just arrived may be what is missing, or a sound copy of what is dead."""
    if (parked.cause == GAP or parked.dead) and sequence <= parked.sequence:
        parked.due = 0.0


def _cause(error: Exception) -> str:
    return GAP if isinstance(error, DeliveryGap) else FAILED


def _sequence(one: Record | ParkedMessage) -> int:
    return one.sequence


def _not_empty(statements: Collection[Statement]) -> tuple[Statement, ...]:
    return tuple(statement for statement in statements if statement.rows)
