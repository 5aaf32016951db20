"""Cases in a list: filters live in the address, and exactly what they choose can be had as a file."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from urllib.parse import quote

from aiohttp import web

from services.console import exporting as shown
from services.console.charts import month_after
from services.console.page import ask, chosen, desk, language, moment_now, person, render, say
from services.console.work_lists import AGENTS, STEPS, title_of
from services.kernel.shop_time import begin_of

#: Filters of the page, each that of the API of the same name, but for `due` and `month`.
FILTERS: Final = (
    "status",
    "problem",
    "stage",
    "promise",
    "due",
    "urgent",
    "assigned",
    "assignee",
    "approver",
    "waits_for",
    "party",
    "month",
    "order_id",
)
#: What is to be done next in a case: what the page offers as a choice, in the order in which a case passes it.
STAGES: Final = (
    "first_answer_due",
    "evidence_to_review",
    "cause_to_assess",
    "approval_awaited",
    "reply_awaited",
    "compensation_to_pay",
    "deposit_awaited",
    "payment_awaited",
    "return_awaited",
    "return_to_inspect",
    "return_to_settle",
    "reshipment_awaited",
    "reshipment_backordered",
    "reshipment_released",
    "reshipment_under_way",
    "payout_under_way",
    "payout_failed",
    "payout_unknown",
)
#: What keeps a case from being closed.
WAITS: Final = (
    "reshipment_open",
    "return_open",
    "freight_waiting",
    "deposit_held",
    "compensation_unpaid",
    "payout_open",
    "rude_agent_unnamed",
    "cause_unknown",
)
#: Filters that are shown when they are asked for.
MORE: Final = ("promise", "urgent", "assigned", "approver", "waits_for", "party", "month", "order_id")
#: Hours that the page offers for `due`.
DUE: Final = ("1", "4", "24", "72")

COLUMNS: Final[shown.Columns] = {
    "case_id": shown.text,
    "order_id": shown.text,
    "opened_at": shown.time,
    "updated_at": shown.time,
    "status": shown.term,
    "problem": shown.problem,
    "stages": shown.term,
    "promise": shown.term,
    "next_due_at": shown.time,
    "urgent": shown.yes_no,
    "assignee": shown.text,
    "approver": shown.term,
    "waits_for": shown.term,
    "parties": shown.parties,
}


async def page(request: web.Request) -> web.Response:
    """The cases that the filters choose, newest first."""
    filters = chosen(request.query, FILTERS)
    asked = asked_for(filters, moment_now(request)) | chosen(request.query, ("after",))
    return render(
        request,
        "cases/list.html",
        cases=await ask(request, "/v1/cases", {**asked, "count": "true"}),
        filters=filters,
        files=shown.files_of(request, filters),
        title=title_of(person(request), request.path, filters),
        place_of=partial(_place, person(request).role, filters.get("stage", "")),
        may_take=person(request).role in AGENTS,
        stages=terms(request, STAGES),
        waits=terms(request, WAITS),
        dues=[(hours, say(request, "cases.within", hours=hours)) for hours in DUE],
        more_used=any(name in filters for name in MORE),
    )


async def export(request: web.Request) -> web.StreamResponse:
    """All of them as a file."""
    asked = asked_for(chosen(request.query, FILTERS), moment_now(request))
    return await shown.export(request, "/v1/cases", asked, COLUMNS, "cases.columns")


def asked_for(filters: Mapping[str, str], now: datetime) -> dict[str, str]:
    """The filters as the API knows them. `due` is in hours from now, so that the address stays good for tomorrow;
    `month` is the one in which a case was opened, such as `2026-10`."""
    asked = dict(filters)
    if due := asked.pop("due", ""):
        hours = due.isascii() and due.isdecimal() and len(due) < 5
        asked["due_before"] = (now + timedelta(hours=int(due))).isoformat() if hours else due
    if month := asked.pop("month", ""):
        asked |= _opened_in(month)
    return asked


def _opened_in(month: str) -> dict[str, str]:
    try:
        begin, end = begin_of(f"{month}-01"), begin_of(f"{month_after(month)}-01")
    except ValueError:  # the API refuses it
        return {"opened_from": month}
    return {"opened_from": begin.isoformat(), "opened_before": end.isoformat()}


def _place(role: str, stage: str, case_id: str) -> str:
    """The page of a case, at the step that a list of a stage is about where that is the role's own."""
    step = STEPS.get(stage)
    return step.path(case_id) if step and role in step.roles else f"/console/cases/{quote(case_id, safe='')}"


def terms(request: web.Request, codes: Sequence[str]) -> list[tuple[str, str]]:
    """Codes with their names, to choose from."""
    words = desk(request).words[language(request)]
    return [(code, words.term(code)) for code in codes]


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [web.get("/cases", page), web.get("/cases/export", export)]
