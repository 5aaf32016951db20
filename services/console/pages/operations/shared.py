"""What the pages of operations share: the names of services, kinds and states, and how a page is shown."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from aiohttp import web

from services.console.navigation import operations_of
from services.console.page import desk, language, person, render, say
from services.console.texts import catalogue
from services.kernel.operations.texts import STATES
from services.wording.words import Words

#: How a state looks.
TONES: Final[Mapping[str, str]] = {
    "running": "warn",
    "paused": "warn",
    "interrupted": "bad",
    "finished": "good",
    "failed": "bad",
}
#: Whose logs there are.
SERVICES: Final = ("cases", "refunds", "liability", "finance")


def show(request: web.Request, template: str, status: int = 200, **context: Any) -> web.Response:
    """A page of operations."""
    shared = {"name_of": partial(name_of, request), "tabs": operations_of(person(request).role), "tones": TONES}
    return render(request, f"operations/{template}", status, **(shared | context))


def words_of(request: web.Request) -> Words:
    """The names of codes in the language of the page."""
    return desk(request).words[language(request)]


def name_of(request: web.Request, what: str, code: str) -> str:
    """What a service, kind, option or state is called; a code that nobody named stays as it is."""
    if what == "states":
        known = {str(state): text for state, text in STATES.items()}
        return words_of(request).text(known[code]) if code in known else code
    key = f"operations.{what}.{code}"
    return say(request, key) if key in catalogue() else code


def services_to_choose(request: web.Request) -> list[tuple[str, str]]:
    """The services with their names."""
    return [(code, name_of(request, "services", code)) for code in SERVICES]
