"""What every event store must do, whatever it is built on. A backend's test module derives from the classes
here and gives them a `database` fixture.

Run as a program, this module is a second process that appends: see `test_processes_share_one_log`.
"""

import asyncio
import importlib
import random
import shutil
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Protocol, cast
from zoneinfo import ZoneInfo

import pytest

from services.kernel.appender import Appender
from services.kernel.event_store import (
    Append,
    Checkpoint,
    Claim,
    Commit,
    CommitFailed,
    CommitResult,
    CorruptRecord,
    DeliveryGap,
    DuplicateDelivery,
    EventStore,
    Fence,
    Fenced,
    IdempotentAnswer,
    InboxMark,
    KeyTaken,
    Statement,
    StoreUnavailable,
    VersionConflict,
)
from services.kernel.log import GENESIS, NewRecord, Record
from services.kernel.proof import root, verify

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=8)))


class Database(Protocol):
    """A migrated, empty database of the backend under test, with a table `notes(id text primary key, text
    text not null)` beside the log's."""

    module: str
    """Module of the backend's tests; its `open_store(url)` opens a store in another process."""
    url: str
    note: str
    """SQL that inserts a row (id, text) into `notes`."""
    think: Statement
    """A statement that changes nothing and takes some milliseconds inside the transaction."""

    def open(self) -> EventStore:
        """Another store on this database; closed with the fixture."""
        ...

    async def execute(self, sql: str) -> None:
        """Run SQL behind the store's back."""
        ...


def decode(type: str, schema: int, data: bytes) -> tuple[str, int, bytes]:
    """Stands for the registry of contracts: the store must hand it type, schema and the very bytes."""
    if type == "unknown":
        raise LookupError("no such event type")
    return type, schema, data


def new(id: str, *, sequence: int = 0, source: str = "cases", type: str = "noted", **fields: Any) -> NewRecord:
    values: dict[str, Any] = {
        "subject": "TB1-1",
        "time": NOON,
        "actor": "agent/小李",
        "correlation_id": "c",
        "causation_id": "b",
        "policy": "2026-01",
        "traceparent": "",
        "event": None,
        "data": f'{{"id":"{id}"}}'.encode(),
    }
    return NewRecord(id=id, type=type, schema=1, source=source, sequence=sequence, **{**values, **fields})


def append(stream: str, expected_version: int, *ids: str) -> Commit:
    return Commit(appends=(Append(stream, expected_version, [new(id) for id in ids]),))


def answer(key: str, body: bytes = b"{}") -> IdempotentAnswer:
    return IdempotentAnswer(key, b"hash", 201, body, NOON, '"1"')


async def commit(store: EventStore, unit: Commit) -> CommitResult:
    [outcome] = await store.commit([unit])
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def ids(records: list[Record]) -> list[str]:
    return [record.id for record in records]


def without_last_revision(location: Path, copy: Path) -> Path:
    """A service's migrations as they were one release ago."""
    shutil.copytree(location, copy)
    sorted((copy / "versions").glob("0*.py"))[-1].unlink()
    return copy


class _OnDatabase:
    @pytest.fixture
    async def store(self, database: Database) -> AsyncIterator[EventStore]:
        store = database.open()
        yield store
        await store.close()


