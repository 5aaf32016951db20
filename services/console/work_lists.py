"""The work lists of each role: what waits for whom. The one table of them; pages and counts are made from it."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple
from urllib.parse import quote

from services.console.navigation import LEADS
from services.console.session import Person

AGENTS: Final = ("agent", *LEADS)
#: Stands in a filter for the name of whoever looks.
ME: Final = "{me}"

#: What a card tells by its colour: something is late or wrong, waits for this person, or is just there.
Tone = Literal["bad", "warn", ""]


class Step(NamedTuple):
    """The command that takes a case on: its field for the item that it is about, and whose work it is."""

    command: str
    item: str
    roles: Sequence[str]

    def path(self, case_id: str, item: str = "") -> str:
        """The page of a case with the form of this step open."""
        at = f"/console/cases/{quote(case_id, safe='')}/do/{self.command.replace('_', '-')}"
        return f"{at}?{self.item}={quote(item, safe='')}#form" if item else f"{at}#form"


#: What takes a case on from a stage, where it is one command.
STEPS: Final[Mapping[str, Step]] = {
    "cause_to_assess": Step("assess_cause", "", AGENTS),
    "reply_awaited": Step("record_buyer_reply", "proposal", AGENTS),
    "compensation_to_pay": Step("pay_compensation", "proposal", ("finance", *AGENTS)),
    "deposit_awaited": Step("record_deposit", "deposit", ("finance", *AGENTS)),
    "payment_awaited": Step("record_buyer_payment", "charge", ("finance", *AGENTS)),
    "return_to_inspect": Step("receive_return", "return_id", ("warehouse",)),
    "reshipment_released": Step("ship_reshipment", "reshipment", ("warehouse", *AGENTS)),
    "reshipment_under_way": Step("confirm_delivery", "reshipment", ("warehouse", *AGENTS)),
}


class WorkList(NamedTuple):
    """A list of work: its text, the roles it is for, its page, where the API has it, and what it is chosen by."""

    text: str
    roles: Sequence[str]
    page: str
    api: str
    filters: Mapping[str, str]
    tone: Tone = ""


_CASES: Final = ("/console/cases", "/v1/cases")
_APPROVALS: Final = ("/console/approvals", "/v1/cases")
_PAYOUTS: Final = ("/console/payouts", "/v1/payouts")

#: Every work list, in the order in which it is shown: what is late comes first.
WORK_LISTS: Final = (
    WorkList("work.broken", AGENTS, *_CASES, {"status": "open", "promise": "broken"}, "bad"),
    WorkList("work.due", AGENTS, *_CASES, {"status": "open", "due": "4"}, "warn"),
    WorkList("work.unanswered", AGENTS, *_CASES, {"stage": "first_answer_due"}, "warn"),
    WorkList("work.for_team_lead", ("team_lead",), *_APPROVALS, {"status": "open", "approver": "team_lead"}, "warn"),
    WorkList(
        "work.for_store_manager",
        ("store_manager",),
        *_APPROVALS,
        {"status": "open", "approver": "store_manager"},
        "warn",
    ),
    WorkList("work.for_any_lead", ("store_manager",), *_APPROVALS, {"status": "open", "approver": "team_lead"}),
    WorkList("work.mine", AGENTS, *_CASES, {"status": "open", "assignee": ME}),
    WorkList("work.unassigned", AGENTS, *_CASES, {"status": "open", "assigned": "no"}, "warn"),
    WorkList("work.evidence", AGENTS, *_CASES, {"stage": "evidence_to_review"}),
    WorkList("work.to_assess", AGENTS, *_CASES, {"stage": "cause_to_assess"}),
    WorkList("work.to_settle", AGENTS, *_CASES, {"stage": "return_to_settle"}, "warn"),
    WorkList("work.reply", ("agent",), *_CASES, {"stage": "reply_awaited"}),
    WorkList("work.to_inspect", ("warehouse", *AGENTS), *_CASES, {"stage": "return_to_inspect"}),
    WorkList("work.to_ship", ("warehouse", *AGENTS), *_CASES, {"stage": "reshipment_released"}),
    WorkList("work.backordered", ("warehouse", *AGENTS), *_CASES, {"stage": "reshipment_backordered"}),
    WorkList("work.under_way", ("warehouse",), *_CASES, {"stage": "reshipment_under_way"}),
    WorkList("work.to_pay", ("finance", *AGENTS), *_CASES, {"stage": "compensation_to_pay"}),
    WorkList("work.deposit", ("finance",), *_CASES, {"stage": "deposit_awaited"}),
    WorkList("work.payment", ("finance",), *_CASES, {"stage": "payment_awaited"}),
    WorkList("work.payout_failed", ("finance", *LEADS), *_PAYOUTS, {"status": "failed"}, "bad"),
    WorkList("work.payout_unknown", ("finance", *LEADS), *_PAYOUTS, {"status": "unknown"}, "bad"),
    WorkList("work.payout_requested", ("finance",), *_PAYOUTS, {"status": "requested"}),
    WorkList("work.exceptions", ("finance", *LEADS), "/console/exceptions", "/v1/exceptions", {}, "warn"),
    WorkList(
        "work.discrepancies",
        ("finance", "store_manager"),
        "/console/finance/discrepancies",
        "/v1/discrepancies",
        {"state": "open"},
        "warn",
    ),
)


def lists_of(who: Person) -> list[tuple[WorkList, dict[str, str]]]:
    """The work lists of somebody, and what each is chosen by for them."""
    return [
        (one, {name: who.name if value == ME else value for name, value in one.filters.items()})
        for one in WORK_LISTS
        if who.role in one.roles
    ]


def title_of(who: Person, page: str, filters: Mapping[str, str]) -> str:
    """The text of the work list that these filters of a page are for somebody; empty for others."""
    return next((one.text for one, theirs in lists_of(who) if one.page == page and theirs == filters), "")
