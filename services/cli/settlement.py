"""`aftersales settlement show`: what the buyer of a case gets, as refunds has it now or had it once."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Console

from services.cli.as_of import AsOfPoint, show_as_of
from services.cli.look import Look
from services.cli.money_sheet import settlement_table
from services.cli.options import with_options
from services.wording.words import Words

app = typer.Typer(no_args_is_help=True, help="Settlements. 结算。")


@app.callback()
def settlement() -> None:
    """Settlements. 结算。"""


@app.command()
@with_options(Look)
def show(
    look: Look,
    case_id: Annotated[str, typer.Argument(help="The case, as in TB1001-1. 售后单号。")],
    point: Annotated[str | None, AsOfPoint] = None,
) -> None:
    """Show what the buyer of a case gets. Positions are of the log of refunds. 查看结算;位置指退款服务的日志。"""
    look.show(_show, "cases", case_id, "settlement", as_of=point)


def _show(console: Console, words: Words, document: Mapping[str, Any]) -> None:
    show_as_of(console, words, document)
    console.print(settlement_table(words, document["settlement"]))
