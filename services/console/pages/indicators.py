"""Indicators of a month, alarms of batch defects first, and how they went in the months before."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from aiohttp import web
from yarl import URL

from services.console.api import ApiRefused
from services.console.charts import Line, chart, is_month, length, month_after, months_up_to
from services.console.page import ask, chosen, moment_now, render, say
from services.kernel.shop_time import shop_month

#: Months of the trend, the one that is asked for included.
MONTHS: Final = 6
#: When a batch may be defective: what the API takes.
RULES: Final = ("defect_cases", "defect_days", "defect_share_bp")
#: Rates of the month, each so many of so many; the first is of money.
MONEY: Final = "refund_amount_rate"
RATES: Final = ("refund_rate", MONEY, "case_rate", "dispute_rate", "channel_refund_rate", "reopen_rate")
PROMISES: Final = ("first_answer", "solution")
#: Rates of the charts: of what goes wrong, and of what goes well.
WRONG: Final = ("refund_rate", "case_rate", "dispute_rate", "channel_refund_rate")
WELL: Final = (*PROMISES, "satisfied")
PAID: Final = ("cash_fen", "price_difference_fen", "voucher_fen", "reward_fen")

Row = Mapping[str, Any]


class Rate(NamedTuple):
    """A rate of the month. `change`: to the month before, in 1/10000; None where one of them has none."""

    name: str
    told: Row
    change: int | None


async def page(request: web.Request) -> web.Response:
    """The indicators of a month."""
    present = shop_month(moment_now(request))
    month = request.query.get("month") or present
    rules = chosen(request.query, RULES)
    months = months_up_to(month, MONTHS) if is_month(month) else [month]  # which the API refuses
    form: dict[str, Any] = {"month": month, "rules": rules}
    try:
        told = await asyncio.gather(*(ask(request, "/v1/indicators", {**rules, "month": one}) for one in months))
    except ApiRefused as refused:
        return render(request, "indicators/refused.html", refused.status, refused=refused, **form)
    found = told[-1]
    return render(
        request,
        "indicators/page.html",
        found=found,
        months=months,
        earlier=_month_path(request, months[-2]),
        later=_month_path(request, month_after(month)) if month < present else "",
        rates=[Rate(name, found[name], _change(found, told[-2], name)) for name in RATES],
        money=MONEY,
        promises=PROMISES,
        scores=_scores(found["satisfaction"]),
        paid=[name for name in PAID if any(row[name] for row in found["agents"])],
        agents=_long(found["agents"], lambda row: row["total_fen"]),
        carriers=_long(found["carriers"], lambda row: row["loss"]["numerator"]),
        trend=[(name, [_rate(one, name) for one in told]) for name in (*WRONG, *WELL)],
        wrong=_chart(request, months, told, WRONG),
        well=_chart(request, months, told, WELL),
        refused=None,
        **form,
        losses_of=losses_of,
    )


def _month_path(request: web.Request, month: str) -> str:
    return str(URL(request.path).with_query({**chosen(request.query, RULES), "month": month}))


def losses_of(**filters: str) -> str:
    """Where the losses are that an alarm or a carrier is about."""
    return str(URL("/console/liability").with_query(filters))


def _rate(found: Row, name: str) -> Row:
    """A rate by its name, wherever the indicators have it."""
    if name in PROMISES:
        rate = found[name]["kept"]
    else:
        rate = found["satisfaction"][name] if name == "satisfied" else found[name]
    return dict(rate)


def _change(found: Row, before: Row, name: str) -> int | None:
    if found[name]["bp"] is None or before[name]["bp"] is None:
        return None
    return int(found[name]["bp"] - before[name]["bp"])


def _chart(request: web.Request, months: Sequence[str], told: Sequence[Row], names: Sequence[str]) -> str:
    """Rates month by month; empty where no month has any."""
    lines = [Line(say(request, f"indicators.rates.{name}"), [_rate(one, name)["bp"] for one in told]) for name in names]
    if all(value is None for line in lines for value in line.values):
        return ""
    return chart(months, say(request, "indicators.month"), "bp", lines)


def _scores(satisfaction: Row) -> list[tuple[str, int, int]]:
    """How often each score was given, the best first, and how long its bar is."""
    scores: Mapping[str, int] = satisfaction["scores"]
    most = max(scores.values(), default=0)
    return [(score, scores[score], length(scores[score], most)) for score in sorted(scores, reverse=True)]


def _long(rows: Sequence[Row], amount: Callable[[Row], int]) -> list[tuple[Row, int]]:
    """Rows, and how long the bar of each is."""
    longest = max((abs(amount(row)) for row in rows), default=0)
    return [(row, length(amount(row), longest)) for row in rows]


def routes() -> list[web.RouteDef]:
    """The pages of this module."""
    return [web.get("/indicators", page)]
