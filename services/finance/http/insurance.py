"""Claims of freight insurance over HTTP."""

from datetime import datetime
from typing import Any, Literal

import msgspec
from aiohttp import web

from contracts.policy import Policy
from services.kernel.http import lists
from services.kernel.http.lists import Filter
from services.kernel.service import Service

State = Literal["insured", "filed", "paid", "failed", "paid_late", "paid_twice", "lapsed"]
Difference = Literal["insurance_not_deducted", "insurance_paid_twice"]


class ClaimRow(msgspec.Struct, frozen=True):
    """The claim of a case, in fen; `payer` took out the policy (buyer or merchant).

    It is filed once a return is sent whose freight the shop bears. `paid_fen` went from the insurer to the buyer,
    `freight_fen` the shop owes the buyer for accepted returns, `deducted_fen` it kept back of that, `lost_fen` both of
    them paid. `difference` is the discrepancy that it is, with its day, what was expected and found, and the
    payments' events.
    """

    case_id: str
    order_id: str
    payer: str
    cover_fen: int
    state: State
    filed_at: datetime | None
    answered_at: datetime | None
    payments: int
    paid_fen: int
    freight_fen: int
    deducted_fen: int
    lost_fen: int
    difference: Difference | Literal[""]
    day: str
    expected_fen: int
    found_fen: int
    events: list[str]


def _present(row: dict[str, Any]) -> dict[str, Any]:
    times = {name: row[name] or None for name in ("filed_at", "answered_at")}
    return {**row, **times, "events": msgspec.json.decode(row["events"])}


CLAIMS = lists.Listing(
    table="insurance_view",
    row=ClaimRow,
    order=("case_id",),
    filters={
        "state": Filter("state = ?", State),
        "payer": Filter("payer = ?"),
        "difference": Filter("difference = ?", Difference),
        "order_id": Filter("order_id = ?"),
        "case_id": Filter("case_id = ?"),
    },
    present=_present,
)


class InsuranceHttp:
    """The list of claims."""

    def __init__(self, service: Service[Any], policy: Policy) -> None:
        self._service = service

    def routes(self) -> list[web.RouteDef]:
        """Every route of freight insurance."""
        summary = "Claims of freight insurance, by case"
        return [web.get("/v1/insurance-claims", CLAIMS.handler(self._service, summary, "finance"))]