class StoreContract(_OnDatabase):
    async def test_what_was_appended_is_read_back(self, store: EventStore) -> None:
        """A record comes back exactly as it was given, and as the commit returned it."""
        given = new("e1", time=NOON, event=("noted", 1, b'{"id":"e1"}'), traceparent="00-1-2-01")
        result = await commit(store, Commit(appends=(Append("TB1", 0, [given, new("e2")]),)))
        first, second = await store.read_stream("TB1")
        assert first == result.records[0]
        assert (first.version, first.sequence, first.position) == (1, 1, 1)
        assert (second.version, second.sequence, second.position) == (2, 2, 2)
        assert result.position == 2
        for field in NewRecord.__struct_fields__:
            if field != "sequence":
                assert getattr(first, field) == getattr(given, field)

    @pytest.mark.parametrize(
        "time",
        [
            NOON,
            NOON.replace(microsecond=0),
            NOON.astimezone(UTC),
            NOON.astimezone(timezone(timedelta(hours=-3, minutes=-30))),
            datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Asia/Shanghai")),
        ],
    )
    async def test_time_keeps_offset_and_microseconds(self, store: EventStore, time: datetime) -> None:
        """Business time is stored as given, and a named zone folds now as it will fold when read later."""
        result = await commit(store, Commit(appends=(Append("TB1", 0, [new("e1", time=time)]),)))
        [record] = await store.read_stream("TB1")
        assert record.time == time
        assert record.time.isoformat() == time.isoformat() == result.records[0].time.isoformat()
        assert record.time.tzinfo == result.records[0].time.tzinfo

    async def test_reading_parts_of_a_stream(self, store: EventStore) -> None:
        """after_version, upto and limit cut a stream; an unknown stream is empty."""
        await commit(store, append("TB1", 0, *"abcdef"))
        assert ids(await store.read_stream("TB1", after_version=2, upto=5)) == ["c", "d", "e"]
        assert ids(await store.read_stream("TB1", limit=2)) == ["a", "b"]
        assert await store.read_stream("TB1", upto=0) == []
        assert await store.read_stream("TB2") == []
        assert await store.head("TB2") is None

    async def test_stream_pages_are_bounded(self, store: EventStore) -> None:
        """A long stream is read page by page, whole and in order, never more than a page at once."""
        await commit(store, append("TB1", 0, *(f"e{n}" for n in range(25))))
        pages = [page async for page in store.stream_pages("TB1", after_version=1, upto=24, page_records=10)]
        assert [len(page) for page in pages] == [10, 10, 3]
        assert [record.version for page in pages for record in page] == list(range(2, 25))

    async def test_reading_the_log(self, store: EventStore) -> None:
        """The log is read in the order of commits, of all sources or of one, in limited portions."""
        await commit(store, append("TB1", 0, "a"))
        await commit(store, Commit(appends=(Append("TB2", 0, [new("x", source="refunds", sequence=7)]),)))
        await commit(store, append("TB2", 1, "b"))
        assert ids(await store.read_log(0, 10)) == ["a", "x", "b"]
        assert ids(await store.read_log(0, 1, source="cases")) == ["a"]
        assert ids(await store.read_log(1, 10, source="cases")) == ["b"]
        assert await store.read_log(3, 10) == []
        assert await store.head_position() == 3

    async def test_reading_without_decoding(self, store: EventStore) -> None:
        """Bytes whose type nobody knows can be read raw, and say what is wrong when decoded."""
        await commit(store, Commit(appends=(Append("TB1", 0, [new("a"), new("b", type="unknown")]),)))
        records = await store.read_stream("TB1", decode=False)
        assert [record.event for record in records] == [None, None]
        with pytest.raises(CorruptRecord, match=r"TB1 version 2 .*no such event type"):
            await store.read_stream("TB1")
        assert await verify(store) is None

    async def test_learned_events_keep_their_sequence(self, store: EventStore) -> None:
        """Own events are numbered without holes, however many learned ones stand between them."""
        learned = new("r1", source="refunds", sequence=41)
        await commit(store, Commit(appends=(Append("TB1", 0, [new("a"), learned, new("b")]),)))
        await commit(store, append("TB1", 3, "c"))
        assert [record.sequence for record in await store.read_stream("TB1")] == [1, 41, 2, 3]
        head = await store.head("TB1")
        assert head is not None
        assert (head.version, head.sequence) == (4, 3)

    async def test_streams_are_listed_in_order(self, store: EventStore) -> None:
        """All streams can be walked in pages, ordered by code points, which two databases must agree on."""
        names = ["a", "B", "中", "é", "Z-1", "z"]
        await store.commit([append(name, 0, name) for name in names])
        listed, after = [], ""
        while page := await store.streams(after, limit=2):
            listed += [head.stream for head in page]
            after = page[-1].stream
        assert listed == sorted(names)

    async def test_stale_version_is_refused(self, store: EventStore) -> None:
        """A writer who has not seen the latest event writes nothing, not even to other streams."""
        await commit(store, append("TB1", 0, "a"))
        stale = Commit(appends=(Append("TB2", 0, [new("x")]), Append("TB1", 0, [new("y")])))
        with pytest.raises(VersionConflict) as conflict:
            await commit(store, stale)
        assert (conflict.value.stream, conflict.value.expected, conflict.value.actual) == ("TB1", 0, 1)
        assert await store.head_position() == 1
        with pytest.raises(VersionConflict):
            await commit(store, append("TB3", 5, "z"))

    async def test_two_writers_on_one_stream(self, database: Database) -> None:
        """Of two who append at the same version exactly one wins, every time, through different
        connections."""
        stores = [database.open(), database.open()]
        for version in range(25):
            outcomes = await asyncio.gather(
                *(store.commit([append("TB1", version, f"{n}-{version}")]) for n, store in enumerate(stores))
            )
            assert sorted(isinstance(outcome, VersionConflict) for [outcome] in outcomes) == [False, True]
        assert [record.version for record in await stores[0].read_stream("TB1")] == list(range(1, 26))

    async def test_no_tail_reader_ever_passes_an_uncommitted_event(self, database: Database) -> None:
        """Whoever follows positions gets every committed event once and in order, while many writers think
        inside their transactions, collide and roll back."""
        committed: set[str] = set()
        chance = random.Random(7)

        async def write(name: str, store: EventStore) -> None:
            for n in range(20):
                id = f"{name}-{n}"
                head = await store.head("shared") if n % 3 == 0 else await store.head(name)
                stream, version = ("shared" if n % 3 == 0 else name), head.version if head else 0
                fails = (Statement(database.note, [(id, None)]),) if chance.random() < 0.2 else ()
                thinks = (database.think,) if chance.random() < 0.3 else ()
                [outcome] = await store.commit(
                    [Commit(appends=(Append(stream, version, [new(id)]),), statements=thinks + fails)]
                )
                if isinstance(outcome, CommitResult):
                    committed.add(id)
                else:
                    assert isinstance(outcome, VersionConflict | CommitFailed)

        seen: list[Record] = []

        async def follow(store: EventStore, done: asyncio.Event) -> None:
            while True:
                finished = done.is_set()
                records = await store.read_log(seen[-1].position if seen else 0, limit=7)
                seen.extend(records)
                if finished and not records:
                    return
                await asyncio.sleep(0)

        done = asyncio.Event()
        follower = asyncio.create_task(follow(database.open(), done))
        stores = [database.open() for _ in range(4)]
        await asyncio.gather(*(write(f"w{n}", stores[n % 4]) for n in range(16)))
        done.set()
        await follower
        assert len(committed) > 100
        assert [record.position for record in seen] == list(range(1, len(committed) + 1))
        assert set(ids(seen)) == committed
        assert await verify(stores[0]) is None

    async def test_bad_commit_of_a_batch_hurts_no_other(self, store: EventStore, database: Database) -> None:
        """One transaction carries many commits, and each is judged after those before it."""
        await commit(store, Commit(answer=answer("k1")))
        outcomes = await store.commit(
            [
                append("TB1", 0, "a"),
                append("TB1", 0, "stale"),
                append("TB1", 1, "b"),
                Commit(appends=(Append("TB2", 0, [new("x")]),), answer=answer("k1")),
                Commit(appends=(Append("TB2", 0, [new("y")]),), statements=(Statement(database.note, [("n", None)]),)),
                Commit(appends=(Append("TB2", 0, [new("z")]),), inbox=(InboxMark("refunds", "TB2", 2),)),
                append("", 0, "nameless"),
                append("TB3", 0, "a"),
            ]
        )
        assert [type(outcome) for outcome in outcomes] == [
            CommitResult,
            VersionConflict,
            CommitResult,
            KeyTaken,
            CommitFailed,
            DeliveryGap,
            ValueError,
            CommitResult,
        ]
        assert [(r.stream, r.version, r.id) for r in await store.read_log(0, 10)] == [
            ("TB1", 1, "a"),
            ("TB1", 2, "b"),
            ("TB3", 1, "a"),
        ]
        assert [outcome.position for outcome in outcomes if isinstance(outcome, CommitResult)] == [1, 2, 3]
        assert await verify(store) is None

    async def test_poison_is_found_in_a_large_batch(self, store: EventStore, database: Database) -> None:
        """Among hundreds of commits only those are left out whose effects the database refuses."""
        poison = {17, 18, 200, 511}
        outcomes = await store.commit(
            [
                Commit(
                    appends=append(f"TB{n}", 0, "a").appends,
                    statements=(Statement(database.note, [(str(n), None if n in poison else "")]),),
                )
                for n in range(512)
            ]
        )
        assert {n for n, outcome in enumerate(outcomes) if isinstance(outcome, CommitFailed)} == poison
        assert await store.head_position() == 508
        assert await store.query("SELECT count(*) AS n FROM notes") == [{"n": 508}]

    async def test_large_batch(self, store: EventStore) -> None:
        """A batch of any size is written whole, in its order, chained."""
        outcomes = await store.commit([append(f"TB{n % 50}", n // 50, f"e{n}") for n in range(777)])
        assert all(isinstance(outcome, CommitResult) for outcome in outcomes)
        assert ids(await store.read_log(0, 1000)) == [f"e{n}" for n in range(777)]
        assert await verify(store) is None

    async def test_answers_are_kept_by_key(self, store: EventStore) -> None:
        """A repeated key gives the first answer, even where the stream has moved on or the batch is the
        same."""
        unit = Commit(appends=(Append("TB1", 0, [new("a")]),), answer=answer("k1", b'{"first":true}'))
        again = Commit(appends=(Append("TB1", 0, [new("b")]),), answer=answer("k1", b'{"first":false}'))
        _, in_batch = await store.commit([unit, again])
        assert isinstance(in_batch, KeyTaken)
        with pytest.raises(KeyTaken) as taken:
            await commit(store, again)
        stored = await store.answer("k1")
        assert stored == taken.value.answer == in_batch.answer == unit.answer
        assert await store.answer("k2") is None
        assert await store.head_position() == 1

    async def test_inbox_takes_each_event_once_and_in_order(self, store: EventStore) -> None:
        """A delivered event has its effect once; one that came too early is told from one that came twice."""

        def delivery(*sequences: int) -> Commit:
            marks = tuple(InboxMark("refunds", "TB1", sequence) for sequence in sequences)
            return Commit(inbox=(*marks, InboxMark("refunds", "TB2", sequences[0])))

        await commit(store, delivery(1, 2))
        assert await store.inbox("refunds", ["TB1", "TB2", "TB3"]) == {"TB1": 2, "TB2": 1}
        assert await store.inbox("cases", ["TB1"]) == {}
        with pytest.raises(DuplicateDelivery) as duplicate:
            await commit(store, delivery(2))
        assert duplicate.value.last == 2
        with pytest.raises(DeliveryGap) as gap:
            await commit(store, delivery(4))
        assert gap.value.last == 2
        assert await store.inbox("refunds", ["TB1", "TB2"]) == {"TB1": 2, "TB2": 1}

    async def test_checkpoint_moves_with_what_was_done(self, store: EventStore, database: Database) -> None:
        """A consumer's position and its effects are written together or not at all."""
        effect = Statement(database.note, [("n1", "one"), ("n2", "two")])
        await commit(store, Commit(statements=(effect,), checkpoint=(Checkpoint("view", "cases", 5),)))
        assert await store.checkpoint("view", "cases") == 5
        assert await store.checkpoint("view", "refunds") == 0
        with pytest.raises(CommitFailed):
            await commit(store, Commit(statements=(effect,), checkpoint=(Checkpoint("view", "cases", 9),)))
        assert await store.checkpoint("view", "cases") == 5
        assert await store.query("SELECT id, text FROM notes ORDER BY id") == [
            {"id": "n1", "text": "one"},
            {"id": "n2", "text": "two"},
        ]

    async def test_effects_are_rolled_back_with_their_commit(self, store: EventStore, database: Database) -> None:
        """A refused commit leaves no trace in read tables, its batch mates do."""

        def noted(version: int, id: str) -> Commit:
            return Commit(
                appends=(Append("TB1", version, [new(id)]),), statements=(Statement(database.note, [(id, "")]),)
            )

        await store.commit([noted(0, "a"), noted(0, "stale"), noted(1, "b")])
        assert [row["id"] for row in await store.query("SELECT id FROM notes ORDER BY id")] == ["a", "b"]

    async def test_effects_run_in_order(self, store: EventStore, database: Database) -> None:
        """Statements of a batch run in the order of its commits, also where the same SQL comes back later."""
        clear = Statement("DELETE FROM notes", [()])
        rows = [(f"n{n}", str(n)) for n in range(300)]
        add = Statement(database.note, rows)
        for outcome in await store.commit([Commit(statements=(add, clear)), Commit(statements=(add,))]):
            assert isinstance(outcome, CommitResult)
        assert await store.query("SELECT count(*) AS n FROM notes") == [{"n": 300}]

    async def test_rows_of_wrong_width_are_refused(self, store: EventStore, database: Database) -> None:
        """Values never slip into the neighbouring row."""
        with pytest.raises(CommitFailed):
            await commit(store, Commit(statements=(Statement(database.note, [("a", "b", "c"), ("d",)]),)))
        assert await store.query("SELECT * FROM notes") == []

    @pytest.mark.parametrize(
        "bad",
        [
            append("", 0, "a"),
            append("TB\0", 0, "a"),
            append("TB\ud800", 0, "a"),
            append("TB1", 0),
            append("TB1", -1, "a"),
            append("TB1", 0, "same", "same"),
            Commit(answer=answer("")),
            Commit(answer=answer("k\0")),
            Commit(answer=IdempotentAnswer("k", b"", 200, b"", datetime(2026, 1, 1))),
            Commit(checkpoint=(Checkpoint("view", "cases", -1),)),
            Commit(inbox=(InboxMark("refunds", "TB1", 0),)),
            Commit(inbox=(InboxMark("refunds", "TB1", -1),)),
            Commit(statements=(Statement("INSERT INTO nowhere VALUES (1)", [()]),)),
            Commit(statements=(Statement("no sql", [()]),)),
        ],
        ids=lambda unit: str(unit)[7:90],
    )
    async def test_absurd_commit_is_refused(self, store: EventStore, bad: Commit) -> None:
        """What makes no sense is answered with an error that is not retryable, nothing is written, others go
        on."""
        refused, written = await store.commit([bad, append("TB9", 0, "fine")])
        assert isinstance(refused, Exception)
        assert not isinstance(refused, StoreUnavailable)
        assert isinstance(written, CommitResult)
        assert await store.head_position() == 1

    async def test_snapshot_stands_still(self, store: EventStore, database: Database) -> None:
        """Reads of one snapshot agree with each other while writers go on."""
        other = database.open()
        await commit(store, append("TB1", 0, "a"))
        async with store.snapshot() as reads:
            await commit(other, append("TB1", 1, "b"))
            assert await reads.head_position() == 1
            assert ids(await reads.read_stream("TB1")) == ["a"]
        assert await store.head_position() == 2

    async def test_more_reads_than_connections(self, store: EventStore) -> None:
        """Any number of reads share a few connections, and a cancelled one gives its own back, snapshots too."""
        await commit(store, append("TB1", 0, "a"))

        async def look(n: int) -> None:
            async with store.snapshot() as reads:
                await reads.read_stream("TB1")
                await asyncio.sleep(0.0002 * (n % 5))
                await reads.head_position()

        tasks = [asyncio.create_task(look(n)) for n in range(100)]
        for n, task in enumerate(tasks):
            if n % 2:
                await asyncio.sleep(0.0001)
                task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} <= {type(None), asyncio.CancelledError}
        await commit(store, append("TB1", 1, "b"))
        seen = await asyncio.gather(*(store.head_position() for _ in range(50)))
        assert set(seen) == {2}, "a connection still stands in an old snapshot"

    async def test_reading_tables_cannot_write(self, store: EventStore) -> None:
        """A query is a query."""
        with pytest.raises(Exception, match="read"):
            await store.query("DELETE FROM events")

    async def test_signal_wakes_who_waits(self, store: EventStore) -> None:
        """A consumer in the same process learns of new events without polling, and of none by time."""
        waiting = asyncio.create_task(store.committed.beyond(0, timeout_s=10))
        assert not await store.committed.beyond(0, timeout_s=0.01)
        await commit(store, append("TB1", 0, "a"))
        assert await waiting
        assert store.committed.position == 1
        assert await store.committed.beyond(0)
        assert not await store.committed.beyond(1, timeout_s=0.01)

    async def test_cancelled_caller_leaves_a_whole_transaction(self, store: EventStore) -> None:
        """Cancelling in the middle of a commit neither tears it nor stops the store."""
        for n in range(20):
            task = asyncio.create_task(store.commit([append(f"TB{n}", 0, "a", "b")]))
            await asyncio.sleep(0.0002 * (n % 4))
            task.cancel()
            await asyncio.wait([task])
        await commit(store, append("last", 0, "a"))
        assert {head.version for head in await store.streams()} <= {1, 2}
        assert await verify(store) is None
        assert store.committed.position == await store.head_position()

    async def test_reopening_keeps_everything(self, store: EventStore, database: Database) -> None:
        """What was committed is there for the next process, and the chain goes on."""
        mark, checkpoint = InboxMark("refunds", "TB1", 1), Checkpoint("view", "cases", 3)
        unit = Commit(appends=(Append("TB1", 0, [new("a")]),), inbox=(mark,), checkpoint=(checkpoint,))
        await commit(store, unit)
        before = await store.read_log(0, 10)
        await store.close()
        again = database.open()
        assert await again.read_log(0, 10) == before
        assert await again.inbox("refunds", ["TB1"]) == {"TB1": 1}
        assert await again.checkpoint("view", "cases") == 3
        await commit(again, append("TB1", 1, "b"))
        assert await verify(again) is None

    async def test_closed_store_refuses(self, store: EventStore) -> None:
        """After closing, nothing is read or written by accident."""
        await store.close()
        with pytest.raises(StoreUnavailable):
            await store.read_log(0, 1)
        with pytest.raises(StoreUnavailable):
            await commit(store, append("TB1", 0, "a"))

    async def test_processes_share_one_log(self, store: EventStore, database: Database) -> None:
        """Several processes append to the same streams at once: nothing lost, nothing doubled, chains
        intact."""
        writers = [
            await asyncio.create_subprocess_exec(
                sys.executable, "-m", __name__, database.module, database.url, f"p{n}", "60"
            )
            for n in range(3)
        ]
        assert [await writer.wait() for writer in writers] == [0, 0, 0]
        records = await store.read_log(0, 1000)
        assert [record.position for record in records] == list(range(1, 181))
        assert len(set(ids(records))) == 180
        assert await verify(store) is None

    @pytest.mark.parametrize(
        ("sql", "version"),
        [
            ("UPDATE events SET data = hash WHERE stream = 'TB2' AND version = 3", 3),
            ("UPDATE events SET actor = 'agent/other' WHERE stream = 'TB2' AND version = 1", 1),
            ("UPDATE events SET sequence = 9 WHERE stream = 'TB2' AND version = 2", 2),
            ("UPDATE events SET time = '2026-03-01T12:00:00+08:00' WHERE stream = 'TB2' AND version = 2", 2),
            ("UPDATE events SET time = 'yesterday' WHERE stream = 'TB2' AND version = 2", 2),
            ("UPDATE events SET hash = data WHERE stream = 'TB2' AND version = 4", 4),
            ("DELETE FROM events WHERE stream = 'TB2' AND version = 3", 3),
            ("DELETE FROM events WHERE stream = 'TB2' AND version = 5", 5),
            ("DELETE FROM events WHERE stream = 'TB2'", 1),
            ("DELETE FROM streams WHERE stream = 'TB2'", 1),
            ("UPDATE streams SET version = 4 WHERE stream = 'TB2'", 5),
            ("UPDATE streams SET hash = (SELECT hash FROM streams WHERE stream = 'TB1') WHERE stream = 'TB2'", 5),
        ],
    )
    @pytest.mark.parametrize("stream", [None, "TB2"])
    async def test_tampering_is_found(
        self, store: EventStore, database: Database, sql: str, version: int, stream: str | None
    ) -> None:
        """A changed or missing record or head is found and named."""
        await store.commit([append(f"TB{n}", 0, *"abcde") for n in (1, 2, 3)])
        await database.execute(sql)
        broken = await verify(store, stream)
        assert broken is not None
        assert (broken.stream, broken.version) == ("TB2", version)
        assert await verify(store, "TB1") is None

    async def test_first_of_several_breaks_is_named(self, store: EventStore, database: Database) -> None:
        """An altered record is named before an unreadable one that comes later in the same page."""
        await store.commit([append("TB1", 0, *"abcde"), append("TB2", 0, *"abcde")])
        await database.execute("UPDATE events SET time = 'yesterday' WHERE stream = 'TB2' AND version = 2")
        await database.execute("UPDATE events SET actor = 'agent/other' WHERE stream = 'TB1' AND version = 4")
        broken = await verify(store)
        assert broken is not None
        assert (broken.stream, broken.version) == ("TB1", 4)

    async def test_swapped_records_are_found(self, store: EventStore, database: Database) -> None:
        """Two records that changed places are found, also where only their places in the log did."""
        await store.commit([append("TB1", 0, *"abc"), append("TB2", 0, *"abc")])
        for old, moved in ((2, 90), (3, 2), (90, 3)):
            await database.execute(f"UPDATE events SET version = {moved} WHERE stream = 'TB1' AND version = {old}")
        for old, moved in ((5, 90), (6, 5), (90, 6)):
            await database.execute(f"UPDATE events SET position = {moved} WHERE position = {old}")
        for stream, version in (("TB1", 2), ("TB2", 3)):
            broken = await verify(store, stream)
            assert broken is not None
            assert (broken.stream, broken.version) == (stream, version)

    async def test_inserted_record_is_found(self, store: EventStore, database: Database) -> None:
        """A record slipped in behind the store's back is found, in the middle, at the end and in a stream of
        its own."""
        columns = "sequence, type, schema, source, subject, time, actor, correlation_id, causation_id, policy"
        columns += ", traceparent, data, hash"

        async def slip_in(position: int, stream: str, version: int) -> None:
            await database.execute(
                f"INSERT INTO events (position, id, stream, version, {columns})"
                f" SELECT {position}, 'forged', '{stream}', {version}, {columns} FROM events WHERE position = 1"
            )

        await store.commit([append(stream, 0, *"abc") for stream in ("TB1", "TB2")])
        await database.execute("UPDATE events SET version = 4 WHERE stream = 'TB1' AND version = 3")
        await slip_in(20, "TB1", 3)
        await slip_in(21, "TB2", 4)
        await slip_in(22, "TB3", 1)
        for stream, version in (("TB1", 3), ("TB2", 4), ("TB3", 1)):
            broken = await verify(store, stream)
            assert broken is not None
            assert (broken.stream, broken.version) == (stream, version)
        assert await verify(store) == await verify(store, "TB1")

    async def test_root_stands_for_all_streams(self, store: EventStore, database: Database) -> None:
        """One hash changes with every event, and tells even a stream that was dropped whole with its head."""
        roots = {await root(store)}
        assert roots == {GENESIS}
        for n in range(9):
            await commit(store, append(f"TB{n}", 0, "a"))
            roots.add(await root(store))
        assert len(roots) == 10
        assert await root(store) in roots
        await database.execute("DELETE FROM events WHERE stream = 'TB4'")
        await database.execute("DELETE FROM streams WHERE stream = 'TB4'")
        assert await verify(store) is None
        assert await root(store) not in roots


class TakeoverContract(_OnDatabase):
    """One owner at a time, among any number of processes."""

    async def test_claim_gives_position_and_number(self, store: EventStore) -> None:
        """Whoever takes a source over goes on where it was left, under a new number; other sources stand apart."""
        assert await store.epoch("view", "cases") == 0
        assert await store.claim("view", "cases") == Claim(position=0, epoch=1)
        await commit(store, owned(1, position=7))
        assert await store.claim("view", "cases") == Claim(position=7, epoch=2)
        assert await store.epoch("view", "cases") == 2
        assert await store.checkpoint("view", "cases") == 7
        await commit(store, Commit(checkpoint=(Checkpoint("view", "refunds", 3),)))
        assert await store.claim("view", "refunds") == Claim(position=3, epoch=1)
        assert await store.epoch("other", "cases") == 0

    async def test_checkpoint_keeps_the_claim(self, store: EventStore) -> None:
        """Noting how far one came, with a fence or without, changes no claim."""
        await store.claim("view", "cases")
        await store.claim("view", "cases")
        await commit(store, Commit(checkpoint=(Checkpoint("view", "cases", 4),)))
        await commit(store, owned(2, position=5))
        assert await store.epoch("view", "cases") == 2

    async def test_former_owner_writes_nothing(self, store: EventStore, database: Database) -> None:
        """A commit under an earlier claim is refused whole, whatever it holds, and its batch mates are not touched."""
        old = await store.claim("view", "cases")
        new_owner = await database.open().claim("view", "cases")
        everything = Commit(
            appends=(Append("TB1", 0, [new("a")]),),
            statements=(Statement(database.note, [("old", "")]),),
            inbox=(InboxMark("refunds", "TB1", 1),),
            checkpoint=(Checkpoint("view", "cases", 9),),
            answer=answer("k1"),
            fence=Fence("view", "cases", old.epoch),
        )
        outcomes = await store.commit(
            [
                append("TB2", 0, "b"),
                everything,
                owned(old.epoch, position=9),
                Commit(
                    statements=(Statement(database.note, [("alone", "")]),), fence=Fence("view", "cases", old.epoch)
                ),
                owned(new_owner.epoch, position=2, appends=(Append("TB3", 0, [new("c")]),)),
                Commit(inbox=(InboxMark("refunds", "TB1", 1),), fence=Fence("never", "claimed", 1)),
            ]
        )
        assert [type(outcome) for outcome in outcomes] == [CommitResult, Fenced, Fenced, Fenced, CommitResult, Fenced]
        fenced = outcomes[1]
        assert isinstance(fenced, Fenced)
        assert (fenced.fence.epoch, fenced.epoch) == (old.epoch, new_owner.epoch)
        assert ids(await store.read_log(0, 9)) == ["b", "c"]
        assert await store.inbox("refunds", ["TB1"]) == {}
        assert await store.answer("k1") is None
        assert await store.query("SELECT * FROM notes") == []
        assert await store.checkpoint("view", "cases") == 2
        assert await verify(store) is None

    async def test_lone_checkpoint_of_a_former_owner(self, store: EventStore) -> None:
        """Also a commit that only says how far one came, or nothing at all, is refused."""
        old = await store.claim("view", "cases")
        await store.claim("view", "cases")
        for unit in (owned(old.epoch, position=9), Commit(fence=Fence("view", "cases", old.epoch))):
            with pytest.raises(Fenced):
                await commit(store, unit)
        assert await store.checkpoint("view", "cases") == 0

    async def test_what_is_told_first(self, store: EventStore) -> None:
        """A repeated request has its answer whoever owns what; all else a former owner need not know."""
        await commit(store, Commit(answer=answer("k1"), inbox=(InboxMark("refunds", "TB1", 1),)))
        fence = Fence("view", "cases", 1)
        with pytest.raises(KeyTaken):
            await commit(store, Commit(answer=answer("k1"), fence=fence))
        for sequence in (1, 3):
            with pytest.raises(Fenced):
                await commit(store, Commit(inbox=(InboxMark("refunds", "TB1", sequence),), fence=fence))
        with pytest.raises(Fenced):
            await commit(store, Commit(appends=(Append("TB1", 5, [new("a")]),), fence=fence))

    @pytest.mark.parametrize("thinks", [False, True])
    async def test_takeover_while_the_owner_commits(self, database: Database, thinks: bool) -> None:
        """A commit that was under way is either in the position that the new owner gets, or refused: never after it."""
        owner, heir = database.open(), database.open()
        chance = random.Random(11)
        claim = await owner.claim("view", "cases")
        for n in range(60):
            unit = owned(
                claim.epoch,
                position=claim.position + 1,
                appends=(Append(f"TB{n}", 0, [new(f"e{n}")]),) if n % 3 else (),
                statements=(database.think,) if thinks else (),
            )
            committing = asyncio.create_task(owner.commit([unit]))
            await asyncio.sleep(chance.random() * (0.015 if thinks else 0.004))
            taken = await heir.claim("view", "cases")
            seen = await heir.head(f"TB{n}")
            [outcome] = await committing
            if isinstance(outcome, CommitResult):
                assert taken.position == claim.position + 1
                assert bool(seen) == bool(unit.appends)
            else:
                assert isinstance(outcome, Fenced)
                assert taken.position == claim.position
                assert await heir.head(f"TB{n}") is None
            claim, owner, heir = taken, heir, owner
        await commit(owner, owned(claim.epoch, position=claim.position + 1))
        with pytest.raises(Fenced):
            await commit(owner, owned(claim.epoch - 1, position=99))

    async def test_concurrent_claims(self, database: Database) -> None:
        """However many take a source over at once, one of them is the last, and only that one may write."""
        stores = [database.open() for _ in range(4)]
        claims = await asyncio.gather(*(store.claim("view", "cases") for store in stores for _ in range(5)))
        assert sorted(claim.epoch for claim in claims) == list(range(1, 21))
        for claim in claims:
            [outcome] = await stores[0].commit([owned(claim.epoch, position=claim.epoch)])
            assert isinstance(outcome, CommitResult) == (claim.epoch == 20)

    async def test_cancelled_claim_disturbs_nobody(self, store: EventStore) -> None:
        """Giving up while one takes over leaves the store as usable as before."""
        for n in range(20):
            task = asyncio.create_task(store.claim("view", "cases"))
            await asyncio.sleep(0.0003 * (n % 5))
            task.cancel()
            await asyncio.wait([task])
        claim = await store.claim("view", "cases")
        await commit(store, owned(claim.epoch, position=1))

    async def test_lease_has_one_holder(self, store: EventStore, database: Database) -> None:
        """A lease is taken, kept and given back; nobody else gets it meanwhile, and other leases stand apart."""
        other = database.open()
        assert await store.hold("relay", "a", 60)
        assert not await other.hold("relay", "b", 60)
        assert (await other.holder("relay"), await other.holder("steward")) == ("a", "")
        assert await other.hold("steward", "b", 60)
        assert await store.hold("relay", "a", 60)
        await other.let_go("relay", "b")
        assert not await other.hold("relay", "b", 60)
        await store.let_go("relay", "a")
        await store.let_go("relay", "a")
        assert await other.hold("relay", "b", 60)
        assert not await store.hold("relay", "a", 60)

    async def test_frozen_holder_loses_its_lease_and_cannot_write(self, store: EventStore, database: Database) -> None:
        """Whoever stands still too long is followed by another, and when it goes on it neither gets its lease back nor
        writes anything."""
        frozen = database.open()
        assert await frozen.hold("relay", "frozen", 2)
        old = await frozen.claim("relay", "cases")
        assert not await store.hold("relay", "heir", 60)
        async with asyncio.timeout(10):
            while not await store.hold("relay", "heir", 60):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)
        claim = await store.claim("relay", "cases")
        assert not await frozen.hold("relay", "frozen", 60)
        fence = Fence("relay", "cases", old.epoch)
        with pytest.raises(Fenced):
            await commit(frozen, Commit(checkpoint=(Checkpoint("relay", "cases", 5),), fence=fence))
        await frozen.let_go("relay", "frozen")
        assert not await frozen.hold("relay", "frozen", 60)
        assert await store.claim("relay", "cases") == Claim(0, claim.epoch + 1)

    async def test_lease_is_kept_as_long_as_it_is_renewed(self, store: EventStore, database: Database) -> None:
        """A holder who renews in time never loses it, however long that goes on."""
        other = database.open()
        assert await store.hold("relay", "a", 1)
        for _ in range(20):
            await asyncio.sleep(0.1)
            assert await store.hold("relay", "a", 1)
            assert not await other.hold("relay", "b", 1)

    async def test_many_want_the_same_lease(self, database: Database) -> None:
        """Of many who ask at once exactly one gets it."""
        stores = [database.open() for _ in range(4)]
        for lease in ("one", "two", "three"):
            got = await asyncio.gather(*(stores[n % 4].hold(lease, f"h{n}", 60) for n in range(16)))
            assert sum(got) == 1

    async def test_parked_messages_have_their_place(self, store: EventStore) -> None:
        """The table for messages that cannot go on takes bytes as they came, also none, under plain column names."""
        message = ("liability", "cases.v1", 3, 2**40, None, b"[]", None, 1_700_000_000_123, "TB1", 7, "case.opened")
        row = (*message, "cases", "waiting", "gap", "too early", 0, 1.5, 2.25, None)
        columns = "consumer, topic, partition, position, key, headers, value, timestamp_ms, stream, sequence, type"
        columns += ", source, state, cause, error, tries, due_at, parked_at, resolved_at"
        sql = f"INSERT INTO parked_messages ({columns}) VALUES ({', '.join('?' * len(row))})"
        await commit(store, Commit(statements=(Statement(sql, [row]),)))
        [found] = await store.query(
            f"SELECT {columns} FROM parked_messages WHERE state = ? AND due_at <= ? AND position = ?",
            ("waiting", 1.5, 2**40),
        )
        assert tuple(found.values()) == row

    async def test_closed_store_takes_nothing_over(self, store: EventStore) -> None:
        """After closing, nothing is claimed or held by accident."""
        await store.close()
        for refused in (store.claim("view", "cases"), store.hold("relay", "a", 1), store.let_go("relay", "a")):
            with pytest.raises(StoreUnavailable):
                await refused


def owned(epoch: int, position: int, **parts: Any) -> Commit:
    """What the consumer `view` commits as owner of the source `cases`, as of a claim."""
    return Commit(checkpoint=(Checkpoint("view", "cases", position),), fence=Fence("view", "cases", epoch), **parts)


class AppenderContract(_OnDatabase):
    async def test_submitters_share_transactions(self, store: EventStore) -> None:
        """Concurrent commits are written together, and each gets its own result."""
        sizes: list[int] = []
        appender = Appender(cast(EventStore, _Counting(store, sizes)), batch_commits=50)
        results = await asyncio.gather(*(appender.submit(append(f"TB{n}", 0, "a", "b")) for n in range(200)))
        assert [result.records[0].stream for result in results] == [f"TB{n}" for n in range(200)]
        assert sum(sizes) == 200
        assert max(sizes) == 50
        assert len(sizes) < 20
        await appender.close()
        assert await verify(store) is None

    async def test_error_reaches_only_its_submitter(self, store: EventStore) -> None:
        """A refused commit raises for who submitted it, not for those in the same transaction."""
        appender = Appender(store)
        units = [append("TB1", 0, "a"), append("TB1", 0, "b"), append("TB2", 0, "c")]
        outcomes = await asyncio.gather(*(appender.submit(unit) for unit in units), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [CommitResult, VersionConflict, CommitResult]
        await appender.close()

    async def test_fault_of_the_store_leaves_nobody_waiting(self, store: EventStore) -> None:
        """Even an error that no store should raise ends in the submitters' hands, and the next commit is
        served."""
        appender = Appender(cast(EventStore, _Counting(store, [], fails=1)))
        with pytest.raises(CommitFailed, match="out of order"):
            await appender.submit(append("TB1", 0, "a"))
        await appender.submit(append("TB1", 0, "a"))
        await appender.close()

    async def test_full_queue_makes_submitters_wait(self, store: EventStore) -> None:
        """However many submit, a bounded number waits in memory, and all are served."""
        appender = Appender(store, batch_commits=4, queue_commits=8)
        submitted = [asyncio.create_task(appender.submit(append(f"TB{n}", 0, "a"))) for n in range(100)]
        await asyncio.sleep(0)
        assert appender.waiting <= 8
        await asyncio.gather(*submitted)
        await appender.close()
        assert await store.head_position() == 100

    async def test_cancelled_submitters_disturb_no_other(self, store: EventStore) -> None:
        """Clients that go away neither lose nor tear the commits of others; their own is whole or absent."""
        appender = Appender(store, batch_commits=8, queue_commits=16)
        tasks = [asyncio.create_task(appender.submit(append(f"TB{n}", 0, "a", "b"))) for n in range(120)]
        for n, task in enumerate(tasks):
            if n % 3 == 0:
                await asyncio.sleep(0.0003 * (n % 5))
                task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        await appender.close()
        versions = {head.stream: head.version for head in await store.streams()}
        for n, outcome in enumerate(outcomes):
            if isinstance(outcome, CommitResult):
                assert versions[f"TB{n}"] == 2
            else:
                assert isinstance(outcome, asyncio.CancelledError)
                assert versions.get(f"TB{n}", 2) == 2
        assert await verify(store) is None

    async def test_close_writes_what_was_submitted(self, store: EventStore) -> None:
        """Shutting down loses nothing that was taken, also from those who waited for room, and takes no
        more."""
        appender = Appender(store, batch_commits=4, queue_commits=8)
        tasks = [asyncio.create_task(appender.submit(append(f"TB{n}", 0, "a"))) for n in range(60)]
        await asyncio.sleep(0)
        await appender.close()
        assert len(await asyncio.gather(*tasks)) == 60
        with pytest.raises(StoreUnavailable):
            await appender.submit(append("late", 0, "a"))
        await appender.close()
        assert await store.head_position() == 60


class _Counting:
    """The real store, noting the size of each batch; the first `fails` batches meet a fault."""

    def __init__(self, store: EventStore, sizes: list[int], fails: int = 0) -> None:
        self._store, self._sizes, self._fails = store, sizes, fails

    async def commit(self, batch: list[Commit]) -> list[CommitResult | Exception]:
        if self._fails:
            self._fails -= 1
            raise RuntimeError("out of order")
        self._sizes.append(len(batch))
        return await self._store.commit(batch)


async def _append_in_this_process(module: str, url: str, name: str, count: int) -> None:
    store: EventStore = importlib.import_module(module).open_store(url)
    for n in range(count):
        stream = "shared" if n % 2 else name
        while True:
            head = await store.head(stream)
            [outcome] = await store.commit([append(stream, head.version if head else 0, f"{name}-{n}")])
            if not isinstance(outcome, VersionConflict):
                break
        if isinstance(outcome, Exception):
            raise outcome
    await store.close()


if __name__ == "__main__":
    asyncio.run(_append_in_this_process(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
