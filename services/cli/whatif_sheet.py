"""What would have been under other rules, on paper: sums first, then the cases that differ, then what it rests on."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from contracts.policy import Text
from services.kernel.money import yuan
from services.whatif.keys import Key
from services.whatif.report import Amount, Approvals, Group, Promises, Report
from services.wording import what_if as told
from services.wording.words import Words, plural

#: Columns of amounts.
_COLUMNS: Final = (("实际", "was"), ("照此政策", "would be"), ("差额", "difference"))


def show_report(console: Console, words: Words, report: Report) -> None:
    """Write the answer down."""
    console.print(_head(words, report))
    if report.keys:
        console.print(_keys(words, report.keys))
    else:
        console.print(
            words.stacked(
                "这份政策与现行政策没有不同,它什么也不改变。",
                "This policy says what the one in force says: it changes nothing.",
            )
        )
    if report.cases_that_differ:
        for table in _differences(words, report):
            console.print(table)
    else:
        console.print(f"[green]✓[/] {words.say('没有任何差别', 'nothing would differ')}")
    console.print(_notes(words, ("照历史不变", "Taken from history"), report.facts))
    console.print(_notes(words, ("假定", "Supposed"), report.assumed))


def _head(words: Words, report: Report) -> Panel:
    grid = Table.grid(padding=(0, 2))
    under = words.comma.join(f"{one.version} ({one.decisions})" for one in report.decided_under)
    begin = report.begin or words.say("开始", "the beginning")
    end = report.end or words.say(f"位置 {report.position}", f"position {report.position}")
    counted = words.stacked(
        f"{report.orders} 个订单,{report.cases} 个售后单,重新判定 {report.decisions} 项,"
        f"{report.cases_that_differ} 个售后单有差别",
        f"{plural(report.orders, 'order')}, {plural(report.cases, 'case')}, {plural(report.decisions, 'decision')}"
        f" taken again, {plural(report.cases_that_differ, 'case')} would differ",
    )
    for label, text in (
        (("政策", "policy"), f"{report.policy} ({words.say('现行', 'in force')} {report.in_force})"),
        (("当时", "decided under"), under),
        (("期间", "from, to"), f"{begin} – {end}"),
        (("范围", "extent"), counted),
    ):
        grid.add_row(f"[dim]{words.say(*label)}[/]", escape(text))
    return Panel(grid, title=f"[bold]{words.say('假如', 'What if')}[/]", title_align="left")


def _keys(words: Words, keys: Sequence[Key]) -> Table:
    table = _table(words, ("与现行政策不同之处", "Where it differs from the policy in force"))
    for label in (("键", "key"), ("现行", "in force"), ("改为", "asked"), ("本报告", "this report")):
        table.add_column(words.say(*label), overflow="fold")
    for key in keys:
        judged = ("已判定", "judges it") if key.judged else ("不判定", "does not judge it")
        table.add_row(escape(key.key), _value(words, key.in_force), _value(words, key.asked), words.say(*judged))
    return table


def _value(words: Words, value: Any) -> str:
    if value is None:
        return words.say("无", "–")
    if isinstance(value, bool):
        return str(value).lower()
    return escape(words.comma.join(map(str, value)) if isinstance(value, list) else str(value))


def _differences(words: Words, report: Report) -> Iterator[Table]:
    yield _parties(words, report)
    yield _groups(words, ("按问题", "By problem"), report.problems, words.problem)
    yield _groups(words, ("按月", "By month"), report.months, str)
    if any(one.difference_fen for one in report.payouts):
        yield _amounts(words, ("打款给买家(元)", "Paid out to buyers (yuan)"), report.payouts, words.term)
    if report.approvals:
        yield _approvals(words, report.approvals)
    if any(one.newly_broken or one.no_longer_broken for one in report.promises):
        yield _promises(words, report.promises)
    yield _cases(words, report)


def _parties(words: Words, report: Report) -> Table:
    title = ("各方承担(元)", "What the parties would have borne (yuan)")
    table = _amounts(words, title, report.parties, lambda party: told.party(words, party))
    net = report.net
    table.add_section()
    table.add_row(f"= {words.say('净损失', 'net loss')}", *_figures(net), style="bold")
    return table


def _amounts(words: Words, title: tuple[str, str], amounts: Sequence[Amount], name: Any) -> Table:
    table = _table(words, title)
    table.add_column("")
    _figure_columns(words, table)
    for one in amounts:
        table.add_row(escape(name(one.name)), *_figures(one))
    return table


def _groups(words: Words, title: tuple[str, str], groups: Sequence[Group], name: Any) -> Table:
    """Each group with the parties that would bear something else in it; groups without any are left out."""
    table = _table(words, (f"{title[0]}(元)", f"{title[1]} (yuan)"))
    table.add_column("")
    _figure_columns(words, table)
    for group in groups:
        if group.parties:
            net = Amount(group.name, group.was_fen, group.would_be_fen, group.difference_fen)
            table.add_row(escape(name(group.name)), *_figures(net), style="bold")
            for party in group.parties:
                table.add_row(f"  {escape(told.party(words, party.name))}", *_figures(party))
    return table


def _approvals(words: Words, approvals: Sequence[Approvals]) -> Table:
    table = _table(words, ("补偿的审批", "Approval of offers"))
    for label in (("实际须", "needed"), ("照此政策须", "would need")):
        table.add_column(words.say(*label))
    table.add_column(words.say("件数", "offers"), justify="right")
    table.add_column(words.say("元", "yuan"), justify="right", no_wrap=True)
    for one in approvals:
        roles = (told.role(words, role) for role in (one.was, one.would_be))
        table.add_row(*roles, str(one.offers), yuan(one.amount_fen))
    return table


def _promises(words: Words, promises: Sequence[Promises]) -> Table:
    table = _table(words, ("逾期的承诺(售后单数)", "Broken promises (cases)"))
    table.add_column("")
    labels = (*_COLUMNS[:2], ("新逾期", "newly broken"), ("不再逾期", "no longer broken"))
    for label in labels:
        table.add_column(words.say(*label), justify="right")
    for one in promises:
        numbers = (one.was_broken, one.would_be_broken, one.newly_broken, one.no_longer_broken)
        table.add_row(words.say(*told.PROMISES[one.promise]), *map(str, numbers))
    return table


def _cases(words: Words, report: Report) -> Table:
    left_out = report.cases_that_differ - len(report.differ)
    more = (
        (f"(另有 {left_out} 个,--most 0 全部列出)", f" ({left_out} more: --most 0 tells all)") if left_out else ("", "")
    )
    table = _table(words, (f"有差别的售后单{more[0]}", f"Cases that would differ{more[1]}"))
    table.add_column(words.say("售后单", "case"), overflow="fold")
    table.add_column(words.say("问题", "problem"), overflow="fold")
    table.add_column(words.say("差别(金额为元)", "what differs (yuan)"), overflow="fold")
    table.add_column(words.say("净损失", "net loss"), justify="right", no_wrap=True)
    for case in report.differ:
        lines = "\n".join(escape(line) for line in told.lines(words, msgspec.to_builtins(case)))
        table.add_row(escape(case.case_id), escape(words.problem(case.problem)), lines, _signed(case.difference_fen))
    return table


def _notes(words: Words, title: tuple[str, str], notes: Sequence[Text]) -> Table:
    table = _table(words, title)
    table.show_header = False
    for note in notes:
        table.add_row("·", escape(words.stacked(note.zh, note.en)))
    return table


def _figure_columns(words: Words, table: Table) -> None:
    for label in _COLUMNS:
        table.add_column(words.say(*label), justify="right", no_wrap=True)


def _figures(amount: Amount) -> tuple[str, str, str]:
    return yuan(amount.was_fen), yuan(amount.would_be_fen), _signed(amount.difference_fen)


def _signed(fen: int) -> str:
    return f"+{yuan(fen)}" if fen > 0 else yuan(fen)


def _table(words: Words, title: tuple[str, str]) -> Table:
    return Table(title=words.say(*title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
