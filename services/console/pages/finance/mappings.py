"""Column mappings: which column of a table is what. Chosen from a sample, saved, and tried with it at once."""

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import yaml
from aiohttp import web
from aiohttp.web import FileField

from services.console import forms
from services.console.api import LONG_PATIENCE, ApiRefused
from services.console.page import actor, ask, desk, render
from services.console.pages.finance.proposal import Posted
from services.console.pages.finance.reading import actions_of, names_of
from services.console.pages.finance.samples import (
    BYTES_MOST,
    CODECS,
    DELIMITERS,
    ROWS_SHOWN,
    TIME_FORMATS,
    Shape,
    Table,
    shape_of,
    suggested,
    table_of,
    typed_names,
)
from services.wording.books import ROW_KINDS, ROW_STATUSES

#: What a column can be: what is needed, one of which is needed, and the others.
NEEDED: Final = ("occurred_at", "amount")
REFERENCES: Final = ("channel_ref", "order_ref", "refund_ref", "channel_order_ref")
OTHERS: Final = ("status", "kind", "fee", "balance", "merchant", "currency")
#: Entries of a mapping that are a text, in the order in which they are written.
TEXTS: Final = ("channel", "title", "encoding", "delimiter", "skip_lines", "merchant", "currency", "kind")
MORE_TEXTS: Final = ("time_format", "time_zone", "unit", "sign", "total_row")
#: Columns whose words a mapping gives a meaning to, and where it does.
WORDS: Final = {"kind": "kinds", "status": "statuses"}
UNITS: Final = ("yuan", "fen")
SIGNS: Final = ("as_written", "reversed")
#: What the form has where nobody said anything else.
_USUAL: Final = {
    "encoding": "UTF-8",
    "delimiter": "comma",
    "skip_lines": "0",
    "time_format": TIME_FORMATS[0],
    "unit": UNITS[0],
    "sign": SIGNS[0],
    "kind": "other",
}
#: A moment that shows how times are written.
_EXAMPLE: Final = datetime.fromisoformat("2026-10-05T14:30:00+08:00")
#: Words that a form may have: more than a mapping can hold.
_ROWS_MOST: Final = 10_000

Values = dict[str, str]


class Trial(NamedTuple):
    """What the sample comes to by the mapping that was saved: the bill that it would be, or why it would not."""

    bill: Mapping[str, Any] | None
    refused: ApiRefused | None


async def page(request: web.Request) -> web.Response:
    """A saved mapping: which column of a table is what."""
    saved, actions = await asyncio.gather(_saved(request, request.match_info["mapping"]), actions_of(request))
    return render(request, "finance/mapping.html", mapping=saved, actions=actions)


async def new(request: web.Request) -> web.Response:
    """An empty form, or one with a saved mapping in it."""
    name = request.query.get("from", "")
    values = _USUAL | (_values_of(await _saved(request, name)) if name else {})
    return _form(request, values, Table(_chosen_columns(values), ()), stated=bool(name))


async def save(request: web.Request) -> web.Response:
    """Look at a sample, or save what was chosen and try it."""
    posted = await request.post()
    values = _typed(posted)
    content = await _sample(posted)
    mistakes: forms.Mistakes = {}
    table = typed_names(values.get("names", ""))
    if content:
        try:
            values |= _shape_named(content, values, is_new=bool(_file(posted)))
            table = table_of(content, _shape(values))
        except forms.Unreadable as wrong:
            mistakes["file"], content = wrong.mistake, b""
    elif not table.names:
        table = Table(_chosen_columns(values), ())
    if values.get("do") != "save" or mistakes:
        if not table.names and not mistakes:
            mistakes["file"] = forms.REQUIRED
        if not set(_chosen_columns(values)) & set(table.names):
            values |= suggested(table)
        status = 422 if mistakes else 200
        return _form(request, values, table, status, content=content, errors=mistakes, stated=bool(table.names))
    mistakes |= _missing(values)
    if mistakes:
        return _form(request, values, table, 422, content=content, errors=mistakes)
    try:
        await _send(request, f"/v1/bill-mappings/{quote(values['mapping'], safe='')}", "PUT", text_of(values).encode())
    except ApiRefused as refused:
        errors = _placed(values, refused)
        return _form(request, values, table, refused.status, content=content, errors=errors, refused=refused)
    trial = await _tried(request, values, content)
    return _form(request, values, table, content=content, saved=True, trial=trial)


