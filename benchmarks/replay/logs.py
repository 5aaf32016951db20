"""Logs of any length on both databases, each written once and then read by all that is measured."""

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

import msgspec

from benchmarks.history import prepared
from benchmarks.processes import environment
from benchmarks.replay import work
from benchmarks.replay.fill import EVENTS_PER_ORDER, fill
from benchmarks.replay.work import Worked
from benchmarks.sizes import Sizes
from benchmarks.stack.servers import Servers
from services.kernel.settings import Settings, load_settings

SQLITE: Final = "SQLite"
POSTGRES: Final = "PostgreSQL"
DATABASES: Final = (SQLITE, POSTGRES)
#: Of the long log, so that the short one has more than one order.
LEAST_EVENTS: Final = 20 * EVENTS_PER_ORDER


class Log(msgspec.Struct, frozen=True):
    """A cases service with so many events in its log."""

    database: str
    events: int
    data_dir: Path
    database_url: str
    """Where all services of the shop keep their databases; empty: in `data_dir`."""

    @property
    def name(self) -> str:
        """What the figures about it are called."""
        return f"{self.database}, {self.events:,} events"

    @property
    def settings(self) -> Settings:
        """What the service is told."""
        return load_settings({}, data_dir=self.data_dir, database_url=self.database_url)

    def worked(self, rounds: int, *works: str) -> Worked:
        """Go through it in a process of its own, in each of these ways (`work.py`) in turn, round after round."""
        # Not by `-m`: worker processes begin with importing the main module again, and this one is large.
        program = f"from {work.__name__} import main; main()"
        place = (str(self.data_dir), self.database_url)
        done = subprocess.run(
            [sys.executable, "-c", program, *place, str(self.events), str(rounds), *works],
            stdout=subprocess.PIPE,
            check=True,
            env=environment(),
        )
        return msgspec.json.decode(done.stdout, type=Worked)


class Logs:
    """A long log and one of a tenth of its length on each database, written when they are first asked for."""

    def __init__(self, servers: Servers, databases: Sequence[str], events: int | None) -> None:
        """`events` of the longest; None: as the sizes say."""
        self.databases = databases
        self._servers = servers
        self._events = events
        self._made: dict[tuple[str, int], Log] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def of(self, database: str, sizes: Sizes) -> tuple[Log, Log]:
        """The short one and the long one."""
        events = self._events or sizes.replayed
        return self._log(database, events // 10), self._log(database, events)

    def _log(self, database: str, events: int) -> Log:
        if (database, events) not in self._made:
            folder = self._servers.folder / f"{database}{events}"
            folder.mkdir()
            log = Log(database, events, folder, self._database_url(database, folder))
            asyncio.run(fill(log.settings.database_of("cases"), events))
            self._made[database, events] = log
        return self._made[database, events]

    def _database_url(self, database: str, folder: Path) -> str:
        """Of empty databases, which are made."""
        if database == SQLITE:
            prepared(folder)
            return ""
        return self._stack.enter_context(self._servers.shop(broker=False)).databases.url
