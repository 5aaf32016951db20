"""Power cut: a real process is killed with SIGKILL between any two statements of a commit.

The child process is this module run as a program. It has SQLite itself tell it of every statement before it
runs, and kills itself at the one it was told to; the product knows nothing of that.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from services.kernel.appender import Appender
from services.kernel.event_store import Append, Checkpoint, Commit, IdempotentAnswer, InboxMark, Statement
from services.kernel.proof import verify
from tests.children import Children, children_of
from tests.kernel.store_contract import append, commit, new
from tests.kernel.test_sqlite_store import SqliteDatabase, open_store

NEVER = 1_000


def whole_commit(stream: str) -> Commit:
    """A commit with everything a commit can have."""
    return Commit(
        appends=(
            Append(stream, 0, [new("a"), new("r", source="refunds", sequence=1), new("b")]),
            Append("stock", 0, [new("c")]),
        ),
        statements=(
            Statement(SqliteDatabase.note, [(f"n{n}", stream) for n in range(5)]),
            Statement("UPDATE notes SET text = ? WHERE id = ?", [("changed", "n1"), ("changed", "n2")]),
        ),
        inbox=(InboxMark("refunds", stream, 1),),
        checkpoint=(Checkpoint("cases", "refunds", 7),),
        answer=IdempotentAnswer("key", b"hash", 201, b"{}", datetime(2026, 3, 1, tzinfo=UTC)),
    )


@pytest.fixture(scope="module")
def children(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Children]:
    """Processes that die."""
    with children_of(__name__, tmp_path_factory.mktemp("children")) as children:
        yield children


async def test_commit_survives_a_kill_whole_or_not_at_all(tmp_path: Path, children: Children) -> None:
    """Whichever statement of the commit the process dies at, afterwards the log holds all of it or nothing,
    the chain fits, what was acknowledged before is there, and the next process goes on."""
    outcomes = []
    for statement in range(1, NEVER):
        database = await asyncio.to_thread(SqliteDatabase, tmp_path / f"killed-{statement}.db")
        code, lines = await asyncio.to_thread(children.run, database.url, str(statement))
        store = open_store(database.url)
        written = await store.head("TB1") is not None
        assert [record.id for record in await store.read_stream("before")] == ["first"], "acknowledged before"
        assert len(await store.read_log(0, 100)) == (5 if written else 1)
        assert len(await store.query("SELECT * FROM notes")) == (5 if written else 0)
        assert len(await store.query("SELECT * FROM notes WHERE text = 'changed'")) == (2 if written else 0)
        assert await store.inbox("refunds", ["TB1"]) == ({"TB1": 1} if written else {})
        assert await store.checkpoint("cases", "refunds") == (7 if written else 0)
        assert (await store.answer("key") is not None) == written
        assert await verify(store) is None
        if not written:
            await commit(store, whole_commit("TB1"))
        await commit(store, append("TB1", 3, "next"))
        assert await verify(store) is None
        await store.close()
        outcomes.append((code, written, lines))
        if code == 0:
            break
    *killed, finished = outcomes
    assert {code for code, _, _ in killed} == {-signal.SIGKILL}
    assert finished == (0, True, ["ready", "acknowledged"])
    assert len(killed) >= 10, "each statement of the commit was hit once"
    assert all(lines == ["ready"] for _, _, lines in killed)
    assert not any(written for _, written, _ in killed), "all were killed before COMMIT ran"


@pytest.mark.parametrize("after_s", [0.05, 0.15, 0.3])
async def test_acknowledged_commits_survive_a_kill_under_load(tmp_path: Path, after_s: float) -> None:
    """Killed at any moment under concurrent load, a process loses nothing that it had acknowledged."""
    database = await asyncio.to_thread(SqliteDatabase, tmp_path / "cases.db")
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, database.url, "load", stdout=subprocess.PIPE
    )
    assert child.stdout
    assert await child.stdout.readline() == b"ready\n"
    first = (await child.stdout.readline()).decode().strip()
    await asyncio.sleep(after_s)
    child.kill()
    rest = (await child.stdout.read()).decode()
    acknowledged = {first, *rest[: rest.rfind("\n") + 1].split()}
    await child.wait()
    store = open_store(database.url)
    written = {head.stream for head in await store.streams(limit=1_000_000)}
    assert acknowledged <= written
    assert len(await store.read_log(0, 1_000_000)) == 2 * len(written), "each commit has two events"
    assert await verify(store) is None
    await store.close()


async def _be_killed(url: str, statement: int) -> None:
    left = NEVER

    def count(_: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def trace(connection: Any, _: object) -> None:
        connection.run_async(lambda driver: driver.set_trace_callback(count))

    event.listen(Engine, "connect", trace)
    store = open_store(url)
    await commit(store, append("before", 0, "first"))
    print("ready", flush=True)
    left = statement
    await commit(store, whole_commit("TB1"))
    left = NEVER
    print("acknowledged", flush=True)
    await store.close()


async def _load(url: str) -> None:
    appender = Appender(open_store(url))
    print("ready", flush=True)

    async def client(name: int) -> None:
        for n in range(100_000):
            stream = f"TB{name}-{n}"
            await appender.submit(append(stream, 0, "a", "b"))
            os.write(1, f"{stream}\n".encode())

    await asyncio.gather(*map(client, range(16)))


if __name__ == "__main__":
    url, what = sys.argv[1:]
    asyncio.run(_load(url) if what == "load" else _be_killed(url, int(what)))
