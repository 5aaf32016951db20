"""Logs for tests: own events of cases and some that it learned of refunds, on several orders."""

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from services.kernel.event_store import Append, Commit, CommitResult, EventStore, InboxMark
from services.kernel.log import NewRecord, Record
from services.kernel.migrations import migrate
from services.kernel.stores import open_store

MIGRATIONS = Path(__file__).parents[2] / "services" / "cases" / "migrations"
NOON = datetime(2026, 10, 5, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=8)))
ORDERS = 7
#: Bytes that a line of JSON must bring back as they were: laid out, with blanks around, not UTF-8, no JSON.
ODD = (b'{\n  "a": 1\n}', b' {"a":1} ', b'{"a":"\xff"}', b"", b"\x00\x01", b"[" * 5_000)


def decode(type: str, schema: int, data: bytes) -> Any:
    """Knows every type but those of a later release."""
    if type == "case.unheard_of":
        raise ValueError(f"unknown event type {type!r}")
    return None


def event(number: int, **changes: Any) -> NewRecord:
    """Event `number`; every third was learned."""
    learned = number % 3 == 0
    order = f"TB{number % ORDERS}"
    fields: dict[str, Any] = {
        "id": f"019a9b2e-6f00-7c31-8f2a-{number:012d}",
        "type": "refund.calculated" if learned else "case.rated",
        "schema": 1,
        "source": "refunds" if learned else "cases",
        "subject": f"{order}-1",
        "time": NOON + timedelta(minutes=number),
        "actor": "agent/小李",
        "correlation_id": f"r{number}",
        "causation_id": "",
        "policy": "2026-11-22",
        "traceparent": "",
        "event": None,
        "data": b'{"type":"case.rated","case_id":"%s-1","score":%d}' % (order.encode(), number),
    }
    return NewRecord(**(fields | changes))


async def grow(store: EventStore, first: int, last: int, **changes: Any) -> None:
    """Commit events `first` to `last`, one commit each; learned ones with the mark that they were handled."""
    for number in range(first, last + 1):
        new = event(number, **changes)
        stream = new.subject.removesuffix("-1")
        head = await store.head(stream)
        marks: tuple[InboxMark, ...] = ()
        if new.source == "refunds":
            sequence = (await store.inbox("refunds", [stream])).get(stream, 0) + 2  # one before it was not kept
            new = event(number, sequence=sequence, **changes)
            marks = (InboxMark("refunds", stream, sequence - 1), InboxMark("refunds", stream, sequence))
        append = Append(stream, head.version if head else 0, [new])
        [outcome] = await store.commit([Commit(appends=(append,), inbox=marks)])
        assert isinstance(outcome, CommitResult), outcome


async def log(folder: Path, name: str, events: int = 0) -> EventStore:
    """A log in a file of its own, with so many events."""
    url = f"sqlite+aiosqlite:///{folder / name}.db"
    if not (folder / f"{name}.db").exists():
        migrate(url, MIGRATIONS)
    store = open_store(url, decode)
    await grow(store, 1, events)
    return store


async def everything(store: EventStore) -> list[Record]:
    """All records."""
    return await store.read_log(0, 1_000_000, decode=False)


async def inbox(store: EventStore) -> list[dict[str, Any]]:
    """How far others were heard."""
    return await store.query("SELECT source, stream, sequence FROM inbox ORDER BY source, stream")
