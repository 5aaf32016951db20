"""What bars and lines are drawn from: months, lengths, and what `static/charts.js` is told."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

#: How long the longest bar is; a bar is a rectangle in a drawing so wide, whatever its width on the page.
FULL: Final = 1_000

_MONTH: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])", re.ASCII)


class Line(NamedTuple):
    """A line of a chart: what it is called, and its value at each label, None where there is none. Its `colour`, from 1
    on, where it is not that of its place; its `unit`, where it is not that of the chart."""

    name: str
    values: Sequence[float | None]
    colour: int | None = None
    unit: str = ""


def chart(labels: Sequence[str] | Sequence[datetime], x: str, unit: str, lines: Iterable[Line]) -> str:
    """A chart for a `data-chart` attribute. `labels`: names such as months, or moments, which are drawn as far apart as
    they are; `x`: what they are; `unit`: `fen`, `bp`, `seconds` or `count`."""
    moments = [one.timestamp() for one in labels if isinstance(one, datetime)]
    told = {
        **({"times": moments} if moments else {"labels": labels}),
        "x": x,
        "series": [line._replace(unit=line.unit or unit)._asdict() for line in lines],
    }
    return msgspec.json.encode(told).decode()


def length(amount: int, longest: int) -> int:
    """How long the bar of an amount is, be it above or below zero; what is not zero can be seen."""
    return max(4, FULL * abs(amount) // longest) if amount and longest else 0


def is_month(text: str) -> bool:
    """Whether it is written like a month: `2026-10`."""
    return _MONTH.fullmatch(text) is not None


def month_after(month: str, count: int = 1) -> str:
    """The month so many months after one, or before it."""
    year, number = divmod(int(month[:4]) * 12 + int(month[5:]) - 1 + count, 12)
    return f"{year:04}-{number + 1:02}"


def months_up_to(last: str, count: int) -> list[str]:
    """So many months, `last` the last of them."""
    return [month_after(last, back) for back in range(1 - count, 1)]
