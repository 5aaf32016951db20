"""Processes and the server die at any moment, and nobody misses, doubles or tears anything.

Run as a program, this module is the process that dies: it says `ready`, then what was acknowledged, one id a line.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from services.kernel.appender import Appender
from services.kernel.event_store import Append, Commit, CommitFailed, Statement, StoreUnavailable, VersionConflict
from services.kernel.log import Record
from services.kernel.postgres import connection
from services.kernel.postgres import store as store_module
from services.kernel.postgres import transaction as transaction_module
from services.kernel.postgres.store import PostgresStore
from services.kernel.postgres.transaction import Judging
from services.kernel.proof import verify
from tests.children import Children, children_of
from tests.kernel.postgres import PostgresDatabase, open_store
from tests.kernel.store_contract import append, commit, ids, new
from tests.kernel.test_crash import whole_commit

NEVER = 1_000
LEAST_CRASHES, MOST_CRASHES = 3, 20
"""How often the server crashes under load: until some client was refused, so that trying again was needed."""
BARE = "bare"
"""A commit without read tables: judged first, then one statement is the whole transaction."""


@pytest.fixture(scope="module")
def children(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Children]:
    """Processes that die."""
    with children_of(__name__, tmp_path_factory.mktemp("children")) as children:
        yield children


async def test_no_tail_reader_ever_passes_an_uncommitted_event_of_any_process(
    postgres_database: PostgresDatabase,
) -> None:
    """Whoever follows positions gets every event once and in order, while processes think inside their transactions,
    collide, roll back and are killed, and somebody else's transaction stays open all the time."""
    idle = await postgres_database.connect()
    await idle.execute("CREATE TABLE IF NOT EXISTS elsewhere (n int)")
    await idle.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; INSERT INTO elsewhere VALUES (1); TABLE streams")
    done = asyncio.Event()
    seen: dict[str, list[Record]] = {"hurried": [], "woken": []}

    async def follow(store: PostgresStore, records: list[Record], woken: bool) -> None:
        while True:
            finished = done.is_set()
            position = records[-1].position if records else 0
            page = await store.read_log(position, limit=50, decode=False)
            records.extend(page)
            if finished and not page:
                return
            if woken and not page:
                await store.committed.beyond(position, timeout_s=0.2)

    followers = [
        asyncio.create_task(follow(postgres_database.open(), records, name == "woken"))
        for name, records in seen.items()
    ]
    writers = await asyncio.gather(*(_child(postgres_database.url, "think", f"w{n}") for n in range(6)))
    for doomed in writers[4:]:
        await asyncio.sleep(1.0)
        doomed.kill()
    await asyncio.sleep(1.0)
    for writer in writers:
        assert writer.stdin
        writer.stdin.close()
    acknowledged = {id for writer in writers for id in await _lines(writer)}
    done.set()
    await asyncio.gather(*followers)
    await idle.close()

    written = await _whole_log(postgres_database.open())
    assert [record.position for record in written] == list(range(1, len(written) + 1))
    assert len(acknowledged) > 100
    assert acknowledged <= set(ids(written))
    for name, records in seen.items():
        missed = set(ids(written)) - set(ids(records))
        assert len(missed) == 0, name
        assert ids(records) == ids(written), name
    assert await verify(postgres_database.open()) is None


@pytest.mark.parametrize(
    ("kind", "first_try", "statements"),
    [
        ("whole", Judging.AS_EXPECTED, 5),
        ("whole", Judging.AS_COMMITTED, 6),
        (BARE, Judging.AS_EXPECTED, 1),
        (BARE, Judging.AS_COMMITTED, 2),
    ],
)
async def test_commit_survives_a_kill_whole_or_not_at_all(
    postgres_database: PostgresDatabase, children: Children, kind: str, first_try: Judging, statements: int
) -> None:
    """Whichever statement of the commit the process dies at, afterwards the log holds all of it or nothing, what was
    acknowledged before is there, and the next process goes on at once."""
    outcomes = []
    for statement in range(1, NEVER):
        await postgres_database.empty()
        dies = (postgres_database.url, kind, first_try.name, str(statement))
        code, lines = await asyncio.to_thread(children.run, *dies)
        written = await _all_or_nothing(postgres_database.open(), kind)
        outcomes.append((code, written, lines))
        if code == 0:
            break
    *killed, finished = outcomes
    assert {code for code, _, _ in killed} == {-signal.SIGKILL}
    assert finished == (0, True, ["ready", "acknowledged"])
    assert len(killed) == statements, "each statement of the commit was hit once"
    assert all(lines == ["ready"] for _, _, lines in killed)
    assert not any(written for _, written, _ in killed), "all were killed before COMMIT ran"


