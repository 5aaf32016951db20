"""Liability: what after-sales cost and who bore it, from a bar down to the cases; and what is owed of it, by age."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from aiohttp import web
from yarl import URL

from services.console import exporting as shown
from services.console.api import LONG_PATIENCE, ApiRefused
from services.console.charts import Line, chart, length
from services.console.page import ask, chosen, desk, language, render, say
from services.kernel.delimited import harmless
from services.wording.words import Words

#: What losses are grouped by, as the API knows them.
GROUPINGS: Final = ("party", "problem", "sku", "carrier", "cause", "channel", "month")
FILTERS: Final = ("party", "problem", "sku", "carrier", "cause", "channel")
#: What an address says of the losses; the same leads to the cases of a group.
ASKED: Final = ("by", "first_month", "last_month", *FILTERS)
#: What the chart can show.
MEASURES: Final = ("loss", "recovered")
#: As bars of them have it.
COLOURS: Final = {"loss": 1, "recovered": 3}
#: Figures that are always shown, and those that are where they say something; both in the order of the table.
FIGURES: Final = ("loss_fen", "suspense_fen", "recovered_fen", "corrected_fen", "net_fen")
_ALWAYS: Final = frozenset({"loss_fen", "recovered_fen", "net_fen"})
#: Groups with a line of their own; more could not be told apart.
LINES: Final = 6
#: The key of orders that no channel is known for.
_UNKNOWN_CHANNEL: Final = "unknown"

AGES: Final = ("days_0_30_fen", "days_31_60_fen", "days_61_90_fen", "over_90_days_fen")
#: What a party's balance is made of, in the order in which it adds up.
BALANCE: Final = (
    "opening_fen",
    "charged_fen",
    "reversed_fen",
    "credited_fen",
    "recovered_fen",
    "corrected_fen",
    "closing_fen",
)
#: Cases and events of a statement that are shown.
SHOWN: Final = 200
#: Groups that a file may have: as many as the API tells at once.
_GROUPS_MOST: Final = 1_000_000

Row = Mapping[str, Any]


def _known(named: Callable[[Words, Any], str]) -> shown.Shown:
    """The name of a code, nothing where it is not known."""
    return lambda words, code: harmless(named(words, code)) if code else ""


def _shares(words: Words, parties: Sequence[Row]) -> str:
    """Who was charged how much, in yuan."""
    return harmless(
        "; ".join(f"{words.party(one['party'])} {shown.money(words, one['charged_fen'])}" for one in parties)
    )


_MONEY: Final[shown.Columns] = dict.fromkeys(
    ("loss_fen", "charged_fen", "suspense_fen", "recovered_fen", "corrected_fen", "net_fen"), shown.money
)
#: What files have; losses have the name of each group before it.
LOSS_COLUMNS: Final[shown.Columns] = {**_MONEY, "cases": shown.number}
CASE_COLUMNS: Final[shown.Columns] = {
    "case_id": shown.text,
    "order_id": shown.text,
    "problem": _known(Words.problem),
    "cause": _known(Words.cause),
    "parties": _shares,
    **_MONEY,
}
RECOVERY_COLUMNS: Final[shown.Columns] = {
    "party": _known(Words.party),
    **dict.fromkeys((*BALANCE, *AGES), shown.money),
    "open_cases": shown.number,
    "open_since": shown.text,
    "age_days": shown.text,
}


class Bar(NamedTuple):
    """A group: what it is called, where its cases are, its figures, and how long its bars are."""

    name: str
    address: str
    row: Row
    lost: int
    recovered: int


async def page(request: web.Request) -> web.Response:
    """What was lost, group by group, and month by month."""
    asked, measure = chosen(request.query, ASKED), request.query.get("trend", MEASURES[0])
    if measure not in MEASURES:
        raise web.HTTPNotFound
    form: dict[str, Any] = {
        "filters": asked,
        "groupings": _named(request, "liability.groupings", GROUPINGS),
        "measure": measure,
        "measures": _named(request, "liability.measures", MEASURES),
        "more_used": any(name in asked for name in FILTERS),
    }
    try:
        losses = await ask(request, "/v1/statements/losses", asked)
    except ApiRefused as refused:
        return render(request, "liability/losses.html", refused.status, refused=refused, losses=None, **form)
    name = partial(_name, request, losses["by"])
    lines = _lines(request, losses, measure)
    return render(
        request,
        "liability/losses.html",
        refused=None,
        losses=losses,
        figures=_used(losses["rows"]),
        bars=_bars(losses, name, asked),
        nobody=_cases_path(asked | {"by": "party"}, ""),
        files=shown.files_of(request, asked | _span_of(losses)),
        lines=lines,
        chart=chart(losses["months"], say(request, "liability.month"), "fen", _few(request, losses, lines, measure)),
        **form,
    )


async def export_losses(request: web.Request) -> web.StreamResponse:
    """All groups as a file."""
    asked: dict[str, str | int] = {**chosen(request.query, ASKED), "limit": _GROUPS_MOST, "wait": "true"}
    losses = await ask(request, "/v1/statements/losses", asked, LONG_PATIENCE)
    by = losses["by"]
    group: shown.Columns = {"key": lambda _, key: harmless(_name(request, by, key))}
    return await shown.export_rows(
        request, f"losses-by-{by}", losses["rows"], {**group, **LOSS_COLUMNS}, "liability.columns"
    )


async def cases(request: web.Request) -> web.Response:
    """The cases that a group is made of."""
    asked = chosen(request.query, ASKED)
    found = await ask(request, "/v1/statements/losses/cases", asked | _said(request, "group", "after"))
    by, group = found["by"], found["group"]
    return render(
        request,
        "liability/cases.html",
        found=found,
        name=_name(request, by, group),
        grouping=say(request, f"liability.groupings.{by}"),
        back=str(URL("/console/liability").with_query(asked)),
        files=shown.files_of(request, asked | _span_of(found) | {"group": group}),
        statement=party_path(group) if by == "party" and group else "",
        splits=_splits(request, asked, by, group),
        narrowed=[(name, _name(request, name, value)) for name, value in asked.items() if name in FILTERS],
        figures=_used([*found["items"], found["total"]]),
    )


async def export_cases(request: web.Request) -> web.StreamResponse:
    """All of them as a file."""
    asked = chosen(request.query, ASKED) | _said(request, "group")
    path = "/v1/statements/losses/cases"
    return await shown.export(request, path, asked, CASE_COLUMNS, "liability.columns", "loss-cases")


async def recoveries(request: web.Request) -> web.Response:
    """What parties outside the business owe."""
    found = await ask(request, "/v1/statements/recoveries", chosen(request.query, ("month",)))
    longest = max((abs(row["closing_fen"]) for row in found["parties"]), default=0)
    return render(
        request,
        "liability/recoveries.html",
        found=found,
        ages=AGES,
        files=shown.files_of(request, chosen(request.query, ("month",))),
        rows=[(row, party_path(row["party"]), _stacked(row["ageing"], longest)) for row in found["parties"]],
    )


async def export_recoveries(request: web.Request) -> web.StreamResponse:
    """All of them as a file: each with what it owes by age beside the rest."""
    asked = {**chosen(request.query, ("month",)), "wait": "true"}
    found = await ask(request, "/v1/statements/recoveries", asked)
    rows = [{**row, **row.pop("ageing")} for row in found["parties"]]
    return await shown.export_rows(request, "recoveries", rows, RECOVERY_COLUMNS, "liability.columns")


async def party(request: web.Request) -> web.Response:
    """What one party bears, down to the cases and events."""
    code, name = request.match_info["party"], request.match_info.get("name", "")
    path = "/v1/statements/parties/" + "/".join(quote(part, safe="") for part in (code, name) if part)
    found = await ask(request, path, chosen(request.query, ("month",)))
    known = desk(request).policy.parties.get(code)
    return render(
        request,
        "liability/party.html",
        found=found,
        total=found["total"],
        ages=AGES,
        balance=[one for one in BALANCE if found["total"][one] or one in ("opening_fen", "closing_fen")],
        external=known is not None and known.external,
        cases=found["cases"][:SHOWN],
        moves=found["moves"][-SHOWN:],
        more_cases=max(0, len(found["cases"]) - SHOWN),
        more_moves=max(0, len(found["moves"]) - SHOWN) + found["left_out"],
    )


def party_path(party: str) -> str:
    """The statement of a party such as `courier/YTO`."""
    return "/console/liability/parties/" + "/".join(quote(part, safe="") for part in party.split("/", 1))


def _said(request: web.Request, *names: str) -> dict[str, str]:
    """What an address says, be it empty."""
    return {name: request.query[name] for name in names if name in request.query}


def _span_of(found: Row) -> dict[str, str]:
    """The months that a page is of, also where its address does not say them: a file of it is of the same."""
    return {"first_month": found["months"][0], "last_month": found["months"][-1]}


def _cases_path(asked: Mapping[str, str], group: str) -> str:
    return str(URL("/console/liability/cases").with_query({**asked, "group": group}))


def _splits(request: web.Request, asked: Mapping[str, str], by: str, group: str) -> list[tuple[str, str]]:
    """Groupings that the losses of one group can be looked at by: what each is called, and where that is."""
    if not group:
        return []  # nothing to filter by
    only = {"first_month": group, "last_month": group} if by == "month" else {by: group}
    kept = {**asked, **only}
    return [
        (text, str(URL("/console/liability").with_query({**kept, "by": one})))
        for one, text in _named(request, "liability.groupings", GROUPINGS)
        if one != by and one not in asked
    ]


def _name(request: web.Request, by: str, key: str) -> str:
    """What a group is called."""
    words = desk(request).words[language(request)]
    if not key or (by == "channel" and key == _UNKNOWN_CHANNEL):
        return say(request, "liability.nobody" if by == "party" else "liability.unknown")
    named = {"party": words.party, "problem": words.problem, "cause": words.cause}.get(by)
    return named(key) if named else key


def _named(request: web.Request, texts: str, codes: Sequence[str]) -> list[tuple[str, str]]:
    return [(code, say(request, f"{texts}.{code}")) for code in codes]


def _used(rows: Sequence[Row]) -> list[str]:
    """Figures that say something."""
    return [name for name in FIGURES if name in _ALWAYS or any(row[name] for row in rows)]


def _bars(losses: Row, name: Callable[[str], str], asked: dict[str, str]) -> list[Bar]:
    longest = max((max(abs(row["loss_fen"]), abs(row["recovered_fen"])) for row in losses["rows"]), default=0)
    return [
        Bar(
            name(row["key"]),
            _cases_path(asked | {"by": losses["by"]}, row["key"]),
            row,
            length(row["loss_fen"], longest),
            length(row["recovered_fen"], longest),
        )
        for row in losses["rows"]
    ]


def _lines(request: web.Request, losses: Row, measure: str) -> list[Line]:
    """Each trend that the API told; by month, losses and what was recovered of them."""
    if losses["by"] == "month":
        [whole] = losses["trends"]
        named = _named(request, "liability.measures", MEASURES)
        return [Line(text, whole[f"{one}_fen"], COLOURS[one]) for one, text in named]
    return [Line(_line_name(request, losses["by"], one), one[f"{measure}_fen"]) for one in losses["trends"]]


def _line_name(request: web.Request, by: str, trend: Row) -> str:
    return (
        say(request, "liability.others", count=trend["groups"]) if trend["others"] else _name(request, by, trend["key"])
    )


def _few(request: web.Request, losses: Row, lines: Sequence[Line], measure: str) -> list[Line]:
    """The first lines, and the others as one: what a chart can show at once."""
    if len(lines) <= LINES + 1:
        return list(lines)
    rest = losses["trends"][LINES:]
    values = [sum(month) for month in zip(*(one[f"{measure}_fen"] for one in rest), strict=True)]
    return [*lines[:LINES], Line(say(request, "liability.others", count=sum(one["groups"] for one in rest)), values)]


def _stacked(ageing: Row, longest: int) -> list[tuple[str, int, int]]:
    """The bars of each age beside one another: age, where it begins, how long it is."""
    bars, at = [], 0
    for age in AGES:
        long = length(ageing[age], longest)
        bars.append((age, at, long))
        at += long
    return bars


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [
        web.get("/liability", page),
        web.get("/liability/export", export_losses),
        web.get("/liability/cases", cases),
        web.get("/liability/cases/export", export_cases),
        web.get("/liability/recoveries", recoveries),
        web.get("/liability/recoveries/export", export_recoveries),
        web.get("/liability/parties/{party}", party),
        web.get("/liability/parties/{party}/{name}", party),
    ]
