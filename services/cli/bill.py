"""`aftersales bill`: what stands in a channel's bill and whether it agrees with itself; bills that are imported."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from contracts.policy import load_policy
from services.cli import bill_mapping
from services.cli.acting import Act, acting
from services.cli.bar import bar
from services.cli.bill_sheet import bill_sheet
from services.cli.books import FINANCE, said, show_books, show_document
from services.cli.by_name import By, DryRun, must_be_by_somebody
from services.cli.case_reading import reading
from services.cli.failure import NOT_SO, Failure, told
from services.cli.imported_sheet import bills_sheet, outcome_sheet, refusal_sheet, rows_sheet
from services.cli.look import Asked
from services.cli.options import with_options
from services.cli.output import AsJson, InLanguage, paper, show_json
from services.finance.bills.mapping import MappingInvalid, TableMapping, load_mapping
from services.finance.bills.reading import Bill, Report, read_through
from services.finance.bills.rows import BillKind, Expected, Row, RowKind, Status
from services.kernel.long_work import Tell
from services.kernel.settings import Settings
from services.wording.words import Language, Words, usual_language

app = typer.Typer(no_args_is_help=True, help="Bills of channels and carriers. 渠道与承运商账单。")
app.add_typer(bill_mapping.app, name="mapping")

#: How many rows are shown unless said.
SHOWN = 20
#: How often a server is asked how far it is, in seconds.
_LOOK_SECONDS: Final = 0.5

Limit = Annotated[int, typer.Option(min=1, max=500, help="So many at most. 最多几条。")]
After = Annotated[str, typer.Option(help="Go on behind a page. 续看上一页。", show_default=False)]
Day = Annotated[str, typer.Option(help="As 2026-10-05. 某日。", show_default=False)]


@app.callback()
def bill() -> None:
    """Bills of channels and carriers. 渠道与承运商账单。"""


@app.command()
def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="*.csv, *.gz or *.zip as downloaded. 账单文件。")],
    kind: Annotated[BillKind | None, typer.Option(help="What it must be; recognised unless said. 账单种类。")] = None,
    mapping: Annotated[
        Path | None, typer.Option(help="YAML or JSON: which column is what, for any other table. 列映射文件。")
    ] = None,
    merchant: Annotated[str, typer.Option(help="Whose bill it must be. 商户号。", show_default=False)] = "",
    currency: Annotated[str, typer.Option(help="The currency that it must be in. 币种。")] = "CNY",
    limit: Annotated[int, typer.Option(min=0, help="Rows to show; all are checked. 显示行数。")] = SHOWN,
    lang: Annotated[Language | None, InLanguage] = None,
    json: Annotated[bool, AsJson] = False,
) -> None:
    """Show a bill of WeChat Pay, Alipay or a carrier and check it against itself: footer, balances, repeated rows. Ends
    with 1 where anything is wrong. Nothing is imported. 查看并核对账单(不导入);有误则以 1 结束。"""
    with told(json):
        read = Bill(file, kind=kind, mapping=_mapping(mapping, kind), expected=Expected(merchant, currency))
        rows: list[Row] = []
        with bar(file.name, shown=not json) as tell:
            report = asyncio.run(read_through(read, tell, lambda row: rows.append(row) if len(rows) < limit else None))
        if json:
            show_json(_document(report, rows))
        else:
            bill_sheet(paper(), Words(load_policy(), lang or usual_language(os.environ)), report, rows)
    if not report.sound:
        raise typer.Exit(NOT_SO)


@app.command("import")
@with_options(Asked)
def import_(
    asked: Asked,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="As downloaded. 账单文件,可多个。")],
    kind: Annotated[BillKind | None, typer.Option(help="What they must be; recognised unless said. 账单种类。")] = None,
    mapping: Annotated[
        str,
        typer.Option(help="Read them by the saved mapping of this name. 按已保存的列映射读取。", show_default=False),
    ] = "",
    merchant: Annotated[
        str, typer.Option(help="Whose bills they must be; to begin with another merchant. 商户号。", show_default=False)
    ] = "",
    currency: Annotated[str, typer.Option(help="The currency that they must be in. 币种。")] = "CNY",
    by: By = "",
    dry_run: DryRun = False,
) -> None:
    """Import bills, each whole or not at all: every mistake is told, with its line. The same file again changes
    nothing. Ends with 1 where a bill was refused. 导入账单:整份导入或整份拒绝,逐处列出错误;重复导入不改动。
    """
    said = {"kind": kind or "", "mapping": mapping, "merchant": merchant, "currency": currency}
    with told(asked.json):
        must_be_by_somebody(by, dry_run=dry_run)
        for file in files:
            with file.open("rb"):  # what cannot be read is said before anything is imported
                pass
        settings, words = asked.begin()
        _must_keep_originals(settings, asked.url)
        query = {name: str(value) for name, value in said.items() if value} | ({"dry_run": "true"} if dry_run else {})
        outcomes = asyncio.run(_imported(settings, asked, files, query, by or "dry-run"))
        if asked.json:
            show_json(
                {"bills": [_outcome_document(file, outcome) for file, outcome in zip(files, outcomes, strict=True)]}
            )
        else:
            for file, outcome in zip(files, outcomes, strict=True):
                if isinstance(outcome, Failure):
                    refusal_sheet(paper(), words, file.name, outcome)
                else:
                    outcome_sheet(paper(), words, outcome["outcome"], outcome["bill"])
    if any(isinstance(outcome, Failure) for outcome in outcomes):
        raise typer.Exit(NOT_SO)


@app.command("list")
@with_options(Asked)
def list_(
    asked: Asked,
    kind: Annotated[BillKind | None, typer.Option(help="Of this kind. 账单种类。")] = None,
    channel: Annotated[str, typer.Option(help="As wechat, courier/YTO. 渠道。", show_default=False)] = "",
    day: Day = "",
    limit: Limit = SHOWN,
    after: After = "",
) -> None:
    """Bills that were imported, newest first. 列出已导入的账单,最新的在前。"""
    show_books(asked, bills_sheet, "bills", kind=kind, channel=channel, day=day, limit=limit, after=after)


@app.command()
@with_options(Asked)
def rows(
    asked: Asked,
    bill: Annotated[str, typer.Argument(metavar="BILL", help="As bill list shows it, or more of it. 账单编号。")],
    kind: Annotated[RowKind | None, typer.Option(help="Of this kind. 类型。")] = None,
    status: Annotated[Status | None, typer.Option(help="With this status. 状态。")] = None,
    order: Annotated[str, typer.Option(help="With this number of ours. 我方订单号。", show_default=False)] = "",
    day: Day = "",
    limit: Limit = SHOWN,
    after: After = "",
) -> None:
    """Rows of an imported bill, last line first; those that an earlier bill listed stand there. 查看账单明细。"""
    with told(asked.json):
        settings, words = asked.begin()
        query = said(kind=kind, status=status, order_ref=order, day=day, limit=limit, after=after)
        page = asyncio.run(_rows(settings, asked, bill, query))
        show_document(asked, words, rows_sheet, page)


def _must_keep_originals(settings: Settings, url: str) -> None:
    """The files of bills are kept where servers keep theirs. Raises `Failure` where only their databases are known."""
    if settings.database_url.get_secret_value() and not url:
        raise Failure(
            "url_required",
            "账单原件由服务保存。请用 --url 指定财务服务的地址。",
            "Servers keep the files of bills. Name the finance service's address with --url.",
        )


async def _imported(
    settings: Settings, asked: Asked, files: Sequence[Path], query: dict[str, str], by: str
) -> list[dict[str, Any] | Failure]:
    """What became of each file: the server's answer, or why it was refused."""
    outcomes: list[dict[str, Any] | Failure] = []
    async with acting(settings, FINANCE, by, asked.url, asked.token) as act:
        for file in files:
            with bar(file.name, shown=not asked.json) as tell:
                try:
                    outcomes.append(await _sent(act, file, query, tell))
                except Failure as failure:
                    if failure.code == "no_server":
                        raise
                    outcomes.append(failure)
    return outcomes


