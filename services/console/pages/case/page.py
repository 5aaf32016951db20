"""The page of a case: what is known of it, what happened, and what can be done next."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import web

from services.console.page import ask, chosen, render
from services.console.pages.case.fields import ASKED, Rows
from services.console.pages.case.reading import (
    HAPPENINGS,
    Case,
    beginning_asked,
    case_path,
    moment_asked,
    oldest,
    the_case,
    told,
    with_gaps,
)

#: Commands by subject, in the order in which a page shows them.
GROUPS: Final[Mapping[str, Sequence[str]]] = {
    "evidence": (
        *("submit_evidence", "review_evidence", "assess_cause", "give_guidance", "contact_installer", "trace_parcel"),
        *("record_finding", "reclassify"),
    ),
    "compensation": (
        *("propose_compensation", "approve", "decline_approval", "record_buyer_reply", "pay_compensation"),
        "withdraw_proposal",
    ),
    "goods_out": (
        *("order_reshipment", "ship_reshipment", "confirm_delivery", "cancel_reshipment", "charge_buyer"),
        *("record_buyer_payment", "request_deposit", "record_deposit", "forfeit_deposit"),
    ),
    "goods_back": ("authorise_return", "ship_return", "receive_return", "cancel_return", "arrange_pickup"),
    "money": (
        *("request_refund", "record_insurance_result", "confirm_payout", "retry_payout", "assign_liability"),
        "record_recovery",
    ),
    "people": (
        *("assign_case", "escalate", "report_issue", "close_case", "reopen_case", "follow_up", "invite_review"),
        "rate",
    ),
}

#: Fields that name an item of the case.
_ITEMS: Final = ("evidence", "proposal", "reshipment", "return_id", "payout", "party")

#: What belongs to a case, and what names each of it. A page tells of the last so many, and of those that something can
#: be done with.
AFFAIRS: Final[Mapping[str, str]] = {
    "evidence": "evidence",
    "proposals": "proposal",
    "reshipments": "reshipment",
    "returns": "return_id",
    "charges": "charge",
    "deposits": "deposit",
    "refunds": "refund",
    "payouts": "payout",
}
AFFAIRS_SHOWN: Final = 20
#: Photos that are in view at once, and so are loaded with the page; earlier ones unfold.
PHOTOS_SHOWN: Final = 8

#: What the settlement is made of, in the order in which one is added to or taken from the other.
SETTLEMENT: Final = (
    ("goods_fen", "+"),
    ("compensation_deducted_fen", "−"),
    ("price_difference_deducted_fen", "−"),
    ("refund_fen", "="),
    ("freight_advanced_fen", ""),
    ("insurance_deducted_fen", ""),
    ("freight_reimbursed_fen", "+"),
    ("net_fen", "="),
    ("carried_deduction_fen", ""),
)


async def page(request: web.Request) -> web.Response:
    """A case."""
    return show(request, await the_case(request, request.match_info["case_id"]))


async def earlier(request: web.Request) -> web.Response:
    """An earlier part of the timeline: by itself for a page that is open already, else a page of its own."""
    case_id = request.match_info["case_id"]
    query = {"limit": str(HAPPENINGS), **chosen(request.query, ("before",))}
    part = await ask(request, f"{case_path(case_id)}/timeline", query)
    template = "case/earlier.html" if "HX-Request" in request.headers else "case/timeline.html"
    return render(request, template, case_id=case_id, told=with_gaps(part["items"]), before=part["before"])


def show(request: web.Request, case: Case, status: int = 200, **context: Any) -> web.Response:
    """The page of a case that was read; `form`: the action that is open on it, if any."""
    past = bool(moment_asked(request))
    beginning = beginning_asked(request)
    links = {} if past else item_links(case["next_actions"])
    shown = {
        "case": case,
        "skus": {line["line_id"]: line["sku"] for line in case["lines"]},
        "told": told(case, beginning),
        "before": oldest(case),
        "beginning": case["earlier"] if beginning is None else max(beginning, case["earlier"]),
        "groups": [] if past else grouped(case["next_actions"]),
        "foreign": [] if past else [one for one in case["next_actions"] if one["code"] == "forbidden"],
        "links": links,
        "photos_shown": PHOTOS_SHOWN,
        "kept": {name: recent(case[name], key, links) for name, key in AFFAIRS.items()},
        "actions": {one["command"]: one for one in case["next_actions"]} if not past else {},
        "past": past,
        "settlement_lines": SETTLEMENT,
        "paid": paid(case),
        "form": None,
        "upload": None,
    }
    return render(request, "case/page.html", status, **{**shown, **context})


def grouped(actions: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]], list[Mapping[str, Any]]]]:
    """The actions of each group: those that can be done, and those that cannot for now. What is other roles' work is in
    neither."""
    by_name = {one["command"]: one for one in actions}
    known = {command for commands in GROUPS.values() for command in commands}
    groups = {**GROUPS, "people": (*GROUPS["people"], *(name for name in by_name if name not in known))}
    told_groups = []
    for group, commands in groups.items():
        found = [by_name[name] for name in commands if name in by_name]
        can = [one for one in found if one["allowed"]]
        cannot = [one for one in found if not one["allowed"] and one["code"] != "forbidden"]
        if can or cannot:
            told_groups.append((group, can, cannot))
    return told_groups


def paid(case: Case) -> dict[str, int]:
    """What the buyer was paid so far, in fen, by the kind of compensation or payout."""
    found = [(one["kind"], one["amount_fen"]) for one in case["proposals"] if one["paid"]]
    found += [(one["kind"], one["amount_fen"]) for one in case["payouts"] if one["status"] == "succeeded"]
    return {kind: sum(fen for other, fen in found if other == kind) for kind, _ in found}


def recent(items: Sequence[Mapping[str, Any]], key: str, links: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The last of many items, and the earlier ones that something can be done with."""
    earlier = items[:-AFFAIRS_SHOWN]
    return [*(one for one in earlier if one[key] in links), *items[-AFFAIRS_SHOWN:]]


def item_links(actions: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[str, str]]]:
    """What can be done with each item of the case: commands, and the field that names the item."""
    links: dict[str, list[tuple[str, str]]] = {}
    for action in actions:
        field = item_field(action["command"])
        for item in action["items"] if action["allowed"] and field else ():
            links.setdefault(item, []).append((action["command"], field))
    return links


def item_field(command: str) -> str:
    """The field of a command that names an item; "" where it names none."""
    names = [one.name for one in ASKED.get(command, ()) if not isinstance(one, Rows)]
    return next((name for name in names if name in _ITEMS), "")
