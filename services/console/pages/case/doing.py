"""Doing something about a case: the form of a command, and what becomes of it when it is sent.

A form carries the version of the order that it was made from. Where somebody did something meanwhile, it is shown again
with what was typed and with what happened, and one click sends it on the new state. What services booked by themselves
meanwhile asks nobody.
"""

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from services.console.api import ApiRefused
from services.console.page import actor, desk, form_key, go, language, person, render, send
from services.console.pages.case.bodies import Posted, Read, read, rows_of, typed
from services.console.pages.case.fields import ASKED, NOTE, Asked, Field, Rows, Subject
from services.console.pages.case.page import show
from services.console.pages.case.reading import (
    Told,
    case_and_order,
    case_path,
    happened_since,
    the_case,
    version_elsewhere,
)
from services.console.texts import catalogue

#: How often a form is sent again on a state that nobody but the services changed.
_AGAIN_MOST: Final = 5


async def form(request: web.Request) -> web.Response:
    """The form of a command: by itself for a page that is open already, else on the page of the case."""
    case_id, command = request.match_info["case_id"], _command(request)
    case, order = await case_and_order(request, case_id)
    subject = _subject(request, case, order, command)
    opened = _form(command, subject, _first_values(request, subject, command))
    opened["elsewhere"] = await version_elsewhere(request, case_id, command)
    if _by_script(request):
        return render(request, "case/form.html", case=case, form=opened)
    return show(request, case, form=opened)


async def give(request: web.Request) -> web.Response:
    """Give the command that a form says."""
    case_id, command = request.match_info["case_id"], _command(request)
    posted = await request.post()
    told = read((*ASKED[command], NOTE), posted)
    if typed(posted, "more"):
        return await _again(request, posted)
    if told.mistakes:
        return await _again(request, posted, errors=told.mistakes, status=422)
    try:
        await _send(request, f"{case_path(case_id)}/{command.replace('_', '-')}", told, posted)
    except ApiRefused as refused:
        return await _refused(request, posted, told, refused)
    done = go(f"/console/cases/{case_id}", done=await _done(request, case_id, command))
    if _by_script(request):
        return web.Response(headers={"HX-Redirect": done.headers["Location"]})
    return done


async def _done(request: web.Request, case_id: str, command: str) -> str:
    """What the page says was done: of an offer also who must approve it."""
    if command != "propose_compensation":
        return command
    offers = (await the_case(request, case_id))["proposals"]
    return f"case.offer_needs_{offers[-1]['approver_role']}" if offers[-1]["waits_for_approval"] else command


async def _send(request: web.Request, path: str, told: Read, posted: Posted) -> None:
    """Send the command on the version that the form was made from, and on later ones as long as only services changed
    something in between. Raises `ApiRefused`.

    The version that a refusal names is kept with it, so that a form that is sent twice goes the same ways twice, under
    the same keys.
    """
    case_id, seen = request.match_info["case_id"], typed(posted, "version")
    elsewhere = typed(posted, "elsewhere")
    version, part = elsewhere or seen, ""
    for _ in range(_AGAIN_MOST):
        try:
            await send(request, path, told.body, version=version, part=part)
            return
        except ApiRefused as refused:
            if refused.code != "version_conflict":
                raise
            version = str(refused.problem["params"]["version"])
            if await _news(request, case_id, seen, upto=None if elsewhere else int(version)):
                raise
            part = f"-{version}"
    await send(request, path, told.body, version=version, part=part)


async def _news(request: web.Request, case_id: str, seen: str, upto: int | None = None) -> list[Told]:
    """What people did to the case after the version that a form was made from and up to another, with what the services
    made of it; nothing where nobody did, or this person only sent photos."""
    since = await happened_since(request, case_id, int(seen) if seen.isdigit() else 0)
    if upto is not None:
        since = [one for one in since if one.happening["version"] <= upto]
    return since if any(one.changes_forms_of(actor(request)) for one in since) else []


async def _refused(request: web.Request, posted: Posted, told: Read, refused: ApiRefused) -> web.Response:
    if refused.code != "version_conflict":
        errors = told.at_fields(refused.errors)
        return await _again(request, posted, errors=errors, refused=refused, status=refused.status)
    since = await _news(request, request.match_info["case_id"], typed(posted, "version"))
    return await _again(request, posted, since=since, refused=None if since else refused, status=refused.status)


