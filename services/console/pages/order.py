"""The page of an order: what was bought, what became of each line, and all its cases together."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from services.console.page import ask, person, render
from services.console.pages.case import live
from services.console.pages.case.reading import moment_asked, order_path
from services.console.work_lists import AGENTS


async def page(request: web.Request) -> web.Response:
    """An order with all its cases."""
    as_of = moment_asked(request)
    order = await ask(request, order_path(request.match_info["order_id"]), as_of)
    return render(
        request,
        "order/page.html",
        order=order["order"],
        became={line["line_id"]: line for line in order["lines"]},
        cases=order["cases"],
        totals=totals(order),
        version=order["version"],
        past=bool(as_of),
        may_open=person(request).role in AGENTS,
        said_as_of=order["as_of"],
    )


def totals(order: Mapping[str, Any]) -> dict[str, int]:
    """The money of all cases of an order together, in fen."""
    cases = order["cases"]
    settled = [case["settlement"] for case in cases]
    return {
        "paid_fen": sum(line["paid_fen"] for line in order["order"]["lines"]),
        "refund_fen": sum(one["refund_fen"] for one in settled),
        "freight_reimbursed_fen": sum(one["freight_reimbursed_fen"] for one in settled),
        "compensation_fen": order["compensation_fen"],
        "net_loss_fen": sum(case["net_loss_fen"] for case in cases),
        "suspense_fen": sum(case["suspense_fen"] for case in cases),
    }


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [web.get("/orders/{order_id}", page), web.get("/orders/{order_id}/live", live.of_order)]
