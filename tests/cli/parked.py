"""A data folder with messages that liability left behind."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contracts.registry import decode
from services.catalogue import SERVICES
from services.kernel.event_store import Commit
from services.kernel.kafka.message import Message
from services.kernel.kafka.parking import BEHIND, DEAD, GAP, NEVER, WAITING, ParkedMessage, Parking
from services.kernel.migrations import migrate
from services.kernel.settings import load_settings
from services.kernel.stores import open_store

ROOT = Path(__file__).parents[2]
GROUP, TOPIC = "aftersales-liability", "aftersales.cases.v1"


def headers(sequence: int) -> tuple[tuple[str, bytes], ...]:
    """Those of an event that cases published."""
    return (
        ("ce_specversion", b"1.0"),
        ("ce_id", f"e{sequence}".encode()),
        ("ce_type", b"case.opened"),
        ("ce_source", b"/aftersales/cases"),
        ("ce_time", b"2026-10-05T10:00:00+08:00"),
        ("ce_dataschema", b"urn:aftersales:event:case.opened:v1"),
        ("content-type", b"application/json"),
        ("ce_sequence", str(sequence).encode()),
        ("ce_partitionkey", b"TB1"),
    )


def parked(sequence: int, **changes: Any) -> ParkedMessage:
    """An event of TB1 that liability could not read, two hours ago; or with other values."""
    message = Message(TOPIC, 0, sequence + 6, b"TB1", b'{"case_id": "TB1-1"}', headers(sequence), 0)
    fields: dict[str, Any] = {
        "consumer": GROUP,
        "message": message,
        "stream": "TB1",
        "sequence": sequence,
        "type": "case.opened",
        "source": "cases",
        "state": DEAD,
        "cause": "invalid_body",
        "error": "Unreadable: [odd]",
        "tries": 1,
        "parked_at": time.time() - 7200,
    }
    return ParkedMessage(**(fields | changes))


def behind(sequence: int, stream: str = "TB1") -> ParkedMessage:
    """One that stands behind others of its order."""
    return parked(sequence, stream=stream, state=WAITING, cause=BEHIND, error="", due_at=NEVER)


def early(sequence: int, stream: str, source: str = "cases") -> ParkedMessage:
    """One that came before the one that should stand before it."""
    error = f"DeliveryGap: {source}/{stream} #{sequence} came too early, last is #{sequence - 2}"
    return parked(sequence, stream=stream, source=source, state=WAITING, cause=GAP, error=error)


def migrated(folder: Path, services: Sequence[str] = tuple(SERVICES)) -> Path:
    """A data folder with empty databases."""
    settings = load_settings({}, data_dir=str(folder))
    for service in services:
        migrate(settings.database_of(service), ROOT / "services" / service / "migrations")
    return folder


def left_behind(folder: Path, *messages: ParkedMessage, service: str = "liability") -> None:
    """Have a service keep these messages."""

    async def fill() -> None:
        store = open_store(load_settings({}, data_dir=str(folder)).database_of(service), decode)
        [outcome] = await store.commit(
            [Commit(statements=(Parking(f"aftersales-{service}", TOPIC, 0).park(messages),))]
        )
        assert not isinstance(outcome, Exception)
        await store.close()

    asyncio.run(fill())
