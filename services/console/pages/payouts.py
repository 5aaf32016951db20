"""Money on its way to buyers, and what finance must look at: lists with filters in the address, and as files."""

from typing import Final

from aiohttp import web

from services.console import exporting as shown
from services.console.page import ask, chosen, person, render, say
from services.console.pages.cases import terms
from services.console.texts import catalogue
from services.console.work_lists import title_of
from services.wording.words import Words

PAYOUT_FILTERS: Final = ("status", "kind", "case_id", "order_id", "channel_ref")
STATUSES: Final = ("requested", "unknown", "failed", "succeeded")
#: What finance does with a payout that is in such a state.
STEPS: Final = {"requested": "confirm_payout", "unknown": "confirm_payout", "failed": "retry_payout"}
KINDS: Final = ("refund", "freight_reimbursement", "deposit_return", "charge_return")
PAYOUT_COLUMNS: Final[shown.Columns] = {
    "payout": shown.text,
    "case_id": shown.text,
    "order_id": shown.text,
    "kind": shown.term,
    "amount_fen": shown.money,
    "status": shown.term,
    "attempt": shown.number,
    "reason": shown.text,
    "channel_ref": shown.text,
    "channel_refund_id": shown.text,
    "requested_at": shown.time,
    "updated_at": shown.time,
}

EXCEPTION_FILTERS: Final = ("kind", "case_id", "order_id")
EXCEPTION_KINDS: Final = ("insurance_late", "insurance_second")


def exception_kind(words: Words, kind: str) -> str:
    """What happened."""
    return catalogue().say(words.language.value, f"payouts.{kind}")


EXCEPTION_COLUMNS: Final[shown.Columns] = {
    "case_id": shown.text,
    "order_id": shown.text,
    "kind": exception_kind,
    "amount_fen": shown.money,
    "raised_at": shown.time,
}


async def payouts(request: web.Request) -> web.Response:
    """The payouts that the filters choose, newest first."""
    filters = chosen(request.query, PAYOUT_FILTERS)
    asked = {**filters, **chosen(request.query, ("after",)), "count": "true"}
    return render(
        request,
        "payouts/list.html",
        payouts=await ask(request, "/v1/payouts", asked),
        filters=filters,
        files=shown.files_of(request, filters),
        title=title_of(person(request), request.path, filters),
        statuses=terms(request, STATUSES),
        steps=STEPS if person(request).role == "finance" else {},
        kinds=terms(request, KINDS),
    )


async def export_payouts(request: web.Request) -> web.StreamResponse:
    """All of them as a file."""
    filters = chosen(request.query, PAYOUT_FILTERS)
    return await shown.export(request, "/v1/payouts", filters, PAYOUT_COLUMNS, "payouts.columns")


async def exceptions(request: web.Request) -> web.Response:
    """What finance must look at, newest first."""
    filters = chosen(request.query, EXCEPTION_FILTERS)
    asked = {**filters, **chosen(request.query, ("after",)), "count": "true"}
    found = await ask(request, "/v1/exceptions", asked)
    return render(
        request,
        "payouts/exceptions.html",
        exceptions=found,
        filters=filters,
        files=shown.files_of(request, filters),
        kinds=[(kind, say(request, f"payouts.{kind}")) for kind in EXCEPTION_KINDS],
    )


async def export_exceptions(request: web.Request) -> web.StreamResponse:
    """All of them as a file."""
    filters = chosen(request.query, EXCEPTION_FILTERS)
    return await shown.export(request, "/v1/exceptions", filters, EXCEPTION_COLUMNS, "payouts.columns")


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [
        web.get("/payouts", payouts),
        web.get("/payouts/export", export_payouts),
        web.get("/exceptions", exceptions),
        web.get("/exceptions/export", export_exceptions),
    ]
