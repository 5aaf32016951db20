"""A PostgreSQL server of one's own: kept between runs if wanted, killed if wanted, never left behind."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.stack.postgres import PostgresCluster, ServerFailed, throw_away

PARENT = """
import sys, time
from pathlib import Path
from services.stack.postgres import PostgresCluster
cluster = PostgresCluster(Path(sys.argv[1]))
cluster.start()
print(cluster.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where a server keeps its data."""
    place = Path(tempfile.mkdtemp(prefix="aftersales-test-")) / "postgres"
    yield place
    throw_away(place)
    shutil.rmtree(place.parent)


def test_data_is_kept(folder: Path) -> None:
    """Closing keeps what is in a folder that was named, password and all; throwing away does not."""
    for statement in ("CREATE TABLE t (x int)", "INSERT INTO t VALUES (1)", "DROP TABLE t"):
        cluster = PostgresCluster(folder)
        cluster.start()
        cluster.execute(statement)
        cluster.close()
    throw_away(folder)
    assert not folder.exists()


def test_killed_server_starts_again(folder: Path) -> None:
    """`kill -9` leaves nothing that would keep the server from starting; what was committed is there."""
    cluster = PostgresCluster(folder)
    cluster.start()
    port = cluster.port
    cluster.execute("CREATE TABLE t (x int)")
    cluster.kill()
    assert cluster.pid is None
    with pytest.raises(ServerFailed):
        cluster.execute("SELECT 1")
    cluster.start()
    assert cluster.port == port
    cluster.execute("INSERT INTO t VALUES (1)")
    cluster.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux flushes a whole file system at once")
def test_flushes_like_a_real_one_and_recovers_quickly(postgres: PostgresCluster) -> None:
    """What is committed is flushed to disk, and a crash costs no flush of each single file."""
    holds = "current_setting('fsync') = 'on' AND current_setting('recovery_init_sync_method', true) = 'syncfs'"
    since = "current_setting('server_version_num')::int < 140000"
    postgres.execute(f"DO $$ BEGIN ASSERT {since} OR {holds}; END $$")


def test_server_that_somebody_killed_starts_again_at_the_first_try(folder: Path) -> None:
    """Whoever kills the server from outside waits for nothing: what its sessions still hold is waited for here."""
    cluster = PostgresCluster(folder)
    cluster.start()
    with socket.create_connection(("127.0.0.1", cluster.port)):  # a session that has yet to notice
        assert cluster.pid is not None
        os.kill(cluster.pid, signal.SIGKILL)
        while cluster.pid:
            time.sleep(0.001)
        cluster.start()
    cluster.execute("SELECT 1")
    cluster.close()


def test_server_ends_with_a_parent_that_is_killed(folder: Path) -> None:
    """A test run that is killed leaves no server running."""
    with subprocess.Popen([sys.executable, "-c", PARENT, str(folder)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        server = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{server}/cmdline").exists() and Path(f"/proc/{server}/cmdline").read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_server_that_was_left_running_is_taken_over(folder: Path) -> None:
    """Whoever comes next on the folder of a run that was killed stops what it left, and works on its data."""
    left = PostgresCluster(folder)
    left.start()
    left.execute("CREATE TABLE t (x int)")
    cluster = PostgresCluster(folder)
    assert left.pid is None
    cluster.start()
    cluster.execute("INSERT INTO t VALUES (1)")
    cluster.close()
    left.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has folders that PostgreSQL's own user cannot reach")
def test_folder_that_postgresql_cannot_reach(tmp_path: Path) -> None:
    """As root the data stands where the server may go, and the same folder finds it again."""
    (closed := tmp_path / "closed").mkdir(mode=0o700)
    for statement in ("CREATE TABLE t (x int)", "DROP TABLE t"):
        cluster = PostgresCluster(closed / "postgres")
        cluster.start()
        cluster.execute(statement)
        cluster.close()
    throw_away(closed / "postgres")
