"""Reconciliations on paper: the list, one with the totals of its days, and what one would come to."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.cli.discrepancy_sheet import kind_of
from services.kernel.money import yuan
from services.wording.books import DAY_TOTALS, ENDED, MATCH_RULES
from services.wording.facts import moment
from services.wording.words import Words


def runs_sheet(console: Console, words: Words, page: Mapping[str, Any]) -> None:
    """Each reconciliation on a line, the newest first."""
    table = _table(words.say("对账", "Reconciliations"))
    for label in (("编号", "run"), ("渠道", "channel"), ("日期", "days")):
        table.add_column(words.say(*label), overflow="fold")
    for label in (("相符", "agree"), ("结转", "carried"), ("差异", "discrepancies")):
        table.add_column(words.say(*label), justify="right", no_wrap=True)
    for label in (("时间", "made"), ("操作人", "by")):
        table.add_column(words.say(*label), overflow="fold")
    for one in page["items"]:
        figures = (f"{one[name]:,}" for name in ("matched", "carried", "discrepancies"))
        made = (moment(one["made_at"]), escape(words.actor(one["made_by"])))
        table.add_row(one["run"], escape(one["channel"]), _days(one), *figures, *made)
    console.print(table if page["items"] else words.say("还没有对过账", "nothing was reconciled yet"))
    if page["has_more"]:
        console.print(words.say("还有更早的(--limit)", "there are older ones (--limit)"), markup=False)


def run_sheet(console: Console, words: Words, run: Mapping[str, Any]) -> None:
    """What was compared, what it came to, its days."""
    console.print(f"[bold]{escape(run['channel'])}[/] {_days(run)} · {run['run']}", soft_wrap=True)
    by, at, bills = words.actor(run["made_by"]), moment(run["made_at"]), len(run["bills"])
    zh = f"{by} 于 {at} 对账;账单 {bills} 份,账目截至日志位置 {run['position']}"
    en = f"made by {by} at {at} from {bills} bill(s) and the books up to position {run['position']}"
    console.print(words.stacked(zh, en), markup=False, soft_wrap=True)
    console.print(f"SHA-256 {run['result']}", markup=False, soft_wrap=True)
    if run["days"]:
        console.print(_totals(words, run["days"]))
    _outcome(console, words, run)
    if run["found"]:
        console.print(_found(words, run["found"]))


def preview_sheet(console: Console, words: Words, found: Mapping[str, Any]) -> None:
    """What it would come to."""
    console.print(f"[bold]{escape(found['channel'])}[/] {_days(found)}")
    table = _table(words.say("分录与账单行", "Postings and rows of bills"))
    table.add_column("")
    for label in (("分录", "postings"), ("账单行", "rows")):
        table.add_column(words.say(*label), justify="right")
    for name, label in ENDED.items():
        table.add_row(words.say(*label), f"{found['postings'].get(name, 0):,}", f"{found['rows'].get(name, 0):,}")
    console.print(table)
    rules = _table(words.say("相符的依据", "Why they agree"))
    rules.add_column("")
    rules.add_column(words.say("次", "times"), justify="right")
    for name, label in MATCH_RULES.items():
        if name in found["by_rule"]:
            rules.add_row(words.say(*label), f"{found['by_rule'][name]:,}")
    console.print(rules)
    for one in found["found"]:
        fen = f"{yuan(one['expected_fen'])} → {yuan(one['found_fen'])}"
        about = one["case_id"] or one["order_id"] or (one["rows"] or [""])[0]
        console.print(f"  {one['day']} {kind_of(words, one['kind'])} {about} {fen}", markup=False, soft_wrap=True)
    _outcome(console, words, found)
    zh = f"其中 {found['new']} 项是新的;什么也没有改变" if found["new"] else "没有新的差异;什么也没有改变"
    en = f"{found['new']} of them new; nothing was changed" if found["new"] else "none is new; nothing was changed"
    console.print(words.stacked(zh, en), markup=False)


def check_sheet(console: Console, words: Words, check: Mapping[str, Any]) -> None:
    """Whether it is the same once more."""
    if check["same"]:
        said = words.stacked("重新对账的结果逐字节相同", "made anew, it is the same to the byte")
        console.print(f"[green]✓[/] {said}".replace("\n", "\n  "))
    else:
        said = words.stacked("重新对账的结果不同", "made anew, it is another")
        console.print(f"[red]✗[/] {said}".replace("\n", "\n  "))
    console.print(f"  {check['run']}: {check['result']} / {check['made_again']}", markup=False, soft_wrap=True)


def _outcome(console: Console, words: Words, run: Mapping[str, Any]) -> None:
    matched, carried, wrong = (run[name] for name in ("matched", "carried", "discrepancies"))
    zh = f"相符 {matched:,} 笔,结转 {carried:,} 项,差异 {wrong:,} 项"
    en = f"{matched:,} agree, {carried:,} carried to the next run, {wrong:,} do not agree"
    mark = "[yellow]![/]" if wrong else "[green]✓[/]"
    console.print(f"{mark} {words.stacked(zh, en)}".replace("\n", "\n  "))


def _found(words: Words, found: Mapping[str, Mapping[str, int]]) -> Table:
    table = _table(words.say("本次提出的差异", "Discrepancies that it raised"))
    table.add_column("")
    for label in (("未处理", "open"), ("已关闭", "closed")):
        table.add_column(words.say(*label), justify="right")
    for kind, states in found.items():
        table.add_row(kind_of(words, kind), str(states.get("open", 0)), str(states.get("closed", 0)))
    return table


def _totals(words: Words, days: Any) -> Table:
    """A day by a few lines: money is never cut, however narrow the terminal. Only what there is."""
    table = _table(words.say("逐日合计(元)", "Totals of the days (yuan)"))
    table.add_column(words.say("日期", "day"), no_wrap=True)
    table.add_column(words.say("行,相符", "rows, agree"), justify="right")
    table.add_column("")
    table.add_column(words.say("合计", "sum"), justify="right", no_wrap=True)
    shown = [(name, zh, en) for name, (zh, en) in DAY_TOTALS.items() if any(day[name] for day in days)]
    for day in days:
        sums = [(words.say(zh, en), yuan(day[name])) for name, zh, en in shown if day[name]]
        labels, amounts = ("\n".join(column) for column in zip(*sums, strict=True)) if sums else ("", "")
        table.add_row(day["day"], f"{day['rows']:,}, {day['matched_rows']:,}", labels, amounts)
    return table


def _days(run: Mapping[str, Any]) -> str:
    first, last = str(run["first_day"]), str(run["last_day"])
    return first if first == last else f"{first} – {last}"


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
