"""`aftersales bill show`: what stands in a channel's bill, and whether it agrees with itself."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from contracts.policy import load_policy
from services.cli.bar import bar
from services.cli.bill_sheet import bill_sheet
from services.cli.failure import NOT_SO, Failure, told
from services.cli.output import AsJson, InLanguage, paper, show_json
from services.cli.words import Language, Words, usual_language
from services.finance.bills.mapping import MappingInvalid, TableMapping, load_mapping
from services.finance.bills.reading import Bill, Report, read_through
from services.finance.bills.rows import BillKind, Expected, Row

app = typer.Typer(no_args_is_help=True, help="Bills of channels and carriers. 渠道与承运商账单。")

#: How many rows are shown unless said.
SHOWN = 20


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
