"""What services left behind: looked up in the one that was named, or in all that can be asked."""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeVar

from rich.console import Console
from rich.markup import escape

from contracts.policy import Text
from services.catalogue import SERVICES
from services.cli.database import opened
from services.cli.dlq_sheet import Line, group_of, line_of, show_groups, show_messages, some
from services.cli.failure import Failure
from services.kernel.event_store import EventStore
from services.kernel.kafka import dead_letters
from services.kernel.kafka.dead_letters import Behind, Group, Selection
from services.kernel.kafka.parking import ParkedMessage
from services.kernel.settings import Settings
from services.operations.way_out import ways_out
from services.wording.words import Words

T = TypeVar("T")


class Left(NamedTuple):
    """What one service left behind: the messages that were asked for; where there are none, all of them by cause."""

    service: str
    messages: Sequence[ParkedMessage]
    groups: Sequence[Group]
    ways: Sequence[Text]


async def of_each(
    settings: Settings, service: str, look: Callable[[str, EventStore], Awaitable[T]]
) -> tuple[list[T], dict[str, Failure]]:
    """What is found in the database of a service, or of each where none is named; and by service, why one of these
    could not be asked. Raises that `Failure` where the service was named."""
    found: list[T] = []
    away: dict[str, Failure] = {}
    for name in [service] if service else SERVICES:
        try:
            async with opened(settings, name) as store:
                found.append(await look(name, store))
        except Failure as failure:
            if service:
                raise
            away[name] = failure
    return found, away


async def left_by(service: str, store: EventStore, selection: Selection | None) -> Left:
    """What a service left behind; `selection`: which messages are wanted one by one, if any are."""
    messages = await _messages(store, selection) if selection else []
    groups = [] if messages else await dead_letters.grouped(store)
    return Left(service, messages, groups, await ways_out(store, service, messages or [one.example for one in groups]))


async def _messages(store: EventStore, selection: Selection) -> list[ParkedMessage]:
    messages: list[ParkedMessage] = []
    while page := await dead_letters.selected(store, selection, Behind.of(messages[-1]) if messages else None):
        messages += [one.without_body() for one in page]
    return messages


# -- for machines


def message_lines(left: Sequence[Left]) -> list[Line]:
    """Each message that was asked for."""
    return [line_of(one.service, message) for one in left for message in one.messages]


def group_lines(left: Sequence[Left]) -> list[Line]:
    """All that was left behind, by service and cause."""
    return [group_of(one.service, group) for one in left for group in one.groups]


def away_lines(away: dict[str, Failure]) -> dict[str, Line]:
    """Why services could not be asked, by their names."""
    return {
        name: {"code": one.code, "zh": one.zh, "en": one.en, "mistakes": one.mistakes} for name, one in away.items()
    }


# -- for people


def show_left(console: Console, words: Words, left: Sequence[Left], named: str, *, headings: bool) -> None:
    """The messages that were asked for, or what there is by cause; first of all that there is nothing like what was
    asked for, where something was (`named`). `headings`: say which service each part is about."""
    listed = [one for one in left if one.messages]
    if named and not listed:
        console.print(_none_like(words, named, left), soft_wrap=True, markup=False)
    for one in listed or [one for one in left if one.groups]:
        if headings:
            console.print(f"[bold underline]{one.service}[/]")
        if one.messages:
            show_messages(console, words, one.messages, one.ways)
        else:
            show_groups(console, words, one.service, one.groups, one.ways)
        if headings:
            console.print()


def show_away(console: Console, words: Words, away: dict[str, Failure]) -> None:
    """Which services could not be asked, why, and what to do about it."""
    for one in away.values():
        console.print(f"[red]✗[/] {escape(words.stacked(one.zh, one.en))}".replace("\n", "\n  "), soft_wrap=True)
    for way in dict.fromkeys(mistake for one in away.values() for mistake in one.mistakes):
        console.print(f"  {escape(str(way))}", soft_wrap=True)


def _none_like(words: Words, named: str, left: Sequence[Left]) -> str:
    number = sum(group.messages for one in left for group in one.groups)
    if not number:
        return words.stacked(
            f"没有 {named} 的消息,也没有其他的。", f"Nothing of {named} was left behind, nor anything else."
        )
    there = some(words, number)
    return words.stacked(f"没有 {named} 的消息。", f"Nothing of {named} was left behind.") + words.stacked(
        f"有的是({there}):", f" What there is ({there}):"
    )
