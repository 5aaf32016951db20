"""Leadership: one process of a service works, another takes over when it is gone, and nobody writes against its leader.

Run as a program, this module is a process that tries to lead, for tests that freeze it or cut its power.
"""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import pytest

from services.kernel import leadership, logging
from services.kernel.event_store import Checkpoint, Claim, Commit, EventStore, Fence, Fenced, StoreError
from services.kernel.leadership import LEASE_SECONDS, Leadership
from services.kernel.stores import open_store
from tests.kernel.postgres import PostgresDatabase
from tests.kernel.toy import decode, url_of

PATIENCE_SECONDS = 30.0


class Worker:
    """A duty: it counts in its checkpoint, under its claim, as fast as the database lets it."""

    def __init__(self, store: EventStore) -> None:
        self.claims: list[Claim] = []
        self.counted = 0
        self.fenced = False
        self.away = False
        self._store = store
        self._task: asyncio.Task[None] | None = None

    @property
    def at_work(self) -> bool:
        return self._task is not None and not self._task.done()

    async def start(self) -> None:
        claim = await self._store.claim("worker", "toy")
        self.claims.append(claim)
        self._task = asyncio.create_task(self._count(claim))

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def overtaken(self) -> bool:
        return self.fenced or await self._store.epoch("worker", "toy") != self.claims[-1].epoch

    async def _count(self, claim: Claim) -> None:
        position = claim.position
        while True:
            checkpoint = Checkpoint("worker", "toy", position + 1)
            [outcome] = await self._store.commit(
                [Commit(checkpoint=(checkpoint,), fence=Fence("worker", "toy", claim.epoch))]
            )
            self.fenced = isinstance(outcome, Fenced)
            self.away = isinstance(outcome, StoreError) and not self.fenced
            if self.fenced:
                return
            if not self.away:
                position += 1
                self.counted += 1
            await asyncio.sleep(0.01)


class Candidate:
    """A process that tries to lead, as far as the database can tell."""

    name = "toy"

    def __init__(self, store: EventStore) -> None:
        self.store = store
        self.worker = Worker(store)
        self.leadership = Leadership("work", self, self.worker)

    async def dies(self) -> None:
        """It is gone, without a word."""
        assert self.leadership._task is not None
        self.leadership._task.cancel()
        await asyncio.wait([self.leadership._task])
        await self.worker.stop()


class Open(Protocol):
    def __call__(self) -> Candidate: ...


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A migrated database of each kind."""
    if request.param == "sqlite":
        return url_of(tmp_path / "toy.db")
    database: PostgresDatabase = request.getfixturevalue("postgres_database")
    return database.url


@pytest.fixture
async def candidate(url: str) -> AsyncIterator[Open]:
    """Makes candidates, each with a store of its own, and stops them at the end."""
    made: list[Candidate] = []

    def make() -> Candidate:
        made.append(Candidate(open_store(url, decode)))
        return made[-1]

    yield make
    for one in made:
        await one.leadership.stop()
        await one.store.close()


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases that run out soon."""
    monkeypatch.setattr(leadership, "LEASE_SECONDS", 1.5)
    monkeypatch.setattr(leadership, "RENEW_SECONDS", 0.3)
    monkeypatch.setattr(leadership, "ANSWER_SECONDS", 0.6)


async def until(holds: Callable[[], bool]) -> float:
    """Wait until something holds; gives how long that took, in seconds."""
    began = time.monotonic()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds():  # noqa: ASYNC110 - any condition
            await asyncio.sleep(0.01)
    return time.monotonic() - began


@pytest.mark.usefixtures("brief")
async def test_one_leads_and_the_next_takes_over_when_it_dies(candidate: Open) -> None:
    """Of two, one works; when it is gone without a word, the other goes on from where it stood, soon and once."""
    first, second = candidate(), candidate()
    await first.leadership.start()
    await until(lambda: first.worker.counted > 5)
    await second.leadership.start()
    await asyncio.sleep(2.0)  # longer than a lease
    assert first.leadership.leading
    assert not second.worker.claims
    await first.dies()
    assert await until(lambda: second.worker.counted > 5) < 1.5 + 1.0
    [claim] = second.worker.claims
    assert (claim.position - first.worker.counted, claim.epoch) in [(0, 2), (1, 2)]  # its last commit may be on disk


@pytest.mark.usefixtures("brief")
async def test_an_orderly_end_hands_over_at_once(candidate: Open) -> None:
    """Who stops gives its lease back: nobody waits for it to run out."""
    first, second = candidate(), candidate()
    await first.leadership.start()
    await until(lambda: first.leadership.leading)
    await second.leadership.start()
    await first.leadership.stop()
    assert not first.worker.at_work
    assert await until(lambda: second.leadership.leading) < 1.0
    await first.leadership.start()  # and may stand by again
    await asyncio.sleep(1.0)
    assert second.leadership.leading
    assert not first.leadership.leading


