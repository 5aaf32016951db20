"""Stock: articles that are kept count of, and goods that arrive."""

from typing import Final
from urllib.parse import quote

from aiohttp import web

from services.console import exporting as shown
from services.console import forms
from services.console.api import ApiRefused
from services.console.page import ask, chosen, go, render, send

FILTERS: Final = ("sku",)
COLUMNS: Final[shown.Columns] = {
    "sku": shown.text,
    "available": shown.number,
    "reserved": shown.number,
    "awaited": shown.number,
}


async def page(request: web.Request) -> web.Response:
    """The articles that the filters choose."""
    return await _page(request)


async def report(request: web.Request) -> web.Response:
    """So many units of an article arrived."""
    form = await request.post()
    sku, typed = str(form.get("article", "")).strip(), str(form.get("quantity", ""))
    try:
        quantity = forms.whole(typed)
    except forms.Unreadable as unreadable:
        return await _page(request, 422, wrong={"quantity": unreadable.mistake}, sku=sku, typed=typed)
    if not sku:
        return await _page(request, 422, wrong={"article": forms.REQUIRED}, sku=sku, typed=typed)
    try:
        await send(request, f"/v1/stock/{quote(sku, safe='')}", {"quantity": quantity})
    except ApiRefused as refused:
        wrong = {"article" if field == "sku" else field: error for field, error in refused.errors.items()}
        return await _page(request, refused.status, refused=refused, wrong=wrong, sku=sku, typed=typed)
    return go("/console/stock", done="report_stock", sku=sku)


async def export(request: web.Request) -> web.StreamResponse:
    """All of them as a file."""
    return await shown.export(request, "/v1/stock", chosen(request.query, FILTERS), COLUMNS, "stock.columns")


async def _page(
    request: web.Request,
    status: int = 200,
    *,
    refused: ApiRefused | None = None,
    wrong: forms.Mistakes | None = None,
    sku: str = "",
    typed: str = "",
) -> web.Response:
    filters = chosen(request.query, FILTERS)
    asked = {**filters, **chosen(request.query, ("after",)), "count": "true", "wait": "true"}
    stock = await ask(request, "/v1/stock", asked)
    return render(
        request,
        "stock/list.html",
        status,
        stock=stock,
        filters=filters,
        files=shown.files_of(request, filters),
        refused=refused,
        wrong=wrong,
        sku=sku,
        typed=typed,
    )


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [web.get("/stock", page), web.post("/stock", report), web.get("/stock/export", export)]
