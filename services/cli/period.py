"""`aftersales period`: months of the books: which are closed, preparing and closing the next one, and whether a closed
one still is what was frozen."""

import asyncio
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import typer

from services.cli.acting import acting
from services.cli.books import read_books, show_books, show_document
from services.cli.by_name import By, DryRun, must_be_by_somebody
from services.cli.failure import NOT_SO, Failure, file_exists, told
from services.cli.look import Asked
from services.cli.options import with_options
from services.cli.period_sheet import check_sheet, periods_sheet, report_sheet
from services.finance.closing import PeriodReport
from services.finance.ledger.trial import is_month
from services.kernel.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Months of the books, and closing them. 月份与月结。")

Month = Annotated[str, typer.Argument(metavar="MONTH", help="As 2026-10. 月份。")]
Closer = Annotated[Literal["finance", "store_manager"], typer.Option("--role", help="In which role. 岗位。")]
Out = Annotated[
    Path | None, typer.Option(help="Write the very lines that were frozen (JSON Lines) here. 输出冻结的报告原文。")
]


@app.callback()
def period() -> None:
    """Months of the books, and closing them. 月份与月结。"""


@app.command("list")
@with_options(Asked)
def list_(asked: Asked) -> None:
    """Months in which something was posted, closed or open, newest first. 各月份及其是否已结账。"""
    show_books(asked, periods_sheet, "periods")


@app.command()
@with_options(Asked)
def prepare(asked: Asked, month: Month, by: By = "", role: Closer = "finance", dry_run: DryRun = False) -> None:
    """Find a month ready to be closed; another person closes it, as long as it stays the same. --dry-run: show the
    report, and what stands in the way (then ends with 1). 准备月结:核对无误后由另一人结账;其间有变动须重新准备。
    --dry-run 只看报告与障碍(有障碍则以 1 结束)。
    """
    _do(asked, "prepare", month, by, role, dry_run=dry_run)


@app.command()
@with_options(Asked)
def close(asked: Asked, month: Month, by: By = "", role: Closer = "finance", dry_run: DryRun = False) -> None:
    """Close a month for good that another person prepared: it takes no more postings, and its report is frozen with the
    position and the root of the log. What is late belongs to the next month. --dry-run: show the report, and what
    stands in the way (then ends with 1). 结账(须由另一人先准备):该月不再入账,报告连同日志位置与根哈希一并冻结;
    迟到的计入下月。--dry-run 只看报告与障碍(有障碍则以 1 结束)。
    """
    _do(asked, "close", month, by, role, dry_run=dry_run)


@app.command()
@with_options(Asked)
def show(asked: Asked, month: Month, out: Out = None) -> None:
    """The report of a month: as it was frozen, or of an open month as it would be closed now. 月份报告:已结账的为冻结
    内容,未结账的为当前草稿。
    """
    with told(asked.json):
        _check_month(month)
        settings, words = asked.begin()
        report = asyncio.run(read_books(settings, asked, "periods", month, "report"))
        if out is not None:
            _write(out, report)
        show_document(asked, words, report_sheet, report)


@app.command()
@with_options(Asked)
def recompute(asked: Asked, month: Month) -> None:
    """Make the report of a closed month anew from the log, and compare it with what was frozen, to the byte. Ends with
    1 where it differs, and says where. 由日志重新计算已结月份,与冻结的报告逐字节比较;不同则列出并以 1 结束。
    """
    with told(asked.json):
        _check_month(month)
        settings, words = asked.begin()
        document = asyncio.run(read_books(settings, asked, "periods", month, "check"))
        show_document(asked, words, check_sheet, document)
    if not document["equal"]:
        raise typer.Exit(NOT_SO)


def _do(asked: Asked, what: Literal["prepare", "close"], month: str, by: str, role: str, *, dry_run: bool) -> None:
    """Prepare a month or close it, and show its report. A dry run that finds it impossible ends with 1."""
    with told(asked.json):
        must_be_by_somebody(by, dry_run=dry_run)
        _check_month(month)
        settings, words = asked.begin()
        report = asyncio.run(_done(settings, asked, what, month, by or "dry-run", role, dry_run=dry_run))
        show_document(asked, words, report_sheet, report)
    possible = {one["command"]: one["allowed"] for one in report["next_actions"]}
    if dry_run and not possible[f"{what}_period"]:
        raise typer.Exit(NOT_SO)


async def _done(
    settings: Settings, asked: Asked, what: str, month: str, by: str, role: str, *, dry_run: bool
) -> dict[str, Any]:
    """The report of the month once it was prepared or closed, or in a dry run as it would be."""
    async with acting(settings, role, by, asked.url, asked.token) as act:
        if not dry_run:
            await act.post("periods", month, what)
        report = await act.get("periods", month, "report", wait="true")
    if dry_run and report["state"] == "closed":
        zh, en = f"{month} 已经结账,不能再准备或重结。", f"{month} is closed already."
        raise Failure("period_closed", zh, en, status=NOT_SO)
    return report


def _write(out: Path, report: dict[str, Any]) -> None:
    """Write the lines whose hash was frozen. Raises `Failure` for a month that is open, and a file that is there."""
    month = report["month"]
    if report["state"] != "closed":
        zh, en = f"{month} 还没有结账,没有可输出的冻结报告。", f"{month} is not closed, so nothing is frozen yet."
        raise Failure("period_open", zh, en, status=NOT_SO)
    try:
        with out.open("xb") as file:
            file.write(msgspec.convert(report, PeriodReport).lines())
    except FileExistsError:
        raise file_exists(str(out)) from None


def _check_month(month: str) -> None:
    """Raises `Failure` for what is not written like a month."""
    if not is_month(month):
        raise Failure("invalid", f"{month} 不是月份,请写作 2026-10。", f"{month} is no month; write it like 2026-10.")
