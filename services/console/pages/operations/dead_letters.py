"""Messages that did not go on: by cause, one by one, what trying again would do, and then doing it."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec
from aiohttp import web
from yarl import URL

from services.console.api import ApiRefused
from services.console.page import actor, ask, chosen, desk, form_key, send
from services.console.pages.operations.shared import services_to_choose, show, words_of
from services.wording.dead_letters import CAUSES, OUTCOMES, STATES

FILTERS: Final = ("state", "cause", "source", "type", "error", "stream", "place")
#: What chooses messages that something is done with.
CHOOSING: Final = ("place", "cause", "source", "type", "error", "stream")
#: Outcomes that are good, and those that need somebody.
GOOD: Final = ("handled", "would_be_handled", "discarded", "would_be_discarded")
BAD: Final = ("dead", "would_fail", "would_be_dead", "refused")
#: How long it is waited for what becomes of redriven messages.
WAIT_SECONDS: Final = 2


async def groups(request: web.Request) -> web.Response:
    """What was left behind, by what it has in common."""
    asked = chosen(request.query, ("service",))
    found = await ask(request, "/v1/dead-letters", asked)
    return _show(
        request,
        "dead_letters.html",
        found=found,
        filters=asked,
        services=services_to_choose(request),
        place_of=lambda group: _address(group["service"], "", {name: group[name] for name in FILTERS[:5]}),
        preview_of=lambda group, action: _address(
            group["service"], "/preview", {**{name: group[name] for name in FILTERS[1:5]}, "action": action}
        ),
    )


async def messages(request: web.Request) -> web.Response:
    """Messages of a service, in the order in which they came; those that were seen to as well."""
    service, filters = request.match_info["service"], chosen(request.query, FILTERS)
    found = await ask(request, f"{_path(service)}", {**filters, **chosen(request.query, ("after",)), "limit": 50})
    selection = chosen(request.query, CHOOSING)
    return _show(
        request,
        "messages.html",
        found=found,
        service=service,
        filters=filters,
        states=[(code, words_of(request).text(text)) for code, text in STATES.items()],
        cause_names=[(code, words_of(request).text(text)) for code, text in CAUSES.items()],
        preview=_address(service, "/preview", {**selection, "action": "redrive"}) if selection else "",
        one=lambda place: _address(service, "/message", {"place": place}),
    )


async def message(request: web.Request) -> web.Response:
    """One message, whole; its content is shown as text, whatever it is."""
    service, place = request.match_info["service"], request.query.get("place", "")
    found = await ask(request, f"{_path(service)}/message", {"place": place})
    body = found["body"]
    text = body if isinstance(body, str) else msgspec.json.format(msgspec.json.encode(body), indent=2).decode()
    previews = {
        action: _address(service, "/preview", {"place": place, "action": action}) for action in ("redrive", "discard")
    }
    return _show(request, "message.html", message=found, body=text, service=service, previews=previews)


async def preview(request: web.Request) -> web.Response:
    """What would become of messages, before anything is done with them."""
    return await _preview(request, chosen(request.query, CHOOSING), request.query.get("action", ""))


async def give(request: web.Request) -> web.Response:
    """Try messages again, or give them up; then what became of each."""
    form = await request.post()
    typed = {name: str(form.get(name, "")) for name in (*CHOOSING, "reason")}
    service, action = request.match_info["service"], request.match_info["action"]
    selection = chosen(typed, CHOOSING)
    reason = {"reason": typed["reason"].strip()} if typed["reason"].strip() or action == "discard" else {}
    wait = {"wait_seconds": WAIT_SECONDS} if action == "redrive" else {}
    try:
        done = await send(request, f"{_path(service)}/{action}", {**selection, **reason, **wait})
    except ApiRefused as refused:
        return await _preview(request, selection, action, refused, typed["reason"])
    return _show(request, "outcomes.html", done_to=done, service=service, action=action)


async def _preview(
    request: web.Request,
    selection: Mapping[str, str],
    action: str,
    refused: ApiRefused | None = None,
    reason: str = "",
) -> web.Response:
    service = request.match_info["service"]
    action = action if action == "discard" else "redrive"
    body = {**selection, "action": action}
    would = await desk(request).api.send(actor(request), f"{_path(service)}/preview", body, key=form_key())
    other = "redrive" if action == "discard" else "discard"
    return _show(
        request,
        "preview.html",
        refused.status if refused else 200,
        would=would,
        service=service,
        action=action,
        selection=selection,
        other=_address(service, "/preview", {**selection, "action": other}),
        reason=reason,
        refused=refused,
    )


def _show(request: web.Request, template: str, status: int = 200, **context: Any) -> web.Response:
    words = words_of(request)
    return show(
        request,
        template,
        status,
        state_names={code: words.text(text) for code, text in STATES.items()},
        causes={code: words.text(text) for code, text in CAUSES.items()},
        outcomes={code: words.text(text) for code, text in OUTCOMES.items()},
        tone_of=lambda outcome: "good" if outcome in GOOD else "bad" if outcome in BAD else "warn",
        **context,
    )


def _path(service: str) -> str:
    return f"/v1/dead-letters/{quote(service, safe='')}"


def _address(service: str, rest: str, query: Mapping[str, str]) -> str:
    filled = {name: value for name, value in query.items() if value}
    return str(URL(f"/console/operations/dead-letters/{quote(service, safe='')}{rest}").with_query(filled))
