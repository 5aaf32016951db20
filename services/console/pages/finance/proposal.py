"""The form of a correction: postings row by row, in yuan, a debit or a credit each."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from aiohttp.web import FileField
from multidict import MultiDictProxy

from services.console import forms
from services.console.api import ApiRefused
from services.console.page import form_key

Posted = MultiDictProxy[str | bytearray | FileField | bytes]

#: What is typed of a posting.
COLUMNS: Final = ("account", "party", "debit", "credit", "case_id", "item")
#: Rows that a form begins with, and those that it may have.
ROWS: Final = 2
_ROWS_MOST: Final = 200
_BOTH: Final[Mapping[str, str]] = {
    "rule": "one_side",
    "zh": "借方和贷方只填一个",
    "en": "Either a debit or a credit",
}


class Typed(NamedTuple):
    """What somebody typed: the body to send, what could not be read, and where its parts stand in the form."""

    body: dict[str, Any]
    mistakes: forms.Mistakes
    places: Mapping[str, str]
    rows: Sequence[Mapping[str, str]]


def first(discrepancies: str = "", reason: str = "") -> dict[str, Any]:
    """An empty form."""
    return {
        "key": form_key(),
        "rows": [dict.fromkeys(COLUMNS, "") for _ in range(ROWS)],
        "reason": reason,
        "booked_on": "",
        "discrepancies": discrepancies,
        "errors": {},
        "refused": None,
    }


def read(posted: Posted) -> Typed:
    """What a form says. Rows in which nothing is typed are not sent."""
    mistakes: forms.Mistakes = {}
    places: dict[str, str] = {}
    rows = _rows(posted)
    legs: list[dict[str, Any]] = []
    for place, row in enumerate(rows):
        if not any(row.values()):
            continue
        path = f"legs[{len(legs)}]"
        side = "credit" if row["credit"] and not row["debit"] else "debit"
        places[f"{path}.amount_fen"] = f"leg.{place}.{side}"
        places |= {f"{path}.{name}": f"leg.{place}.{name}" for name in ("account", "party", "case_id", "item")}
        given = {name: row[name] for name in ("account", "party", "case_id", "item") if row[name]}
        legs.append({"account": "", **given, "amount_fen": _amount(row, place, mistakes)})
    if not typed(posted, "reason"):
        mistakes["reason"] = forms.REQUIRED
    named = typed(posted, "discrepancies").split()
    body = {"reason": typed(posted, "reason"), "legs": legs, "discrepancies": named}
    if day := typed(posted, "booked_on"):
        body["booked_on"] = day
    return Typed(body, mistakes, places, rows)


def again(posted: Posted, told: Typed, refused: ApiRefused | None = None) -> dict[str, Any]:
    """The form as it was filled in, with what is wrong; with one more row where that was asked for."""
    wants_row = bool(typed(posted, "more"))
    errors = {told.places.get(path, path): error for path, error in refused.errors.items()} if refused else {}
    undecided = wants_row or bool(told.mistakes) or (refused is not None and refused.problem.get("retryable"))
    return {
        "key": typed(posted, "key") if undecided else form_key(),
        "rows": [*told.rows, dict.fromkeys(COLUMNS, "")] if wants_row else told.rows,
        "reason": typed(posted, "reason"),
        "booked_on": typed(posted, "booked_on"),
        "discrepancies": typed(posted, "discrepancies"),
        "errors": errors if refused else {} if wants_row else told.mistakes,
        "refused": refused,
    }


def typed(posted: Posted, name: str) -> str:
    """What was typed into a field, without blanks around it."""
    value = posted.get(name, "")
    return value.strip() if isinstance(value, str) else ""


def _rows(posted: Posted) -> list[dict[str, str]]:
    given = typed(posted, "rows")
    count = min(int(given), _ROWS_MOST) if given.isascii() and given.isdigit() and len(given) < 4 else 0
    return [{name: typed(posted, f"leg.{place}.{name}") for name in COLUMNS} for place in range(count)]


def _amount(row: Mapping[str, str], place: int, mistakes: forms.Mistakes) -> int:
    """A debit above zero, a credit below; 0 where it could not be read, which is noted."""
    if row["debit"] and row["credit"]:
        mistakes[f"leg.{place}.credit"] = _BOTH
        return 0
    side, sign = ("credit", -1) if row["credit"] else ("debit", 1)
    if not row[side]:
        mistakes[f"leg.{place}.{side}"] = forms.REQUIRED
        return 0
    try:
        return sign * forms.fen(row[side])
    except forms.Unreadable as unreadable:
        mistakes[f"leg.{place}.{side}"] = unreadable.mistake
        return 0
