"""A command's body from what was typed into its form."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from aiohttp.web import FileField
from multidict import MultiDictProxy

from services.console import forms
from services.console.pages.case.fields import Asked, Field, Rows

Posted = MultiDictProxy[str | bytearray | FileField | bytes]
#: Rows that a form may have.
ROWS_MOST: Final = 100


class Read(NamedTuple):
    """What a form says: the body, what could not be read by the form's names, and where the body's parts stand."""

    body: dict[str, Any]
    mistakes: forms.Mistakes
    places: dict[str, str]

    def at_fields(self, errors: Mapping[str, Mapping[str, str]]) -> dict[str, Mapping[str, str]]:
        """What the API says is wrong, by the names of the form instead of by paths in the body."""
        return {self.places.get(path, path): error for path, error in errors.items()}


def read(asked: Asked, posted: Posted) -> Read:
    """The body that a form asks to be sent. What cannot be read is not in it."""
    done = Read({}, {}, {})
    for one in asked:
        if isinstance(one, Rows):
            _read_rows(one, posted, done)
        elif one.look == "lines":
            if chosen := [str(value) for value in posted.getall(one.name, [])]:
                done.body[one.name] = chosen
        else:
            _read_field(one, one.name, one.name, typed(posted, one.name), done, done.body)
    return done


def rows_of(rows: Rows, posted: Posted) -> list[dict[str, str]]:
    """The rows as they were typed, with one more where that was asked for."""
    told = [_row(rows, posted, place) for place in range(_count(rows, posted))]
    return [*told, {}] if posted.get("more") == rows.name and len(told) < ROWS_MOST else told


def typed(posted: Posted, name: str) -> str:
    """What was typed into a field."""
    value = posted.get(name, "")
    return value if isinstance(value, str) else ""


def _count(rows: Rows, posted: Posted) -> int:
    given = typed(posted, f"{rows.name}.rows")
    return min(int(given), ROWS_MOST) if given.isascii() and given.isdigit() and len(given) < 4 else 0


def _row(rows: Rows, posted: Posted, place: int) -> dict[str, str]:
    names = [column.name for column in rows.columns] + ["offered"]
    return {name: typed(posted, f"{rows.name}.{place}.{name}") for name in names}


def _meant(rows: Rows, posted: Posted) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows that are to be sent: their places in the form, and what was typed."""
    for place in range(_count(rows, posted)):
        row = _row(rows, posted, place)
        if row["offered"]:
            meant = row[rows.counted].strip() not in ("", "0")
        else:
            meant = any(row[column.name].strip() for column in rows.columns if column.look != "tick")
        if meant:
            yield place, row


def _read_rows(rows: Rows, posted: Posted, done: Read) -> None:
    sent = done.body.setdefault(rows.name, [])
    for number, (place, row) in enumerate(_meant(rows, posted)):
        told: dict[str, Any] = {}
        done.places[f"{rows.name}[{number}]"] = f"{rows.name}.{place}.{rows.columns[0].name}"
        for column in rows.columns:
            name = f"{rows.name}.{place}.{column.name}"
            _read_field(column, name, f"{rows.name}[{number}].{column.name}", row[column.name], done, told)
        sent.append(rows.made(told))
    if rows.required and not sent:
        done.mistakes[rows.name] = forms.REQUIRED


def _read_field(field: Field, name: str, path: str, text: str, done: Read, into: dict[str, Any]) -> None:
    """Read one field called `name` in the form and `path` in the body."""
    done.places[path] = name
    if not text.strip() and field.look != "tick":
        if field.required:
            done.mistakes[name] = forms.REQUIRED
        return
    try:
        into[field.name] = field.reader(text)
    except forms.Unreadable as unreadable:
        done.mistakes[name] = unreadable.mistake
