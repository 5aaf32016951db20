"""What the proof of a log holds on every database."""

import asyncio
import multiprocessing
from collections.abc import AsyncIterator

import pytest

from services.kernel.event_store import EventStore
from services.kernel.log import NoSuchRange, chain_hash
from services.kernel.long_work import CalledOff
from services.kernel.proof import Proof, Proven, prove, prove_range, prove_stream, root
from services.kernel.proof.workers import workers
from services.kernel.spans import Span
from services.kernel.workers import WorkerLost, Workers
from tests.kernel.store_contract import Database, append, commit

STREAMS = 7


async def fill(store: EventStore) -> None:
    """Seven streams of four records; the third of each is written when the first two of all are there."""
    for names, version in (("ab", 0), ("c", 2), ("d", 3)):
        for n in range(STREAMS):
            await commit(store, append(f"TB{n}", version, *(f"{name}{n}" for name in names)))


async def proved(store: EventStore, *marks: int) -> Proof:
    return await prove(store, Proven.nothing(*marks, await store.head_position()))


async def rewrite(database: Database, store: EventStore, stream: str) -> None:
    """As its owner may: another actor in the first record, and every hash of the stream made anew."""
    hash = bytes(32)
    columns = "version, sequence, id, type, schema, source, subject, time, actor, correlation_id, causation_id, policy"
    for row in await store.query(
        f"SELECT {columns}, traceparent, data FROM events WHERE stream = ? ORDER BY version", (stream,)
    ):
        if row["version"] == 1:
            row["actor"] = "agent/other"
        hash = chain_hash(hash, stream, **row)
        literal = f"x'{hash.hex()}'" if "sqlite" in database.url else f"'\\x{hash.hex()}'"
        await database.execute(
            f"UPDATE events SET hash = {literal}, actor = '{row['actor']}'"
            f" WHERE stream = '{stream}' AND version = {row['version']}"
        )
    await database.execute(f"UPDATE streams SET hash = {literal} WHERE stream = '{stream}'")


