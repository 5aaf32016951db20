"""`aftersales statement`: what finance's books say of parties, deposits, suspense and refunds, of a month or ever."""

from enum import StrEnum
from typing import Annotated, Final

import typer

from services.cli.books import show_books
from services.cli.look import Asked
from services.cli.options import with_options
from services.cli.statement_sheet import (
    deposits_sheet,
    parties_sheet,
    party_sheet,
    refunds_sheet,
    suspense_sheet,
)

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
    show_books(asked, parties_sheet, "statements", "parties", month=month)


@app.command()
@with_options(Asked)
def party(
    asked: Asked,
    name: Annotated[str, typer.Argument(metavar="PARTY", help="As courier/YTO or production. 责任方。")],
    month: Month = "",
) -> None:
    """One party's statement, down to case and event. 某一责任方,逐单逐笔。"""
    show_books(asked, party_sheet, "statements", "parties", name, month=month)


@app.command()
@with_options(Asked)
def deposits(asked: Asked, month: Month = "") -> None:
    """Deposits that are held, and since when. 持有的押金及天数。"""
    show_books(asked, deposits_sheet, "statements", "deposits", month=month)


@app.command()
@with_options(Asked)
def suspense(asked: Asked, month: Month = "") -> None:
    """Losses that nobody bears yet, and since when. 待定损失及天数。"""
    show_books(asked, suspense_sheet, "statements", "suspense", month=month)


@app.command()
@with_options(Asked)
def refunds(
    asked: Asked,
    by: Annotated[Grouping, typer.Option(help="What refunds are grouped by. 分组。")] = Grouping.PROBLEM,
    month: Month = "",
) -> None:
    """What was refunded, by problem, cause, article or channel. 退款:按问题、原因、货号或渠道。"""
    show_books(asked, refunds_sheet, "statements", "refunds", month=month, by=by)
