"""`aftersales indicators`: what leads watch, of a month or of all time, and alarms of batch defects."""

from typing import Annotated

import typer

from services.cli.books import show_books
from services.cli.indicators_sheet import indicators_sheet
from services.cli.look import Asked
from services.cli.options import with_options
from services.cli.statement import Month


@with_options(Asked)
def show(
    asked: Asked,
    month: Month = "",
    defect_cases: Annotated[
        int | None, typer.Option(help="Alarm at so many cases of one article and cause. 批次预警:件数。")
    ] = None,
    defect_days: Annotated[int | None, typer.Option(help="Within so many days. 批次预警:天数。")] = None,
    defect_share_bp: Annotated[
        int | None, typer.Option(help="And so many of 10000 orders with it. 批次预警:占该货号订单的万分比。")
    ] = None,
) -> None:
    """Rates of refunds and disputes, answers against promises, ratings, compensation by agent, losses by carrier, and
    articles that pile up. 退款率、纠纷率、时效、满意度、各客服补偿、各快递损失、批次缺陷预警。"""
    rules = {"defect_cases": defect_cases, "defect_days": defect_days, "defect_share_bp": defect_share_bp}
    said = {name: str(value) for name, value in rules.items() if value is not None}
    show_books(asked, indicators_sheet, "indicators", month=month, **said)
