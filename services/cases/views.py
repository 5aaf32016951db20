"""The cases service's read tables: cases by what an operator looks for, and stock."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from services.cases.domain.case import Case
from services.cases.domain.closing import next_due, unfinished
from services.cases.domain.file import OrderFile
from services.cases.domain.stock import StockFile
from services.kernel.views import Row, utc

CASES = (
    "case_id",
    "order_id",
    "opened_at",
    "updated_at",
    "status",
    "problem",
    "promise",
    "urgent",
    "assignee",
    "approver",
    "parties",
    "waits_for",
    "next_due_at",
)
STOCK = ("sku", "available", "reserved", "awaited")


def promise_of(case: Case) -> str:
    """`broken` once a promised time passed, else `kept`."""
    return "broken" if case.broken else "kept"


class CasesViews:
    """Rows of the cases service."""

    tables: Mapping[str, Sequence[str]] = {"case_view": CASES, "stock_view": STOCK}
    keys: Mapping[str, int] = {"case_view": 1, "stock_view": 1}
    owners: Mapping[str, str] = {"case_view": "case_id", "stock_view": "sku"}

    def rows(self, file: OrderFile | StockFile, subjects: Collection[str]) -> Mapping[str, Sequence[Row]]:
        """A row for each case that was touched, or for every tracked article."""
        if isinstance(file, StockFile):
            return {"stock_view": [_stock_row(file, sku) for sku in sorted(file.tracked)]}
        return {"case_view": [_case_row(file, file.cases[key]) for key in subjects if key in file.cases]}


def _case_row(file: OrderFile, case: Case) -> Row:
    waiting = [one.approver_role for one in case.proposals.values() if one.waits_for_approval]
    return {
        "case_id": case.case_id,
        "order_id": file.order_id,
        "opened_at": utc(case.opened_at),
        "updated_at": utc(case.updated_at),
        "status": case.status,
        "problem": case.problem,
        "promise": promise_of(case),
        "urgent": int(case.urgent),
        "assignee": case.assignee,
        "approver": _listed(waiting),
        "parties": _listed(party for party, fen in case.charged_fen.items() if fen),
        "waits_for": _listed(what for what, _ in unfinished(case)) if not case.closed else "",
        "next_due_at": _due(next_due(case)) if not case.closed else None,
    }


def _stock_row(file: StockFile, sku: str) -> Row:
    held = [item for items in file.reserved.values() for item in items if item.sku == sku]
    awaited = [item for one in file.waiting.values() for item in one.items if item.sku == sku]
    return {
        "sku": sku,
        "available": file.available[sku],
        "reserved": sum(item.quantity for item in held),
        "awaited": sum(item.quantity for item in awaited),
    }


def _listed(values: Any) -> str:
    """Several codes in one column, each between bars, so that one can be searched for."""
    unique = sorted(set(values))
    return f"|{'|'.join(unique)}|" if unique else ""


def _due(moment: datetime | None) -> str | None:
    return utc(moment) if moment else None
