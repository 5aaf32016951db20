"""What the demonstration of finance came to, on paper."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.cli.month_end import ClosedMonth
from services.cli.statement_sheet import parties_sheet
from services.kernel.money import yuan
from services.sample.finding import Outcome
from services.wording.words import Words


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the demonstration came to."""

    ok: bool
    seed: int
    orders: int
    cases: int
    months: Sequence[ClosedMonth]
    changed: Sequence[str]
    """Closed months that no longer are what was frozen."""
    outcome: Outcome
    parties: Mapping[str, Any]
    """The statement of every party for the last month."""
    folder: str = ""


def demonstration_sheet(console: Console, words: Words, result: Told) -> None:
    """Each month, what the parties owe in the end, and each fault beside what it was found as."""
    shop = f"{result.orders:,} 张订单,{result.cases:,} 个售后单", f"{result.orders:,} orders, {result.cases:,} cases"
    console.print(words.say(*shop))
    console.print(_months(words, result.months))
    for month in result.changed:
        console.print(f"[red]✗[/] {words.say('与冻结的报告不符', 'not what was frozen')}: {month}")
    parties_sheet(console, words, result.parties)
    console.print(_found(words, result.outcome))
    _tell_differences(console, words, result.outcome)
    if result.ok:
        number = len(result.outcome.found) + len(result.outcome.spoiled)
        zh, en = f"埋入的 {number} 处差错全部查出,无误报", f"all {number} planted faults were found, and nothing else"
        console.print(f"[green]✓[/] {words.say(zh, en)}")
    if result.folder:
        more = f"aftersales statement parties --data-dir {result.folder}/data"
        console.print(f"{words.say('继续查看', 'look further')}: {escape(more)}")


def _tell_differences(console: Console, words: Words, outcome: Outcome) -> None:
    """What was planted and not found, and what was told and not planted."""
    for missed in outcome.missed:
        about = missed.file or f"{missed.channel} {missed.order_id} {missed.ref}"
        _tell(console, words, ("未查出", "not found"), f"{missed.month} {missed.kind} {about}")
    for other in outcome.others:
        amounts = f"{yuan(other.expected_fen)} / {yuan(other.found_fen)}"
        about = f"{other.day} {other.kind} {other.channel} {other.order_id} {amounts} {other.discrepancy}"
        _tell(console, words, ("误报", "reported, and not planted"), about)
    for refused in outcome.wrongly_refused:
        _tell(console, words, ("误拒", "refused, and sound"), "\n  ".join([refused.file, *refused.mistakes]))


def _tell(console: Console, words: Words, what: tuple[str, str], about: str) -> None:
    console.print(f"[red]✗[/] {words.say(*what)}: {escape(about)}")


def _months(words: Words, months: Sequence[ClosedMonth]) -> Table:
    table = _table(words, ("逐月结账", "Months closed"))
    table.add_column(words.say("月份", "month"))
    for label in (
        ("账单", "bills"),
        ("行", "rows"),
        ("对上", "matched"),
        ("结转", "carried"),
        ("差异", "discrepancies"),
        ("分录", "postings"),
    ):
        table.add_column(words.say(*label), justify="right")
    table.add_column(words.say("报告", "report"))
    for one in months:
        figures = (one.bills, one.rows, one.matched, one.carried, one.discrepancies, one.postings)
        table.add_row(one.month, *(f"{figure:,}" for figure in figures), one.report[:12])
    return table


def _found(words: Words, outcome: Outcome) -> Table:
    table = _table(words, ("埋入的差错与查出的差异", "Planted faults, and as what they were found"))
    for label in (("月份", "month"), ("埋在", "planted in"), ("差错", "fault"), ("查出", "found as")):
        table.add_column(words.say(*label), overflow="fold")
    table.add_column(words.say("应为", "expected"), justify="right", no_wrap=True)
    table.add_column(words.say("实为", "found"), justify="right", no_wrap=True)
    for one in sorted(outcome.found, key=lambda one: (one.planted.month, one.planted.kind)):
        fault, reported = one.planted, one.reported
        place = f"{fault.channel} {fault.order_id}"
        ours, theirs = yuan(reported.expected_fen), yuan(reported.found_fen)
        done = words.stacked(fault.tells.zh, fault.tells.en)
        table.add_row(fault.month, escape(place), done, reported.kind, ours, theirs)
    for fault in outcome.spoiled:
        done, refused = words.stacked(fault.tells.zh, fault.tells.en), words.say("拒绝导入", "not taken in")
        table.add_row(fault.month, escape(fault.file), done, refused, "", "")
    return table


def _table(words: Words, title: tuple[str, str]) -> Table:
    return Table(title=words.say(*title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
