"""Messages that did not go on, on paper and for machines: what each is, and what became of it."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from contracts.policy import Text
from services.kernel.kafka.dead_letters import Group
from services.kernel.kafka.message import Unreadable
from services.kernel.kafka.parking import BEHIND, DEAD, GAP, ParkedMessage
from services.operations.left_behind import LeftBehind, MessageOutcome, left_behind, whole_message
from services.wording.dead_letters import CAUSES, OUTCOMES, STATES
from services.wording.words import Words, plural

#: What the fields of a message are called.
FIELDS: Final = {
    "service": Text("服务", "service"),
    "place": Text("位置", "place"),
    "state": Text("状态", "state"),
    "cause": Text("原因", "cause"),
    "stream": Text("订单", "order"),
    "sequence": Text("序号", "number in the order"),
    "type": Text("事件", "event"),
    "source": Text("来自", "from"),
    "error": Text("错误", "error"),
    "readable": Text("现在仍读不懂", "still unreadable"),
    "tries": Text("已试", "tries"),
    "parked_at": Text("搁置于", "left behind"),
    "published_at": Text("写入死信主题", "in the dead letter topic"),
    "resolved_at": Text("了结于", "resolved"),
    "resolved_by": Text("操作人", "by"),
    "note": Text("原因说明", "reason given"),
    "key": Text("消息键", "key"),
}

Line = dict[str, Any]


# -- for machines


def line_of(service: str, message: ParkedMessage) -> Line:
    """What a list says of a message that `service` left behind."""
    return _line(left_behind(service, message))


def group_of(service: str, group: Group) -> Line:
    """What a list says of messages with the same cause."""
    return {
        "service": service,
        "state": group.state,
        "cause": group.cause,
        "messages": group.messages,
        "oldest_seconds": round(_age(group), 1),
        "example": line_of(service, group.example),
    }


def sheet_of(service: str, message: ParkedMessage, unreadable: str) -> Line:
    """All that is known of a message that `service` left behind. `unreadable`: why this program cannot read it, if it
    cannot."""
    return _line(whole_message(service, message, unreadable))


def _line(document: LeftBehind) -> Line:
    line: Line = msgspec.to_builtins(document)
    return line


def _age(group: Group) -> float:
    return max(0.0, time.time() - group.oldest_at)


# -- for people


def show_groups(console: Console, words: Words, service: str, groups: Sequence[Group], ways: Sequence[Text]) -> None:
    """What was left behind, by the reason, and what can be done about it."""
    for one in groups:
        state, cause = words.text(STATES[one.state]), words.text(CAUSES[one.cause])
        console.print(f"[bold]{state}[/] · {one.cause} · {cause}", soft_wrap=True)
        _print_pairs(console, _group_facts(words, one))
        console.print()
    show_ways(console, words, ways)
    if any(one.state == DEAD for one in groups):
        console.print(words.stacked(*_ABOUT_DEAD).format(service=service), soft_wrap=True)


def _group_facts(words: Words, group: Group) -> Iterator[tuple[str, str]]:
    yield words.say("条数", "messages"), str(group.messages)
    yield words.say("最早", "oldest"), words.roughly(_age(group))
    yield words.say("例如", "example"), str(group.example.place)
    if error := _error(group.example):
        yield words.text(FIELDS["error"]), error


def show_messages(console: Console, words: Words, messages: Iterable[ParkedMessage], ways: Sequence[Text]) -> None:
    """Messages one by one, and what those that wait, wait for."""
    table = _table(
        words, ("位置", "place"), ("状态", "state"), ("原因", "cause"), ("订单", "order"), ("消息", "message")
    )
    for one in messages:
        number = f" #{one.sequence}" if one.sequence else ""
        what = ": ".join(part for part in (one.type, _error(one)) if part)
        state = words.stacked(*_pair(STATES[one.state]))
        table.add_row(str(one.place), state, one.cause, escape(one.stream + number), escape(what))
    console.print(table)
    show_ways(console, words, ways)


def show_message(console: Console, words: Words, sheet: Mapping[str, Any], message: ParkedMessage) -> None:
    """One message whole."""
    said = dict(sheet) | {
        "state": words.text(STATES[message.state]),
        "cause": f"{message.cause} · {words.text(CAUSES[message.cause])}",
        "error": _error(message),
        "sequence": message.sequence or "",
        "resolved_by": words.actor(message.resolved_by) if message.resolved_by else "",
    }
    facts = [(words.text(name), str(said[field])) for field, name in FIELDS.items() if said[field] not in (None, "")]
    _print_pairs(console, facts)
    console.print(f"\n[bold]{words.say('消息头', 'headers')}[/]")
    _print_pairs(console, ((name, "" if value is None else value) for name, value in sheet["headers"]))
    console.print(f"\n[bold]{words.say('内容', 'body')}[/]")
    body = sheet["body"]
    pretty = body if isinstance(body, str) else msgspec.json.format(msgspec.json.encode(body), indent=2).decode()
    console.print(escape(pretty), soft_wrap=True)


def show_outcomes(console: Console, words: Words, outcomes: Sequence[MessageOutcome]) -> None:
    """What became of messages, or would: what goes wrong with them, and what to do first, each said once."""
    table = _table(words, ("位置", "place"), ("原因", "cause"), ("订单", "order"), ("结果", "outcome"))
    for one in outcomes:
        cells = (escape(cell) for cell in (one.place, one.cause, one.stream))
        table.add_row(*cells, words.text(OUTCOMES[one.outcome]) + _consequences(words, one))
    console.print(table)
    show_ways(console, words, list({str(one.why): one.why for one in outcomes if one.why}.values()))
    for trouble in dict.fromkeys(one.trouble for one in outcomes if one.trouble):
        console.print(f"[red]✗[/] {escape(trouble)}", soft_wrap=True)


def _consequences(words: Words, one: MessageOutcome) -> str:
    """What would be recorded for a message, and how many would follow it."""
    events = words.comma.join(words.event(type_) for type_ in dict.fromkeys(one.events))
    recorded = words.say(f":会记录 {events}", f": would record {events}") if events else ""
    follow = words.say(f"(之后可继续 {one.follow} 条)", f" ({one.follow} behind it would follow)") if one.follow else ""
    return escape(recorded + follow)


def show_ways(console: Console, words: Words, ways: Iterable[Text]) -> None:
    """What somebody can do, a line each."""
    for way in ways:
        said = words.stacked(*_pair(way)).replace("\n", "\n  ")
        console.print(f"→ {escape(said)}", soft_wrap=True)


def some(words: Words, number: int) -> str:
    """So many messages."""
    return words.say(f"{number} 条消息", plural(number, "message"))


_ABOUT_DEAD: Final = (
    "死信:先 aftersales dlq show 位置 --service {service};修好原因后 redrive,确认作废才 discard(先加 --dry-run 看)。",
    "Dead ones: first aftersales dlq show PLACE --service {service}; mend the cause, then redrive; discard only what is"
    " void (see with --dry-run first).",
)


def _error(message: ParkedMessage) -> str:
    """What went wrong, where the cause does not say all of it: in its own words, and behind them, for whoever mends the
    program, what kind of error it is."""
    if message.cause in (GAP, BEHIND):
        return ""
    kind, colon, text = message.error.partition(": ")
    if not colon or kind == Unreadable.__name__:
        return text or message.error
    return f"{text} ({kind})" if text else kind


def _pair(text: Text) -> tuple[str, str]:
    return text.zh, text.en


def _table(words: Words, *headings: tuple[str, str]) -> Table:
    """Places come first, in one piece: they are copied."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for number, heading in enumerate(headings):
        table.add_column(words.stacked(*heading), overflow="fold", no_wrap=number == 0)
    return table


def _print_pairs(console: Console, pairs: Iterable[tuple[str, str]]) -> None:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in pairs:
        grid.add_row(f"  [dim]{escape(name)}[/]", escape(value))
    console.print(grid)
