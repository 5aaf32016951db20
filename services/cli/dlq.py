"""`aftersales dlq`: messages that a service could not handle, and what is to become of them."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from contracts.policy import Text
from contracts.registry import decode
from services.catalogue import SERVICES
from services.cli.bar import bar
from services.cli.by_name import By, DryRun, Reason, must_be_by_somebody, must_be_told
from services.cli.database import opened
from services.cli.dlq_sheet import (
    sheet_of,
    show_message,
    show_outcomes,
    show_ways,
)
from services.cli.environment import settings_in_force, words_in
from services.cli.failure import NOT_SO, Failure, told
from services.cli.left_behind import away_lines, group_lines, left_by, message_lines, of_each, show_away, show_left
from services.cli.operated import actor_of
from services.cli.options import with_options
from services.cli.output import AsJson, DataDir, InLanguage, paper, show_json
from services.kernel.clock import clock_of, clock_seen
from services.kernel.event_store import EventStore
from services.kernel.kafka import dead_letters
from services.kernel.kafka.dead_letters import Selection
from services.kernel.kafka.message import incoming
from services.kernel.kafka.parking import DEAD, WAITING, ParkedMessage, Place
from services.kernel.logging import set_up
from services.kernel.operations import Desk
from services.kernel.settings import Settings
from services.operations import redriving
from services.operations.left_behind import MessageOutcome, outcome_of
from services.operations.rehearsal import rehearse
from services.operations.way_out import way_out_of
from services.policy import policy_in_force
from services.wording.dead_letters import STATES
from services.wording.words import Language, Words

#: How often it is looked what became of redriven messages, in seconds.
LOOK_SECONDS: Final = 0.5

app = typer.Typer(no_args_is_help=True, help="Messages that could not be handled. 无法处理的消息(死信)。")

OfService = Annotated[
    str,
    typer.Option(
        "--service",
        help=f"Whose: {', '.join(SERVICES)}; list and show: all unless given. 服务;list、show 不填则查全部。",
        show_default=False,
    ),
]
At = Annotated[str, typer.Argument(help="Its place, topic/partition/offset. 消息位置。")]
AtMaybe = Annotated[str | None, typer.Argument(help="One message, topic/partition/offset. 单条消息的位置。")]
OfCause = Annotated[str, typer.Option(help="All with this cause. 某一原因的全部。", show_default=False)]
OfStream = Annotated[str, typer.Option(help="All of this order. 某一订单的全部。", show_default=False)]
Everything = Annotated[bool, typer.Option("--all", help="All that are dead. 全部死信。")]


@dataclass(frozen=True, kw_only=True)
class Whose:
    """Whose messages are meant, and how they are told of."""

    service: OfService = ""
    data_dir: Annotated[Path | None, DataDir] = None
    lang: Annotated[Language | None, InLanguage] = None
    json: Annotated[bool, AsJson] = False

    def settings(self) -> Settings:
        """The settings to work by. Raises `Failure` where a service is named that is not there."""
        if self.service and self.service not in SERVICES:
            raise _wrong_service(f"没有服务 {self.service}", f"there is no service {self.service}")
        set_up("error", "pretty")
        return settings_in_force(data_dir=self.data_dir)

    def words(self, settings: Settings) -> Words:
        """What things are called for whoever asks."""
        return words_in(settings, self.lang)


@dataclass(frozen=True, kw_only=True)
class Chosen(Whose):
    """Which messages something is to be done about, and by whom."""

    place: AtMaybe = None
    cause: OfCause = ""
    stream: OfStream = ""
    everything: Everything = False
    by: By = ""
    dry_run: DryRun = False

    @property
    def filtered(self) -> bool:
        """Whether some are meant, not all that there are."""
        return bool(self.place or self.cause or self.stream)

    def settings(self) -> Settings:
        """The settings to work by. Raises `Failure` where no service is named, or one that is not there."""
        if not self.service:
            raise _wrong_service("请指明服务", "say which service")
        return super().settings()

    def selection(self) -> Selection:
        """The messages. Raises `Failure` where none are named, or nobody is to have done it."""
        if not (self.filtered or self.everything):
            raise Failure(
                "invalid",
                "请指明消息:位置、--cause、--stream,或 --all 表示全部。",
                "Say which messages: a place, --cause, --stream, or --all for all of them.",
            )
        must_be_by_somebody(self.by, dry_run=self.dry_run)
        return Selection(place=_place(self.place) if self.place else None, cause=self.cause, stream=self.stream)


class Done(msgspec.Struct, frozen=True):
    """What was done about messages, or would be, and why nothing is done about those that wait."""

    dry_run: bool
    messages: list[MessageOutcome]
    waiting: list[Text] = []


@app.callback()
def dlq() -> None:
    """Messages that could not be handled. 无法处理的消息(死信)。"""


@app.command("list")
@with_options(Whose)
def list_(
    asked: Whose,
    cause: OfCause = "",
    stream: OfStream = "",
    rows: Annotated[bool, typer.Option("--all", help="Each message, not by cause. 逐条列出。")] = False,
) -> None:
    """What waits and what is dead, by cause or one by one. Ends with 1 where a database could not be asked.
    查看等待中的消息和死信;有数据库打不开时退出码为 1。
    """
    with told(asked.json):
        settings = asked.settings()
        words = asked.words(settings)
        selection = Selection(cause=cause, stream=stream, states=(DEAD, WAITING))
        if not asyncio.run(_list(asked, settings, words, selection, rows or bool(cause or stream))):
            raise typer.Exit(NOT_SO)


@app.command()
@with_options(Whose)
def show(asked: Whose, place: At) -> None:
    """One message: what went wrong, its headers and its body. 查看一条消息:错误、消息头和内容。"""
    with told(asked.json):
        settings = asked.settings()
        words = asked.words(settings)
        service, message, way = asyncio.run(_message(settings, asked.service, _place(place)))
        unreadable = dead_letters.unreadable(message, partial(_read, message))
        sheet = sheet_of(service, message, str(unreadable or ""))
        if asked.json:
            show_json(sheet)
        else:
            show_message(paper(), words, sheet, message)
            show_ways(paper(), words, [way] if way else [])


@app.command()
@with_options(Chosen)
def redrive(
    asked: Chosen,
    wait: Annotated[bool, typer.Option(help="Wait for the outcome. 等待结果。")] = True,
    timeout: Annotated[float, typer.Option(min=0, help="How long, in seconds. 最多等待的秒数。")] = 60.0,
    reason: Reason = "",
) -> None:
    """Have dead messages tried again, in their order. 重新处理死信,按原有顺序。"""
    with told(asked.json):
        selection, settings = asked.selection(), asked.settings()
        words = asked.words(settings)
        done = asyncio.run(_redrive(asked, settings, words, selection, reason, timeout if wait else None))
        _tell(asked, words, done)
        if _left_undone(asked, done, "dead", "would_be_dead", "would_fail"):
            raise typer.Exit(NOT_SO)


@app.command()
@with_options(Chosen)
def discard(asked: Chosen, reason: Reason = "") -> None:
    """Give dead messages up for good; what waits behind them goes on. 放弃死信,其后的消息继续处理。"""
    with told(asked.json):
        selection, settings = asked.selection(), asked.settings()
        must_be_told(asked.by, reason, dry_run=asked.dry_run)
        words = asked.words(settings)
        done = asyncio.run(_discard(asked, settings, selection, reason))
        _tell(asked, words, done)
        if _left_undone(asked, done, "refused"):
            raise typer.Exit(NOT_SO)


def _left_undone(asked: Chosen, done: Done, *outcomes: str) -> bool:
    """Whether something came out like this, or none is like those that were asked for."""
    return any(one.outcome in outcomes for one in done.messages) or (asked.filtered and not done.messages)


def _wrong_service(zh: str, en: str) -> Failure:
    names = ", ".join(SERVICES)
    return Failure("invalid", f"--service:{zh}。可选:{names}。", f"--service: {en}: {names}.")


def _place(text: str) -> Place:
    try:
        return Place.parse(text)
    except ValueError:
        raise Failure(
            "invalid",
            f"{text} 不是消息位置;应为 主题/分区/位移,例如 aftersales.cases.v1/3/1207。",
            f"{text} is no place; it is topic/partition/offset, as in aftersales.cases.v1/3/1207.",
        ) from None


def _tell(asked: Chosen, words: Words, done: Done) -> None:
    if asked.json:
        show_json(done)
        return
    console = paper()
    if done.messages:
        show_outcomes(console, words, done.messages)
    else:
        console.print(words.stacked("没有符合条件的死信。", "No dead letter is like that."))
    show_ways(console, words, done.waiting)
    if asked.dry_run:
        console.print(words.say("什么也没有改变", "nothing was changed"))


# -- what is looked at


async def _list(asked: Whose, settings: Settings, words: Words, selection: Selection, one_by_one: bool) -> bool:
    """Whether all that were meant could be asked."""
    look = partial(left_by, selection=selection if one_by_one else None)
    left, away = await of_each(settings, asked.service, look)
    if asked.json:
        lines = {"messages": message_lines(left)} if one_by_one else {"causes": group_lines(left)}
        show_json({**lines, "away": away_lines(away)})
        return not away
    console = paper()
    named = " ".join(one for one in (selection.stream, selection.cause) if one)
    show_left(console, words, left, named, headings=not asked.service)
    show_away(console, words, away)
    if not (named or away or any(one.messages or one.groups for one in left)):
        console.print(f"[green]✓[/] {words.say('没有无法处理的消息', 'nothing was left behind')}")
    return not away


Found = tuple[str, ParkedMessage, Text | None]


async def _message(settings: Settings, service: str, place: Place) -> Found:
    """A message, whose it is, and what to do about it where it waits."""

    async def look(name: str, store: EventStore) -> Found | None:
        message = await dead_letters.found(store, place)
        if message is None:
            return None
        return name, message, await way_out_of(store, name, message) if message.state == WAITING else None

    answers, away = await of_each(settings, service, look)
    found = [one for one in answers if one]
    if not found:
        raise _not_there(place, away)
    if len(found) > 1:
        raise _several(place, [name for name, _, _ in found])
    return found[0]


def _not_there(place: Place, away: Mapping[str, Failure]) -> Failure:
    zh, en = f"{place} 没有留下消息。", f"Nothing was left behind at {place}."
    if away:
        names = ", ".join(away)
        zh, en = f"{zh}但 {names} 的数据库打不开。", f"{en} But the databases of these cannot be used: {names}."
    mistakes = [f"{one.zh} / {one.en}" for one in away.values()]
    return Failure("not_found", zh, en, status=NOT_SO, mistakes=mistakes)


def _several(place: Place, services: Sequence[str]) -> Failure:
    names = ", ".join(services)
    return Failure(
        "ambiguous",
        f"{names} 都留下了 {place}:请用 --service 指明服务。",
        f"{names} each left {place} behind: say which service with --service.",
    )


# -- what is done


async def _redrive(
    asked: Chosen, settings: Settings, words: Words, selection: Selection, reason: str, timeout_s: float | None
) -> Done:
    async with opened(settings, asked.service) as store:
        messages = await _dead(asked, store, selection)
        if not messages:
            return Done(asked.dry_run, [], await redriving.waiting(store, asked.service, selection))
        if asked.dry_run:
            policy, clock = policy_in_force(settings), clock_seen(settings)
            would = await rehearse(settings, policy, clock, store, asked.service, messages)
            return Done(asked.dry_run, would)
        desk = Desk(store, asked.service, clock_of(settings))
        await redriving.redrive(desk, messages, actor_of(asked.by), reason)
        outcomes = [outcome_of(asked.service, one, "trying") for one in messages]
        if timeout_s is not None:
            outcomes = await _waited(store, outcomes, timeout_s, None if asked.json else words)
            outcomes = [await _explained(store, one) for one in outcomes]
        return Done(asked.dry_run, outcomes)


async def _waited(
    store: EventStore, outcomes: list[MessageOutcome], timeout_s: float, words: Words | None
) -> list[MessageOutcome]:
    """What became of messages once all were tried, or the time is up; shown where there are words for it."""
    deadline = time.monotonic() + timeout_s
    with bar(words.say("重新处理", "redriving") if words else "", shown=words is not None) as tell:
        while True:
            for number, one in enumerate(outcomes):
                if one.outcome == "trying":
                    outcome = dead_letters.outcome(await dead_letters.found(store, Place.parse(one.place)))
                    outcomes[number] = msgspec.structs.replace(one, outcome=outcome)
            tried = sum(one.outcome != "trying" for one in outcomes)
            await tell(tried, len(outcomes))
            if tried == len(outcomes) or time.monotonic() > deadline:
                return outcomes
            await asyncio.sleep(LOOK_SECONDS)


async def _explained(store: EventStore, one: MessageOutcome) -> MessageOutcome:
    """A message, with what it waits for where it was redriven and is not handled."""
    why = None
    if one.outcome == "trying":
        why = Text(
            zh=f"还没有结果:{one.service} 的 consume(或 all)进程在运行吗?结果见 aftersales dlq show。",
            en=f"No outcome yet: does a process consume (or all) of {one.service} run? See aftersales dlq show later.",
        )
    elif one.outcome == "waits":
        message = await dead_letters.found(store, Place.parse(one.place))
        why = await way_out_of(store, one.service, message) if message else None
    return msgspec.structs.replace(one, why=why)


async def _discard(asked: Chosen, settings: Settings, selection: Selection, reason: str) -> Done:
    async with opened(settings, asked.service) as store:
        messages = await _dead(asked, store, selection)
        if not messages:
            return Done(asked.dry_run, [], await redriving.waiting(store, asked.service, selection))
        if asked.dry_run:
            outcomes = await redriving.would_be_discarded(store, asked.service, messages)
        else:
            desk = Desk(store, asked.service, clock_of(settings))
            outcomes = await redriving.discard(desk, messages, actor_of(asked.by), reason)
        return Done(asked.dry_run, outcomes)


async def _dead(asked: Chosen, store: EventStore, selection: Selection) -> list[ParkedMessage]:
    messages, _ = await redriving.dead(store, selection, bodies=asked.dry_run)
    if selection.place and not messages:
        raise await _not_dead(store, asked.service, selection.place)
    return messages


async def _not_dead(store: EventStore, service: str, place: Place) -> Failure:
    """Why nothing can be done about the message at a place, and what can be done instead."""
    message = await dead_letters.found(store, place)
    if message is None:
        zh, en = f"{place} 没有留下消息。", f"Nothing was left behind at {place}."
        return Failure("not_dead", zh, en, status=NOT_SO)
    state = STATES[message.state]
    by = f"({message.resolved_by})" if message.resolved_by else ""
    zh, en = f"{place} 不是死信,而是{state.zh}{by}。", f"{place} is no dead letter, it is {state.en}{by and ' ' + by}."
    if message.state == WAITING and (way := await way_out_of(store, service, message)):
        zh, en = zh + way.zh, f"{en} {way.en}"
    return Failure("not_dead", zh, en, status=NOT_SO)


def _read(message: ParkedMessage, raw: Any) -> Any:
    return incoming(raw, message.source, decode)
