"""The cases service's read tables: cases by what an operator looks for, by numbers that others know, and stock."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from services.cases.domain.case import Case
from services.cases.domain.closing import next_due, unfinished
from services.cases.domain.file import OrderFile
from services.cases.domain.references import Reference
from services.cases.domain.stages import parcel_stage, stages
from services.cases.domain.stock import StockFile
from services.kernel.views import EventViews, Row, utc

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
    "stages",
)
#: `lookup` is the number as it is looked for; `stage` is where the item stands that it is about.
REFERENCES = ("lookup", "kind", "order_id", "case_id", "item", "number", "stage", "opened_at")
_REFERENCE_KEY = REFERENCES[:5]
STOCK = ("sku", "available", "reserved", "awaited")


def promise_of(case: Case) -> str:
    """`broken` once a promised time passed, else `kept`."""
    return "broken" if case.broken else "kept"


def lookup_of(number: str) -> str:
    """A number as it is looked for: how it is spelt in letters, and blanks around it, make no difference."""
    return number.strip().casefold()


class CasesViews(EventViews[OrderFile | StockFile]):
    """Rows of the cases service."""

    tables: Mapping[str, Sequence[str]] = {"case_view": CASES, "reference_view": REFERENCES, "stock_view": STOCK}
    keys: Mapping[str, int] = {"case_view": 1, "reference_view": len(_REFERENCE_KEY), "stock_view": 1}
    owners: Mapping[str, str] = {"case_view": "case_id", "reference_view": "order_id", "stock_view": "sku"}

    def rows(self, file: OrderFile | StockFile, subjects: Collection[str]) -> Mapping[str, Sequence[Row]]:
        """A row for each case that was touched, or for every tracked article."""
        if isinstance(file, StockFile):
            return {"stock_view": [_stock_row(file, sku) for sku in sorted(file.tracked)]}
        return {"case_view": [_case_row(file, file.cases[key]) for key in subjects if key in file.cases]}

    def event_rows(self, file: OrderFile | StockFile, positions: Mapping[str, int]) -> Mapping[str, Sequence[Row]]:
        """The numbers that these events tell of, as they stand now."""
        if isinstance(file, StockFile):
            return {}
        found = (one for event_id in positions for one in file.references.get(event_id, ()))
        rows = (_reference_row(file, one) for one in found)
        return {"reference_view": list({tuple(row[name] for name in _REFERENCE_KEY): row for row in rows}.values())}


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
        "stages": _listed(stage for stage, _ in stages(case)),
    }


def _reference_row(file: OrderFile, one: Reference) -> Row:
    case = file.cases.get(one.case_id)
    opened_at = case.opened_at if case else file.order.ordered_at if file.order else None
    return {
        "lookup": lookup_of(one.value),
        "kind": one.kind,
        "order_id": file.order_id,
        "case_id": one.case_id,
        "item": one.item,
        "number": one.value.strip(),
        "stage": parcel_stage(case, one.item) if case and one.kind == "waybill" else "",
        "opened_at": utc(opened_at) if opened_at else "",
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
