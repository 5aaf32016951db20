"""`aftersales order show`: an order with all its cases, as it is or was."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from services.cli.as_of import AsOfPoint
from services.cli.look import Look
from services.cli.money_sheet import borne
from services.cli.options import with_options
from services.kernel.money import yuan
from services.wording.facts import moment, money
from services.wording.past import as_of
from services.wording.words import Words

app = typer.Typer(no_args_is_help=True, help="Orders. 订单。")


@app.callback()
def order() -> None:
    """Orders. 订单。"""


@app.command()
@with_options(Look)
def show(
    look: Look,
    order_id: Annotated[str, typer.Argument(help="Its id, as in TB1001. 订单号。")],
    point: Annotated[str | None, AsOfPoint] = None,
) -> None:
    """Show an order: its lines, and how each of its cases stands. 查看订单:商品行与各售后单。"""
    look.show(_show, "orders", order_id, as_of=point)


def _show(console: Console, words: Words, document: Mapping[str, Any]) -> None:
    console.print(_head(words, document))
    console.print(_lines(words, document))
    if document["cases"]:
        console.print(_cases(words, document))


def _head(words: Words, document: Mapping[str, Any]) -> Panel:
    order = document["order"]
    grid = Table.grid(padding=(0, 2))
    if document["as_of"]:
        grid.add_row(f"[dim]{words.say('截至', 'as of')}[/]", escape(as_of(words, document["as_of"])))
    grid.add_row(f"[dim]{words.say('下单', 'ordered')}[/]", moment(order["ordered_at"]))
    if order.get("delivered_at"):
        grid.add_row(f"[dim]{words.say('签收', 'delivered')}[/]", moment(order["delivered_at"]))
    label = words.say("累计补偿", "compensation so far")
    grid.add_row(f"[dim]{label}[/]", money(words, document["compensation_fen"]))
    return Panel(grid, title=f"[bold]{escape(order['order_id'])}[/]", title_align="left")


def _lines(words: Words, document: Mapping[str, Any]) -> Table:
    table = _table(words, ("商品行", "lines"), ("实付", "paid"), ("已退件数", "refunded units"))
    for label in (("已退款", "refunded"), ("已补偿", "compensated")):
        table.add_column(words.say(*label), justify="right", no_wrap=True)
    for line in document["lines"]:
        units = f"{line['refunded_units']} / {line['quantity']}"
        amounts = yuan(line["refunded_fen"]), yuan(line["compensated_fen"])
        table.add_row(escape(line["line_id"]), yuan(line["paid_fen"]), units, *amounts)
    return table


def _cases(words: Words, document: Mapping[str, Any]) -> Table:
    table = _table(words, ("售后单", "case"), ("买家实得", "net to the buyer"), ("净损失", "net loss"))
    for label in (("问题", "problem"), ("状态", "status"), ("由谁承担", "borne by")):
        table.add_column(words.say(*label), overflow="fold")
    for case in document["cases"]:
        table.add_row(
            escape(case["case_id"]),
            yuan(case["settlement"]["net_fen"]),
            yuan(case["net_loss_fen"]),
            escape(words.problem(case["problem"])),
            words.term(case["status"]),
            escape(borne(words, case)),
        )
    return table


def _table(words: Words, first: tuple[str, str], *numbers: tuple[str, str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(words.say(*first))
    for label in numbers:
        table.add_column(words.say(*label), justify="right", no_wrap=True)
    return table
