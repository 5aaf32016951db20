"""Long work on the logs: what there is, starting it, following it, and what came of it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from aiohttp import web
from multidict import MultiDictProxy

from services.console import forms
from services.console.api import LONG_PATIENCE, ApiRefused
from services.console.page import actor, ask, chosen, desk, go, send
from services.console.pages.operations.shared import SERVICES, name_of, services_to_choose, show, words_of
from services.kernel.operations.texts import STATES
from services.wording import what_if as told_of_what_if

Posted = MultiDictProxy[str | bytearray | web.FileField | bytes]

FILTERS: Final = ("kind", "service", "state")
#: What may be done to an operation, by how it stands; the API says whether it can.
STEERING: Final[Mapping[str, Sequence[str]]] = {
    "running": ("pause", "cancel"),
    "paused": ("resume", "cancel"),
    "interrupted": ("resume", "cancel"),
}
#: States in which an operation goes on without anybody.
MOVING: Final = ("running",)


class Option(NamedTuple):
    """A field of a form: how it looks, what reads it, and the one service that knows it, if not all do."""

    name: str
    look: str = "text"
    read: Callable[[str], Any] = forms.text
    service: str = ""


_EVENTS: Final = (
    Option("order"),
    Option("case"),
    Option("types", "list"),
    Option("party"),
    Option("since", "moment", forms.moment),
    Option("until", "moment", forms.moment),
    Option("first", "number", forms.whole),
    Option("last", "number", forms.whole),
)
#: What is asked for each kind.
OPTIONS: Final[Mapping[str, Sequence[Option]]] = {
    "verify": (
        Option("order"),
        Option("first", "number", forms.whole),
        Option("last", "number", forms.whole),
        Option("photos", "tick", service="cases"),
    ),
    "doctor": (Option("checks", "ticks"),),
    "rebuild": (Option("tables", "ticks"), Option("swap", "tick")),
    "export": (*_EVENTS, Option("format", "format")),
    "resend": (
        Option("topic"),
        *_EVENTS,
        Option("everything", "tick"),
        Option("rate", "number", forms.whole),
        Option("into_live_topic", "tick"),
    ),
}
#: Kinds that can be looked for: those that are started here, and what is done on other pages and by commands.
KINDS: Final = (*OPTIONS, "what_if", "redrive", "discard", "republish", "resume", "rewind")


async def page(request: web.Request) -> web.Response:
    """The operations that the filters choose, newest first, and which there are to start."""
    filters = chosen(request.query, FILTERS)
    found, kinds = await asyncio.gather(
        ask(request, "/v1/operations", {**filters, **chosen(request.query, ("after",)), "limit": 50}),
        ask(request, "/v1/operation-kinds"),
    )
    words = words_of(request)
    return show(
        request,
        "runs.html",
        found=found,
        kinds=kinds["items"],
        filters=filters,
        kinds_to_choose=[(code, name_of(request, "kinds", code)) for code in KINDS],
        services=services_to_choose(request),
        states=[(str(state), words.text(text)) for state, text in STATES.items()],
    )


async def form(request: web.Request) -> web.Response:
    """What an operation of a kind does, and what it is to be given."""
    return await _form(request)


async def start(request: web.Request) -> web.Response:
    """Start it, and follow it."""
    kind, posted = request.match_info["kind"], await request.post()
    asked = _options(kind, str(posted.get("service", "")))
    options, mistakes = read(asked, posted)
    reason = str(posted.get("reason", "")).strip()
    if not reason:
        mistakes["reason"] = forms.REQUIRED
    if mistakes:
        return await _form(request, 422, posted, mistakes)
    body = {"kind": kind, "service": str(posted.get("service", "")), "reason": reason, "options": options}
    try:
        begun = await send(request, "/v1/operations", body)
    except ApiRefused as refused:
        return await _form(request, refused.status, posted, at_fields(refused.errors), refused)
    return go(address(begun["id"]))


async def one(request: web.Request) -> web.Response:
    """An operation: how far it is while it goes on, and what came of it. A page that is open is told only what changed:
    its progress, or all of it once it stands otherwise."""
    run = await ask(request, _path(request))
    if "HX-Request" not in request.headers:
        return await _one(request, run)
    if run["state"] in MOVING and run["state"] == request.query.get("state"):
        return show(request, "progress.html", run=run)
    response = await _one(request, run, template="run.html")
    response.headers.update({"HX-Retarget": "#run", "HX-Reswap": "outerHTML"})
    return response


async def steer(request: web.Request) -> web.Response:
    """Pause it, go on, or call it off."""
    posted = await request.post()
    command, reason = str(posted.get("command", "")), str(posted.get("reason", ""))
    if command not in ("pause", "resume", "cancel"):
        raise web.HTTPNotFound
    if not reason.strip():
        return await _one(request, await ask(request, _path(request)), 422, wrong={"reason": forms.REQUIRED})
    try:
        await send(request, f"{_path(request)}/{command}", {"reason": reason.strip()})
    except ApiRefused as refused:
        run = await ask(request, _path(request))
        return await _one(request, run, refused.status, refused=refused, wrong=refused.errors, reason=reason)
    return go(address(request.match_info["id"]))


async def file(request: web.Request) -> web.StreamResponse:
    """The file that an operation made, passed on as it comes."""
    async with desk(request).api.stream(actor(request), f"{_path(request)}/file", patience=LONG_PATIENCE) as answer:
        name = request.match_info["id"]
        ending = str(answer.headers.get("Content-Disposition", "")).rpartition(".")[2].rstrip('"') or "bin"
        response = web.StreamResponse(
            headers={
                "Content-Disposition": f"attachment; filename*=UTF-8''{quote(f'{name}.{ending}', safe='')}",
                "Content-Type": "application/octet-stream",
            }
        )
        if answer.content_length is not None:
            response.content_length = answer.content_length
        await response.prepare(request)
        async for part in answer.content.iter_chunked(1 << 16):
            await response.write(part)
        await response.write_eof()
        return response


def address(operation: str) -> str:
    """The page of an operation."""
    return f"/console/operations/runs/{quote(operation, safe='')}"


def at_fields(errors: Mapping[str, Mapping[str, str]]) -> forms.Mistakes:
    """What the API says is wrong, by the fields of the form: `options.tables[0]` belongs to `tables`."""
    return {path.removeprefix("options.").partition("[")[0]: error for path, error in errors.items()}


def read(asked: Sequence[Option], posted: Posted) -> tuple[dict[str, Any], forms.Mistakes]:
    """The options that a form says, and what could not be read of them. What is left open is not said."""
    options: dict[str, Any] = {}
    mistakes: forms.Mistakes = {}
    for option in asked:
        given = [text for text in map(str, posted.getall(option.name, [])) if text.strip()]
        try:
            if given:
                options[option.name] = _value(option, given)
        except forms.Unreadable as unreadable:
            mistakes[option.name] = unreadable.mistake
    return options, mistakes


def _value(option: Option, given: Sequence[str]) -> Any:
    if option.look == "tick":
        return True
    if option.look == "ticks":
        return list(given)
    if option.look == "list":
        return given[0].replace(",", ",").replace(",", " ").split()
    return option.read(given[0])


def _options(kind: str, service: str) -> list[Option]:
    if kind not in OPTIONS:
        raise web.HTTPNotFound
    return [option for option in OPTIONS[kind] if option.service in ("", service)]


async def _form(
    request: web.Request,
    status: int = 200,
    posted: Posted | None = None,
    wrong: forms.Mistakes | None = None,
    refused: ApiRefused | None = None,
) -> web.Response:
    kind = request.match_info["kind"]
    kinds = {one["kind"]: one for one in (await ask(request, "/v1/operation-kinds"))["items"]}
    asked = str(posted.get("service", "")) if posted else request.query.get("service", "")
    service = asked if asked in SERVICES else SERVICES[0]
    options = _options(kind, service)
    known = kinds[kind]
    return show(
        request,
        "start.html",
        status,
        kind=known,
        service=service,
        options=options,
        choices=known["choices"].get(service, {}),
        typed=lambda name: str(posted.get(name, "")) if posted else "",
        ticked=lambda name: [str(value) for value in posted.getall(name, [])] if posted else [],
        wrong=wrong or {},
        refused=refused,
    )


async def _one(
    request: web.Request,
    run: Mapping[str, Any],
    status: int = 200,
    *,
    template: str = "one_run.html",
    wrong: Mapping[str, Mapping[str, str]] | None = None,
    refused: ApiRefused | None = None,
    reason: str = "",
) -> web.Response:
    report = None
    if run["kind"] == "what_if" and run["outcome"].get("file"):
        try:
            report = await ask(request, f"{_path(request)}/file")
        except ApiRefused:  # kept by another process: its figures are told all the same
            report = None
    return show(
        request,
        template,
        status,
        run=run,
        steering=STEERING.get(run["state"], ()),
        moving=run["state"] in MOVING,
        report=report,
        told=told_of_what_if,
        wrong=wrong or {},
        refused=refused,
        reason=reason,
    )


def _path(request: web.Request) -> str:
    return f"/v1/operations/{quote(request.match_info['id'], safe='')}"