class ProofContract:
    """Proving a log, whole, in part, piece by piece and by several processes."""

    @pytest.fixture
    async def store(self, database: Database) -> AsyncIterator[EventStore]:
        store = database.open()
        yield store
        await store.close()

    @pytest.fixture(autouse=True)
    def _small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Pieces so small that every boundary is met: pages of 3 records, slices of 2 streams, spans of 3."""
        monkeypatch.setattr("services.kernel.proof.walk.PAGE_RECORDS", 3)
        monkeypatch.setattr("services.kernel.proof.walk.SLICE_STREAMS", 2)
        monkeypatch.setattr("services.kernel.proof.proving.SPAN_STREAMS", 3)
        monkeypatch.setattr("services.kernel.proof.proving.WINDOW_POSITIONS", 5)
        monkeypatch.setattr("services.kernel.proof.positions.PAGE_POSITIONS", 5)

    async def test_whole_log(self, store: EventStore) -> None:
        """Every record is checked once, whatever the pieces, and the root is that of the heads."""
        for _ in range(2):
            proof = await proved(store)
            assert (proof.records, proof.broken) == (proof.position, None)
            assert proof.roots[-1].hash == (await root(store)).hex()
            if not proof.records:
                await fill(store)
        assert (proof.records, proof.roots[-1].streams) == (4 * STREAMS, STREAMS)

    @pytest.mark.parametrize(
        ("sql", "stream", "version", "position", "kind"),
        [
            ("UPDATE events SET policy = 'other' WHERE position = 16", "TB1", 3, 16, "altered"),
            ("UPDATE events SET version = 9 WHERE position = 6", "TB2", 2, None, "missing"),
            ("DELETE FROM events WHERE position = 16", "TB1", 3, None, "missing"),
            ("DELETE FROM streams WHERE stream = 'TB6'", "TB6", 1, 13, "added"),
            ("UPDATE streams SET version = 3 WHERE stream = 'TB4'", "TB4", 4, None, "added"),
            ("UPDATE events SET position = 99 WHERE position = 28", "", 0, 28, "missing"),
            ("UPDATE events SET position = 0 WHERE position = 1", "TB0", 1, 0, "altered"),
        ],
    )
    async def test_what_is_wrong_is_said(
        self, store: EventStore, database: Database, sql: str, stream: str, version: int, position: int, kind: str
    ) -> None:
        """Where a log was touched, and how, is told in both languages; only what is broken is."""
        await fill(store)
        await database.execute(sql)
        broken = (await proved(store)).broken
        assert broken is not None
        assert (broken.stream, broken.version, broken.position, broken.kind) == (stream, version, position, kind)
        assert broken.zh
        assert broken.reason == broken.en
        assert (await prove_stream(store, "TB3")).broken is None

    async def test_dropped_stream_leaves_a_hole(self, store: EventStore, database: Database) -> None:
        """A stream that was taken out whole, head and all, is missed by the positions."""
        await fill(store)
        for table in ("events", "streams"):
            await database.execute(f"DELETE FROM {table} WHERE stream = 'TB3'")
        broken = (await proved(store)).broken
        assert broken is not None
        assert (broken.kind, broken.position) == ("missing", 7)

    async def test_log_that_grows(self, store: EventStore) -> None:
        """A proof is about the log up to where it began; the root as of a position does not change as it grows."""
        await fill(store)
        end, before = await store.head_position(), await root(store)
        await commit(store, append("TB0", 4, "e"))
        await commit(store, append("TB00", 0, "a"))
        proof = await prove(store, Proven.nothing(end))
        assert (proof.records, proof.position, proof.broken) == (end, end, None)
        now = await proved(store, end, 14)
        assert [one.position for one in now.roots] == [14, end, end + 2]
        assert [one.streams for one in now.roots] == [STREAMS, STREAMS, STREAMS + 1]
        assert now.roots[1] == proof.roots[0]
        assert proof.roots[0].hash == before.hex()
        assert now.roots[2].hash == (await root(store)).hex()

    async def test_root_tells_a_stream_that_was_rewritten(self, store: EventStore, database: Database) -> None:
        """Chains made anew are whole chains; the root as of an earlier position is another one."""
        await fill(store)
        end = await store.head_position()
        before = (await proved(store)).roots[-1]
        await rewrite(database, store, "TB2")
        await commit(store, append("TB3", 4, "e"))
        after = await proved(store, end)
        assert after.broken is None
        assert after.roots[0].streams == before.streams
        assert after.roots[0].hash != before.hash

    async def test_range(self, store: EventStore, database: Database) -> None:
        """Streams with records in the range are checked from their beginning to its end, others are not."""
        await fill(store)
        assert (await prove_range(store, 15, 17)).records == 3 * 3
        assert (await prove_range(store, 1, 28)).records == 28
        assert (await prove_range(store, 13, 22)).records == 3 * STREAMS + 1
        await database.execute("UPDATE events SET actor = 'x' WHERE position IN (4, 26)")
        assert (await prove_range(store, 17, 21)).broken is None
        broken = (await prove_range(store, 15, 21)).broken
        assert broken is not None
        assert (broken.stream, broken.version, broken.position) == ("TB1", 2, 4)
        broken = (await prove_range(store, 24, 28)).broken
        assert broken is not None
        assert (broken.stream, broken.version) == ("TB4", 4)
        await database.execute("DELETE FROM events WHERE stream = 'TB6'")
        await database.execute("DELETE FROM streams WHERE stream = 'TB6'")
        broken = (await prove_range(store, 21, 22)).broken
        assert broken is not None
        assert (broken.kind, broken.position) == ("missing", 21)

    @pytest.mark.parametrize(("first", "last"), [(0, 3), (5, 4), (1, 29), (29, 29)])
    async def test_range_that_is_not_there(self, store: EventStore, first: int, last: int) -> None:
        """Upside down or past the end: it is told which positions there are."""
        await fill(store)
        with pytest.raises(NoSuchRange) as caught:
            await prove_range(store, first, last)
        assert (caught.value.first, caught.value.last, caught.value.head) == (first, last, 28)

    async def test_unknown_stream(self, store: EventStore) -> None:
        """Nothing is proven of a stream that is not there, and nothing is broken."""
        assert await prove_stream(store, "TB9") == Proof(0, 0)

    async def test_goes_on_where_it_was_left(self, store: EventStore, database: Database) -> None:
        """Called off and taken up again, it gives what one run gives, and checks no record twice."""
        await fill(store)
        whole = await proved(store, 14)
        notes: list[Proven] = []

        async def enough(done: int, total: int) -> None:
            assert (done, total) == (12, 28)
            raise CalledOff

        begun = Proven.nothing(14, 28)
        with pytest.raises(CalledOff):
            await prove(store, begun, tell=enough, note=notes.append)
        assert [(note.after, note.records) for note in notes] == [("TB2", 12)]
        await database.execute("UPDATE events SET actor = 'x' WHERE stream = 'TB1'")
        assert await prove(store, notes[0]) == whole
        await database.execute("UPDATE events SET actor = 'x' WHERE stream = 'TB5' AND version = 2")
        broken = (await proved(store)).broken
        assert broken is not None
        assert broken.stream == "TB1"

    async def test_several_processes(
        self, store: EventStore, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """They find what one finds: the same root, and the first broken link although others come later."""
        # Else this process might be done before another begins.
        monkeypatch.setattr(Workers, "_here", Workers._elsewhere)
        await fill(store)
        with workers(store, database.url, 2) as by:
            begun = Proven.nothing(14, 28)
            assert await prove(store, begun, by=by, ahead=4) == await proved(store, 14)
            await database.execute("UPDATE events SET actor = 'x' WHERE stream IN ('TB5', 'TB2') AND version = 2")
            broken = (await prove(store, Proven.nothing(28), by=by, ahead=4)).broken
        assert broken is not None
        assert (broken.stream, broken.version) == ("TB2", 2)

    async def test_process_that_is_lost(self, store: EventStore, database: Database) -> None:
        """A worker that was killed is no proof, and nobody waits for it."""
        await fill(store)
        with workers(store, database.url, 2) as by:
            [worker] = multiprocessing.active_children()
            worker.kill()
            await asyncio.to_thread(worker.join)
            with pytest.raises(WorkerLost):
                await asyncio.gather(by(Span(), (28,)), by(Span(), (28,)))