@pytest.mark.parametrize(("first_try", "statements"), [(Judging.AS_EXPECTED, 5), (Judging.AS_COMMITTED, 6)])
async def test_commit_survives_a_crash_of_the_server(
    postgres_database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch, first_try: Judging, statements: int
) -> None:
    """Whichever statement of the commit the server crashes at, the caller is told that it may try again, nothing half
    is found afterwards, and the same store goes on."""
    left, done, cluster = NEVER, connection.done, postgres_database.cluster

    async def crash_at(connection: Any, asked: Awaitable[Any]) -> Any:
        nonlocal left
        left -= 1
        if left == 0:
            await asyncio.to_thread(cluster.stop, "immediate")
            await asyncio.to_thread(cluster.start)
        return await done(connection, asked)

    monkeypatch.setattr(transaction_module, "done", crash_at)
    monkeypatch.setattr(store_module, "_TRIES", _from(first_try))
    for statement in range(1, NEVER):
        await postgres_database.empty()
        store = postgres_database.open()
        await commit(store, append("before", 0, "first"))
        left = statement
        [outcome] = await store.commit([whole_commit("TB1")])
        crashed, left = left <= 0, NEVER
        written = await _all_or_nothing(store, "whole")
        await postgres_database.close_stores()
        assert written == (not crashed)
        assert isinstance(outcome, StoreUnavailable) == crashed
        if not crashed:
            break
    assert statement == statements + 1, "each statement of the commit was hit once"


@pytest.mark.parametrize("after_s", [0.1, 0.3])
async def test_acknowledged_commits_survive_a_kill_under_load(
    postgres_database: PostgresDatabase, after_s: float
) -> None:
    """Killed at any moment under concurrent load, a process loses nothing that it had acknowledged."""
    child = await _child(postgres_database.url, "load")
    assert child.stdout
    first = (await child.stdout.readline()).decode().strip()
    await asyncio.sleep(after_s)
    child.kill()
    acknowledged = {first, *await _lines(child)}
    store = postgres_database.open()
    written = {head.stream for head in await store.streams(limit=1_000_000)}
    assert acknowledged <= written
    assert len(await _whole_log(store)) == 2 * len(written), "each commit has two events"
    assert await verify(store) is None


async def test_acknowledged_commits_survive_crashes_of_the_server_under_load(
    postgres_database: PostgresDatabase,
) -> None:
    """While the server crashes again and again, clients that try the same commit until it is taken get all of them in,
    each once."""
    store = postgres_database.open(busy_timeout_s=5)
    appender = Appender(store)
    finished = asyncio.Event()
    acknowledged: set[str] = set()
    refused = 0

    async def client(name: int) -> None:
        nonlocal refused
        for n in range(1_000_000):
            if finished.is_set():
                return
            stream = f"TB{name}-{n}"
            while True:
                try:
                    await appender.submit(append(stream, 0, "a", "b"))
                except StoreUnavailable:
                    refused += 1
                    await asyncio.sleep(0.02)
                else:
                    break
            acknowledged.add(stream)

    clients = [asyncio.create_task(client(name)) for name in range(16)]
    crashes = 0
    # Only a commit that is under way at the crash is refused; one that begins later waits for the server.
    while crashes < LEAST_CRASHES or (not refused and crashes < MOST_CRASHES):
        await asyncio.sleep(0.3)
        await asyncio.to_thread(postgres_database.cluster.stop, "immediate")
        await asyncio.to_thread(postgres_database.cluster.start)
        crashes += 1
    await asyncio.sleep(0.3)
    finished.set()
    await asyncio.gather(*clients)
    await appender.close()
    assert refused, f"no client was refused in {crashes} crashes: none of them hit a commit that was under way"
    assert {head.stream for head in await store.streams(limit=1_000_000)} == acknowledged
    assert len(await _whole_log(store)) == 2 * len(acknowledged)
    assert await verify(store) is None


async def test_frozen_process_does_not_stop_the_others(postgres_database: PostgresDatabase) -> None:
    """A process that freezes while it holds the lock loses its transaction to the server, and the others go on; when
    it wakes, its commit is refused."""
    child = await _child(postgres_database.url, "freeze")
    assert child.stdout
    assert await child.stdout.readline() == b"frozen\n"
    store = postgres_database.open(busy_timeout_s=20)
    await commit(store, append("TB1", 0, "other"))
    child.send_signal(signal.SIGCONT)
    assert await _lines(child) == ["StoreUnavailable"]
    assert ids(await store.read_log(0, 10)) == ["other"]


