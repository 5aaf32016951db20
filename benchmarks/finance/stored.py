"""A finance service's database with so many rows of bills, and reconciling what stands there, notes included.

`python -m benchmarks.finance.stored FOLDER ROWS DAYS` is a process that does it and says what it took.
"""

import asyncio
import sqlite3
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.finance.join_process import peak_mb
from benchmarks.finance.made import Day, made, scope
from contracts.events.finance import BillImported
from contracts.policy import load_policy
from contracts.registry import HEARS
from services import finance
from services.finance.bill_rows import COLUMNS
from services.finance.domain.books import BOOKS
from services.finance.domain.domain import FinanceDomain
from services.finance.reconciliation import Reconciler, Request
from services.finance.reconciling.items import BillRow
from services.finance.views import FinanceViews
from services.finance.views.bills import BILLS
from services.finance.views.ledger import POSTINGS
from services.kernel.actor import Actor
from services.kernel.clock import ManualClock
from services.kernel.event_store import Checkpoint, Commit
from services.kernel.files import Origin
from services.kernel.service import Part, Service
from services.kernel.views import Projector

_NOW: Final = "2027-03-01T10:00:00+08:00"
#: The two bills, as their hashes name them.
_BILLS: Final = {True: ("wechat-trade", "a" * 64), False: ("wechat-fund", "b" * 64)}


class Stored(msgspec.Struct, frozen=True):
    """Rows of bills, rows per second, and megabytes of memory."""

    rows: int
    per_second: float
    memory_mb: float
    discrepancies: int


async def reconciled(folder: Path, rows: int, days: int) -> Stored:
    """Fill a database, and reconcile what it holds."""
    migrations = Path(finance.__file__).parent / "migrations"
    part = Part(FinanceDomain(load_policy()), FinanceViews(), migrations, HEARS["finance"])
    file = folder / "finance.db"
    service: Service[Any] = Service(part, f"sqlite:///{file}", ManualClock(datetime.fromisoformat(_NOW)))
    await service.migrate()
    await _told(service, days)
    seen = await asyncio.to_thread(_filled, file, rows, days)
    position = await service.store.head_position()
    await service.appender.submit(Commit(checkpoint=(Checkpoint(Projector.name, "finance", position),)))
    asked = scope(days)
    request = Request(channel="wechat", first_day=asked.first_day, last_day=asked.last_day)
    began = time.perf_counter()
    done = await Reconciler(service).make(request)
    seconds = time.perf_counter() - began
    await service.close()
    return Stored(seen, seen / seconds, peak_mb(), done.tally.discrepancies)


async def _told(service: Service[Any], days: int) -> None:
    """The books know of both bills."""
    asked = scope(days)
    events = [
        BillImported(
            bill=bill,
            file_name=f"{kind}.csv",
            kind=kind,
            channel="wechat",
            merchant="",
            currency="CNY",
            first_day=asked.first_day,
            last_day=max(asked.trade.days),
            rows=0,
            in_fen=0,
            out_fen=0,
        )
        for kind, bill in _BILLS.values()
    ]
    await service.files.record(BOOKS, lambda _, __: events, Origin(Actor("finance", "benchmark"), ""))


def _filled(file: Path, rows: int, days: int) -> int:
    """Write what would have been heard and taken in; gives the rows of bills."""
    database, seen, asked = sqlite3.connect(file), 0, scope(days)
    sums = {is_trade: [0, 0, 0] for is_trade in _BILLS}
    try:
        database.execute("PRAGMA synchronous = OFF")
        for day in made(rows, days):
            _insert(database, "posting_view", POSTINGS, _postings(day))
            _insert(database, "bill_row", COLUMNS, map(_bill_row, day.rows))
            seen += len(day.rows)
            for row in day.rows:
                own = sums[row.is_trade]
                own[0] += 1
                own[1 if row.amount_fen > 0 else 2] += abs(row.amount_fen)
        for is_trade, (kind, bill) in _BILLS.items():
            count, in_fen, out_fen = sums[is_trade]
            said: Mapping[str, Any] = {
                **dict.fromkeys(BILLS, ""),
                **dict.fromkeys(("known_rows", "fee_fen"), 0),
                "bill": bill,
                "kind": kind,
                "channel": "wechat",
                "imported_at": "2026-01-01",
                "first_day": asked.first_day,
                "last_day": max(asked.trade.days),
                "row_count": count,
                "in_fen": in_fen,
                "out_fen": out_fen,
            }
            _insert(database, "bill_view", BILLS, [tuple(said[name] for name in BILLS)])
        database.commit()
        database.executescript("ANALYZE; PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        database.close()
    return seen


def _insert(database: sqlite3.Connection, table: str, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    places = ", ".join("?" * len(columns))
    database.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", rows)


def _postings(day: Day) -> Iterable[tuple[Any, ...]]:
    """The side of each booking that stands on the channel."""
    for one in day.postings:
        said = {
            **msgspec.structs.asdict(one),
            "position": 1,
            "month": one.day[:7],
            "account": "channel",
            "party": "",
            "memo": "refund",
        }
        yield tuple(said[name] for name in POSTINGS)


def _bill_row(row: BillRow) -> tuple[Any, ...]:
    said = {
        **msgspec.structs.asdict(row),
        "channel": "wechat",
        "row_key": row.key,
        "bill": _BILLS[row.is_trade][1],
        "line": 1,
        "part": "",
        "merchant": "",
        "gross_fen": row.amount_fen,
        "occurred_at": row.at,
        "balance_fen": None,
        "raw": "{}",
    }
    return tuple(said[name] for name in COLUMNS)


def main() -> None:
    """Do it, and say what it took."""
    folder, rows, days = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(reconciled(folder, rows, days))))


if __name__ == "__main__":
    main()
