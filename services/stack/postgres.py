"""A PostgreSQL server of one's own: on a free port, in a folder of its own, flushing to disk like a real one."""

import os
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import structlog

from services.stack.ports import free_port

USER = "aftersales"
"""Who owns the databases."""

_DEBIAN = Path("/usr/lib/postgresql")
_INSTALL = ("apt-get", "install", "--yes", "--no-install-recommends", "postgresql")
_PORT_TRIES = 5
#: Where data is kept that root wants in a folder which PostgreSQL's own user cannot reach.
_REACHABLE = Path("/var/tmp")
_GONE_SECONDS = 30.0
#: After a crash all data is flushed to disk at once instead of file by file, which takes seconds. Linux knows how, and
#: PostgreSQL from this version on.
_FLUSHED_AT_ONCE = {"recovery_init_sync_method": "syncfs"}
_FLUSHES_AT_ONCE_FROM = 14
#: Ends a server whose parent is gone: then nobody holds the other end of its standard input.
_GUARD = 'read -r _; kill -INT "$1"'
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "fsync": "on",
    "synchronous_commit": "on",
    "log_line_prefix": "%m [%p] %a ",
}

log = structlog.get_logger(__name__)


class PostgresMissing(Exception):
    """PostgreSQL's programs are not on this machine. Install them: `apt-get install --yes postgresql`."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(f"{self.__doc__} {reason}".strip())


class ServerFailed(Exception):
    """A program of PostgreSQL did not do what it was told to; the message holds what it said."""


class PostgresCluster:
    """A server with its data folder. `start` and `stop` may be called again and again."""

    def __init__(self, folder: Path | None = None, port: int = 0, flushes: bool = True) -> None:
        """`folder` keeps the data over `close` (None: a temporary one, thrown away with all in it); `port`: where to
        listen if it is free; `flushes`: whether commits outlive a crash of the machine, which costs time."""
        self._flushes = flushes
        self._bin = postgres_programs()
        self._owner = _owner()
        self._preferred = port
        self._port = 0
        self._guard: subprocess.Popen[bytes] | None = None
        self._temporary = folder is None
        self._folder = _reachable(folder) if folder else Path(tempfile.mkdtemp(prefix="aftersales-postgres-"))
        self._data = self._folder / "data"
        self._password = self._made()
        if self.pid:  # what an earlier run left behind when it was killed
            self.stop()

    def _made(self) -> str:
        """Make the data folder, unless it is there; gives the owner's password."""
        file = self._folder / "password"
        if (self._data / "PG_VERSION").exists():
            return file.read_text()
        self._password = secrets.token_hex(16)
        self._folder.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(self._password)
        if self._owner:
            for path in (self._folder, file):
                shutil.chown(path, "postgres", "postgres")
        # Its default order of texts is no code-point order: what relies on one has to say so.
        self._run(
            "initdb",
            *("--pgdata", str(self._data), "--username", USER, "--pwfile", str(file)),
            *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"),
            *("--locale-provider=icu", "--icu-locale=en"),
        )
        return self._password

    @property
    def port(self) -> int:
        """Where the server listens, on 127.0.0.1; the same after each restart."""
        return self._port

    @property
    def log(self) -> str:
        """What the server wrote about itself so far."""
        return (self._folder / "log").read_text(errors="replace")

    def url(self, database: str = "postgres", port: int | None = None) -> str:
        """What to connect to; `port` where something stands between."""
        return f"postgresql+asyncpg://{USER}:{self._password}@127.0.0.1:{port or self._port}/{database}"

    def start(self) -> None:
        """Start and wait until connections are taken; what is left of a server that was killed is waited for first."""
        if not self.pid:
            self._cleared()
        for tries_left in reversed(range(_PORT_TRIES)):
            port = self._port or free_port([self._preferred] if self._preferred else ())
            settings = " ".join(f"-c {name}='{value}'" for name, value in {**self._settings(), "port": port}.items())
            try:
                self._control("start", "--log", str(self._folder / "log"), "--options", settings)
            except ServerFailed:
                if self._port or not tries_left:  # somebody else may have taken the port in between
                    raise
            else:
                self._port = port
                self._guarded()
                return

    def _settings(self) -> dict[str, str]:
        version = float((self._data / "PG_VERSION").read_text())
        quick = sys.platform == "linux" and version >= _FLUSHES_AT_ONCE_FROM
        flushed = {} if self._flushes else {"fsync": "off"}
        return {**_SETTINGS, **(_FLUSHED_AT_ONCE if quick else {}), **flushed}

    def stop(self, mode: str = "fast") -> None:
        """Stop: `fast` ends transactions and shuts down cleanly, `immediate` is as good as a crash."""
        self._control("stop", "--mode", mode)
        self._unguarded()

    def kill(self) -> None:
        """End the server at once (`kill -9`), and wait until its sessions noticed."""
        server = self.pid
        assert server is not None
        os.kill(server, signal.SIGKILL)
        self._cleared()
        self._unguarded()

    @property
    def pid(self) -> int | None:
        """The server's process; None while it does not run."""
        with suppress(FileNotFoundError, ValueError, IndexError):
            pid = int((self._data / "postmaster.pid").read_text().split()[0])
            # The file may be an old one, and the number another program's by now.
            if _lives(pid) and str(self._data).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        return None

    def create_database(self, name: str) -> str:
        """A new, empty database; gives its URL."""
        self.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def execute(self, sql: str, database: str = "postgres") -> None:
        """Run SQL as the owner, behind everybody's back."""
        self._run(
            "psql",
            *("--host=127.0.0.1", f"--port={self._port}", f"--username={USER}", f"--dbname={database}"),
            *("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--command={sql}"),
        )

    def close(self) -> None:
        """Stop, if it runs; what is in a temporary folder is thrown away."""
        if self.pid:
            self.stop("immediate" if self._temporary else "fast")
        self._unguarded()
        if self._temporary:
            shutil.rmtree(self._folder)

    def _cleared(self) -> None:
        """Wait until nothing of a server that was killed is at work on the data: its sessions notice a little later."""
        deadline = time.monotonic() + _GONE_SECONDS
        while any(map(_lives, _at_work_in(self._data.resolve()))):
            if time.monotonic() > deadline:
                raise ServerFailed("the server was killed, but its sessions stay")
            time.sleep(0.02)
        # All are gone, which PostgreSQL could not tell as long as nobody has asked for their exit status.
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def _guarded(self) -> None:
        self._unguarded()  # that of a server that died must not hit whoever has its number now
        command = ["sh", "-c", _GUARD, "guard", str(self.pid)]
        self._guard = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    def _unguarded(self) -> None:
        guard, self._guard = self._guard, None
        if guard is not None and guard.stdin is not None:
            guard.kill()
            guard.stdin.close()
            guard.wait()

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", *arguments, "--pgdata", str(self._data), "--wait", "--timeout=60")

    def _run(self, program: str, *arguments: str) -> None:
        # Into a file, not a pipe: the server inherits it, and who reads a pipe would wait until the server ends.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                [self._bin / program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                env={**os.environ, "PGPASSWORD": self._password},
                check=False,
                **self._owner,
            )
            output.seek(0)
            said = output.read().decode(errors="replace")
        if done.returncode:
            raise ServerFailed(f"{program} {' '.join(arguments)}: {said}")


