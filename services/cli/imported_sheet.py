"""Bills that were imported on paper: what became of files, the list, the rows of one, and the mappings."""

from collections.abc import Mapping
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.cli.bill_sheet import BILLS
from services.cli.failure import Failure
from services.finance.bills.rows import BillKind
from services.kernel.money import yuan
from services.wording.books import IMPORT_OUTCOMES, ROW_KINDS, ROW_STATUSES
from services.wording.facts import moment
from services.wording.words import Words, plural

#: Letters of a hash that are shown; as many are enough to name a bill.
SHORT: Final = 12


def outcome_sheet(console: Console, words: Words, outcome: str, bill: Mapping[str, Any]) -> None:
    """What became of one file."""
    rows, known = bill["row_count"], bill["known_rows"]
    zh = f"{bill['file_name']}:{IMPORT_OUTCOMES[outcome][0]},{rows} 行" + (
        f"(其中 {known} 行此前已有)" if known else ""
    )
    en = f"{bill['file_name']}: {IMPORT_OUTCOMES[outcome][1]}, {plural(rows, 'row')}" + (
        f" ({known} of them known)" if known else ""
    )
    told = words.stacked(zh, en).replace("\n", "\n  ")
    console.print(f"[green]✓[/] {escape(told)}", soft_wrap=True)
    figures = (
        words.say(*BILLS[BillKind(bill["kind"])]),
        f"{words.say('商户', 'merchant')} {bill['merchant'] or '-'}",
        _days(bill),
        f"{words.say('收入', 'in')} {yuan(bill['in_fen'])}",
        f"{words.say('支出', 'out')} {yuan(bill['out_fen'])}",
        f"{words.say('手续费', 'fees')} {yuan(bill['fee_fen'])}",
        bill["bill"][:SHORT],
    )
    console.print(f"  {' · '.join(figures)}", markup=False, soft_wrap=True)


def refusal_sheet(console: Console, words: Words, file: str, failure: Failure) -> None:
    """Why a file was not imported."""
    told = words.stacked(f"{file}:{failure.zh}", f"{file}: {failure.en}").replace("\n", "\n  ")
    console.print(f"[red]✗[/] {escape(told)}", soft_wrap=True)
    for mistake in failure.mistakes:
        console.print(f"  {mistake}", markup=False, soft_wrap=True)


def bills_sheet(console: Console, words: Words, page: Mapping[str, Any]) -> None:
    """Bills, newest first."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(words.say("账单、种类、商户", "bill, kind, merchant"), overflow="fold")
    table.add_column(words.say("日期、文件", "days, file"), overflow="fold")
    for label in (("行", "rows"), ("收入、支出", "in, out")):
        table.add_column(words.say(*label), justify="right", no_wrap=True)
    for one in page["items"]:
        own = "" if one["currency"] == "CNY" else f"{one['currency']} "
        about = (one["bill"][:SHORT], one["mapping"] or one["kind"], one["merchant"])
        sums = f"{own}{yuan(one['in_fen'])}\n{own}{yuan(one['out_fen'])}"
        cells = ("\n".join(filter(None, about)), f"{_days(one)}\n{one['file_name']}", str(one["row_count"]), sums)
        table.add_row(*map(escape, cells))
    console.print(table if page["items"] else words.say("没有账单", "no bills"))
    _more(console, words, page)


def rows_sheet(console: Console, words: Words, page: Mapping[str, Any]) -> None:
    """Rows of a bill, last line first."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for label in (("行", "line"), ("日期", "day"), ("类型", "kind"), ("状态", "status")):
        table.add_column(words.say(*label), no_wrap=True)
    for label in (("我方单号", "our number"), ("渠道单号", "channel's number")):
        table.add_column(words.say(*label), overflow="fold")
    for label in (("金额", "amount"), ("手续费", "fee")):
        table.add_column(words.say(*label), justify="right", no_wrap=True)
    for row in page["items"]:
        kind, status = words.say(*ROW_KINDS[row["kind"]]), words.say(*ROW_STATUSES[row["status"]])
        numbers = (row["refund_ref"] or row["order_ref"], row["channel_ref"] or row["channel_order_ref"])
        money = (yuan(row["amount_fen"]), yuan(row["fee_fen"]))
        table.add_row(*map(escape, (str(row["line"]), row["day"], kind, status, *numbers, *money)))
    console.print(table if page["items"] else words.say("没有明细", "no rows"))
    _more(console, words, page)


def mappings_sheet(console: Console, words: Words, page: Mapping[str, Any]) -> None:
    """Saved mappings."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for label in (("映射", "mapping"), ("保存", "saved"), ("操作人", "by")):
        table.add_column(words.say(*label), overflow="fold")
    for one in page["items"]:
        table.add_row(escape(one["mapping"]), moment(one["saved_at"]), escape(words.actor(one["saved_by"])))
    console.print(table if page["items"] else words.say("没有列映射", "no mappings"))


def _days(bill: Mapping[str, Any]) -> str:
    """`2026-05-01`, or `2026-05-01–05-31`: the year again only where it is another."""
    first, last = str(bill["first_day"]), str(bill["last_day"])
    return first if first == last else f"{first}–{last.removeprefix(first[:5])}"


def _more(console: Console, words: Words, page: Mapping[str, Any]) -> None:
    if page["has_more"]:
        zh, en = f"还有更多,用 --after {page['after']} 续看", f"there are more: go on with --after {page['after']}"
        console.print(words.stacked(zh, en), markup=False, soft_wrap=True)
