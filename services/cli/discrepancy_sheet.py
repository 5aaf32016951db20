"""Discrepancies on paper: the list, and one with the bills on one side and the books on the other."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.finance.ledger.accounts import CHART
from services.kernel.money import yuan
from services.wording.books import DISCREPANCIES, DISCREPANCY_STATES, ROW_KINDS, ROW_STATUSES
from services.wording.facts import moment
from services.wording.words import Words, plural


def kind_of(words: Words, kind: str) -> str:
    """What a kind is called."""
    return words.say(*DISCREPANCIES[kind]) if kind in DISCREPANCIES else kind


def discrepancies_sheet(console: Console, words: Words, page: Mapping[str, Any]) -> None:
    """Each on a line, the newest first."""
    table = _table(words.say("差异", "Discrepancies"))
    for label in (("编号、日期", "id, day"), ("类别、负责人", "kind, owner"), ("渠道、单号", "where")):
        table.add_column(words.say(*label), overflow="fold")
    for label in (("应为", "expected"), ("实为", "found"), ("天数", "days")):
        table.add_column(words.say(*label), justify="right", no_wrap=True)
    for one in page["items"]:
        closed = one["state"] == "closed"
        owner = words.say(*DISCREPANCY_STATES["closed"]) if closed else words.term(one["owner"])
        cells = (
            f"{one['discrepancy']}\n{one['day']}",
            f"{kind_of(words, one['kind'])}\n{owner}",
            "\n".join(filter(None, (one["channel"], one["case_id"] or one["order_id"]))),
            *(yuan(one["expected_fen"]), yuan(one["found_fen"]), str(one["age_days"])),
        )
        table.add_row(*map(escape, cells), style="dim" if closed else "")
    console.print(table if page["items"] else f"[green]✓[/] {words.say('没有差异', 'nothing disagrees')}")
    if page["has_more"]:
        said = words.say("还有更多:--after", "there are more: --after")
        console.print(f"{said} {page['after']}", markup=False, soft_wrap=True)


def discrepancy_sheet(console: Console, words: Words, one: Mapping[str, Any]) -> None:
    """What it is about, the bills, the books, and what to do."""
    state = words.say(*DISCREPANCY_STATES[one["state"]])
    console.print(f"[bold]{one['discrepancy']}[/] {kind_of(words, one['kind'])} · {state}", soft_wrap=True)
    zh = f"{one['day']}({one['age_days']} 天),应为 {yuan(one['expected_fen'])} 元,实为 {yuan(one['found_fen'])} 元"
    en = f"{one['day']} ({plural(one['age_days'], 'day')}), expected {yuan(one['expected_fen'])}, found"
    console.print(words.stacked(zh, f"{en} {yuan(one['found_fen'])} yuan"), markup=False)
    about = " · ".join(filter(None, (one["channel"], one["order_id"], one["case_id"], one["run"])))
    console.print(about, markup=False, soft_wrap=True)
    console.print(f"{words.say('负责人', 'owner')}: {words.term(one['owner'])}", markup=False)
    console.print(_billed(words, one["bills_say"]) if one["bills_say"] else words.say("账单没有", "on no bill"))
    console.print(_posted(words, one["books_say"]) if one["books_say"] else words.say("账上没有", "not in the books"))
    if one["state"] == "closed":
        console.print(f"{words.say('由更正关闭', 'closed by the correction')} {one['correction']}", markup=False)
    else:
        zh = f"核实后以更正处理:aftersales correction propose --discrepancy {one['discrepancy']}"
        en = f"Once it is explained: aftersales correction propose --discrepancy {one['discrepancy']}"
        console.print(words.stacked(zh, en), markup=False, soft_wrap=True)


def _billed(words: Words, rows: Sequence[Mapping[str, Any]]) -> Table:
    table = _table(words.say("账单", "The bills say (yuan)"))
    for label in (("时间", "time"), ("类型", "kind"), ("状态", "status"), ("我方单号", "our number")):
        table.add_column(words.say(*label), overflow="fold")
    table.add_column(words.say("渠道单号", "channel's number"), overflow="fold")
    for label in (("金额", "amount"), ("手续费", "fee")):
        table.add_column(words.say(*label), justify="right", no_wrap=True)
    for row in rows:
        status = f"{words.say(*ROW_STATUSES[row['status']])} {row['channel_status']}".rstrip()
        numbers = (row["refund_ref"] or row["order_ref"], row["channel_ref"] or row["channel_order_ref"])
        cells = (moment(row["occurred_at"]), words.say(*ROW_KINDS[row["kind"]]), status, *numbers)
        table.add_row(*map(escape, (*cells, yuan(row["amount_fen"]), yuan(row["fee_fen"]))))
    return table


def _posted(words: Words, events: Sequence[Mapping[str, Any]]) -> Table:
    table = _table(words.say("账目", "The books say (yuan)"))
    for label in (("时间", "time"), ("事件", "event"), ("售后单", "case"), ("科目", "account"), ("单号", "item")):
        table.add_column(words.say(*label), overflow="fold")
    table.add_column(words.say("金额", "amount"), justify="right", no_wrap=True)
    for event in events:
        mark = "" if event["named"] else f" ({words.say('相关', 'related')})"
        for number, leg in enumerate(event["postings"]):
            first = (moment(event["time"]), f"{words.event(event['type'])}{mark}", event["case_id"])
            account = CHART.get(leg["account"])
            name = words.text(account.name) if account else leg["account"]
            place = f"{name} {leg['party']}".rstrip()
            cells = (*(("", "", "") if number else first), place, leg["item"])
            table.add_row(*map(escape, (*cells, yuan(leg["amount_fen"]))))
        if not event["postings"]:
            fen = event["amount_fen"]
            cells = (moment(event["time"]), words.event(event["type"]), event["case_id"], "", "")
            table.add_row(*map(escape, (*cells, "" if fen is None else yuan(fen))))
    return table


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
