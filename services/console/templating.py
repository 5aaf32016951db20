"""The templates of one language: texts are put in their places when a template is compiled, and what stands in every
row of a list is made by filters, which cost a tenth of macros."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from services.console.formatting import day, moment, money, percent, seconds_until, share
from services.console.texts import catalogue
from services.wording import books
from services.wording.facts import said
from services.wording.words import Words

FOLDER: Final = Path(__file__).parent
STATIC: Final = FOLDER / "static"
#: What is due within so long stands out, in seconds.
SOON_SECONDS: Final = 7_200
#: How exactly a time is told that is at least so long, both in seconds: from one day on, in tenths of a day.
_STEPS: Final = ((864_000, 86_400), (86_400, 8_640), (36_000, 3_600), (3_600, 360), (60, 60), (0, 1))

_NONE: Final = Markup("–")
_OF_ALL_DICTS: Final = frozenset(dir(dict))


class _Environment(Environment):
    """Templates read documents of the API, which are dicts: their fields are found at once, instead of after having
    looked for an attribute in vain."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        """What stands behind a dot."""
        if type(obj) is not dict or attribute in _OF_ALL_DICTS:
            return super().getattr(obj, attribute)
        return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)


def templates(language: str, words: Words) -> Environment:
    """The templates in a language."""
    environment = _Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )

    def t(key: str, **params: Any) -> str:
        return catalogue().say(language, key, **params)

    environment.filters.update(_filters(language, t, words))
    environment.globals.update(
        asset=_assets().__getitem__,
        language=language,
        said=lambda data: said(words, data),
        seconds_until=seconds_until,
        share=share,
        t=t,
        words=words,
    )
    return environment


def _filters(language: str, t: Callable[..., str], words: Words) -> Mapping[str, Callable[..., Any]]:
    def due(text: str | None, now: datetime) -> Markup:
        """How long is left until a moment, or since when it is late."""
        if not text:
            return Markup("")
        left = seconds_until(text, now)
        return due_in(text, rounded(abs(left)), left < 0)

    @lru_cache(maxsize=4_096)
    def due_in(text: str, seconds: int, late: bool) -> Markup:
        tone = " late" if late else " soon" if seconds <= SOON_SECONDS else ""
        told = t("time.late" if late else "time.left", time=words.roughly(seconds))
        return Markup(f'<span class="due{tone}" title="{moment(text)}">{escape(told)}</span>')

    def book(code: str, table: str) -> str:
        """What a code of the books is called, by a table of `services.wording.books`."""
        names: books.Names = getattr(books, table)
        return words.say(*names[code]) if code in names else code

    def why_not(action: Mapping[str, Any]) -> str:
        """Why an action of a case cannot be done; where what it is about is not there at all, how it comes to be."""
        missing = f"case.missing.{action['command']}"
        lacks = action["code"] == "unknown_item" and missing in catalogue()
        return t(missing) if lacks else str(action[f"reason_{language}"])

    return {
        "actor": words.actor,
        "amount": amount,
        "badge": badge,
        "book": book,
        "cause": words.cause,
        "command": words.command,
        "day": day,
        "due": due,
        "event": words.event,
        "moment": moment,
        "money": money,
        "options": options,
        "party": words.party,
        "percent": percent,
        "problem": words.problem,
        "t": t,
        "term": words.term,
        "when": when,
        "why_not": why_not,
    }


@lru_cache(maxsize=4_096)
def when(text: str | None) -> Markup:
    """A moment, exact for machines; a dash where there is none."""
    return Markup(f'<time datetime="{escape(text)}">{moment(text)}</time>') if text else _NONE


@lru_cache(maxsize=4_096)
def amount(fen: int | None) -> Markup:
    """An amount in yuan; figures stand under one another."""
    return Markup(f'<span class="figure{" minus" if fen and fen < 0 else ""}">{money(fen)}</span>')


@lru_cache(maxsize=4_096)
def badge(text: str, tone: str = "") -> Markup:
    """A word with a colour: `good`, `bad`, `warn` or none."""
    return Markup(f'<span class="badge {escape(tone)}">{escape(text)}</span>')


def rounded(seconds: float) -> int:
    """A time as exactly as it is told: a promise of 2 hours is still one of 2 hours a moment after it was made."""
    step = next(step for least, step in _STEPS if seconds >= least)
    return round(seconds / step) * step


def options(choices: Iterable[tuple[str, str]], value: str = "", *, keep: bool = False) -> Markup:
    """What a choice offers, codes with their texts; `value` is chosen. `keep`: also where it is none of them."""
    return _options(tuple(choices), value, keep)


@lru_cache(maxsize=512)
def _options(choices: tuple[tuple[str, str], ...], value: str, keep: bool) -> Markup:
    unknown = [(value, value)] if keep and value and value not in dict(choices) else []
    return Markup("").join(
        Markup('<option value="{}"{}>{}</option>').format(code, Markup(" selected") if code == value else "", text)
        for code, text in (*choices, *unknown)
    )


def _assets() -> Mapping[str, str]:
    """The address of each file, with what it holds in it, so that browsers may keep it for ever."""
    return {
        file.name: f"/console/static/{file.name}?v={hashlib.sha256(file.read_bytes()).hexdigest()[:12]}"
        for file in sorted(STATIC.iterdir())
    }
