"""What became of a case between two moments, on paper: one sentence, then the money, what changed, what happened."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from services.cli.as_of import as_of, asked_for
from services.cli.facts import LABELS, money
from services.cli.timeline import timeline
from services.cli.words import Words

Document = Mapping[str, Any]

_LABELS: Final = {**LABELS, "payout": ("打款", "payout")}
#: Money that came in, by kind.
_RECEIVED: Final = {
    "buyer_payment": ("买家付款", "paid by the buyer"),
    "deposit": ("押金", "deposit"),
    "recovery": ("追偿", "recovered from a party"),
}
#: How items stand, where that is no term of the policy or a term means something else there.
_STATES: Final = {
    ("evidence", "submitted"): ("待审核", "submitted"),
    ("evidence", "accepted"): ("已采信", "accepted"),
    ("evidence", "rejected"): ("未采信", "rejected"),
    ("proposal", "offered"): ("待买家答复", "offered"),
    ("proposal", "waits_for_approval"): ("待审批", "waits for approval"),
    ("proposal", "agreed"): ("买家已接受", "agreed"),
    ("proposal", "paid"): ("已支付", "paid"),
    ("charge", "asked"): ("待付款", "to be paid"),
    ("charge", "paid"): ("已付款", "paid"),
    ("charge", "replaced"): ("已被新收费取代", "replaced"),
}


def show_difference(console: Console, words: Words, difference: Document) -> None:
    """Write a difference down, as the API tells it."""
    console.print(_head(words, difference))
    if difference["changed"]:
        console.print(_changes(words, difference))
    if difference["events"]:
        console.print(timeline(words, difference["events"]))


def sentence(words: Words, difference: Document) -> str:
    """The difference in one sentence: from when to when, the money that moved, who bears it."""
    (begin_zh, begin_en), (end_zh, end_en) = asked_for(difference["from"]), asked_for(difference["to"])
    when = words.say(f"{begin_zh} 至 {end_zh}", f"between {begin_en} and {end_en}")
    semicolon = ";" if words.language == "zh" else "; "
    parts = list(_parts(words, difference)) or [_without_money(words, difference)]
    return f"{when}{':' if words.language == 'zh' else ': '}{semicolon.join(parts)}"


def _parts(words: Words, difference: Document) -> Iterator[str]:
    paid, received = difference["paid_fen"], difference["received_fen"]
    if paid:
        kinds = {words.term(kind): fen for kind, fen in paid.items()}
        yield f"{_signed(words, sum(paid.values()))} {words.say('已付给买家', 'paid')} ({_each(words, kinds)})"
    if received:
        kinds = {words.say(*_RECEIVED[kind]): fen for kind, fen in received.items()}
        yield f"{_signed(words, sum(received.values()))} {words.say('已收到', 'received')} ({_each(words, kinds)})"
    if charged := difference["charged_fen"]:
        each = [f"{words.party(party)} {_signed(words, fen)}" for party, fen in charged.items()]
        yield f"{words.say('责任计入', 'charged to')} {words.comma.join(each)}"
    if difference["suspense_fen"]:
        yield f"{words.say('待定', 'in suspense')} {_signed(words, difference['suspense_fen'])}"


def _each(words: Words, kinds: Mapping[str, int]) -> str:
    return words.comma.join(f"{name} {money(words, fen)}" for name, fen in kinds.items())


def _without_money(words: Words, difference: Document) -> str:
    if difference["events"]:
        return words.say("没有款项变动", "no money moved")
    return words.say("没有任何变化", "nothing happened")


def _signed(words: Words, fen: int) -> str:
    return f"{'+' if fen > 0 else ''}{money(words, fen)}"


def _head(words: Words, difference: Document) -> Panel:
    grid = Table.grid(padding=(0, 2))
    grid.add_row(f"[dim]{words.say('起', 'from')}[/]", escape(as_of(words, difference["from"])))
    grid.add_row(f"[dim]{words.say('止', 'to')}[/]", escape(as_of(words, difference["to"])))
    grid.add_row("", f"[bold]{escape(sentence(words, difference))}[/]")
    return Panel(grid, title=f"[bold]{escape(difference['case_id'])}[/]", title_align="left")


def _changes(words: Words, difference: Document) -> Table:
    title = words.say("变化", "What changed")
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for label in (("什么", "what"), ("编号", "which"), ("原为", "before"), ("现为", "after")):
        table.add_column(words.say(*label), overflow="fold")
    for change in difference["changed"]:
        what = change["what"]
        states = (_state(words, what, change["before"]), _state(words, what, change["after"]))
        table.add_row(words.say(*_LABELS[what]), *(escape(text) for text in (change["item"], *states)))
    return table


def _state(words: Words, what: str, state: str) -> str:
    named = {"problem": words.problem, "cause": words.cause, "to": words.actor}.get(what, words.term)
    if not state:
        return words.say("无", "–")
    return words.say(*_STATES[what, state]) if (what, state) in _STATES else named(state)
