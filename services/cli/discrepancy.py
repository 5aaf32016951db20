"""`aftersales discrepancy`: where events, ledger and bills do not agree, and who looks after it."""

import asyncio
from typing import Annotated, Any, Literal

import typer

from services.cli.acting import acting
from services.cli.books import FINANCE, show_books, show_document
from services.cli.by_name import By, must_be_by_somebody
from services.cli.discrepancy_sheet import discrepancies_sheet, discrepancy_sheet
from services.cli.failure import Failure, told
from services.cli.look import Asked
from services.cli.options import with_options
from services.finance.reconciling.outcome import Kind
from services.kernel.http.lists import MAX_ROWS
from services.kernel.settings import Settings

app = typer.Typer(no_args_is_help=True, help="What does not agree, and who looks after it. 对账差异及其负责人。")

Named = Annotated[str, typer.Argument(metavar="DISCREPANCY", help="As the list names it. 差异编号。")]


@app.callback()
def discrepancy() -> None:
    """What does not agree, and who looks after it. 对账差异及其负责人。"""


@app.command("list")
@with_options(Asked)
def list_(
    asked: Asked,
    kind: Annotated[Kind | None, typer.Option(help="Of this kind. 某一类。")] = None,
    state: Annotated[Literal["open", "closed"] | None, typer.Option(help="Only these. 只看某一状态。")] = None,
    channel: Annotated[str, typer.Option(help="Of this channel. 渠道。", show_default=False)] = "",
    owner: Annotated[str, typer.Option(help="That somebody looks after. 负责人。", show_default=False)] = "",
    order: Annotated[str, typer.Option(help="Of this order. 某一订单。", show_default=False)] = "",
    limit: Annotated[int, typer.Option(min=1, max=MAX_ROWS, help="How many. 条数。")] = 50,
    after: Annotated[str, typer.Option(help="Go on behind a page. 续看上一页。", show_default=False)] = "",
) -> None:
    """Discrepancies, newest first. 列出差异,最新的在前。"""
    said = {"kind": kind, "state": state, "channel": channel, "owner": owner, "order_id": order, "after": after}
    show_books(asked, discrepancies_sheet, "discrepancies", **said, limit=limit)


@app.command()
@with_options(Asked)
def show(asked: Asked, discrepancy: Named) -> None:
    """What the bills say and what our events posted, side by side. 查看差异:账单行与事件分录对照。"""
    show_books(asked, discrepancy_sheet, "discrepancies", discrepancy)


@app.command()
@with_options(Asked)
def assign(
    asked: Asked,
    discrepancy: Named,
    to: Annotated[str, typer.Option("--to", metavar="NAME", help="Who looks after it. 负责人。")] = "",
    by: By = "",
) -> None:
    """Say who looks after it. It is closed by a correction that another person approves: aftersales correction propose
    --discrepancy. 指定负责人;差异由他人批准的更正关闭。"""
    with told(asked.json):
        must_be_by_somebody(by, dry_run=False)
        if not to.strip():
            raise Failure("invalid", "--to:请填写负责人。", "--to: say who looks after it.")
        settings, words = asked.begin()
        document = asyncio.run(_assigned(settings, asked, discrepancy, to, by))
        show_document(asked, words, discrepancy_sheet, document)


async def _assigned(settings: Settings, asked: Asked, discrepancy: str, to: str, by: str) -> dict[str, Any]:
    async with acting(settings, FINANCE, by, asked.url, asked.token) as act:
        await act.post("discrepancies", discrepancy, "assign", json={"owner": to})
        return await act.get("discrepancies", discrepancy)
