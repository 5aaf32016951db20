"""Corrections on paper: the list, and one with its postings."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.finance.ledger.accounts import CHART
from services.kernel.money import yuan
from services.wording.books import CORRECTION_STATES
from services.wording.facts import moment
from services.wording.words import Words


def corrections_sheet(console: Console, words: Words, page: Mapping[str, Any]) -> None:
    """Each correction on a line, the newest first."""
    table = _table(words.say("更正", "Corrections"))
    for label in (("编号", "id"), ("状态", "state")):
        table.add_column(words.say(*label), no_wrap=True)
    table.add_column(words.say("金额(元)", "amount (yuan)"), justify="right", no_wrap=True)
    for label in (("提出", "proposed"), ("提出人", "by"), ("处理人", "decided by"), ("原因", "reason")):
        table.add_column(words.say(*label), overflow="fold")
    for one in page["items"]:
        table.add_row(
            one["correction"],
            words.say(*CORRECTION_STATES[one["state"]]),
            yuan(one["amount_fen"]),
            moment(one["proposed_at"]),
            escape(words.actor(one["proposed_by"])),
            escape(words.actor(one["decided_by"])) if one["decided_by"] else "",
            escape(one["reason"]),
        )
    console.print(table)
    if page["has_more"]:
        console.print(words.say("还有更早的(--limit)", "there are older ones (--limit)"), markup=False)


def correction_sheet(console: Console, words: Words, one: Mapping[str, Any]) -> None:
    """A correction: why, by whom, what it posts, and what it closes."""
    state = words.say(*CORRECTION_STATES[one["state"]])
    console.print(f"[bold]{one['correction']}[/] {state} · {escape(one['reason'])}", soft_wrap=True)
    by, at = words.actor(one["proposed_by"]), moment(one["proposed_at"])
    console.print(words.say(f"{by} 于 {at} 提出", f"proposed by {by} at {at}"), markup=False)
    if one["decided_by"]:
        by, at = words.actor(one["decided_by"]), moment(one["decided_at"])
        console.print(words.say(f"{by} 于 {at} 处理", f"decided by {by} at {at}"), markup=False)
    if one["booked_on"]:
        console.print(f"{words.say('记账日', 'booked on')}: {one['booked_on']}", markup=False, soft_wrap=True)
    if one["answer"]:
        console.print(f"{words.say('驳回原因', 'declined because')}: {one['answer']}", markup=False, soft_wrap=True)
    if one["legs"]:
        console.print(_legs(words, one["legs"]))
    else:
        console.print(words.say("不入账:差异保持原样", "Nothing is posted: the discrepancies are left as they are"))
    if one["discrepancies"]:
        named = words.comma.join(one["discrepancies"])
        console.print(f"{words.say('处理的差异', 'closes')}: {named}", markup=False, soft_wrap=True)


def _legs(words: Words, legs: Sequence[Mapping[str, Any]]) -> Table:
    table = _table(words.say("分录(元)", "Postings (yuan)"))
    for label in (("科目", "account"), ("对象", "party"), ("售后单", "case"), ("参考号", "item")):
        table.add_column(words.say(*label), overflow="fold")
    for label in (("借方", "debit"), ("贷方", "credit")):
        table.add_column(words.say(*label), justify="right", no_wrap=True)
    for leg in legs:
        fen = leg["amount_fen"]
        table.add_row(
            escape(f"{words.text(CHART[leg['account']].name)} ({leg['account']})"),
            *(escape(leg.get(field, "")) for field in ("party", "case_id", "item")),
            yuan(fen) if fen > 0 else "",
            yuan(-fen) if fen < 0 else "",
        )
    return table


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
