"""The ledger of one transaction: admits commits one by one against evolving heads, and collects the rows to
write.

Store-neutral: a backend loads what is there, lets the ledger decide, and writes the rows it collected.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from services.kernel.event_store import (
    Append,
    Commit,
    CommitResult,
    DeliveryGap,
    DuplicateDelivery,
    Fence,
    Fenced,
    Head,
    IdempotentAnswer,
    InboxMark,
    KeyRow,
    KeyTaken,
    Statement,
    VersionConflict,
)
from services.kernel.log import GENESIS, NewRecord, Record, chain_hash, rfc3339

Row = tuple[Any, ...]

EVENT_COLUMNS = (
    "stream",
    "version",
    "sequence",
    "id",
    "type",
    "schema",
    "source",
    "subject",
    "time",
    "actor",
    "correlation_id",
    "causation_id",
    "policy",
    "traceparent",
    "data",
    "hash",
    "position",
)
"""The order in which `Ledger.events` gives the values of a row."""


def touched_streams(batch: Sequence[Commit]) -> set[str]:
    """Streams whose heads a ledger for this batch needs."""
    return {append.stream for commit in batch for append in commit.appends}


def touched_keys(batch: Sequence[Commit]) -> set[str]:
    """Idempotency keys whose answers a ledger for this batch needs."""
    return {commit.answer.key for commit in batch if commit.answer}


def touched_inbox(batch: Sequence[Commit]) -> set[tuple[str, str]]:
    """(source, stream) pairs whose last sequence a ledger for this batch needs."""
    return {(mark.source, mark.stream) for commit in batch for mark in commit.inbox}


def touched_claims(batch: Sequence[Commit]) -> set[tuple[str, str]]:
    """(consumer, source) pairs whose last claim a ledger for this batch needs."""
    return {(commit.fence.consumer, commit.fence.source) for commit in batch if commit.fence}


class Ledger:
    """Decides a batch. Start it with what the database holds for everything the batch touches."""

    def __init__(
        self,
        position: int,
        heads: dict[str, Head],
        answers: dict[str, IdempotentAnswer],
        inbox: dict[tuple[str, str], int],
        epochs: dict[tuple[str, str], int],
    ) -> None:
        self.position = position
        self._heads = heads
        self._answers = answers
        self._inbox = inbox
        self._epochs = epochs
        self.events: list[Row] = []
        self.moved_heads: dict[str, Head] = {}
        self.moved_inbox: dict[tuple[str, str], int] = {}
        self.checkpoints: dict[tuple[str, str], int] = {}
        self.new_answers: list[IdempotentAnswer] = []
        self.keys: dict[tuple[str, int], KeyRow] = {}
        self.statements: list[Statement] = []

    def admit(self, commit: Commit) -> CommitResult:
        """Take a commit in whole, or raise why not and stay as it was.

        Raises KeyTaken before all else (a repeated request wants its answer, whatever happened since), then Fenced,
        DuplicateDelivery, DeliveryGap, VersionConflict; ValueError for what no store could keep.
        """
        if commit.answer:
            self._check_key(commit.answer)
        if commit.fence:
            self._check_fence(commit.fence)
        inbox = self._check_inbox(commit.inbox)
        for checkpoint in commit.checkpoint:
            if checkpoint.position < 0:
                raise ValueError(f"checkpoint of {checkpoint.consumer} is negative: {checkpoint.position}")
        heads: dict[str, Head] = {}
        rows: list[Row] = []
        records: list[Record] = []
        for append in commit.appends:
            heads[append.stream] = self._extend(heads, append, rows, records)

        self._heads |= heads
        self.moved_heads |= heads
        self._inbox |= inbox
        self.moved_inbox |= inbox
        self.position += len(rows)
        self.events += rows
        for checkpoint in commit.checkpoint:
            self.checkpoints[checkpoint.consumer, checkpoint.source] = checkpoint.position
        if commit.answer:
            self._answers[commit.answer.key] = commit.answer
            self.new_answers.append(commit.answer)
        self.keys |= {(key.order_id, key.number): key for key in commit.keys}
        self.statements += commit.statements
        return CommitResult(tuple(records), self.position)

    def _check_key(self, answer: IdempotentAnswer) -> None:
        if not answer.key or not answer.key.isprintable():
            raise ValueError(f"not a usable idempotency key: {answer.key!r}")
        rfc3339(answer.created_at)
        if taken := self._answers.get(answer.key):
            raise KeyTaken(taken)

    def _check_fence(self, fence: Fence) -> None:
        epoch = self._epochs.get((fence.consumer, fence.source), 0)
        if fence.epoch != epoch:
            raise Fenced(fence, epoch)

    def _check_inbox(self, marks: Sequence[InboxMark]) -> dict[tuple[str, str], int]:
        moved: dict[tuple[str, str], int] = {}
        for mark in marks:
            place = (mark.source, mark.stream)
            last = moved.get(place, self._inbox.get(place, 0))
            if mark.sequence <= last:
                raise DuplicateDelivery(mark, last)
            if mark.sequence > last + 1:
                raise DeliveryGap(mark, last)
            moved[place] = mark.sequence
        return moved

    def _extend(self, moved: dict[str, Head], append: Append, rows: list[Row], records: list[Record]) -> Head:
        """Chain an append's records to its stream: adds to `rows` and `records`, gives the new head."""
        stream = append.stream
        if not stream or not stream.isprintable():
            raise ValueError(f"not a usable stream name: {stream!r}")
        if not append.records:
            raise ValueError(f"stream {stream}: an append needs a record")
        head = moved.get(stream) or self._heads.get(stream) or Head(stream, 0, 0, GENESIS)
        if append.expected_version != head.version:
            raise VersionConflict(stream, append.expected_version, head.version)
        version, own_sequence, previous = head.version, head.sequence, head.hash
        for new in append.records:
            version += 1
            if not new.sequence:
                own_sequence += 1
            position = self.position + len(rows) + 1
            row, record = _sealed(stream, version, new.sequence or own_sequence, previous, new, position)
            previous = record.hash
            rows.append(row)
            records.append(record)
        return Head(stream, version, own_sequence, previous)


def _sealed(
    stream: str, version: int, sequence: int, previous: bytes, new: NewRecord, position: int
) -> tuple[Row, Record]:
    time = rfc3339(new.time)
    # Spelled out and positional: this runs once per event and is most of what the append path spends in
    # Python.
    fields = (
        stream,
        version,
        sequence,
        new.id,
        new.type,
        new.schema,
        new.source,
        new.subject,
        time,
        new.actor,
        new.correlation_id,
        new.causation_id,
        new.policy,
        new.traceparent,
        new.data,
    )
    hash = chain_hash(previous, *fields)
    # The time goes through its text, so that the record is the same one that a reader will get (a named zone
    # becomes its offset): folding it now and folding it later cannot differ.
    at = datetime.fromisoformat(time)
    record = Record(*fields[:8], at, *fields[9:14], new.event, new.data, hash, position)
    return (*fields, hash, position), record
