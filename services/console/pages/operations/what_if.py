"""What would have been under other rules: the form. Its report is the page of the operation that it starts."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from aiohttp import web

from services.console import forms
from services.console.api import ApiRefused
from services.console.page import ask, go, send
from services.console.pages.operations.runs import address, at_fields
from services.console.pages.operations.shared import show

#: Fields that go along as they are typed, where they are.
FIELDS: Final = ("begin", "end", "order", "case")
#: The line that a mistake begins with, in any language.
_LINE: Final = re.compile(r"^(?:line (\d+): |第 \d+ 行:)")


class Mistake(NamedTuple):
    """A mistake in a policy: its line with what stands there, if it has one, and what is wrong there, by language."""

    line: int | None
    stands: str
    why: Mapping[str, str]


async def form(request: web.Request) -> web.Response:
    """Ask for other rules and a period."""
    return await _form(request)


async def start(request: web.Request) -> web.Response:
    """Have history decided again."""
    posted = await request.post()
    typed = {name: str(posted.get(name, "")) for name in ("policy", "reason", *FIELDS)}
    wrong = {name: forms.REQUIRED for name in ("policy", "reason") if not typed[name].strip()}
    if wrong:
        return await _form(request, 422, typed, wrong)
    options = {name: typed[name].strip() for name in FIELDS if typed[name].strip()}
    options["policy"] = typed["policy"].replace("\r\n", "\n")
    body = {"kind": "what_if", "service": "cases", "reason": typed["reason"].strip(), "options": options}
    try:
        begun = await send(request, "/v1/operations", body)
    except ApiRefused as refused:
        return await _form(request, refused.status, typed, at_fields(refused.errors), refused)
    return go(address(begun["id"]))


def mistakes(policy: str, errors: Mapping[str, Mapping[str, str]]) -> list[Mistake]:
    """What is wrong with a policy, by its lines."""
    lines = policy.splitlines()
    found = [_mistake(lines, error) for path, error in errors.items() if path.startswith("policy")]
    return sorted(found, key=lambda one: one.line or 0)


def _mistake(lines: Sequence[str], error: Mapping[str, str]) -> Mistake:
    match = _LINE.match(error["en"])
    line = int(match[1]) if match and match[1] else None
    why = {language: _LINE.sub("", text) for language, text in error.items()}
    return Mistake(line, lines[line - 1] if line and line <= len(lines) else "", why)


async def _form(
    request: web.Request,
    status: int = 200,
    typed: Mapping[str, str] | None = None,
    wrong: Mapping[str, Mapping[str, str]] | None = None,
    refused: ApiRefused | None = None,
) -> web.Response:
    earlier: Any = await ask(request, "/v1/operations", {"kind": "what_if", "limit": 10})
    typed, wrong = typed or {}, wrong or {}
    return show(
        request,
        "what_if.html",
        status,
        typed={name: typed.get(name, "") for name in ("policy", "reason", *FIELDS)},
        wrong=wrong,
        mistakes=mistakes(typed.get("policy", ""), wrong),
        refused=refused,
        earlier=earlier["items"],
    )