@pytest.mark.usefixtures("brief")
async def test_who_claims_its_work_makes_the_leader_begin_anew(candidate: Open) -> None:
    """An operator who moves a checkpoint claims it first: the leader goes on from there, without a restart."""
    one = candidate()
    await one.leadership.start()
    await until(lambda: one.worker.counted > 5)
    claim = await one.store.claim("worker", "toy")
    moved = Commit(checkpoint=(Checkpoint("worker", "toy", 1_000_000),), fence=Fence("worker", "toy", claim.epoch))
    await one.store.commit([moved])
    assert await until(lambda: len(one.worker.claims) == 2) < 1.0
    assert one.worker.claims[1] == Claim(1_000_000, 3)


@pytest.mark.usefixtures("brief")
async def test_a_leader_that_cannot_begin_tries_again(candidate: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work that cannot be begun is not taken for begun, and leaves nothing running."""
    one = candidate()
    claim = one.store.claim

    async def fails(consumer: str, source: str) -> Claim:
        raise StoreError("not now")

    monkeypatch.setattr(one.store, "claim", fails)
    await one.leadership.start()
    await until(lambda: one.leadership.held)
    await asyncio.sleep(0.5)
    assert not one.leadership.leading
    monkeypatch.setattr(one.store, "claim", claim)
    await until(lambda: one.leadership.leading)


@pytest.mark.usefixtures("brief")
async def test_without_its_database_nobody_leads(candidate: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """A leader that cannot reach the database stops when its lease runs out, even while it waits for an answer."""
    one = candidate()
    await one.leadership.start()
    await until(lambda: one.leadership.leading)
    hold = one.store.hold

    async def never(lease: str, holder: str, seconds: float) -> bool:
        await asyncio.sleep(PATIENCE_SECONDS)
        return True

    monkeypatch.setattr(one.store, "hold", never)
    assert await until(lambda: not one.worker.at_work) < 1.5 + 0.2
    assert not one.leadership.leading
    monkeypatch.setattr(one.store, "hold", hold)
    await until(lambda: one.leadership.leading)
    assert len(one.worker.claims) == 2


@pytest.mark.usefixtures("brief")
async def test_a_database_that_was_away(postgres_database: PostgresDatabase) -> None:
    """While the server is down nobody works; when it is back, one of the two does."""
    candidates = [Candidate(postgres_database.open()), Candidate(postgres_database.open())]
    try:
        for one in candidates:
            await one.leadership.start()
        await until(lambda: any(one.worker.counted for one in candidates))
        await asyncio.to_thread(postgres_database.cluster.stop, "immediate")
        try:
            await until(lambda: not any(one.worker.at_work for one in candidates))
        finally:
            await asyncio.to_thread(postgres_database.cluster.start)
        counted = [one.worker.counted for one in candidates]
        await until(lambda: [one.worker.counted for one in candidates] != counted)
        assert [one.leadership.leading for one in candidates].count(True) == 1
    finally:
        for one in candidates:
            await one.leadership.stop()


@pytest.mark.parametrize("url", ["postgres"], indirect=True)  # SQLite's file may stay locked by who is frozen
async def test_a_frozen_leader_is_fenced(url: str, candidate: Open) -> None:
    """A process that stands still is replaced in time, and when it wakes not one of its writes counts."""
    frozen = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", __name__, url), stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert frozen.stdout is not None
    assert await frozen.stdout.readline() == b"leading\n"
    frozen.send_signal(signal.SIGSTOP)
    second = candidate()
    await second.leadership.start()
    assert await until(lambda: second.worker.counted > 5) < LEASE_SECONDS + 2
    [claim] = second.worker.claims
    frozen.send_signal(signal.SIGCONT)
    async with asyncio.timeout(LEASE_SECONDS):
        assert await frozen.stdout.readline() == b"at rest\n"
    frozen.kill()
    await frozen.communicate()
    assert not second.worker.fenced
    assert second.worker.claims == [claim]
    assert await second.store.checkpoint("worker", "toy") - claim.position <= second.worker.counted + 1


async def _lead(url: str) -> None:
    logging.set_up("error")
    one = Candidate(open_store(url, decode))
    await one.leadership.start()
    while not one.worker.counted:  # noqa: ASYNC110 - a program of a test
        await asyncio.sleep(0.001)
    print("leading", flush=True)
    while one.worker.at_work or one.leadership.leading:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    print("at rest", flush=True)
    await asyncio.sleep(PATIENCE_SECONDS)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(_lead(sys.argv[1]))
