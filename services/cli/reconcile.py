"""`aftersales reconcile`: events, ledger and the bills of a channel compared, day by day."""

import asyncio
import re
from typing import Annotated, Any, Final

import typer

from services.cli.acting import Act, acting
from services.cli.bar import bar
from services.cli.books import FINANCE, read_books, show_books, show_document
from services.cli.by_name import By, DryRun, must_be_by_somebody
from services.cli.failure import NOT_SO, Failure, told
from services.cli.look import Asked
from services.cli.options import with_options
from services.cli.reconcile_sheet import check_sheet, preview_sheet, run_sheet, runs_sheet
from services.kernel.http.lists import MAX_ROWS
from services.kernel.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Events, ledger and bills compared. 对账:事件、总账与账单。")

Run = Annotated[str, typer.Argument(metavar="RUN", help="As the list names it. 对账编号。")]
OrderChannels = Annotated[
    list[str] | None,
    typer.Option(
        "--order-channel",
        metavar="NAME",
        help="Of orders of this channel only; again for each. All but other payment channels' unless said. 订单渠道。",
    ),
]

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@app.callback()
def reconcile() -> None:
    """Events, ledger and bills compared. 对账:事件、总账与账单。"""


@app.command()
@with_options(Asked)
def run(
    asked: Asked,
    channel: Annotated[str, typer.Argument(metavar="CHANNEL", help="As wechat, alipay. 渠道。")],
    first: Annotated[str, typer.Option("--from", metavar="DAY", help="The first day, as 2026-10-01. 首日。")],
    last: Annotated[str, typer.Option("--to", metavar="DAY", help="The last day. 末日。")],
    order_channel: OrderChannels = None,
    by: By = "",
    dry_run: DryRun = False,
) -> None:
    """Compare the days of a channel: what agrees is noted, what does not is a discrepancy for somebody to look after.
    Made again, it comes to the same, and raises nothing twice.
    逐日核对渠道:相符的登记,不符的列为差异;重复对账结果相同。
    """
    with told(asked.json):
        must_be_by_somebody(by, dry_run=dry_run)
        for option, day in (("--from", first), ("--to", last)):
            _check_day(option, day)
        settings, words = asked.begin()
        body = {"channel": channel, "first_day": first, "last_day": last}
        with bar(words.say("对账", "reconciling"), shown=not asked.json):
            document = asyncio.run(_made(settings, asked, body, order_channel or [], by, dry_run))
        show_document(asked, words, preview_sheet if dry_run else run_sheet, document)


@app.command("list")
@with_options(Asked)
def list_(
    asked: Asked,
    channel: Annotated[str, typer.Option(help="Of this channel. 渠道。", show_default=False)] = "",
    limit: Annotated[int, typer.Option(min=1, max=MAX_ROWS, help="How many. 条数。")] = 50,
) -> None:
    """Reconciliations, newest first. 列出对账,最新的在前。"""
    show_books(asked, runs_sheet, "reconciliations", channel=channel, limit=limit)


@app.command()
@with_options(Asked)
def show(asked: Asked, run: Run) -> None:
    """A reconciliation: what was compared, what it came to, and the totals of its days.
    查看对账:范围、结果、逐日合计。
    """
    show_books(asked, run_sheet, "reconciliations", run)


@app.command()
@with_options(Asked)
def check(asked: Asked, run: Run) -> None:
    """Make a reconciliation anew from the bills and events that there were: it must be the same to the byte. Ends
    with 1 where it is not. 按当时的账单与事件重新对账,结果须逐字节相同;不同则以 1 结束。"""
    document = show_books(asked, check_sheet, "reconciliations", run, "check")
    if not document["same"]:
        raise typer.Exit(NOT_SO)


def _check_day(option: str, day: str) -> None:
    """Raises `Failure` for what is not written like a day."""
    if not _DAY.fullmatch(day):
        zh = f"{option}:{day} 不是日期,请写作 2026-10-05。"
        raise Failure("invalid", zh, f"{option}: {day} is no day; write it like 2026-10-05.")


async def _made(
    settings: Settings, asked: Asked, body: dict[str, Any], order_channels: list[str], by: str, dry_run: bool
) -> dict[str, Any]:
    """What a run comes to: looked at beforehand, or made and then read."""
    if dry_run:
        query = {**body, "order_channels": ",".join(order_channels)}
        return await read_books(settings, asked, "reconciliations", "preview", **query)
    async with acting(settings, FINANCE, by, asked.url, asked.token) as act:
        answer = await act.post("reconciliations", json={**body, "order_channels": order_channels})
        run = _run_of(answer) or await _same_run(act, body)
        await act.get("discrepancies", limit="1", wait="true")
        return await act.get("reconciliations", run)


def _run_of(answer: dict[str, Any]) -> str:
    """The run that was made; empty where it was made before and came to the same."""
    return next((str(event["data"]["run"]) for event in answer["events"] if event["type"] == "books.reconciled"), "")


async def _same_run(act: Act, body: dict[str, Any]) -> str:
    """The last one of these days."""
    page = await act.get("reconciliations", channel=body["channel"], limit=str(MAX_ROWS), wait="true")
    days = ("first_day", "last_day")
    return next(str(one["run"]) for one in page["items"] if all(one[day] == body[day] for day in days))
