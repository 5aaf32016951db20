"""What every page is made with: who looks at it, in which language, what the API answers, and the template."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

import aiohttp
from aiohttp import web
from yarl import URL

from contracts.policy import Policy
from services.console.api import PATIENCE, Api, Query
from services.console.navigation import menu_of
from services.console.session import Person
from services.console.templating import templates
from services.console.texts import LANGUAGES, catalogue
from services.kernel.actor import Actor
from services.kernel.clock import Clock
from services.wording.words import Language, Words

LANGUAGE_COOKIE: Final = "aftersales_language"
#: Named in the address after something was done: the page that follows says so.
DONE: Final = "done"

PERSON: Final = web.RequestKey("person", Person)


class Desk:
    """What all pages share: the API, the policy (for the names of codes) and the templates."""

    def __init__(self, api: Api, policy: Policy, clock: Clock) -> None:
        self.api = api
        self.policy = policy
        self.clock = clock
        self.words = {language: Words(policy, Language(language)) for language in LANGUAGES}
        self.templates = {language: templates(language, words) for language, words in self.words.items()}


DESK: Final = web.AppKey("desk", Desk)


def desk(request: web.Request) -> Desk:
    """What all pages share."""
    return request.config_dict[DESK]


def person(request: web.Request) -> Person:
    """Who looks at the page."""
    return request[PERSON]


def actor(request: web.Request) -> Actor:
    """As whom the API is asked."""
    return person(request).actor


def language(request: web.Request) -> str:
    """`zh` or `en`: what the switch says, else the browser, else Chinese."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    if chosen in LANGUAGES:
        return chosen
    wanted = request.headers.get("Accept-Language", "").lower()
    return "en" if wanted.startswith("en") else "zh"


def say(request: web.Request, key: str, **params: Any) -> str:
    """A text of the catalogue in the language of the page."""
    return catalogue().say(language(request), key, **params)


async def ask(request: web.Request, path: str, query: Query = None, patience: aiohttp.ClientTimeout = PATIENCE) -> Any:
    """What the API answers the person. Raises `ApiRefused`."""
    return await desk(request).api.get(actor(request), path, query, patience)


async def send(
    request: web.Request,
    path: str,
    body: Mapping[str, Any],
    *,
    method: str = "POST",
    version: str = "",
    part: str = "",
    patience: aiohttp.ClientTimeout = PATIENCE,
) -> Any:
    """Give a command as the person. Its Idempotency-Key is the form's `key`, so that a form sent twice counts once;
    `part` tells several commands of one form apart. Raises `ApiRefused`."""
    key = f"console-{(await request.post()).get('key', '')!s}{part}"
    api = desk(request).api
    return await api.send(actor(request), path, body, key=key, version=version, method=method, patience=patience)


def render(request: web.Request, template: str, status: int = 200, **context: Any) -> web.Response:
    """A page."""
    common = _context(request)
    text = desk(request).templates[language(request)].get_template(template).render(common | context)
    return web.Response(text=text, status=status, content_type="text/html", charset="utf-8")


def go(path: str, *, done: str = "", **query: str) -> web.Response:
    """Lead to a page after a form was taken; `done`: the command, or the text, that the page says was done."""
    wanted = {**query, **({DONE: done} if done else {})}
    return web.Response(status=303, headers={"Location": str(URL(path).update_query(wanted))})


def form_key() -> str:
    """The Idempotency-Key of a form: made when it is shown."""
    return str(uuid4())


def _context(request: web.Request) -> dict[str, Any]:
    shared, spoken = desk(request), language(request)
    who = request.get(PERSON)
    words = shared.words[spoken]

    def t(key: str, **params: Any) -> str:
        return catalogue().say(spoken, key, **params)

    def address(**changed: str | None) -> str:
        """The address of this page with other filters."""
        kept = {name: value for name, value in request.query.items() if name not in changed and name != DONE}
        return str(URL(request.path).with_query({**kept, **{k: v for k, v in changed.items() if v}}))

    return {
        "address": address,
        "cause_choices": lambda: [(code, words.text(one.name)) for code, one in shared.policy.causes.items()],
        "csrf": who.csrf if who else "",
        "done": _done(words, t, request.query.get(DONE, "")),
        "form_key": form_key,
        "menu": menu_of(who.role) if who else (),
        "now": shared.clock.now(),
        "path": request.path,
        "person": who,
        "policy": shared.policy,
        "problem_choices": lambda: [(code, words.text(one.name)) for code, one in shared.policy.problems.items()],
        "query": request.query,
    }


def _done(words: Words, t: Any, what: str) -> str:
    """That something was done; what nobody knows is not repeated, since anybody can write an address."""
    if what in catalogue():
        return str(t(what))
    label = words.command(what)
    return str(t("page.done", what=label)) if label != what else ""


def chosen(query: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """The filters of an address that are filled in."""
    return {name: query[name] for name in names if query.get(name)}


def moment_now(request: web.Request) -> datetime:
    """Now, by the shop's clock."""
    return desk(request).clock.now()
