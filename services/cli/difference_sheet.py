"""What became of a case between two moments, on paper: one sentence, then the money, what changed, what happened."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from services.cli.timeline import timeline
from services.wording.difference import changes, sentence
from services.wording.past import as_of
from services.wording.words import Words

Document = Mapping[str, Any]


def show_difference(console: Console, words: Words, difference: Document) -> None:
    """Write a difference down, as the API tells it."""
    console.print(_head(words, difference))
    if difference["changed"]:
        console.print(_changes(words, difference))
    if difference["events"]:
        console.print(timeline(words, difference["events"]))


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
    for change in changes(words, difference):
        table.add_row(*map(escape, change))
    return table
