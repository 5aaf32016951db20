"""What consumers in the same process are handed from memory is what they would have read from the log."""

from pathlib import Path

from services.kernel.event_store import CommitSignal
from tests.kernel.store_contract import append, commit
from tests.kernel.test_sqlite_store import SqliteDatabase, open_store


async def test_recent_records_are_those_of_the_log(tmp_path: Path) -> None:
    """Behind any position, of all sources or of one, memory and database give the same records."""
    store = open_store(SqliteDatabase(tmp_path / "log.db").url)
    await commit(store, append("TB1", 0, "a"))
    await commit(store, append("TB2", 0, "b", "c"))
    for after in range(4):
        for source in (None, "cases", "refunds"):
            for limit in (1, 10):
                kept = store.committed.recent(after, limit, source)
                read = await store.read_log(after, limit, source=source, decode=False)
                assert [(one.position, one.hash) for one in kept] == [(one.position, one.hash) for one in read]
    await store.close()


async def test_records_of_another_process_are_read_from_the_log(tmp_path: Path) -> None:
    """Where another process wrote in between, nothing is handed over that would skip its records."""
    url = SqliteDatabase(tmp_path / "log.db").url
    store, other = open_store(url), open_store(url)
    await commit(store, append("TB1", 0, "a"))
    await commit(other, append("TB2", 0, "b"))
    await commit(store, append("TB3", 0, "c"))
    assert store.committed.recent(0, 10) == []
    assert store.committed.recent(1, 10) == []
    assert [record.id for record in store.committed.recent(2, 10)] == ["c"]
    await store.close()
    await other.close()


def test_nothing_kept_says_nothing() -> None:
    """A signal that never saw a commit sends everybody to the log."""
    assert CommitSignal().recent(0, 10) == []
