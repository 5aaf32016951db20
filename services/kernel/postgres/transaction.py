"""One transaction of the event store: judge a batch, draw positions, write it, and know what became of it."""

from collections.abc import Awaitable, Iterable, Sequence
from enum import Enum, auto
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

import msgspec
from asyncpg import Connection

from services.kernel.event_store import Commit, CommitResult, Head, IdempotentAnswer, StoreError, StoreUnavailable
from services.kernel.ledger import (
    EVENT_COLUMNS,
    Ledger,
    Row,
    touched_claims,
    touched_inbox,
    touched_keys,
    touched_streams,
)
from services.kernel.log import GENESIS
from services.kernel.postgres.connection import LOST_CLASSES, done, rolled_back, sqlstate
from services.kernel.postgres.statements import END_SESSION, LOAD, LOCK, POSITION_OF, numbered, saving
from services.kernel.sql_reads import answer, answer_row, key_row

T = TypeVar("T")

HEADS = 20_000
"""How many heads a process remembers; about 10 MB."""


class OutcomeUnknown(Exception):
    """The connection was lost after the server was told to commit and before it answered."""


class Judging(Enum):
    """What a batch is judged by. Whatever it is, the last statement looks under the lock whether it is still so."""

    AS_EXPECTED = auto()
    """By what its commits expect and this process wrote last: nothing is asked. Never a reason to refuse."""
    AS_COMMITTED = auto()
    """By what the database holds now."""
    UNDER_LOCK = auto()
    """By what the database holds while nobody else can write: it cannot be overtaken."""


class Heads:
    """The heads that this process wrote last, by stream. Others may have moved them on since."""

    def __init__(self, capacity: int = HEADS) -> None:
        self._capacity = capacity
        self._heads: dict[str, Head] = {}

    def at(self, stream: str, version: int) -> Head | None:
        """The head of a stream at this version, if it is known."""
        if not version:
            return Head(stream, 0, 0, GENESIS)
        head = self._heads.get(stream)
        return head if head is not None and head.version == version else None

    def note(self, heads: Iterable[Head]) -> None:
        """Remember heads, and forget those that were noted the longest ago."""
        for head in heads:
            self._heads.pop(head.stream, None)
            self._heads[head.stream] = head
        while len(self._heads) > self._capacity:
            del self._heads[next(iter(self._heads))]


class _State(NamedTuple):
    """What a batch is judged by."""

    heads: dict[str, Head]
    answers: dict[str, IdempotentAnswer]
    inbox: dict[tuple[str, str], int]
    epochs: dict[tuple[str, str], int]


