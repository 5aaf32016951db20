"""Months of the books on paper: the list, what one holds, what keeps it from being closed, and a check."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.cli.ledger_sheet import trial_sheet
from services.finance.closing import Difference, PeriodCheck
from services.finance.ledger.accounts import CHART
from services.finance.ledger.trial import Row, TrialBalance
from services.kernel.money import yuan
from services.wording.books import PERIOD_STATES
from services.wording.facts import moment
from services.wording.words import Words, plural

_FIGURES: Final = {
    "root": ("日志根哈希", "root of the log"),
    "postings": ("分录数", "postings"),
    "late": ("迟到分录数", "late postings"),
    "opening_fen": ("期初", "opening"),
    "debit_fen": ("借方", "debit"),
    "credit_fen": ("贷方", "credit"),
    "closing_fen": ("期末", "closing"),
}
#: Where the command line looks into what keeps a month open, or should be known of it.
_WAYS: Final = {
    "books_unbalanced": "aftersales ledger check",
    "opening_differs": "aftersales period recompute",
    "orders_unheard": "aftersales lag",
    "log_broken": "aftersales verify finance",
    "open_discrepancies": "aftersales discrepancy list",
    "waiting_corrections": "aftersales correction list --state proposed",
    "misposted_events": "aftersales ledger check",
    "not_reconciled": "aftersales reconcile run",
}
_PLACES: Final = {code: place for place, code in enumerate(CHART)}


def periods_sheet(console: Console, words: Words, page: Mapping[str, Any]) -> None:
    """Every month: open or closed, by whom, and what it holds."""
    table = _table(words.say("月份", "Months"))
    for label in (("月份", "month"), ("状态", "state")):
        table.add_column(words.say(*label), no_wrap=True)
    for label in (("分录", "postings"), ("其中迟到", "late"), ("日志位置", "position")):
        table.add_column(words.say(*label), justify="right", no_wrap=True)
    for label in (("准备人", "prepared by"), ("结账", "closed"), ("结账人", "closed by"), ("报告", "report")):
        table.add_column(words.say(*label), overflow="fold")
    for one in page["items"]:
        closed = one["state"] == "closed"
        table.add_row(
            one["month"],
            words.say(*PERIOD_STATES[one["state"]]),
            str(one["postings"]),
            str(one["late"] or ""),
            str(one["position"]) if closed else "",
            _who(words, one["prepared_by"]),
            moment(one["closed_at"]) if closed else "",
            _who(words, one["closed_by"]),
            one["report"][:12],
        )
    console.print(table)


def _who(words: Words, actor: str) -> str:
    return escape(words.actor(actor)) if actor else ""


def report_sheet(console: Console, words: Words, report: Mapping[str, Any]) -> None:
    """What a month holds, account by account, and what is frozen of it or keeps it from being closed."""
    rows = sorted(msgspec.convert(report["accounts"], list[Row]), key=lambda row: (_PLACES[row.account], row.party))
    trial_sheet(console, words, _trial(report["month"], rows))
    late = report["late"]
    zh, en = (
        f"{report['postings']} 条分录,其中迟到 {late}",
        f"{plural(report['postings'], 'posting')}, {late} of them late",
    )
    console.print(words.say(zh, en))
    for one in report["warnings"]:
        console.print(f"[yellow]![/] {_remark(words, one)}", soft_wrap=True)
    for one in report["obstacles"]:
        console.print(f"[red]✗[/] {_remark(words, one)}", soft_wrap=True)
    if report["prepared_by"]:
        by, at = words.actor(report["prepared_by"]), moment(report["prepared_at"])
        console.print(words.say(f"{at} 由 {by} 准备", f"prepared by {by} at {at}"), markup=False)
    if report["state"] == "closed":
        _frozen(console, words, report)
    elif not report["obstacles"]:
        _next(console, words, report["next_actions"])


def _remark(words: Words, one: Mapping[str, str]) -> str:
    way = f" → {_WAYS[one['code']]}" if one["code"] in _WAYS else ""
    return escape(words.say(one["zh"], one["en"]) + way)


def _next(console: Console, words: Words, actions: Sequence[Mapping[str, Any]]) -> None:
    """What can be done about a month now, and why something cannot."""
    for one in actions:
        if one["allowed"]:
            said = words.say(f"{one['label_zh']}:现在可以", f"{one['label_en']}: possible now")
            console.print(f"[green]✓[/] {escape(said)}")
        else:
            zh, en = f"{one['label_zh']}:{one['reason_zh']}", f"{one['label_en']}: {one['reason_en']}"
            console.print(f"[dim]–[/] {escape(words.say(zh, en))}", soft_wrap=True)


def check_sheet(console: Console, words: Words, document: Mapping[str, Any]) -> None:
    """Whether a closed month is what was frozen, and which figures are not."""
    check = msgspec.convert(document, PeriodCheck)
    if check.equal:
        same = words.say("重新计算的报告与结账时逐字节相同", "made anew, it is what was frozen, to the byte")
        console.print(f"[green]✓[/] {check.month} {same}")
        console.print(f"[dim]SHA-256 {check.report}[/]", soft_wrap=True)
        return
    other = words.say("重新计算的报告与结账时不同", "made anew, it is not what was frozen")
    console.print(f"[red]✗[/] {check.month} {other}")
    if check.broken:
        place = f"{check.broken.stream}#{check.broken.version}" if check.broken.stream else str(check.broken.position)
        broken = words.say(f"日志 {place}:{check.broken.zh}", f"log {place}: {check.broken.en}")
        console.print(f"[red]✗[/] {escape(broken)} → aftersales verify finance", soft_wrap=True)
    if check.differences:
        console.print(_differences(words, check.differences))
    else:
        console.print(words.say("各项数字相同,报告的其余内容不同", "Its figures are the same, something else is not"))
    console.print(
        words.stacked(
            "读表损坏则重建后再核对:aftersales rebuild finance --swap --by 姓名。日志被改动:从备份恢复。",
            "Where read tables were damaged, build them anew and check again: aftersales rebuild finance --swap --by"
            " NAME. Where the log was altered: restore it from a backup.",
        ),
        markup=False,
        soft_wrap=True,
    )


def _differences(words: Words, differences: Sequence[Difference]) -> Table:
    table = _table(words.say("不同之处", "What differs"))
    for label in (("科目", "account"), ("数字", "figure")):
        table.add_column(words.say(*label), overflow="fold")
    for label in (("结账时", "frozen"), ("现在", "found")):
        table.add_column(words.say(*label), justify="right", overflow="fold")
    for one in differences:
        account = "/".join(part for part in (one.account, one.party) if part) or words.say("整月", "the month")
        shown = (yuan(fen) if one.account else str(fen) for fen in (one.frozen, one.found))  # type: ignore[arg-type]
        table.add_row(escape(account), words.say(*_FIGURES[one.figure]), *shown)
    return table


def _trial(month: str, rows: Sequence[Row]) -> TrialBalance:
    return TrialBalance(
        month=month,
        rows=rows,
        opening_fen=sum(row.opening_fen for row in rows),
        debit_fen=sum(row.debit_fen for row in rows),
        credit_fen=sum(row.credit_fen for row in rows),
        closing_fen=sum(row.closing_fen for row in rows),
        orders=0,
        breaks=0,
    )


def _frozen(console: Console, words: Words, report: Mapping[str, Any]) -> None:
    by, at = words.actor(report["closed_by"]), moment(report["closed_at"])
    console.print(words.say(f"{at} 由 {by} 结账", f"closed by {by} at {at}"), markup=False)
    upto = words.say("财务日志位置", "up to position of the log of finance")
    console.print(f"[dim]{upto} {report['position']}, root {report['root']}[/]", soft_wrap=True)
    console.print(f"[dim]{words.say('报告', 'report')} SHA-256 {report['report']}[/]", soft_wrap=True)


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
