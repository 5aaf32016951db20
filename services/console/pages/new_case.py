"""A new case: the order is looked up, its lines are chosen, and what to do next is shown with the problem."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from aiohttp import web
from multidict import MultiMapping

from services.console import forms
from services.console.api import ApiRefused
from services.console.page import ask, desk, go, language, person, render, send

#: Lines that the form for an order by hand has room for.
LINES_BY_HAND = 3

Typed = Mapping[str, str]


async def page(request: web.Request) -> web.Response:
    """The form; without an order, the question which."""
    typed = {"take": "yes", **{name: value for name, value in request.query.items() if value}}
    return await _form(request, typed, ticked=request.query.getall("line", ()))


async def steps(request: web.Request) -> web.Response:
    """What the shop does about a problem, in order."""
    return render(request, "new_case/steps.html", guide=_guide(request, request.query.get("problem", "")))


async def open_case(request: web.Request) -> web.Response:
    """Open the case and go to it. What is no number is sent as it was typed, so that the API names it together with
    whatever else is wrong."""
    form = await request.post()
    typed, ticked = _typed(form), [str(line) for line in form.getall("line", ())]
    order_id = typed.get("order_id", "").strip()
    lines = [{"line_id": line, "quantity": _quantity(typed, line)} for line in ticked]
    body: dict[str, Any] = {
        "order_id": order_id,
        "problem": typed.get("problem", ""),
        "description": typed.get("description", ""),
        "urgent": "urgent" in typed,
        **({"lines": lines} if lines else {}),
        **{name: typed[name] for name in ("reason", "channel_refund_id") if typed.get(name)},
    }
    try:
        opened = await send(request, "/v1/cases", body)
    except ApiRefused as refused:
        return await _form(request, typed, refused.status, ticked=ticked, refused=refused)
    if typed.get("take"):
        await _take(request, opened["case_id"])
    return go(f"/console/cases/{quote(opened['case_id'], safe='')}", done="open_case")


async def _take(request: web.Request, case_id: str) -> None:
    """Whoever opened the case has it, where nobody was quicker."""
    path = f"/v1/cases/{quote(case_id, safe='')}/assign-case"
    with suppress(ApiRefused):
        await send(request, path, {"to": person(request).name}, part="-take")


async def record_order(request: web.Request) -> web.Response:
    """Record an order by hand, and go on with its case."""
    typed = _typed(await request.post())
    order_id = typed.get("order_id", "").strip()
    body, wrong = _order(typed)
    if wrong:
        return render(request, "new_case/order.html", 422, typed=typed, refused=None, wrong=wrong, rows=LINES_BY_HAND)
    try:
        await send(request, f"/v1/orders/{quote(order_id, safe='')}", body, method="PUT")
    except ApiRefused as refused:
        wrong = {_by_hand(path): error for path, error in refused.errors.items()}
        return render(
            request,
            "new_case/order.html",
            refused.status,
            typed=typed,
            refused=refused,
            wrong=wrong,
            rows=LINES_BY_HAND,
        )
    return go("/console/new-case", done="record_order", order_id=order_id)


async def order_form(request: web.Request) -> web.Response:
    """The form for an order by hand."""
    typed = dict(request.query.items())
    return render(request, "new_case/order.html", typed=typed, refused=None, wrong={}, rows=LINES_BY_HAND)


async def _form(
    request: web.Request,
    typed: Typed,
    status: int = 200,
    *,
    ticked: Sequence[str] = (),
    refused: ApiRefused | None = None,
) -> web.Response:
    order_id = typed.get("order_id", "").strip()
    order, unknown = await _order_of(request, order_id) if order_id else (None, None)
    words = desk(request).words[language(request)]
    return render(
        request,
        "new_case/form.html",
        unknown.status if unknown is not None and status == 200 else status,
        order_id=order_id,
        order=order,
        unknown=unknown,
        typed=typed,
        ticked=ticked,
        refused=refused,
        wrong=_wrong(refused, typed, ticked) if refused else {},
        guide=_guide(request, typed.get("problem", "")),
        reason_choices=[(code, words.text(reason)) for code, reason in desk(request).policy.return_reasons.items()],
    )


async def _order_of(request: web.Request, order_id: str) -> tuple[Any, ApiRefused | None]:
    """The order, or that there is none."""
    try:
        return await ask(request, f"/v1/orders/{quote(order_id, safe='')}"), None
    except ApiRefused as refused:
        if refused.status != 404:
            raise
        return None, refused


def _guide(request: web.Request, problem: str) -> Any:
    """What the policy says of a problem; None for none."""
    return desk(request).policy.problems.get(problem)


def _typed(form: MultiMapping[Any]) -> dict[str, str]:
    return {name: str(value) for name, value in form.items() if isinstance(value, str)}


def _quantity(typed: Typed, line: str) -> int | str:
    """How many units of a line; what was typed where it is no number."""
    quantity = typed.get(f"quantity-{line}", "")
    try:
        return forms.whole(quantity)
    except forms.Unreadable:
        return quantity


def _wrong(refused: ApiRefused, typed: Typed, ticked: Sequence[str]) -> forms.Mistakes:
    """What is wrong, by the field of the form."""
    wrong: forms.Mistakes = {}
    for path, error in refused.errors.items():
        field = _field(path, ticked)
        wrong[field] = error if typed.get(field, "").strip() or field == "lines" else forms.REQUIRED
        if field.startswith("quantity-"):
            wrong[field] = _no_number(typed[field]) or error
    line = refused.problem.get("params", {}).get("line_id")
    if refused.code == "exceeds_quantity" and line in ticked:
        wrong[f"quantity-{line}"] = {"rule": refused.code, "zh": refused.said("zh"), "en": refused.said("en")}
    return wrong


def _field(path: str, ticked: Sequence[str]) -> str:
    """The form's field for a path in the body of a case: `lines[0].quantity` is that of the first ticked line."""
    match = re.fullmatch(r"lines\[(\d+)\]\.quantity", path)
    return f"quantity-{ticked[int(match[1])]}" if match else path


