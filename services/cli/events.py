"""`aftersales events`: the events that services decided, as they are and as they happen."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, suppress
from enum import StrEnum
from typing import Annotated, Any

import msgspec
import typer

from contracts import envelope
from services.catalogue import SERVICES
from services.cli import event_files, resend
from services.cli.database import opened
from services.cli.event_choice import OfServices, Range, Since, Which
from services.cli.event_failures import explained
from services.cli.failure import Failure, told
from services.cli.options import with_options
from services.cli.output import show_json
from services.cli.serving import named, told_to_stop
from services.kernel.kafka.connection import Connection
from services.kernel.kafka.message import Unreadable
from services.kernel.log import NoSuchRange, rfc3339
from services.kernel.logging import set_up
from services.kernel.sealing.keys import replace_sealed
from services.kernel.settings import Settings
from services.transfer.listening import Live, from_log, from_topics
from services.transfer.selection import Selection, latest
from services.wording.facts import moment, said
from services.wording.words import Words

app = typer.Typer(no_args_is_help=True, help="Events: look, follow, move, send again. 事件:查看、跟随、搬迁、重发。")
app.command("export")(event_files.export)
app.command("import")(event_files.import_)
app.command("resend")(resend.resend)

#: Events that are heard and not shown yet; who brings more waits.
QUEUE_EVENTS = 1_000

Learned = Annotated[bool, typer.Option("--learned", help="Also what it learned from others. 也包括从其他服务得知的。")]


class Via(StrEnum):
    """Where live events are heard."""

    LOG = "log"
    KAFKA = "kafka"


@app.command("list")
@with_options(Range)
def list_events(
    asked: Range,
    service: OfServices = "",
    limit: Annotated[int, typer.Option(min=1, help="The last so many. 最近多少条。")] = 100,
    learned: Learned = False,
) -> None:
    """Show the last events that are like what is asked for, in the order in which they happened. 查看最近的事件。"""
    with told(asked.json), explained():
        set_up("error", "pretty")
        settings, selection = asked.settings(), msgspec.structs.replace(asked.selection(), learned=learned)
        services = _services(service, positions=selection.first > 1 or selection.last > 0)
        found = asyncio.run(_latest(settings, services, selection, limit))
        show = _shown(asked, settings)
        for live in found:
            show(live)
        if not found and not asked.json:
            typer.echo(asked.words(settings).stacked("没有符合条件的事件。", "No event is like that."), err=True)


@app.command()
@with_options(Since)
def listen(
    asked: Since,
    service: OfServices = "",
    via: Annotated[Via | None, typer.Option(help="log, or kafka (where it is set up). 经日志或 Kafka。")] = None,
    learned: Learned = False,
) -> None:
    """Show events as they happen, from now on; with --from also those since then, from the log. Ctrl-C ends.
    实时跟随事件;--from 则先从日志补看此后的事件。Ctrl-C 结束。
    """
    with told(asked.json), explained():
        set_up("critical", "pretty")  # what the client logs of a broker that is away is said below
        settings, selection = asked.settings(), msgspec.structs.replace(asked.selection(), learned=learned)
        services = _services(service, positions=selection.first > 1)
        of_log = learned or bool(asked.first)
        on = via or (Via.KAFKA if settings.kafka_servers and not of_log else Via.LOG)
        if on is Via.KAFKA and (of_log or not settings.kafka_servers):
            raise Failure(
                "invalid",
                "--via kafka 需要设置 AFTERSALES_KAFKA_SERVERS,且不能与 --learned、--from 同用(主题里只有服务自己的、"
                "此后发布的事件)。",
                "--via kafka needs AFTERSALES_KAFKA_SERVERS and goes neither with --learned nor with --from: topics are"
                " heard from now on, and hold a service's own events only.",
            )
        asyncio.run(_listen(asked, settings, services, selection, on))


def _services(service: str, *, positions: bool = False) -> list[str]:
    if positions and not service:
        raise Failure(
            "invalid",
            "SERVICE:每个服务的日志各有自己的位置,请指明服务。",
            "SERVICE: each service's log has positions of its own; say which service.",
        )
    return named([service]) if service else list(SERVICES)


async def _latest(settings: Settings, services: Sequence[str], selection: Selection, limit: int) -> list[Live]:
    found: list[Live] = []
    for service in services:
        async with opened(settings, service) as store:
            records = await latest(store, service, selection, limit)
            found += [Live(service, record, f"#{record.position}") for record in records]
    if len(services) > 1:
        found.sort(key=lambda live: live.record.time)
    return found[-limit:]


async def _listen(asked: Since, settings: Settings, services: Sequence[str], selection: Selection, on: Via) -> None:
    show = _shown(asked, settings)
    heard: asyncio.Queue[Live | Unreadable] = asyncio.Queue(QUEUE_EVENTS)

    async def bring(lives: AsyncIterator[Live | Unreadable]) -> None:
        async for live in lives:
            await heard.put(live)

    async def show_all() -> None:
        while True:
            live = await heard.get()
            if isinstance(live, Unreadable):
                typer.echo(f"? {live}", err=True)
            elif selection.takes(live.record, live.service):
                show(live)

    async with AsyncExitStack() as held:
        stop = held.enter_context(told_to_stop())
        sources = await _sources(held, settings, services, selection, on, earlier=bool(asked.first))
        if not asked.json:
            hint = asked.words(settings).say("正在跟随,Ctrl-C 结束", "listening, Ctrl-C ends")
            typer.echo(f"{hint} ({', '.join(services)}, {on})", err=True)
        tasks = [asyncio.create_task(one) for one in (*map(bring, sources), show_all(), _stopped(stop))]
        held.push_async_callback(_ended, tasks)
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()


async def _sources(
    held: AsyncExitStack, settings: Settings, services: Sequence[str], selection: Selection, on: Via, *, earlier: bool
) -> list[AsyncIterator[Live | Unreadable]]:
    if on is Via.KAFKA:
        return [from_topics(Connection.of(settings), services)]
    sources: list[AsyncIterator[Live | Unreadable]] = []
    for service in services:
        store = await held.enter_async_context(opened(settings, service))
        head = await store.head_position()
        if selection.first > head + 1:
            raise NoSuchRange(selection.first, selection.first, head)
        after = selection.first - 1 if earlier else head
        sources.append(from_log(store, service, after, learned=selection.learned))
    return sources


async def _stopped(stop: asyncio.Event) -> None:
    await stop.wait()


async def _ended(tasks: Sequence["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError, Exception):
            await task


def _shown(asked: Which, settings: Settings) -> Any:
    """How an event is shown: as a CloudEvent on a line, or in words."""
    if asked.json:
        return lambda live: show_json(_document(live))
    words = asked.words(settings)
    return lambda live: typer.echo(_line(words, live))


def _document(live: Live) -> dict[str, Any]:
    place = {"service": live.service, "place": live.place}
    return {**envelope.to_json(live.record), **place, **({"replay": live.replay} if live.replay else {})}


def _line(words: Words, live: Live) -> str:
    record = live.record
    parts = [
        moment(rfc3339(record.time)),
        f"{live.service} {live.place}",
        record.subject or record.stream,
        words.event(record.type),
        words.actor(record.actor),
        _readable(words, said(words, msgspec.json.decode(record.data))),
        words.say(f"(重发 {live.replay})", f"(replay {live.replay})") if live.replay else "",
    ]
    return "  ".join(part for part in parts if part)


def _readable(words: Words, text: str) -> str:
    """A text of an event with a mark for each sealed one: what it looks like sealed tells nobody anything."""
    return replace_sealed(text, lambda _: words.say("[已封存]", "[sealed]"))
