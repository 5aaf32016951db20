"""Where the money of a case comes from: the settlement and the loss as trees, down to the events."""

import asyncio
from typing import Any

from aiohttp import web

from services.console.api import ApiRefused
from services.console.page import ask, render
from services.console.pages.case.reading import case_path, moment_asked


async def page(request: web.Request) -> web.Response:
    """The explanations: by themselves for a page that is open already, else a page of their own."""
    case_id = request.match_info["case_id"]
    settlement, loss = await asyncio.gather(
        _explanation(request, case_id, "settlement"), _explanation(request, case_id, "charges")
    )
    template = "case/explained.html" if "HX-Request" in request.headers else "case/money.html"
    return render(request, template, case_id=case_id, settlement=settlement, loss=loss)


async def _explanation(request: web.Request, case_id: str, figure: str) -> Any:
    """An explanation; None where the service has heard nothing of the case yet. Raises `ApiRefused`."""
    try:
        return await ask(request, f"{case_path(case_id)}/{figure}/explanation", moment_asked(request))
    except ApiRefused as refused:
        if refused.code == "unknown_case" and figure == "charges":
            return None
        raise
