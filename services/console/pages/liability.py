"""Liability: what after-sales cost and who bore it, from a bar down to the cases; and what is owed of it, by age."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from aiohttp import web
from yarl import URL

from services.console.api import ApiRefused
from services.console.charts import Line, chart, length
from services.console.page import ask, chosen, desk, language, render, say

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

Row = Mapping[str, Any]


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
        lines=lines,
        chart=chart(losses["months"], say(request, "liability.month"), "fen", _few(request, losses, lines, measure)),
        **form,
    )


async def cases(request: web.Request) -> web.Response:
    """The cases that a group is made of."""
    asked = chosen(request.query, ASKED)
    paging = {name: request.query[name] for name in ("group", "after") if name in request.query}
    found = await ask(request, "/v1/statements/losses/cases", {**asked, **paging})
    by, group = found["by"], found["group"]
    return render(
        request,
        "liability/cases.html",
        found=found,
        name=_name(request, by, group),
        grouping=say(request, f"liability.groupings.{by}"),
        back=str(URL("/console/liability").with_query(asked)),
        statement=party_path(group) if by == "party" and group else "",
        splits=_splits(request, asked, by, group),
        narrowed=[(name, _name(request, name, value)) for name, value in asked.items() if name in FILTERS],
        figures=_used([*found["items"], found["total"]]),
    )


async def recoveries(request: web.Request) -> web.Response:
    """What parties outside the business owe."""
    found = await ask(request, "/v1/statements/recoveries", chosen(request.query, ("month",)))
    longest = max((abs(row["closing_fen"]) for row in found["parties"]), default=0)
    return render(
        request,
        "liability/recoveries.html",
        found=found,
        ages=AGES,
        rows=[(row, party_path(row["party"]), _stacked(row["ageing"], longest)) for row in found["parties"]],
    )


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
        web.get("/liability/cases", cases),
        web.get("/liability/recoveries", recoveries),
        web.get("/liability/parties/{party}", party),
        web.get("/liability/parties/{party}/{name}", party),
    ]
