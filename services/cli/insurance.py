"""`aftersales insurance`: claims of freight insurance, and which of them cost the shop what the insurer had paid."""

from enum import StrEnum
from typing import Annotated

import typer

from services.cli.books import show_books
from services.cli.insurance_sheet import claims_sheet
from services.cli.look import Asked
from services.cli.options import with_options

app = typer.Typer(no_args_is_help=True, help="Freight insurance. 运费险。")


class State(StrEnum):
    """How far a claim is."""

    INSURED = "insured"
    FILED = "filed"
    PAID = "paid"
    FAILED = "failed"
    PAID_LATE = "paid_late"
    PAID_TWICE = "paid_twice"
    LAPSED = "lapsed"


class Difference(StrEnum):
    """What can be wrong with a claim."""

    NOT_DEDUCTED = "insurance_not_deducted"
    PAID_TWICE = "insurance_paid_twice"


@app.callback()
def insurance() -> None:
    """Freight insurance. 运费险。"""


@app.command()
@with_options(Asked)
def claims(
    asked: Asked,
    state: Annotated[State | None, typer.Option(help="How far they are. 状态。", show_default=False)] = None,
    difference: Annotated[
        Difference | None, typer.Option(help="What is wrong with them. 差异。", show_default=False)
    ] = None,
    payer: Annotated[
        str, typer.Option(help="Who took out the policy: buyer or merchant. 投保方。", show_default=False)
    ] = "",
    order: Annotated[str, typer.Option(help="Of this order. 某一订单。", show_default=False)] = "",
    case: Annotated[str, typer.Option(help="Of this case. 某一售后单。", show_default=False)] = "",
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many at most. 最多几条。")] = 50,
) -> None:
    """List claims, the last cases first: what the insurer paid, what of it was kept back from the freight, what both
    paid. A claim counts as filed once the return is sent. 列出理赔:保险赔付、已扣、多付;退货寄出即视为报案。
    """
    given = {"state": state, "difference": difference, "payer": payer, "order_id": order, "case_id": case}
    show_books(asked, claims_sheet, "insurance-claims", **given, limit=limit)