@contextmanager
def throwaway_cluster(flushes: bool = True) -> Iterator[PostgresCluster]:
    """A running server for the length of a block; `flushes`: as for `PostgresCluster`."""
    cluster = PostgresCluster(flushes=flushes)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


def throw_away(folder: Path) -> None:
    """Remove what a server kept in a folder; one that an earlier run left running is stopped."""
    kept = _reachable(folder)
    if (kept / "data" / "PG_VERSION").exists():
        PostgresCluster(folder)
    for one in {kept, folder}:
        shutil.rmtree(one, ignore_errors=True)


def postgres_programs() -> Path:
    """The folder of `initdb` and `pg_ctl`, the newest version of several; installs them where Debian lets us.

    Raises PostgresMissing.
    """
    if found := _installed():
        return found
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise PostgresMissing
    log.warning("installing_postgresql", command=" ".join(_INSTALL))
    done = subprocess.run(_INSTALL, capture_output=True, text=True, check=False)
    if found := _installed():
        return found
    raise PostgresMissing(done.stderr)


def _installed() -> Path | None:
    debian = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda program: float(program.parent.parent.name))
    on_path = shutil.which("initdb")
    if debian:
        return debian[-1].parent
    return Path(on_path).resolve().parent if on_path else None


def _owner() -> dict[str, Any]:
    """PostgreSQL refuses to run as root: then it runs as the user that Debian's package made for it."""
    return {"user": "postgres", "group": "postgres", "extra_groups": ()} if os.geteuid() == 0 else {}


def _reachable(folder: Path) -> Path:
    """The folder itself, or one that stands for it where PostgreSQL's own user may not go (below /root, for one).

    Which one is noted in the folder: whoever removes the folder begins with new data.
    """
    folder = folder.absolute()
    if os.geteuid() != 0 or all(parent.stat().st_mode & stat.S_IXOTH for parent in folder.parents if parent.exists()):
        return folder
    note = folder / "elsewhere"
    if not note.exists():
        folder.mkdir(parents=True, exist_ok=True)
        note.write_text(f"{_REACHABLE / 'aftersales-postgres-'}{secrets.token_hex(6)}")
    return Path(note.read_text())


def _at_work_in(data: Path) -> list[int]:
    """The server and its sessions: each of them stands in its data folder, whoever its parent is by now."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile, or is somebody else's
            if (process / "cwd").readlink() == data and (process / "comm").read_text() == "postgres\n":
                found.append(int(process.name))
    return found


def _lives(pid: int) -> bool:
    """Whether there is such a process, and not only its exit status that nobody has asked for yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False
