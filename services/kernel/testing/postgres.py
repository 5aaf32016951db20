"""A PostgreSQL server of one's own: on a free port, in a temporary folder, flushing to disk like a real one."""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

USER = "aftersales"
"""Who owns the databases."""

_DEBIAN = Path("/usr/lib/postgresql")
_INSTALL = ("apt-get", "install", "--yes", "--no-install-recommends", "postgresql")
_PORT_TRIES = 5
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
    """A server with its data folder. `start` and `stop` may be called again and again; `close` throws all away."""

    def __init__(self) -> None:
        self._bin = postgres_programs()
        self._password = secrets.token_hex(16)
        self._port = 0
        self._folder = Path(tempfile.mkdtemp(prefix="aftersales-postgres-"))
        self._data = self._folder / "data"
        self._owner = _owner()
        if self._owner:
            shutil.chown(self._folder, "postgres", "postgres")
        password_file = self._folder / "password"
        password_file.write_text(self._password)
        # Its default order of texts is no code-point order: what relies on one has to say so.
        self._run(
            "initdb",
            *("--pgdata", str(self._data), "--username", USER, "--pwfile", str(password_file)),
            *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"),
            *("--locale-provider=icu", "--icu-locale=en"),
        )
        password_file.unlink()

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
        """Start and wait until connections are taken."""
        for tries_left in reversed(range(_PORT_TRIES)):
            port = self._port or _free_port()
            settings = " ".join(f"-c {name}='{value}'" for name, value in {**_SETTINGS, "port": port}.items())
            try:
                self._control("start", "--log", str(self._folder / "log"), "--options", settings)
            except ServerFailed:
                if self._port or not tries_left:  # somebody else may have taken the port in between
                    raise
            else:
                self._port = port
                return

    def stop(self, mode: str = "fast") -> None:
        """Stop: `fast` ends transactions and shuts down cleanly, `immediate` is as good as a crash."""
        self._control("stop", "--mode", mode)

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
        """Stop, if it runs, and remove everything."""
        if (self._data / "postmaster.pid").exists():
            self.stop("immediate")
        shutil.rmtree(self._folder)

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
def throwaway_cluster() -> Iterator[PostgresCluster]:
    """A running server for the length of a block."""
    cluster = PostgresCluster()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
