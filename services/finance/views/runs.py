"""Rows of reconciliations."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec

from services.finance.domain.books import Books
from services.finance.domain.runs import Run
from services.kernel.views import Row, utc

RUNS: Final = (
    "run",
    "channel",
    "first_day",
    "last_day",
    "bills",
    "order_channels",
    "position",  # bigint
    "matched",  # bigint
    "carried",  # bigint
    "discrepancies",  # bigint
    "result",
    "made_at",
    "made_by",
)

TABLES: Mapping[str, Sequence[str]] = {"run_view": RUNS}
KEYS: Mapping[str, int] = {"run_view": 1}


def rows(file: Books, subjects: Collection[str]) -> Mapping[str, Sequence[Row]]:
    """The reconciliations among these subjects of the books."""
    known = file.runs.all
    return {"run_view": [_row(known[name]) for name in subjects if name in known]}


def _row(run: Run) -> Row:
    event = run.event
    return {
        "run": event.run,
        "channel": event.channel,
        "first_day": event.first_day,
        "last_day": event.last_day,
        "bills": msgspec.json.encode(event.bills).decode(),
        "order_channels": msgspec.json.encode(event.order_channels).decode(),
        "position": event.position,
        "matched": event.matched,
        "carried": event.carried,
        "discrepancies": event.discrepancies,
        "result": event.result,
        "made_at": utc(run.at),
        "made_by": run.by,
    }