async def _again(
    request: web.Request,
    posted: Posted,
    *,
    errors: Mapping[str, Mapping[str, str]] | None = None,
    refused: ApiRefused | None = None,
    since: list[Told] | None = None,
    status: int = 200,
) -> web.Response:
    """The form once more, on the case as it is now and with what was typed."""
    case_id, command = request.match_info["case_id"], _command(request)
    case, order = await case_and_order(request, case_id)
    opened = _form(command, _subject(request, case, order, command), _typed_values(ASKED[command], posted))
    opened |= {"errors": errors or {}, "refused": refused, "since": since}
    opened["elsewhere"] = await version_elsewhere(request, case_id, command)
    if (refused is not None and refused.problem.get("retryable")) or typed(posted, "more"):
        opened["key"] = typed(posted, "key")  # nothing was decided about it
    if typed(posted, "more") or errors or (refused and refused.code != "version_conflict"):
        opened["version"] = typed(posted, "version")
        opened["elsewhere"] = typed(posted, "elsewhere")
    if _by_script(request):
        return render(request, "case/form.html", status, case=case, form=opened)
    return show(request, case, status, form=opened)


def _by_script(request: web.Request) -> bool:
    """Whether a page that is open asks for the form alone; it stays as it is, and going back leads past the form."""
    return "HX-Request" in request.headers


def _command(request: web.Request) -> str:
    """The command that an address names. Raises `HTTPNotFound`."""
    command = request.match_info["command"].replace("-", "_")
    if command not in ASKED:
        raise web.HTTPNotFound
    return command


def _subject(request: web.Request, case: Mapping[str, Any], order: Mapping[str, Any], command: str) -> Subject:
    shared = desk(request)
    action: Mapping[str, Any] = next((one for one in case["next_actions"] if one["command"] == command), {})
    return Subject(case, order, action, shared.policy, shared.words[language(request)], person(request))


def _form(command: str, subject: Subject, values: Mapping[str, Any]) -> dict[str, Any]:
    """What the template of a form is filled with; `values`: texts by field, lists of rows for rows."""
    return {
        "command": command,
        "action": subject.action,
        "asked": [_told_field(command, one, subject) for one in (*ASKED[command], NOTE)],
        "about": _text(subject, f"actions.{command}.about"),
        "values": values,
        "lines": {line["line_id"]: line for line in subject.order["order"]["lines"]},
        "version": str(subject.case["version"]),
        "elsewhere": "",
        "key": form_key(),
        "errors": {},
        "refused": None,
        "since": None,
    }


def _told_field(command: str, one: Field | Rows, subject: Subject) -> dict[str, Any]:
    own = f"actions.{command}.{one.name}"
    names = {
        "label": _text(subject, own) or _text(subject, f"actions.fields.{one.name}"),
        "help": _text(subject, f"{own}_help"),
    }
    if isinstance(one, Rows):
        columns = [_told_field(command, column, subject) for column in one.columns]
        return {**names, "name": one.name, "look": "rows", "columns": columns, "more": bool(one.blank)}
    return {**one._asdict(), **names, "choices": one.choices(subject), "suggested": one.suggested(subject)}


def _text(subject: Subject, key: str) -> str:
    """A text of the catalogue that need not be there."""
    return catalogue().say(str(subject.words.language), key) if key in catalogue() else ""


def _first_values(request: web.Request, subject: Subject, command: str) -> dict[str, Any]:
    """What stands in a form at first: what its address says, else what the case suggests."""
    values: dict[str, Any] = {}
    for one in (*ASKED[command], NOTE):
        if isinstance(one, Rows):
            offered = [{**row, "offered": "yes"} for row in one.offered(subject)]
            values[one.name] = offered + [{} for _ in range(one.blank)]
        elif one.look == "lines":
            values[one.name] = request.query.getall(one.name, [])
        else:
            values[one.name] = request.query.get(one.name) or one.first(subject)
    return values


def _typed_values(asked: Asked, posted: Posted) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for one in (*asked, NOTE):
        if isinstance(one, Rows):
            values[one.name] = rows_of(one, posted)
        elif one.look == "lines":
            values[one.name] = posted.getall(one.name, [])
        else:
            values[one.name] = typed(posted, one.name)
    return values
