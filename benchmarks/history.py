"""A database with one long history: an order file of any number of events, written through the real store."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from pathlib import Path

import msgspec

from contracts.event import Event, type_of
from contracts.events import cases as c
from contracts.events.orders import Line, Order, OrderRecorded
from contracts.registry import decode, encode
from services.cases import bootstrap
from services.kernel.event_store import Append, Commit, EventStore
from services.kernel.files import new_id
from services.kernel.log import NewRecord
from services.kernel.migrations import migrate
from services.kernel.settings import load_settings
from services.kernel.sqlite_store import SqliteStore

STREAM = "TB1"
#: Proposals that the events of a long history are about again and again, so that the file itself stays small.
PROPOSALS = 20
#: Records of one commit while the history is written.
CHUNK = 2000
MIGRATIONS = Path(bootstrap.__file__).parent / "migrations"

_BEGAN = datetime(2026, 1, 5, 9, tzinfo=UTC)


def prepared(folder: Path) -> str:
    """The URL of an empty, migrated database of the cases service."""
    url = load_settings({}, data_dir=folder).database_of("cases")
    migrate(url, MIGRATIONS)
    return url


def events(number: int, stream: str = STREAM, proposals: int = PROPOSALS) -> Iterator[Event]:
    """So many events: an order, a case about it, and then what an eventful case consists of."""
    return islice(_endless(stream, proposals), number)


def _endless(stream: str, proposals: int) -> Iterator[Event]:
    case_id = f"{stream}-1"
    line = Line(line_id="L1", sku="LOCK-K7", kind="product", quantity=2, paid_fen=259_800, unit_cost_fen=60_000)
    yield OrderRecorded(order=Order(order_id=stream, channel="taobao", buyer_id="b1", ordered_at=_BEGAN, lines=(line,)))
    yield c.CaseOpened(
        case_id=case_id,
        order_id=stream,
        problem="logistics_delay",
        lines=(c.LineQuantity(line_id="L1", quantity=2),),
        description="下单十天还没有收到货, 物流一直不更新",
    )
    parts = (c.LineAmount(line_id="L1", amount_fen=1000),)
    for number in count():
        proposal = f"P{number % proposals + 1}"
        yield c.CompensationProposed(
            case_id=case_id,
            proposal=proposal,
            kind="cash",
            amount_fen=1000,
            allocation=parts,
            proposed_by="agent/小李",
        )
        yield c.CompensationDeclined(case_id=case_id, proposal=proposal, note="买家不同意, 要求换货")
        yield c.ParcelTraced(case_id=case_id, tracking_no="YT7700123", status="快件已到达杭州转运中心, 正在派送")


def record(event: Event, number: int) -> NewRecord:
    """An event as it is handed to the log."""
    return NewRecord(
        id=new_id(),
        type=type_of(event),
        schema=event.schema_version,
        source="cases",
        subject=event.subject,
        time=_BEGAN + timedelta(seconds=number),
        actor="agent/小李",
        correlation_id="4bf92f3577b34da6a3ce929d0e0e4736",
        causation_id=f"key-{number}",
        policy="1",
        traceparent="",
        event=event,
        data=encode(event),
    )


def stored_bytes() -> bytes:
    """What one command adds to the log, as one piece."""
    [*_, last] = events(3)
    return msgspec.json.encode(msgspec.structs.astuple(record(last, 1)))


def write(folder: Path, number: int) -> str:
    """A database with one stream of so many events; gives its URL."""
    url = prepared(folder)
    asyncio.run(_write(url, number))
    return url


async def _write(url: str, number: int) -> None:
    store = SqliteStore(url, decode)
    await append(store, STREAM, events(number))
    await store.close()


async def append(store: EventStore, stream: str, source: Iterator[Event]) -> None:
    """Append events to a new stream."""
    version = 0
    while chunk := [record(event, version + n) for n, event in enumerate(islice(source, CHUNK))]:
        [outcome] = await store.commit([Commit(appends=(Append(stream, version, chunk),))])
        if isinstance(outcome, Exception):
            raise outcome
        version += len(chunk)
