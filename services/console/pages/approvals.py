"""What waits for a lead: compensations above an agent's limit, to be approved one by one or many at once."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import quote

from aiohttp import web
from yarl import URL

from services.console.api import ApiRefused
from services.console.page import ask, chosen, person, render, send
from services.console.session import safe_target
from services.console.work_lists import title_of

FILTERS: Final = ("status", "approver", "problem", "urgent")
#: Cases of a page, and how many requests are under way for it at a time.
PAGE_ROWS: Final = 50
AT_ONCE: Final = 8
#: Stands between the parts of a choice.
_AND: Final = " "

T = TypeVar("T")


class Waiting(NamedTuple):
    """A compensation that waits for approval. `reason`: why this person cannot approve it, in zh and en by name; empty
    where they can."""

    case: Mapping[str, Any]
    proposal: Mapping[str, Any]
    reason: Mapping[str, str]

    @property
    def choice(self) -> str:
        """What a tick in the form says."""
        return _AND.join((self.case["case_id"], self.proposal["proposal"]))


class Outcome(NamedTuple):
    """What became of a compensation that somebody wanted to approve; `refused`: why it was not."""

    case_id: str
    proposal: Mapping[str, Any]
    problem: str
    refused: ApiRefused | None


async def page(request: web.Request) -> web.Response:
    """What waits, newest case first."""
    filters = chosen(request.query, FILTERS)
    approver = filters.get("approver") or ("store_manager" if person(request).role == "store_manager" else "team_lead")
    asked = {**filters, "approver": approver, **chosen(request.query, ("after",))}
    found = await ask(request, "/v1/cases", {**asked, "status": "open", "limit": PAGE_ROWS, "count": "true"})
    cases = await _few_at_once([_case(request, row["case_id"]) for row in found["items"]])
    return render(
        request,
        "approvals/list.html",
        found=found,
        waiting=[one for case in cases for one in _waiting(case, approver)],
        filters={**filters, "approver": approver},
        as_cases=str(URL("/console/cases").with_query({**filters, "approver": approver})),
        title=title_of(person(request), request.path, filters) or "approvals.title",
    )


async def approve(request: web.Request) -> web.Response:
    """Approve what was ticked, each by a command of its own, and tell what became of each."""
    form = await request.post()
    ticked = list(dict.fromkeys(str(choice) for choice in form.getall("choice", ())))
    chosen_ones = [(case_id, proposal) for case_id, _, proposal in (one.partition(_AND) for one in ticked)]
    outcomes = await _few_at_once([_approved(request, *one) for one in chosen_ones])
    await ask(request, "/v1/cases", {"limit": 1, "wait": "true"})  # the list that is gone back to knows of it
    return render(
        request,
        "approvals/done.html",
        outcomes=outcomes,
        refused=sum(one.refused is not None for one in outcomes),
        back=safe_target(str(form.get("back", ""))),
    )


async def _approved(request: web.Request, case_id: str, proposal: str) -> Outcome:
    path = f"/v1/cases/{quote(case_id, safe='')}"
    refused = None
    try:
        await send(request, f"{path}/approve", {"proposal": proposal}, part=f"-{case_id}-{proposal}")
    except ApiRefused as no:
        refused = no
    try:
        case = await ask(request, path, {"timeline": 0})
    except ApiRefused:
        return Outcome(case_id, {"proposal": proposal}, "", refused)
    known = next((one for one in case["proposals"] if one["proposal"] == proposal), {"proposal": proposal})
    return Outcome(case_id, known, case["problem"], refused)


async def _case(request: web.Request, case_id: str) -> Mapping[str, Any]:
    case: Mapping[str, Any] = await ask(request, f"/v1/cases/{quote(case_id, safe='')}", {"timeline": 0})
    return case


def _waiting(case: Mapping[str, Any], approver: str) -> list[Waiting]:
    """The compensations of a case that wait for this role, and whether who looks may approve them."""
    action = next(one for one in case["next_actions"] if one["command"] == "approve")
    no = {"zh": action["reason_zh"], "en": action["reason_en"]}
    return [
        Waiting(case, one, {} if one["proposal"] in action["items"] else no)
        for one in case["proposals"]
        if one["waits_for_approval"] and one["approver_role"] == approver
    ]


async def _few_at_once(work: Sequence[Awaitable[T]]) -> list[T]:
    """The results of all, a few at a time. Raises the first exception."""
    busy = asyncio.Semaphore(AT_ONCE)

    async def one(task: Awaitable[T]) -> T:
        async with busy:
            return await task

    return await asyncio.gather(*(one(task) for task in work))


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [web.get("/approvals", page), web.post("/approvals", approve)]