class Transaction:
    """One try to write a batch.

    The last statement takes the lock, checks that what the batch was judged by is still so, draws positions and writes
    everything. Where no read tables are written too, it is a transaction of its own: the lock is held as long as the
    server needs, however busy, frozen or dead this process may be.
    """

    def __init__(self, batch: Sequence[Commit], expected_position: int, heads: Heads) -> None:
        self._batch = batch
        self._expected_position = expected_position
        self._heads = heads
        self._session = 0
        # What cannot be printed cannot be stored either; the ledger says so when it comes to it.
        self._streams = [stream for stream in touched_streams(batch) if stream.isprintable()]
        self._keys = [key for key in touched_keys(batch) if key.isprintable()]
        self._places = [place for place in touched_inbox(batch) if "".join(place).isprintable()]
        self._claims = [claim for claim in touched_claims(batch) if "".join(claim).isprintable()]

    async def run(self, database: Connection, judging: Judging) -> list[CommitResult | Exception]:
        """Write it; raises Overtaken, OutcomeUnknown, StoreUnavailable, or what the database has against it."""
        self._session = database.get_server_pid()
        alone = judging is Judging.UNDER_LOCK
        if not alone and not any(commit.statements for commit in self._batch):
            await self._judge(database, judging)
            shift = await self._ended(database, self._save(database))
        else:
            async with rolled_back(database):
                await done(database, database.execute(f"BEGIN; {LOCK}" if alone else "BEGIN"))
                await self._judge(database, judging)
                for sql, statements in groupby(self._ledger.statements, attrgetter("sql")):
                    rows = [row for statement in statements for row in statement.rows]
                    await done(database, database.executemany(numbered(sql), rows))
                shift = await done(database, self._save(database))
                await self._ended(database, database.execute("COMMIT"))
        self._heads.note(self._ledger.moved_heads.values())
        return self._placed(shift)

    @property
    def leaves_a_trace(self) -> bool:
        """Whether the log shows if it was written."""
        return bool(self._ledger.events)

    async def written(self, database: Connection) -> list[CommitResult | Exception] | None:
        """The outcomes if it was written after all; None if it was not and never will be."""
        for [ended] in await done(database, database.fetch(END_SESSION, self._session)):
            if not ended:
                raise StoreUnavailable("the lost session still runs")
        last = dict(zip(EVENT_COLUMNS, self._ledger.events[-1], strict=True))
        position = await done(database, database.fetchval(POSITION_OF, last["stream"], last["version"], last["hash"]))
        return None if position is None else self._placed(position - last["position"])

    async def _judge(self, database: Connection, judging: Judging) -> None:
        if judging is Judging.AS_EXPECTED:
            expected = self._expected()
            if expected is not None and self._admits_all(expected):
                return
        self._admits_all(await self._committed(database))

    def _expected(self) -> _State | None:
        """What every commit of the batch would be right about; None where a head is not known."""
        state = _State({}, {}, {}, {})
        for commit in self._batch:
            for append in commit.appends:
                if append.stream not in state.heads:
                    head = self._heads.at(append.stream, append.expected_version)
                    if head is None:
                        return None
                    state.heads[append.stream] = head
            for mark in commit.inbox:
                state.inbox.setdefault((mark.source, mark.stream), mark.sequence - 1)
            if fence := commit.fence:
                state.epochs.setdefault((fence.consumer, fence.source), fence.epoch)
        return state

    async def _committed(self, database: Connection) -> _State:
        """What the database holds of all that the batch touches."""
        asked = (self._streams, self._keys, *_columns(self._places, 2), *_columns(self._claims, 2))
        heads, answers, inbox, epochs = await done(database, database.fetchrow(LOAD, *asked))
        return _State(
            {row[0]: Head(*row) for row in heads},
            {row[0]: answer(row) for row in answers},
            {(source, stream): sequence for source, stream, sequence in inbox},
            {(consumer, source): epoch for consumer, source, epoch in epochs},
        )

    def _admits_all(self, state: _State) -> bool:
        """Judge every commit; gives whether none is refused."""
        # Before the ledger moves it on.
        self._judged_by = (
            self._streams,
            [state.heads[stream].version if stream in state.heads else 0 for stream in self._streams],
            [key for key in self._keys if key not in state.answers],
            *_columns([(*place, state.inbox.get(place, 0)) for place in self._places], 3),
            *_columns([(*claim, state.epochs.get(claim, 0)) for claim in self._claims], 3),
        )
        self._ledger = Ledger(self._expected_position, *state)
        self._outcomes: list[CommitResult | Exception] = []
        for commit in self._batch:
            try:
                self._outcomes.append(self._ledger.admit(commit))
            except (StoreError, ValueError) as refusal:
                self._outcomes.append(refusal)
        return not any(isinstance(outcome, Exception) for outcome in self._outcomes)

    async def _save(self, database: Connection) -> int:
        """Write what the ledger collected; gives how far from what was expected the positions came to lie."""
        rows = _rows_of(self._ledger)
        values = [column for table in rows.values() for column in zip(*table, strict=True)]
        checked = bool(rows.keys() - {"checkpoints"}) or any(commit.fence for commit in self._batch)
        judged_by = self._judged_by if checked else ()
        shift: int = await database.fetchval(saving(tuple(rows), checked), *judged_by, self._expected_position, *values)
        return shift

    async def _ended(self, database: Connection, ending: Awaitable[T]) -> T:
        try:
            return await done(database, ending)
        except StoreUnavailable as error:
            code = sqlstate(error.__cause__)
            if code and code[:2] not in LOST_CLASSES:
                raise
            database.terminate()
            raise OutcomeUnknown(str(error)) from error

    def _placed(self, shift: int) -> list[CommitResult | Exception]:
        if not shift:
            return self._outcomes
        return [_shifted(one, shift) if isinstance(one, CommitResult) else one for one in self._outcomes]


def _columns(rows: Sequence[Row], width: int) -> list[list[Any]]:
    """Rows turned on their side; as many columns where there is no row."""
    return [[row[place] for row in rows] for place in range(width)]


def _rows_of(ledger: Ledger) -> dict[str, Sequence[Row]]:
    rows: dict[str, Sequence[Row]] = {
        "events": ledger.events,
        "streams": [(head.stream, head.version, head.sequence, head.hash) for head in ledger.moved_heads.values()],
        "answers": [answer_row(answer) for answer in ledger.new_answers],
        "inbox": [(*place, sequence) for place, sequence in ledger.moved_inbox.items()],
        "checkpoints": [(*place, position) for place, position in ledger.checkpoints.items()],
        "text_keys": [key_row(key) for key in ledger.keys.values()],
    }
    return {table: found for table, found in rows.items() if found}


def _shifted(result: CommitResult, shift: int) -> CommitResult:
    return CommitResult(
        tuple(msgspec.structs.replace(record, position=record.position + shift) for record in result.records),
        result.position + shift,
    )
