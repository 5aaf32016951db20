"""`aftersales operations list|show|pause|resume|cancel`: long work, wherever it runs, looked at and steered."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.catalogue import SERVICES
from services.cli.bar import bar
from services.cli.by_name import By, Reason, must_be_told
from services.cli.database import on_database, opened
from services.cli.environment import settings_in_force, to_answer
from services.cli.failure import NOT_SO, Failure, told
from services.cli.operated import Operated, actor_of, refused
from services.cli.options import with_options
from services.cli.output import AsJson, DataDir, InLanguage, paper, show_json
from services.cli.serving import named
from services.cli.whatif_sheet import show_report
from services.kernel.clock import clock_of
from services.kernel.log import rfc3339
from services.kernel.long_work import Tell
from services.kernel.operations import STATES, Desk, Operation, Ticket, service_in
from services.kernel.operations.texts import STATES as STATE_NAMES
from services.kernel.refusal import Refusal
from services.kernel.settings import Settings
from services.operations.kind import folder_of
from services.operations.kinds import must_be_resumable
from services.operations.work import work
from services.whatif.report import Report
from services.wording.facts import moment
from services.wording.words import Language, Words

app = typer.Typer(no_args_is_help=True, help="Long work: what runs, hold it up, let it go on. 运维操作。")

#: Operations that a list shows unless said otherwise.
SHOWN: Final = 20

Id = Annotated[str, typer.Argument(metavar="ID", help="As aftersales operations list shows it. 操作编号。")]

#: Columns of a list, in zh and en.
_COLUMNS: Final = (
    ("编号", "id"),
    ("类型", "kind"),
    ("开始", "started"),
    ("状态", "state"),
    ("操作人", "by"),
    ("原因", "reason"),
    ("进度", "progress"),
)
#: What each state looks like.
_COLOURS: Final = {"running": "cyan", "paused": "yellow", "interrupted": "yellow", "failed": "red", "finished": "green"}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Where to look, and how it is told."""

    data_dir: Annotated[Path | None, DataDir] = None
    lang: Annotated[Language | None, InLanguage] = None
    json: Annotated[bool, AsJson] = False

    def begin(self) -> tuple[Settings, Words]:
        """The settings to work by and the words to answer in; from here on, only errors are logged."""
        return to_answer(self.data_dir, self.lang)


@app.command("list")
@with_options(Asked)
def list_(
    asked: Asked,
    service: Annotated[str, typer.Option(help="Of this service only. 只看此服务。", show_default=False)] = "",
    kind: Annotated[str, typer.Option(help="Of this kind only. 只看此类。", show_default=False)] = "",
    state: Annotated[str, typer.Option(help="In this state only. 只看此状态。", show_default=False)] = "",
    limit: Annotated[int, typer.Option(min=1, max=500, help="So many at most. 最多几条。")] = SHOWN,
) -> None:
    """Operations, newest first. 列出运维操作,最新的在前。"""
    with told(asked.json):
        settings, words = asked.begin()
        if state and state not in STATES:
            states = ", ".join(STATES)
            raise Failure("invalid", f"--state:只能是 {states}。", f"--state: it must be one of {states}.")
        found = asyncio.run(_listed(settings, named([service] if service else list(SERVICES)), kind, state, limit))
        if asked.json:
            show_json({"operations": found})
        else:
            paper().print(_table(words, found) if found else words.say("没有运维操作", "no operations"))


@app.command()
@with_options(Asked)
def show(asked: Asked, operation: Id) -> None:
    """One operation: who had it done and why, how far it is, what came of it. 查看一个运维操作。"""
    _tell(asked, operation, Desk.show)


@app.command()
@with_options(Asked)
def pause(asked: Asked, operation: Id, by: By = "", reason: Reason = "") -> None:
    """Hold an operation up where it is, whichever process it runs in. 暂停运维操作。"""
    _steer(asked, operation, by, reason, Desk.pause)


@app.command()
@with_options(Asked)
def cancel(asked: Asked, operation: Id, by: By = "", reason: Reason = "") -> None:
    """Call an operation off; what it had done stays. 取消运维操作(已完成的部分保留)。"""
    _steer(asked, operation, by, reason, Desk.cancel)


@app.command()
@with_options(Asked)
def resume(asked: Asked, operation: Id, by: By = "", reason: Reason = "") -> None:
    """Let an operation go on: one that is paused, where it runs; one that was interrupted, here. 继续运维操作。"""
    _steer(asked, operation, by, reason, Desk.resume)


# -- what is done


Change = Callable[[Desk, str, str, str], Awaitable[Ticket | None]]


def _steer(asked: Asked, operation: str, by: str, reason: str, change: Change) -> None:
    with told(asked.json):
        must_be_told(by, reason, dry_run=False)

    async def changed(desk: Desk, operation: str) -> Operation:
        if change is Desk.resume:
            must_be_resumable(await desk.show(operation), settings_in_force(data_dir=asked.data_dir))
        ticket = await change(desk, operation, actor_of(by), reason)
        if ticket:
            return await _here(asked, desk, ticket, by)
        return await desk.show(operation)

    known = _tell(asked, operation, changed)
    if known.state == "failed":
        raise typer.Exit(NOT_SO)


