"""Long work of a command: a bar for whoever looks on, and an operation in the log where somebody puts a name to it."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import typer

from services.cli.bar import bar
from services.cli.database import on_database, opened
from services.cli.failure import NOT_SO, Failure
from services.kernel.actor import OPERATOR, Actor
from services.kernel.clock import clock_of
from services.kernel.event_store import StoreUnavailable
from services.kernel.http.identity import NAME_MAX
from services.kernel.long_work import CalledOff, Tell
from services.kernel.operations import Desk, Ticket, Trouble, Watch
from services.kernel.operations.texts import said
from services.kernel.refusal import Refusal
from services.kernel.settings import Settings
from services.operations.kinds import must_be_anybodys
from services.operations.trouble import trouble_of


class Operated:
    """A `Tell` that keeps what is done; what came of the work goes into `outcome`, a few figures."""

    def __init__(self, *tells: Tell) -> None:
        self.outcome: dict[str, Any] = {}
        self.done = 0
        self._tells = tells

    async def __call__(self, done: int, total: int) -> None:
        self.done = done
        for tell in self._tells:
            await tell(done, total)


def actor_of(by: str) -> str:
    """Whoever uses the command line, as events have it. Raises `Failure` for what can be no name."""
    name = by.strip()
    if not name.isprintable() or len(name) > NAME_MAX:
        zh = f"--by:须为不超过 {NAME_MAX} 个可见字符的姓名。"
        raise Failure("invalid", zh, f"--by: a name has at most {NAME_MAX} characters, all of them visible.")
    return str(Actor(OPERATOR, name))


@asynccontextmanager
async def operated(
    settings: Settings,
    service: str,
    kind: str,
    *,
    by: str,
    reason: str,
    options: Mapping[str, Any],
    title: str,
    shown: bool,
) -> AsyncIterator[Operated]:
    """Long work on the log of a service while the block runs. Where nobody is named (`by`), it is only shown.

    Raises `Failure` where one of its kind is at work, and where somebody called it off. Whoever breaks it off is told
    how it goes on.
    """
    with bar(title, shown=shown) as draw:
        if not by.strip():
            yield Operated(draw)
            return
        async with opened(settings, service) as store:
            desk, actor = Desk(store, service, clock_of(settings)), actor_of(by)
            with on_database(settings, service), refused():
                ticket = await desk.start(kind, dict(options), actor, reason)
            watch = Watch(desk, ticket)
            work = Operated(watch, draw)
            try:
                async with watch:
                    yield work
                    await desk.finish(ticket.operation, actor, work.outcome)
            except CalledOff:
                raise await called_off(desk, ticket) from None
            except (asyncio.CancelledError, KeyboardInterrupt):
                typer.echo(_goes_on(ticket, options, work.done), err=True)
                raise
            except Exception as error:
                if not isinstance(error, StoreUnavailable):  # a database that is away cannot be told anything
                    trouble = _trouble(error)
                    await desk.fail(ticket.operation, actor, trouble.code, trouble.zh, trouble.en)
                raise


async def told_of(
    settings: Settings,
    service: str,
    kind: str,
    *,
    by: str,
    reason: str,
    options: Mapping[str, Any],
    outcome: Mapping[str, Any],
) -> None:
    """Tell of work that took no time, in the log of the service that it was done to."""
    async with opened(settings, service) as store:
        desk = Desk(store, service, clock_of(settings))
        await desk.done(kind, dict(options), actor_of(by), reason, dict(outcome))


@contextmanager
def refused() -> Iterator[None]:
    """What cannot be done to an operation is told as a `Failure`."""
    try:
        yield
    except Refusal as refusal:
        raise failure_of(refusal) from None


def failure_of(refusal: Refusal) -> Failure:
    """What cannot be done to an operation, told to a person."""
    if refusal.errors:
        wrong = [f"{one['field']}: {one['zh']} / {one['en']}" for one in refusal.errors]
        zh, en = "此操作在这里不能继续。", "This operation cannot be resumed here."
        return Failure("invalid", zh, en, mistakes=wrong)
    text = said(refusal.code, refusal.params)
    return Failure(refusal.code, text.zh, text.en, status=NOT_SO)


async def called_off(desk: Desk, ticket: Ticket) -> Failure:
    """Why the work ended before its end: who ended it."""
    known = await desk.show(ticket.operation)
    if known.state == "cancelled":
        return Failure(
            "operation_cancelled",
            f"{ticket.operation} 已被 {known.by_last} 取消({known.reason_last or '未说明原因'})。已完成的部分保留。",
            f"{ticket.operation} was cancelled by {known.by_last} ({known.reason_last or 'no reason given'})."
            " What was done stays.",
            status=NOT_SO,
        )
    return Failure(
        "operation_taken_over",
        f"{ticket.operation} 已由另一个进程接手。",
        f"Another process is at work on {ticket.operation} now.",
        status=NOT_SO,
    )


def _goes_on(ticket: Ticket, options: Mapping[str, Any], done: int) -> str:
    """How work that was broken off after `done` places goes on."""
    try:
        must_be_anybodys(ticket.operation, ticket.kind, options, done)
    except Refusal as refusal:
        text = said(refusal.code, refusal.params)
        return f"已中断。{text.zh}\nInterrupted. {text.en}"
    command = f"aftersales operations resume {ticket.operation} --by NAME --reason WHY"
    return f"已中断 {ticket.operation}。继续:{command}\nInterrupted. To go on: {command}"


def _trouble(error: Exception) -> Trouble:
    return Trouble(error.code, error.zh, error.en) if isinstance(error, Failure) else trouble_of(error)
