"""`aftersales dlq`: messages that a service could not handle, and what is to become of them."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from contracts.registry import decode
from services.cli.environment import settings_in_force
from services.cli.failure import NOT_SO, Failure, told
from services.cli.output import AsJson, DataDir, paper, show_json
from services.kernel.event_store import EventStore
from services.kernel.kafka import dead_letters
from services.kernel.kafka.dead_letters import Group, NotNext, Selection
from services.kernel.kafka.message import Unreadable, incoming
from services.kernel.kafka.parking import DEAD, WAITING, ParkedMessage, Place
from services.kernel.logging import set_up
from services.kernel.stores import open_store

#: How often it is looked what became of redriven messages, in seconds.
LOOK_SECONDS: Final = 0.5
SERVICES: Final = ("cases", "refunds", "liability")

app = typer.Typer(no_args_is_help=True, help="Messages that could not be handled. 无法处理的消息(死信)。")

OfService = Annotated[str, typer.Option("--service", help="Whose: cases, refunds or liability. 服务。")]
At = Annotated[str, typer.Argument(help="Its place, topic/partition/offset. 消息位置。")]
AtMaybe = Annotated[str | None, typer.Argument(help="One message, topic/partition/offset. 单条消息的位置。")]
OfCause = Annotated[str, typer.Option(help="All with this cause. 某一原因的全部。")]
OfStream = Annotated[str, typer.Option(help="All of this order. 某一订单的全部。")]
Everything = Annotated[bool, typer.Option("--all", help="All that are dead. 全部死信。")]
By = Annotated[str, typer.Option(help="Your name; it is kept. 操作人,会留存。")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done. 只看不做。")]
InFolder = Annotated[Path | None, DataDir]
Json = Annotated[bool, AsJson]


@app.callback()
def dlq() -> None:
    """Messages that could not be handled. 无法处理的消息(死信)。"""


@app.command("list")
def list_(
    service: OfService,
    cause: OfCause = "",
    stream: OfStream = "",
    rows: Annotated[bool, typer.Option("--all", help="Each message, not by cause. 逐条列出。")] = False,
    data_dir: InFolder = None,
    json: Json = False,
) -> None:
    """What waits and what is dead, by cause or one by one. 查看等待中的消息和死信。"""
    with told(json):
        if rows or cause or stream:
            selection = Selection(cause=cause, stream=stream, states=(DEAD, WAITING))
            messages = asyncio.run(_messages(service, data_dir, selection))
            show_json({"messages": [_line(one) for one in messages]}) if json else _show_messages(messages)
        else:
            groups = asyncio.run(_groups(service, data_dir))
            show_json({"causes": [_group(one) for one in groups]}) if json else _show_groups(groups)


@app.command()
def show(place: At, service: OfService, data_dir: InFolder = None, json: Json = False) -> None:
    """One message: what went wrong, its headers and its body. 查看一条消息:错误、消息头和内容。"""
    with told(json):
        message = asyncio.run(_message(service, data_dir, _place(place)))
        show_json(_sheet(message)) if json else _show_message(message)


@app.command()
def redrive(
    service: OfService,
    by: By,
    place: AtMaybe = None,
    cause: OfCause = "",
    stream: OfStream = "",
    everything: Everything = False,
    wait: Annotated[bool, typer.Option(help="Wait for the outcome. 等待结果。")] = True,
    timeout: Annotated[float, typer.Option(min=0, help="How long, in seconds. 最多等待的秒数。")] = 60.0,
    dry_run: DryRun = False,
    data_dir: InFolder = None,
    json: Json = False,
) -> None:
    """Have dead messages tried again, in their order. 重新处理死信,按原有顺序。"""
    with told(json):
        selection = _selection(place, cause, stream, everything)
        _by_name(by)
        lines = asyncio.run(_redrive(service, data_dir, selection, by, None if not wait else timeout, dry_run, json))
        show_json({"dry_run": dry_run, "messages": lines}) if json else _show_outcomes(lines, dry_run)
        if any(line["outcome"] == "dead" for line in lines):
            raise typer.Exit(NOT_SO)


@app.command()
def discard(
    service: OfService,
    by: By,
    reason: Annotated[str, typer.Option(help="Why; it is kept. 原因,会留存。")],
    place: AtMaybe = None,
    cause: OfCause = "",
    stream: OfStream = "",
    everything: Everything = False,
    dry_run: DryRun = False,
    data_dir: InFolder = None,
    json: Json = False,
) -> None:
    """Give dead messages up for good; what waits behind them goes on. 放弃死信,其后的消息继续处理。"""
    with told(json):
        selection = _selection(place, cause, stream, everything)
        _by_name(by)
        if not reason.strip():
            raise Failure("invalid", "--reason:请说明放弃的原因。", "--reason: say why they are given up.")
        lines = asyncio.run(_discard(service, data_dir, selection, by, reason, dry_run))
        show_json({"dry_run": dry_run, "messages": lines}) if json else _show_outcomes(lines, dry_run)
        if any(line["outcome"] == "refused" for line in lines):
            raise typer.Exit(NOT_SO)


# -- what is asked for


def _place(text: str) -> Place:
    try:
        return Place.parse(text)
    except ValueError:
        raise Failure(
            "invalid",
            f"{text} 不是消息位置;应为 主题/分区/位移,例如 aftersales.cases.v1/3/1207。",
            f"{text} is no place; it is topic/partition/offset, as in aftersales.cases.v1/3/1207.",
        ) from None


def _selection(place: str | None, cause: str, stream: str, everything: bool) -> Selection:
    if place is None and not (cause or stream or everything):
        raise Failure(
            "invalid",
            "请指明消息:位置、--cause、--stream,或 --all 表示全部。",
            "Say which messages: a place, --cause, --stream, or --all for all of them.",
        )
    return Selection(place=_place(place) if place else None, cause=cause, stream=stream)


def _by_name(by: str) -> None:
    if not by.strip():
        raise Failure("invalid", "--by:请填写操作人姓名。", "--by: say your name.")


@asynccontextmanager
async def _store(service: str, data_dir: Path | None) -> AsyncIterator[EventStore]:
    if service not in SERVICES:
        names = ", ".join(SERVICES)
        raise Failure("invalid", f"--service:没有服务 {service}。可选:{names}。", f"--service: one of {names}.")
    set_up("error")
    store = open_store(settings_in_force(data_dir=data_dir).database_of(service), decode)
    try:
        yield store
    finally:
        await store.close()


# -- what is done


async def _groups(service: str, data_dir: Path | None) -> list[Group]:
    async with _store(service, data_dir) as store:
        return await dead_letters.grouped(store)


async def _messages(service: str, data_dir: Path | None, selection: Selection) -> list[ParkedMessage]:
    async with _store(service, data_dir) as store:
        messages: list[ParkedMessage] = []
        while page := await dead_letters.selected(store, selection, messages[-1] if messages else None):
            messages += [_without_body(one) for one in page]
        return messages


async def _message(service: str, data_dir: Path | None, place: Place) -> ParkedMessage:
    async with _store(service, data_dir) as store:
        if message := await dead_letters.found(store, place):
            return message
    raise Failure("not_found", f"{place} 没有留下消息。", f"Nothing was left behind at {place}.", status=NOT_SO)


async def _redrive(
    service: str,
    data_dir: Path | None,
    selection: Selection,
    by: str,
    timeout_s: float | None,
    dry_run: bool,
    quiet: bool,
) -> list[dict[str, Any]]:
    async with _store(service, data_dir) as store:
        places = await _dead(store, selection)
        lines = [await _redriven(store, place, by, dry_run) for place in places]
        if not dry_run and timeout_s is not None:
            await _wait(store, lines, timeout_s, quiet)
        return lines


async def _redriven(store: EventStore, place: Place, by: str, dry_run: bool) -> dict[str, Any]:
    message = await dead_letters.found(store, place)
    if message is None:
        return {"place": str(place), "outcome": "handled"}
    unreadable = dead_letters.unreadable(message, partial(_read, message))
    if not dry_run:
        await dead_letters.redrive(store, message, by)
    still = f"{unreadable.cause}: {unreadable}" if unreadable else ""
    return {**_line(message), "outcome": "would_be_redriven" if dry_run else "trying", "still_unreadable": still}


async def _wait(store: EventStore, lines: list[dict[str, Any]], timeout_s: float, quiet: bool) -> None:
    """Follow what becomes of messages until all were tried, or the time is up."""
    deadline = time.monotonic() + timeout_s
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=quiet, transient=True) as progress:
        task = progress.add_task("重新处理 redriving", total=len(lines))
        while True:
            for line in lines:
                if line["outcome"] == "trying":
                    line["outcome"] = dead_letters.outcome(await dead_letters.found(store, Place.parse(line["place"])))
                    progress.advance(task, line["outcome"] != "trying")
            if time.monotonic() > deadline or all(line["outcome"] != "trying" for line in lines):
                return
            await asyncio.sleep(LOOK_SECONDS)


async def _discard(
    service: str, data_dir: Path | None, selection: Selection, by: str, reason: str, dry_run: bool
) -> list[dict[str, Any]]:
    async with _store(service, data_dir) as store:
        lines = []
        for place in await _dead(store, selection):
            if message := await dead_letters.found(store, place):
                lines.append({**_line(message), **await _discarded(store, message, by, reason, dry_run)})
        return lines


async def _discarded(store: EventStore, message: ParkedMessage, by: str, reason: str, dry_run: bool) -> dict[str, str]:
    if dry_run:
        return {"outcome": "would_be_discarded"}
    try:
        await dead_letters.discard(store, message, by, reason)
    except NotNext as error:
        return {"outcome": "refused", "why": str(error)}
    return {"outcome": "discarded"}


async def _dead(store: EventStore, selection: Selection) -> list[Place]:
    places = await dead_letters.all_selected(store, selection)
    if selection.place and not places:
        place = selection.place
        raise Failure("not_dead", f"{place} 不是死信。", f"{place} is no dead letter.", status=NOT_SO)
    return places


def _read(message: ParkedMessage, raw: Any) -> Any:
    return incoming(raw, message.source, decode)


# -- how it is shown


def _line(message: ParkedMessage) -> dict[str, Any]:
    return {
        "place": str(message.place),
        "state": message.state,
        "cause": message.cause,
        "stream": message.stream,
        "sequence": message.sequence,
        "type": message.type,
        "source": message.source,
        "error": message.error,
        "tries": message.tries,
        "parked_at": _at(message.parked_at),
    }


def _group(group: Group) -> dict[str, Any]:
    return {
        "state": group.state,
        "cause": group.cause,
        "messages": group.messages,
        "oldest_seconds": round(time.time() - group.oldest_at, 1),
        "example": _line(group.example),
    }


def _sheet(message: ParkedMessage) -> dict[str, Any]:
    return {
        **_line(message),
        "readable": _readable(message),
        "published_at": _at(message.published_at),
        "resolved_at": _at(message.resolved_at),
        "resolved_by": message.resolved_by,
        "note": message.note,
        "key": _text(message.message.key),
        "headers": [[name, _text(value)] for name, value in message.message.headers],
        "body": _body(message.message.value),
    }


def _readable(message: ParkedMessage) -> str:
    """Empty where this program can read it; else why not."""
    unreadable: Unreadable | None = dead_letters.unreadable(message, partial(_read, message))
    return str(unreadable) if unreadable else ""


def _body(value: bytes | None) -> Any:
    """JSON as it is, anything else as text, or as base64 where it is none."""
    try:
        return msgspec.json.decode(value or b"null")
    except msgspec.DecodeError:
        return _text(value)


def _text(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return "base64:" + base64.b64encode(value or b"").decode()


def _at(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")


def _age(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def _without_body(message: ParkedMessage) -> ParkedMessage:
    return msgspec.structs.replace(message, message=msgspec.structs.replace(message.message, value=None))


def _table(*columns: str) -> Table:
    return Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)


def _show_groups(groups: Sequence[Group]) -> None:
    if not groups:
        paper().print("[green]✓[/] 没有无法处理的消息 nothing was left behind")
        return
    table = _table("状态 state", "原因 cause", "条数 messages", "最久 oldest", "例 example", "错误 error")
    for one in groups:
        age = _age(time.time() - one.oldest_at)
        example = (escape(str(one.example.place)), escape(one.example.error))
        table.add_row(one.state, one.cause, str(one.messages), age, *example)
    paper().print(table)


def _show_messages(messages: Sequence[ParkedMessage]) -> None:
    table = _table("位置 place", "状态 state", "原因 cause", "订单 order", "序号 #", "类型 type", "错误 error")
    for one in messages:
        number = str(one.sequence or "")
        table.add_row(str(one.place), one.state, one.cause, escape(one.stream), number, one.type, escape(one.error))
    paper().print(table)


def _show_message(message: ParkedMessage) -> None:
    sheet, console = _sheet(message), paper()
    headers, body = sheet.pop("headers"), sheet.pop("body")
    table = _table("", "")
    for name, value in sheet.items():
        if value not in (None, ""):
            table.add_row(name, escape(str(value)))
    console.print(table)
    table = _table("消息头 header", "")
    for name, value in headers:
        table.add_row(escape(name), escape(str(value)))
    console.print(table)
    console.print("内容 body")
    pretty = msgspec.json.format(msgspec.json.encode(body), indent=2).decode() if not isinstance(body, str) else body
    console.print(escape(pretty), soft_wrap=True)


def _show_outcomes(lines: Sequence[dict[str, Any]], dry_run: bool) -> None:
    table = _table("位置 place", "原因 cause", "订单 order", "结果 outcome", "")
    for line in lines:
        more = line.get("why") or line.get("still_unreadable") or ""
        cells = (line["place"], line.get("cause", ""), line.get("stream", ""), _OUTCOMES[line["outcome"]], more)
        table.add_row(*(escape(cell) for cell in cells))
    console = paper()
    console.print(table)
    if dry_run:
        console.print("什么也没有改变 nothing was changed")


_OUTCOMES: Final = {
    "handled": "已处理 handled",
    "dead": "仍失败 dead again",
    "waits": "等待前面的消息 waits for one before it",
    "trying": "处理中 being tried",
    "would_be_redriven": "将重新处理 would be redriven",
    "would_be_discarded": "将放弃 would be discarded",
    "discarded": "已放弃 discarded",
    "refused": "不能放弃 refused",
}