def _tell(asked: Asked, operation: str, look: Callable[[Desk, str], Awaitable[Operation]]) -> Operation:
    with told(asked.json):
        settings, words = asked.begin()
        service = service_in(operation)
        with refused():
            if service not in SERVICES:
                raise Refusal("unknown_operation", operation=operation)
            with on_database(settings, service):
                known = asyncio.run(_at_desk(settings, service, operation, look))
        if asked.json:
            show_json(known)
        else:
            if report := _report(settings, known):
                show_report(paper(), words, report)
            _sheet(paper(), words, known)
        return known


def _report(settings: Settings, known: Operation) -> Report | None:
    """What a what-if that came to its end found, where its file is here."""
    file = folder_of(settings) / f"{known.id}.json"
    if known.kind != "what_if" or known.outcome.get("file") != file.name or not file.is_file():
        return None
    with suppress(msgspec.MsgspecError):  # another release wrote it
        return msgspec.json.decode(file.read_bytes(), type=Report)
    return None


async def _at_desk(
    settings: Settings, service: str, operation: str, look: Callable[[Desk, str], Awaitable[Operation]]
) -> Operation:
    async with opened(settings, service) as store:
        return await look(Desk(store, service, clock_of(settings)), operation)


async def _here(asked: Asked, desk: Desk, ticket: Ticket, by: str) -> Operation:
    """Be at work on it, here in front of whoever asked."""
    settings, _ = asked.begin()
    with bar(f"{ticket.kind} {desk.service}", shown=not asked.json) as draw:

        def wrap(tell: Tell) -> Tell:
            return Operated(tell, draw)

        return await work(settings, desk.service, ticket, actor_of(by), wrap)


async def _listed(settings: Settings, services: list[str], kind: str, state: str, limit: int) -> list[Operation]:
    """The newest of all services that are like that."""
    found: list[Operation] = []
    async with AsyncExitStack() as stack:
        for service in services:
            store = await stack.enter_async_context(opened(settings, service))
            with on_database(settings, service):
                found += await _of(Desk(store, service, clock_of(settings)), kind, state, limit)
    return sorted(found, key=lambda one: one.id, reverse=True)[:limit]


async def _of(desk: Desk, kind: str, state: str, limit: int) -> list[Operation]:
    found: list[Operation] = []
    before = ""
    while len(found) < limit and (names := await desk.names(before)):
        before = names[-1]
        for name in names:
            known = await desk.show(name)
            if kind in ("", known.kind) and state in ("", known.state):
                found.append(known)
    return found


# -- on paper


def _table(words: Words, operations: list[Operation]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for zh, en in _COLUMNS:
        # an id in pieces cannot be copied into the next command
        table.add_column(words.stacked(zh, en), overflow="fold", no_wrap=en == "id")
    for one in operations:
        who = escape(words.actor(one.by)), escape(one.reason)
        table.add_row(
            one.id, _kind(words, one), moment(rfc3339(one.started_at)), _state(words, one), *who, _how_far(words, one)
        )
    return table


def _kind(words: Words, one: Operation) -> str:
    """A rebuild that was dropped built nothing, and is not to be taken for one that did."""
    return f"{one.kind} ({words.say('丢弃', 'discard')})" if one.options.get("discard") else one.kind


def _sheet(console: Console, words: Words, one: Operation) -> None:
    lines = [
        (("类型", "kind"), f"{_kind(words, one)} · {one.service}"),
        (("状态", "state"), f"{_state(words, one)} {moment(rfc3339(one.since))}"),
        (("操作人", "by"), escape(f"{words.actor(one.by)} {moment(rfc3339(one.started_at))}")),
        (("原因", "reason"), escape(one.reason)),
        (("最近", "last"), escape(f"{words.actor(one.by_last)} {one.reason_last}") if _steered(one) else ""),
        (("选项", "options"), escape(_brief(one.options))),
        (("进度", "progress"), _how_far(words, one)),
        (("结果", "outcome"), escape(_brief(_figures(one)))),
        (("错误", "error"), escape(words.say(one.trouble.zh, one.trouble.en)) if one.trouble else ""),
    ]
    console.print(f"[bold]{one.id}[/]")
    for label, text in lines:
        if text:
            console.print(f"  {words.say(*label)}  {text}", soft_wrap=True)


def _steered(one: Operation) -> bool:
    return (one.by_last, one.reason_last) != (one.by, one.reason)


def _figures(one: Operation) -> dict[str, object]:
    """What came of it. Of a what-if the totals: the rest is its report."""
    if one.kind != "what_if":
        return one.outcome
    return {name: value for name, value in one.outcome.items() if not isinstance(value, dict | list)}


def _brief(values: dict[str, object]) -> str:
    return ", ".join(
        f"{name}={msgspec.json.encode(value).decode()}" for name, value in values.items() if value not in (None, [], {})
    )


def _state(words: Words, one: Operation) -> str:
    return f"[{_COLOURS.get(one.state, 'dim')}]{words.text(STATE_NAMES[one.state])}[/]"


def _how_far(words: Words, one: Operation) -> str:
    progress = one.progress
    if progress is None:
        return ""
    text = f"{progress.done}/{progress.total}"
    if progress.seconds_left is None:
        return text
    left = words.roughly(progress.seconds_left)
    return f"{text} · {progress.rate:,.0f}/s · {words.say(f'还需 {left}', f'{left} left')}"