def text_of(values: Values) -> str:
    """The mapping that a form says, in YAML."""
    said = values | {"delimiter": DELIMITERS.get(values.get("delimiter", ""), "")}
    chosen = {name: values.get(f"columns.{name}", "") for name in (*NEEDED, *REFERENCES, *OTHERS)}
    columns = {name: column for name, column in chosen.items() if column}
    meanings = {
        entry: {row["word"]: row["meaning"] for row in _rows(values, entry) if row["word"]}
        for column, entry in WORDS.items()
        if column in columns
    }
    entries: dict[str, Any] = {name: said.get(name, "") for name in TEXTS}
    entries |= {"columns": columns, **meanings, **{name: said.get(name, "") for name in MORE_TEXTS}}
    return yaml.safe_dump({name: one for name, one in entries.items() if one}, allow_unicode=True, sort_keys=False)


async def _saved(request: web.Request, name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = await ask(request, f"/v1/bill-mappings/{quote(name, safe='')}")
    return found


async def _send(request: web.Request, path: str, method: str, body: bytes, query: Mapping[str, str] = {}) -> Any:
    """Send a file. What is sent is part of the key: a form that is sent again with another content is another one."""
    key = f"console-{(await request.post()).get('key', '')!s}-{hashlib.sha256(body).hexdigest()[:16]}"
    headers = {"Content-Type": "application/octet-stream"}
    send = desk(request).api.send
    return await send(
        actor(request), path, body, key=key, method=method, query=query, headers=headers, patience=LONG_PATIENCE
    )


async def _tried(request: web.Request, values: Values, content: bytes) -> Trial | None:
    """What the sample comes to; nothing of it is taken in. None where there is no sample, or only a part of one."""
    if not content or len(content) >= BYTES_MOST:
        return None
    asked = {"mapping": values["mapping"], "file_name": values.get("file_name", ""), "dry_run": "true"}
    if currency := values.get("currency"):
        asked["currency"] = currency
    try:
        return Trial((await _send(request, "/v1/bills", "POST", content, asked))["bill"], None)
    except ApiRefused as refused:
        return Trial(None, refused)


def _file(posted: Posted) -> FileField | None:
    one = posted.get("file")
    return one if isinstance(one, FileField) and one.filename else None


async def _sample(posted: Posted) -> bytes:
    """The file that was chosen, or the one that the form still has from before."""
    if one := _file(posted):
        return one.file.read(BYTES_MOST)
    try:
        return base64.b64decode(str(posted.get("sample", "")), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _typed(posted: Posted) -> Values:
    """Everything that was typed or chosen, as it was."""
    typed = {name: one.strip() for name, one in posted.items() if isinstance(one, str) and name != "sample"}
    values = _USUAL | typed
    if one := _file(posted):
        values["file_name"] = one.filename.replace("\\", "/").rpartition("/")[2]
    return values


def _shape_named(content: bytes, values: Values, *, is_new: bool) -> Values:
    """How a file is written, as the form names it: found out of a new one, as it was chosen of one from before."""
    shape = shape_of(content) if is_new else _shape(values)
    return {"encoding": shape.encoding, "delimiter": shape.delimiter, "skip_lines": str(shape.skip_lines)}


def _shape(values: Values) -> Shape:
    lines = values.get("skip_lines", "")
    above = int(lines) if lines.isascii() and lines.isdecimal() and len(lines) <= 3 else 0
    encoding, delimiter = values.get("encoding", ""), values.get("delimiter", "")
    return Shape(
        encoding if encoding in CODECS else _USUAL["encoding"],
        delimiter if delimiter in DELIMITERS else _USUAL["delimiter"],
        above,
    )


def _missing(values: Values) -> forms.Mistakes:
    """What only the form can tell: the name, which stands in an address, and words that nobody gave a meaning to."""
    missing = [] if values.get("mapping") else ["mapping"]
    for column, entry in WORDS.items():
        if values.get(f"columns.{column}"):
            rows = _rows(values, entry)
            missing += [f"{entry}.{n}.meaning" for n, row in enumerate(rows) if row["word"] and not row["meaning"]]
    return dict.fromkeys(missing, forms.REQUIRED)


def _placed(values: Values, refused: ApiRefused) -> forms.Mistakes:
    """What the API says is wrong, at the fields of the form."""
    at: forms.Mistakes = {}
    for field, error in refused.errors.items():
        entry, _, word = field.partition(".")
        if entry in WORDS.values() and word:
            rows = [row["word"] for row in _rows(values, entry)]
            at[f"{entry}.{rows.index(word)}.meaning" if word in rows else entry] = error
        else:
            at["references" if "|" in field else field] = error
    return at


def _rows(values: Values, entry: str) -> list[dict[str, str]]:
    """Words with their meanings, as the form has them."""
    count = values.get(f"{entry}.rows", "")
    number = min(int(count), _ROWS_MOST) if count.isascii() and count.isdecimal() else 0
    return [{part: values.get(f"{entry}.{n}.{part}", "") for part in ("word", "meaning")} for n in range(number)]


def _words(values: Values, entry: str, known: Sequence[str]) -> list[dict[str, str]]:
    """The rows of words to show: those that were typed, those of the sample, and room for another."""
    rows = [row for row in _rows(values, entry) if row["word"] or row["meaning"]]
    typed = {row["word"] for row in rows}
    rows += [{"word": word, "meaning": ""} for word in known if word not in typed]
    return [*rows, {"word": "", "meaning": ""}]


def _chosen_columns(values: Values) -> list[str]:
    return list(dict.fromkeys(one for name, one in values.items() if name.startswith("columns.") and one))


def _values_of(mapping: Mapping[str, Any]) -> Values:
    """A saved mapping as the form has it."""
    said = yaml.load(mapping["content"], Loader=yaml.CBaseLoader)
    values = {name: said[name] for name in (*TEXTS, *MORE_TEXTS) if said.get(name)}
    values |= {f"columns.{name}": column for name, column in said.get("columns", {}).items()}
    for entry in WORDS.values():
        values[f"{entry}.rows"] = str(len(said.get(entry, {})))
        for n, (word, meaning) in enumerate(said.get(entry, {}).items()):
            values |= {f"{entry}.{n}.word": word, f"{entry}.{n}.meaning": meaning}
    signs = {sign: name for name, sign in DELIMITERS.items()}
    return values | {"mapping": mapping["mapping"], "delimiter": signs.get(said.get("delimiter", ","), "comma")}


def _form(
    request: web.Request,
    values: Values,
    table: Table,
    status: int = 200,
    *,
    content: bytes = b"",
    errors: forms.Mistakes | None = None,
    refused: ApiRefused | None = None,
    saved: bool = False,
    trial: Trial | None = None,
    stated: bool = True,
) -> web.Response:
    """The form; `stated`: what the columns are is asked for."""
    words = {
        entry: _words(values, entry, table.words(values.get(f"columns.{column}", "")))
        for column, entry in WORDS.items()
    }
    times = [values["time_format"], *(one for one in TIME_FORMATS if one != values["time_format"])]
    return render(
        request,
        "finance/mapping_form.html",
        status,
        values=values,
        stated=stated,
        names=[(name, name) for name in dict.fromkeys((*table.names, *_chosen_columns(values))) if name],
        table=Table(table.names, table.rows[:ROWS_SHOWN]),
        sample=base64.b64encode(content).decode(),
        is_part=len(content) >= BYTES_MOST,
        needed=NEEDED,
        references=REFERENCES,
        others=OTHERS,
        words_of=words,
        meanings={"kinds": names_of(request, ROW_KINDS), "statuses": names_of(request, ROW_STATUSES)},
        times=[(one, _EXAMPLE.strftime(one)) for one in times if one],
        errors=errors or {},
        refused=refused,
        saved=saved,
        trial=trial,
    )


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [
        web.get("/finance/new-mapping", new),
        web.post("/finance/new-mapping", save),
        web.get("/finance/mappings/{mapping}", page),
    ]
