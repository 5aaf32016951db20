"""Reading a log by SQL that every database takes: the statements with `?` for each value, and what their rows mean."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from services.kernel.event_store import PAGE_RECORDS, CorruptRecord, Decode, Head, IdempotentAnswer, KeyRow, Reads
from services.kernel.ledger import EVENT_COLUMNS, Row
from services.kernel.log import Record, rfc3339

EVENTS = f"SELECT {', '.join(EVENT_COLUMNS)} FROM events"
ANSWERS = "SELECT key, request_hash, status, body, created_at, etag FROM answers"

_NO_LIMIT = 2**63 - 1


class SqlReads(Reads):
    """The reads that are the same in every database. A backend adds how a statement is run, and the others."""

    _decode: Decode

    @abstractmethod
    async def _rows(self, sql: str, params: Sequence[Any] = ()) -> Sequence[Row]: ...

    @abstractmethod
    async def _records(self, sql: str, params: Sequence[Any], decode: Decode | None) -> list[Record]: ...

    async def read_stream(
        self,
        stream: str,
        after_version: int = 0,
        upto: int | None = None,
        limit: int | None = None,
        decode: bool = True,
    ) -> list[Record]:
        return await self._records(
            f"{EVENTS} WHERE stream = ? AND version > ? AND version <= ? ORDER BY version LIMIT ?",
            (
                stream,
                after_version,
                _NO_LIMIT if upto is None else upto,
                _NO_LIMIT if limit is None else limit,
            ),
            self._decode if decode else None,
        )

    async def read_log(
        self, after_position: int, limit: int, source: str | None = None, decode: bool = True
    ) -> list[Record]:
        if source is None:
            return await self._records(
                f"{EVENTS} WHERE position > ? ORDER BY position LIMIT ?",
                (after_position, limit),
                self._decode if decode else None,
            )
        return await self._records(
            f"{EVENTS} WHERE source = ? AND position > ? ORDER BY position LIMIT ?",
            (source, after_position, limit),
            self._decode if decode else None,
        )

    async def read_by_stream(
        self, after: tuple[str, int], limit: int, last: str | None = None, decode: bool = False
    ) -> list[Record]:
        return await self._records(*_by_stream(after, last, limit), self._decode if decode else None)

    async def rows_by_stream(self, after: tuple[str, int], last: str | None, limit: int) -> Sequence[Sequence[Any]]:
        return await self._rows(*_by_stream(after, last, limit))

    async def streams(self, after: str = "", limit: int = PAGE_RECORDS) -> list[Head]:
        rows = await self._rows(
            "SELECT stream, version, sequence, hash FROM streams WHERE stream > ? ORDER BY stream LIMIT ?",
            (after, limit),
        )
        return [Head(*row) for row in rows]

    async def head(self, stream: str) -> Head | None:
        rows = await self._rows("SELECT stream, version, sequence, hash FROM streams WHERE stream = ?", (stream,))
        return Head(*rows[0]) if rows else None

    async def head_position(self) -> int:
        [(position,)] = await self._rows("SELECT coalesce(max(position), 0) FROM events")
        return int(position)

    async def answer(self, key: str) -> IdempotentAnswer | None:
        rows = await self._rows(f"{ANSWERS} WHERE key = ?", (key,))
        return answer(rows[0]) if rows else None

    async def checkpoint(self, consumer: str, source: str) -> int:
        rows = await self._rows(
            "SELECT position FROM checkpoints WHERE consumer = ? AND source = ?", (consumer, source)
        )
        return int(rows[0][0]) if rows else 0

    async def epoch(self, consumer: str, source: str) -> int:
        rows = await self._rows("SELECT epoch FROM checkpoints WHERE consumer = ? AND source = ?", (consumer, source))
        return int(rows[0][0]) if rows else 0


def _by_stream(after: tuple[str, int], last: str | None, limit: int) -> tuple[str, tuple[Any, ...]]:
    """SQL, and its values, for events by stream and version."""
    upto, names = ("", ()) if last is None else (" AND stream <= ?", (last,))
    sql = f"{EVENTS} WHERE (stream, version) > (?, ?){upto} ORDER BY stream, version LIMIT ?"
    return sql, (*after, *names, limit)


def records(rows: Iterable[Row], decode: Decode | None) -> list[Record]:
    """Records of rows of `EVENTS`, decoded if told how. Raises CorruptRecord at the first that cannot be read."""
    read = []
    at = datetime.fromisoformat
    event = None
    stream, version = "", 0
    try:
        # Spelled out and positional: this is what reading a long history costs.
        for (
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
            data,
            hash,
            position,
        ) in rows:
            if decode:
                event = decode(type, schema, data)
            read.append(
                Record(
                    stream,
                    version,
                    sequence,
                    id,
                    type,
                    schema,
                    source,
                    subject,
                    at(time),
                    actor,
                    correlation_id,
                    causation_id,
                    policy,
                    traceparent,
                    event,
                    data,
                    hash,
                    position,
                )
            )
    except Exception as error:
        raise CorruptRecord(stream, version, str(error)) from error
    return read


def answer(row: Row) -> IdempotentAnswer:
    """The answer in a row of `ANSWERS`."""
    key, request_hash, status, body, created_at, etag = row
    return IdempotentAnswer(key, request_hash, status, body, datetime.fromisoformat(created_at), etag)


def answer_row(answer: IdempotentAnswer) -> Row:
    """The row of an answer, in the order of the columns of `ANSWERS`."""
    return (
        answer.key,
        answer.request_hash,
        answer.status,
        answer.body,
        rfc3339(answer.created_at),
        answer.etag,
    )


def key_row(key: KeyRow) -> Row:
    """The row of a key: order_id, number, secret, erased_at."""
    return (key.order_id, key.number, key.secret, key.erased_at and rfc3339(key.erased_at))