def _no_number(typed: str) -> Mapping[str, str] | None:
    try:
        forms.whole(typed)
    except forms.Unreadable as unreadable:
        return unreadable.mistake
    return None


def _order(typed: Typed) -> tuple[dict[str, Any], forms.Mistakes]:
    """The order that was typed, and what is wrong with it. A line counts where its article is filled in."""
    wrong: forms.Mistakes = {}

    def read(name: str, reader: forms.Reader, default: str = "") -> Any:
        try:
            return reader(typed.get(name, "") or default)
        except forms.Unreadable as unreadable:
            wrong[name] = unreadable.mistake
            return None

    rows = [row for row in range(1, LINES_BY_HAND + 1) if row == 1 or typed.get(f"sku-{row}", "").strip()]
    body = {
        "order_id": typed.get("order_id", "").strip(),
        "channel": typed.get("channel", "").strip(),
        "buyer_id": typed.get("buyer_id", "").strip(),
        "ordered_at": read("ordered_at", forms.moment),
        **({"delivered_at": read("delivered_at", forms.moment)} if typed.get("delivered_at") else {}),
        "carrier": typed.get("carrier", "").strip(),
        "warranty_months": read("warranty_months", forms.whole, "0"),
        "lines": [
            {
                "line_id": f"L{row}",
                "sku": typed.get(f"sku-{row}", "").strip(),
                "kind": typed.get(f"kind-{row}", "product"),
                "quantity": read(f"quantity-{row}", forms.whole),
                "paid_fen": read(f"paid-{row}", forms.fen),
                "unit_cost_fen": read(f"cost-{row}", forms.fen),
            }
            for row in rows
        ],
    }
    return body, wrong


def _by_hand(path: str) -> str:
    """The form's field for a path in the body of an order: `lines[0].paid_fen` is `paid-1`."""
    match = re.fullmatch(r"lines\[(\d+)\]\.(\w+)", path)
    if match is None:
        return path
    return f"{match[2].removesuffix('_fen').replace('unit_', '')}-{int(match[1]) + 1}"


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [
        web.get("/new-case", page),
        web.post("/new-case", open_case),
        web.get("/new-case/steps", steps),
        web.get("/new-case/order", order_form),
        web.post("/new-case/order", record_order),
    ]
