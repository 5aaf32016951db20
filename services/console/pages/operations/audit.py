"""Who did what."""

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from services.console.api import ApiRefused
from services.console.page import ask, chosen
from services.console.pages.operations.shared import services_to_choose, show

FILTERS: Final = ("actor", "service", "type", "order", "from", "to", "everybody")
_NOTHING: Final[Mapping[str, Any]] = {"items": [], "has_more": False, "after": None, "looked_at": 0}


async def page(request: web.Request) -> web.Response:
    """What people did, newest first; what services did by themselves only where it is asked for."""
    filters = chosen(request.query, FILTERS)
    asked = {name: value for name, value in filters.items() if name != "everybody"}
    if "everybody" not in filters:
        asked["people"] = "true"
    found, refused = _NOTHING, None
    try:
        found = await ask(request, "/v1/audit", {**asked, **chosen(request.query, ("after",)), "limit": 50})
    except ApiRefused as why:
        if not why.errors:
            raise
        refused = why
    return show(
        request,
        "audit.html",
        refused.status if refused else 200,
        found=found,
        filters=filters,
        refused=refused,
        services=services_to_choose(request),
    )
