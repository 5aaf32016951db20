"""The best-known Python event-sourcing library (`eventsourcing`), used as its tutorial says."""

import time
from pathlib import Path
from typing import Any
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from sqlalchemy import make_url

#: Events of an aggregate when a command comes: as many as a usual case has.
EVENTS_BEFORE_COMMAND = 10
#: Events of one save while a long history is written, and of one page of the log.
CHUNK = 1000


class LibraryCase(Aggregate):
    """A case, as far as the measured commands need one."""

    @event("Opened")
    def __init__(self, order_id: str, problem: str) -> None:
        self.order_id = order_id
        self.problem = problem
        self.proposals: dict[str, int] = {}

    @event("CompensationProposed")
    def propose(self, proposal: str, kind: str, amount_fen: int, proposed_by: str, note: str = "") -> None:
        """Offer an amount."""
        self.proposals[proposal] = amount_fen


class LibraryCases(Application[UUID]):
    """Cases, wherever the environment says that they are kept."""

    def open(self, events: int) -> UUID:
        """A case with so many events."""
        case = LibraryCase(order_id="TB1", problem="logistics_delay")
        for number in range(events - 1):
            _propose(case, number)
            if number % CHUNK == 0:
                self.save(case)
        self.save(case)
        return case.id

    def command(self, case_id: UUID, number: int) -> None:
        """Load the case, decide, append one event."""
        case: LibraryCase = self.repository.get(case_id)
        _propose(case, number)
        self.save(case)


def _propose(case: LibraryCase, number: int, note: str = "") -> None:
    case.propose(proposal=f"P{number % 20}", kind="cash", amount_fen=1000 + number, proposed_by="agent/小李", note=note)


def on_sqlite(file: Path) -> LibraryCases:
    """Cases in a file."""
    return LibraryCases(env={"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(file)})


def on_postgres(database_url: str) -> LibraryCases:
    """Cases in a database, in tables that are made where they are missing."""
    url = make_url(database_url)
    return LibraryCases(
        env={
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_DBNAME": str(url.database),
            "POSTGRES_HOST": str(url.host or url.query.get("host", "")),
            "POSTGRES_PORT": str(url.port or url.query.get("port", "")),
            "POSTGRES_USER": str(url.username),
            "POSTGRES_PASSWORD": url.password or "",
        }
    )


def commands_per_second(app: LibraryCases, count: int) -> float:
    """Commands in process, each on an aggregate of its own that has ten events; closes the application."""
    cases = [app.open(EVENTS_BEFORE_COMMAND) for _ in range(count)]
    began = time.perf_counter()
    for number, case_id in enumerate(cases):
        app.command(case_id, number)
    seconds = time.perf_counter() - began
    app.close()
    return count / seconds


class LongHistory:
    """One aggregate with many events."""

    def __init__(self, folder: Path, events: int) -> None:
        self._events = events
        self._app = on_sqlite(folder / f"library-{events}.db")
        self._case_id = self._app.open(events)

    def events_per_second(self) -> float:
        """Load it anew, from its first event on."""
        began = time.perf_counter()
        self._app.repository.get(self._case_id)
        return self._events / (time.perf_counter() - began)

    def close(self) -> None:
        """Let go of the database."""
        self._app.close()


class Replaying:
    """Many aggregates, as long as a usual case."""

    def __init__(self, app: LibraryCases, events: int, each: int, bytes_each: int) -> None:
        """Write so many events, `each` to an aggregate, whose bodies have so many bytes."""
        self._app = app
        note = "x" * max(0, bytes_each - self._bare_bytes())
        self._case_ids: list[UUID] = []
        cases: list[LibraryCase] = []
        for left in range(events, 0, -each):
            cases.append(LibraryCase(order_id="TB1", problem="logistics_delay"))
            for number in range(1, min(each, left)):
                _propose(cases[-1], number, note)
            if len(cases) == CHUNK // each or left <= each:
                self._app.save(*cases)
                self._case_ids += [case.id for case in cases]
                cases = []

    def _bare_bytes(self) -> int:
        case = LibraryCase(order_id="TB1", problem="logistics_delay")
        _propose(case, 1)
        return len(self._app.mapper.to_stored_event(case.collect_events()[-1]).state)

    def by_aggregate(self) -> int:
        """Load each aggregate from its first event on, as commands do; gives the number of events."""
        return sum(self._app.repository.get(case_id).version for case_id in self._case_ids)

    def by_log(self) -> int:
        """Go through the log page by page and apply each event to its aggregate; gives the number of events."""
        cases: dict[UUID, Any] = {}
        last = 0
        while page := self._app.recorder.select_notifications(last + 1, CHUNK):
            for notification in page:
                happened: Any = self._app.mapper.to_domain_event(notification)
                cases[happened.originator_id] = happened.mutate(cases.get(happened.originator_id))
            last = int(page[-1].id)
        return last

    def close(self) -> None:
        """Let go of the database."""
        self._app.close()
