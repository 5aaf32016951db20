"""`aftersales statement`: what finance's books say of parties, deposits, suspense and refunds, of a month or ever."""

import asyncio
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from services.cli.case_reading import reading
from services.cli.failure import told
from services.cli.look import Asked
from services.cli.options import with_options
from services.cli.output import paper, show_json
from services.cli.statement_sheet import (
    deposits_sheet,
    parties_sheet,
    party_sheet,
    refunds_sheet,
    suspense_sheet,
)
from services.cli.words import Words
from services.kernel.settings import Settings

#: Every role may read; who owns the books asks here.
ROLE: Final = "finance"

Document = Mapping[str, Any]
Sheet = Callable[[Console, Words, Document], None]
Month = Annotated[
    str, typer.Option(help="A month of the shop's, as 2026-10; else all time. 月份。", show_default=False)
]

_HELP: Final = (
    "Statements of the books that finance keeps; `ledger statement` makes one from the logs instead."
    " 对账单(取自财务账簿;`ledger statement` 则由日志即时生成)。"
)
app = typer.Typer(no_args_is_help=True, help=_HELP)


class Grouping(StrEnum):
    """What refunds are grouped by."""

    PROBLEM = "problem"
    CAUSE = "cause"
    SKU = "sku"
    CHANNEL = "channel"


@app.callback(help=_HELP)
def statement() -> None:
    """Statements."""


@app.command()
@with_options(Asked)
def parties(asked: Asked, month: Month = "") -> None:
    """What every party was charged, what is open of it, and for how long. 各责任方:期初、承担、追偿、期末、账龄。"""
    show(asked, parties_sheet, "statements", "parties", month=month)


@app.command()
@with_options(Asked)
def party(
    asked: Asked,
    name: Annotated[str, typer.Argument(metavar="PARTY", help="As courier/YTO or production. 责任方。")],
    month: Month = "",
) -> None:
    """One party's statement, down to case and event. 某一责任方,逐单逐笔。"""
    show(asked, party_sheet, "statements", "parties", name, month=month)


@app.command()
@with_options(Asked)
def deposits(asked: Asked, month: Month = "") -> None:
    """Deposits that are held, and since when. 持有的押金及天数。"""
    show(asked, deposits_sheet, "statements", "deposits", month=month)


@app.command()
@with_options(Asked)
def suspense(asked: Asked, month: Month = "") -> None:
    """Losses that nobody bears yet, and since when. 待定损失及天数。"""
    show(asked, suspense_sheet, "statements", "suspense", month=month)


@app.command()
@with_options(Asked)
def refunds(
    asked: Asked,
    by: Annotated[Grouping, typer.Option(help="What refunds are grouped by. 分组。")] = Grouping.PROBLEM,
    month: Month = "",
) -> None:
    """What was refunded, by problem, cause, article or channel. 退款:按问题、原因、货号或渠道。"""
    show(asked, refunds_sheet, "statements", "refunds", month=month, by=by.value)


def show(asked: Asked, sheet: Sheet, *path: str, **query: str) -> None:
    """Show a document of the books; what is empty is not asked for."""
    with told(asked.json):
        settings, words = asked.begin()
        document = asyncio.run(_read(settings, asked, path, {name: said for name, said in query.items() if said}))
        if asked.json:
            show_json(document)
        else:
            sheet(paper(), words, document)


async def _read(settings: Settings, asked: Asked, path: tuple[str, ...], query: Mapping[str, str]) -> Document:
    async with reading(settings, ROLE, asked.url, asked.token) as read:
        return await read(*path, **query)
