"""A case on paper: how it stands, what happened, the money, what it waits for and what can be done next."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from services.cli.money_sheet import loss_table, payouts_table, settlement_table
from services.cli.timeline import timeline
from services.wording.facts import moment
from services.wording.past import as_of
from services.wording.words import Words

Document = Mapping[str, Any]


def show_case(console: Console, words: Words, case: Document) -> None:
    """Write a case down, as the API tells it."""
    console.print(_head(words, case))
    console.print(timeline(words, case["timeline"]))
    if any(case["settlement"].values()):
        console.print(settlement_table(words, case["settlement"]))
    if case["payouts"]:
        console.print(payouts_table(words, case["payouts"]))
    if any(entry["type"] == "loss.recorded" for entry in case["timeline"]):
        console.print(loss_table(words, case))
    console.print(_next(words, case))


def _head(words: Words, case: Document) -> Panel:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    for label, value in _facts(words, case):
        grid.add_row(f"[dim]{label}[/]", escape(value))
    status = words.term(case["status"])
    title = f"[bold]{escape(case['case_id'])}[/] · {escape(words.problem(case['problem']))} · {status}"
    return Panel(grid, title=title, title_align="left")


def _facts(words: Words, case: Document) -> Iterator[tuple[str, str]]:
    if case["as_of"]:
        yield words.say("截至", "as of"), as_of(words, case["as_of"])
    lines = words.comma.join(f"{line['line_id']} ×{line['quantity']}" for line in case["lines"])
    yield words.say("订单", "order"), f"{case['order_id']} · {lines}"
    yield words.say("描述", "description"), case["description"]
    yield words.say("登记", "opened"), f"{moment(case['opened_at'])} · {words.actor(case['opened_by'])}"
    if case["assignee"]:
        yield words.say("负责", "assigned to"), words.actor(case["assignee"])
    yield words.say("承诺", "promise"), words.term(case["promise"])
    for promise in case["promises"]:
        yield "", _promise(words, promise)
    if case["cause"]:
        cause = case["cause"]
        yield words.say("原因", "cause"), f"{words.cause(cause['cause'])} → {words.party(cause['party'])}"
    if case["resolution"]:
        yield words.say("结论", "resolution"), case["resolution"]


def _promise(words: Words, promise: Document) -> str:
    names = {"first_answer": ("首次答复", "first answer"), "solution": ("解决", "solution")}
    told = [words.say(*names[promise["promise"]])]
    if promise["due_at"]:
        told.append(f"≤ {moment(promise['due_at'])}")
    if promise["met_at"]:
        told.append(f"✓ {moment(promise['met_at'])}")
    if promise["broken"]:
        told.append(words.term("broken"))
    return " ".join(told)


def _next(words: Words, case: Document) -> Table:
    grid = Table.grid(padding=(0, 2))
    waits = [f"{words.term(one['what'])} {one['item']}".rstrip() for one in case["waits_for"]]
    if waits:
        grid.add_row(f"[bold]{words.say('未了结', 'Waits for')}[/]", escape(words.comma.join(waits)))
    allowed = [words.command(one["command"]) for one in case["next_actions"] if one["allowed"]]
    if allowed:
        label = words.say("当时可做", "Could be done") if case["as_of"] else words.say("下一步", "Next")
        grid.add_row(f"[bold]{label}[/]", escape(words.comma.join(allowed)))
    return grid