async def _all_or_nothing(store: PostgresStore, kind: str) -> bool:
    """Check what a crash left of the commit; whether it is there. Then go on, with it done."""
    unit = _unit(kind)
    written = await store.head("TB1") is not None
    assert ids(await store.read_stream("before")) == ["first"], "acknowledged before"
    events = sum(len(one.records) for one in unit.appends)
    assert len(await store.read_log(0, 100)) == 1 + (events if written else 0)
    if kind != BARE:
        assert len(await store.query("SELECT * FROM notes")) == (5 if written else 0)
        assert len(await store.query("SELECT * FROM notes WHERE text = 'changed'")) == (2 if written else 0)
    assert await store.inbox("refunds", ["TB1"]) == ({"TB1": 1} if written else {})
    assert await store.checkpoint("cases", "refunds") == (7 if written else 0)
    assert (await store.answer("key") is not None) == written
    assert await verify(store) is None
    if not written:
        await commit(store, unit)
    await commit(store, append("TB1", 3, "next"))
    assert await verify(store) is None
    return written


def _unit(kind: str) -> Commit:
    whole = whole_commit("TB1")
    if kind != BARE:
        return whole
    return Commit(appends=whole.appends, inbox=whole.inbox, checkpoint=whole.checkpoint, answer=whole.answer)


async def _whole_log(store: PostgresStore) -> list[Record]:
    return await store.read_log(0, 1_000_000, decode=False)


def _from(first_try: Judging) -> tuple[Judging, ...]:
    """The ways to judge, from this one on."""
    return tuple(Judging)[tuple(Judging).index(first_try) :]


async def _child(url: str, *what: str) -> asyncio.subprocess.Process:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, url, *what, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout
    assert await child.stdout.readline() == b"ready\n"
    return child


async def _lines(child: asyncio.subprocess.Process) -> list[str]:
    """The whole lines that a process got out until its end."""
    assert child.stdout
    rest = (await child.stdout.read()).decode()
    await child.wait()
    return rest[: rest.rfind("\n") + 1].split()


# From here on everything runs in the process that dies.


def _before(statement: int, act: Callable[[], None]) -> Callable[[], None]:
    """Have something happen right before the n-th statement from when the result is called."""
    left, done = NEVER, connection.done

    async def counted(connection: Any, asked: Awaitable[Any]) -> Any:
        nonlocal left
        left -= 1
        if left == 0:
            act()
        return await done(connection, asked)

    def begin() -> None:
        nonlocal left
        left = statement

    vars(transaction_module)["done"] = counted
    return begin


async def _be_killed(store: PostgresStore, kind: str, statement: int) -> None:
    begin = _before(statement, lambda: os.kill(os.getpid(), signal.SIGKILL))
    await commit(store, append("before", 0, "first"))
    print("ready", flush=True)
    begin()
    await commit(store, _unit(kind))
    print("acknowledged", flush=True)


async def _freeze(store: PostgresStore) -> None:
    """Stop at the last statement of a transaction that holds the lock from its beginning."""
    await store.head_position()
    print("ready", flush=True)
    store_module._TRIES = (Judging.UNDER_LOCK,)

    def freeze() -> None:
        print("frozen", flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)

    _before(3, freeze)()
    [outcome] = await store.commit([append("TB1", 0, "frozen")])
    print(type(outcome).__name__, flush=True)


async def _load(store: PostgresStore) -> None:
    appender = Appender(store)
    print("ready", flush=True)

    async def client(name: int) -> None:
        for n in range(100_000):
            stream = f"TB{name}-{n}"
            await appender.submit(append(stream, 0, "a", "b"))
            os.write(1, f"{stream}\n".encode())

    await asyncio.gather(*map(client, range(16)))


async def _think(store: PostgresStore, name: str) -> None:
    """Until told to stop, commits of all sorts: with think time, with effects that fail, on streams of one's own and
    on one that all processes want."""
    chance = random.Random(name)
    appender = Appender(store, batch_commits=8)
    told_to_stop = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    print("ready", flush=True)

    async def client(client: int) -> None:
        for n in range(1_000_000):
            if told_to_stop.done():
                return
            id = f"{name}-{client}-{n}"
            stream = "shared" if chance.random() < 0.2 else f"{name}-{client}"
            head = await store.head(stream)
            thinks = (PostgresDatabase.think,) if chance.random() < 0.3 else ()
            fails = (Statement(PostgresDatabase.note, [(id, None)]),) if chance.random() < 0.1 else ()
            unit = Commit((Append(stream, head.version if head else 0, [new(id)]),), thinks + fails)
            try:
                await appender.submit(unit)
            except (VersionConflict, CommitFailed):
                continue
            os.write(1, f"{id}\n".encode())

    await asyncio.gather(*map(client, range(8)))
    await appender.close()


async def _main(url: str, what: str, *how: str) -> None:
    if what == "freeze":
        store_module.IDLE_TIMEOUT_S = 1.0
    store = open_store(url)
    match what:
        case "load":
            await _load(store)
        case "think":
            await _think(store, how[0])
        case "freeze":
            await _freeze(store)
        case kind:
            store_module._TRIES = _from(Judging[how[0]])
            await _be_killed(store, kind, int(how[1]))
    await store.close()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
