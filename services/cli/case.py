"""`aftersales case`: a case as a person would want to read it, as it is or was, and what became of it in between."""

from typing import Annotated

import typer

from services.cli.as_of import POINT, AsOfPoint
from services.cli.case_sheet import show_case
from services.cli.difference_sheet import show_difference
from services.cli.failure import Failure, told
from services.cli.look import Look
from services.cli.options import with_options

app = typer.Typer(no_args_is_help=True, help="Cases. 售后单。")

CaseId = Annotated[str, typer.Argument(help="Its id, as in TB1001-1. 售后单号。")]


@app.callback()
def case() -> None:
    """Cases. 售后单。"""


@app.command()
@with_options(Look)
def show(look: Look, case_id: CaseId, as_of: Annotated[str | None, AsOfPoint] = None) -> None:
    """Show a case: timeline, settlement, payouts, who bears what. 查看售后单:经过、结算、打款、责任。

    --as-of: as the cases service knew it then, with what it had heard of refunds and liability. Positions are of its
    log. 截至某时:受理服务当时所知(含已收到的退款与定责事件);位置指它的日志。
    """
    look.show(show_case, "cases", case_id, as_of=as_of)


@app.command()
@with_options(Look)
def diff(
    look: Look,
    case_id: CaseId,
    begin: Annotated[str | None, typer.Argument(metavar="FROM", help=f"Not in it. 起点(不含)。{POINT}")] = None,
    end: Annotated[str | None, typer.Argument(metavar="TO", help="In it; else now. 终点(含);默认现在。")] = None,
    between: Annotated[
        tuple[str, str] | None, typer.Option(metavar="FROM TO", help="The same, said so. 同上。")
    ] = None,
) -> None:
    """What became of a case between two moments. 两个时刻之间售后单发生了什么。"""
    with told(look.json):
        begin, end = _ends(begin, end, between)
    look.show(show_difference, "cases", case_id, "difference", **{"from": begin, "to": end})


def _ends(begin: str | None, end: str | None, between: tuple[str, str] | None) -> tuple[str, str | None]:
    """The two moments, however they were said: one way, not both. Raises `Failure`."""
    if between is not None and begin is None:
        return between
    if between is None and begin is not None:
        return begin, end
    raise Failure(
        "invalid",
        "请给出起点和终点:FROM [TO],或 --between FROM TO,二者选一。",
        "Say from when to when: FROM [TO], or --between FROM TO, one of the two.",
    )