async def _sent(act: Act, file: Path, query: dict[str, str], tell: Tell) -> dict[str, Any]:
    """Send a file, and tell how far it is: its bytes are sent once, and read once to look and twice to import."""
    size = await asyncio.to_thread(os.path.getsize, file)

    async def tell_sent(done: int, total: int) -> None:
        await tell(done, total * (2 if "dry_run" in query else 3))

    sending = asyncio.ensure_future(act.upload("bills", file=file, tell=tell_sent, file_name=file.name, **query))
    try:
        while not (await asyncio.wait([sending], timeout=_LOOK_SECONDS))[0]:
            for one in (await act.get("bill-imports"))["items"]:
                if one["file_name"] == file.name:
                    await tell(size + one["done"], size + one["total"])
        return await sending
    finally:
        sending.cancel()


def _outcome_document(file: Path, outcome: dict[str, Any] | Failure) -> dict[str, Any]:
    if isinstance(outcome, Failure):
        error = {"code": outcome.code, "zh": outcome.zh, "en": outcome.en, "mistakes": outcome.mistakes}
        return {"file": str(file), "outcome": "refused", "error": error}
    return {"file": str(file), **outcome}


async def _rows(settings: Settings, asked: Asked, bill: str, query: dict[str, str]) -> dict[str, Any]:
    """Rows of the one bill whose hash begins so. Raises `Failure`."""
    async with reading(settings, FINANCE, asked.url, asked.token) as read:
        found = (await read("bills", bill=bill.lower(), limit="2"))["items"]
        if len(found) != 1:
            zh = f"以 {bill} 开头的账单{'不止一份,请多写几位' if found else '没有;用 bill list 核对'}。"
            many, none = "more than one bill begins with it; write more of it", "no bill begins with it; see bill list"
            raise Failure("unknown_bill", zh, f"{bill}: {many if found else none}.", status=NOT_SO)
        return await read("bills", found[0]["bill"], "rows", **query)


def _mapping(file: Path | None, kind: BillKind | None) -> TableMapping | None:
    """The mapping to read by. Raises `Failure`."""
    if (file is None and kind is BillKind.MAPPED) or (file and kind not in (None, BillKind.MAPPED)):
        raise Failure(
            "invalid",
            f"--mapping 与 --kind {BillKind.MAPPED} 同用,不与其他种类同用。",
            f"--mapping goes with --kind {BillKind.MAPPED}, and with no other.",
        )
    if file is None:
        return None
    try:
        return load_mapping(file)
    except MappingInvalid as error:
        raise Failure(
            "mapping_invalid",
            "映射文件有误,请改正:",
            "The mapping file is wrong; mend it:",
            mistakes=[str(mistake) for mistake in error.mistakes],
        ) from None


def _document(report: Report, rows: list[Row]) -> dict[str, object]:
    checks = [{**msgspec.structs.asdict(check), "agrees": check.agrees} for check in report.checks]
    return {**msgspec.structs.asdict(report), "checks": checks, "sound": report.sound, "shown": rows}
