"""`aftersales lag`: how far every consumer is behind, and whether it gets better."""

import asyncio
import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from typing import Annotated, Final

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.catalogue import SERVICES
from services.cli.environment import settings_in_force
from services.cli.failure import NOT_SO, Failure, told
from services.cli.lag_reading import BROKER, Row, Survey, Surveyor
from services.cli.output import AsJson, DataDir, InLanguage, paper, show_json
from services.cli.timeline import words_for
from services.cli.words import Language, Words, usual_language
from services.kernel.logging import set_up
from services.kernel.settings import Settings
from services.policy import policy_in_force

#: How long two looks are apart, unless said otherwise.
EVERY_SECONDS: Final = 5.0

Show = Callable[[Survey], None]


def lag(
    service: Annotated[
        list[str] | None, typer.Option(help="Only this one; may be repeated. 只看此服务,可重复。")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Look again and again, until Ctrl-C. 持续观察。")] = False,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between looks. 间隔秒数。")] = EVERY_SECONDS,
    looks: Annotated[int, typer.Option(min=0, help="With --watch: how often; 0: for ever. 观察次数。")] = 0,
    data_dir: Annotated[Path | None, DataDir] = None,
    lang: Annotated[Language | None, InLanguage] = None,
    json: Annotated[bool, AsJson] = False,
) -> None:
    """How far every consumer is behind; works while services are down. 各消费者落后多少(服务停着也能看)。"""
    with told(json):
        set_up("error")
        settings = settings_in_force(data_dir=data_dir)
        words = Words(policy_in_force(settings), lang or usual_language(os.environ))
        show: Show = show_json if json else lambda survey: _show(paper(), words, survey, clear=watch)
        try:
            last = asyncio.run(_look(settings, _named(service), show, every, looks if watch else 1))
        except KeyboardInterrupt:
            raise typer.Exit(0) from None
        if last.away:
            raise typer.Exit(NOT_SO)


def _named(given: list[str] | None) -> list[str]:
    for name in given or ():
        if name not in SERVICES:
            known = ", ".join(SERVICES)
            raise Failure(
                "unknown_service",
                f"--service:没有 {name} 这个服务。可选:{known}。",
                f"--service: there is no service {name}. There are: {known}.",
            )
    return [name for name in SERVICES if not given or name in given]


async def _look(settings: Settings, services: Sequence[str], show: Show, every: float, looks: int) -> Survey:
    surveyor = Surveyor(settings, services)
    try:
        show(survey := await surveyor.look())
        done = 1
        while done != looks:
            await asyncio.sleep(every)
            show(survey := await surveyor.look())
            done += 1
        return survey
    finally:
        await surveyor.close()


def _show(console: Console, words: Words, survey: Survey, clear: bool) -> None:
    if clear and console.is_terminal:
        console.clear()
    trends = any(row.trend for row in survey.consumers)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for zh, en in (("服务", "service"), ("消费者", "consumer"), ("来源", "source")):
        table.add_column(words.say(zh, en), overflow="fold")
    figures = [("落后(条)", "events behind"), ("最早一条已等", "oldest waits")]
    if trends:
        figures += [("到达/秒", "arriving/s"), ("处理/秒", "handled/s"), ("清空还需", "clears in")]
    for zh, en in figures:
        table.add_column(words.say(zh, en), justify="right", no_wrap=True)
    for _, rows in groupby(survey.consumers, lambda row: (row.service, row.consumer, row.source)):
        table.add_row(*_cells(words, list(rows), trends))
    console.print(table)
    for part, reason in survey.away.items():
        console.print(f"[red]✗[/] {escape(_away(words, part, reason))}", soft_wrap=True)
    for row in survey.consumers:
        if row.lost:
            console.print(f"[red]✗[/] {escape(_lost(words, row))}", soft_wrap=True)
        if row.parked:
            console.print(f"[red]✗[/] {escape(_parked(words, row))}", soft_wrap=True)
    if survey.caught_up:
        console.print(f"[green]✓[/] {words.say('全部处理完', 'everything is handled')}")


def _cells(words: Words, rows: list[Row], trends: bool) -> list[str]:
    """The partitions of a topic in one line: their events together, the oldest of all."""
    first = rows[0]
    source = first.source if first.partition is None else f"{first.source} ({len(rows)})"
    behind = None if any(row.behind is None for row in rows) else sum(row.behind or 0 for row in rows)
    oldest = max(row.seconds or 0.0 for row in rows)
    cells = [first.service, first.consumer, source, "?" if behind is None else str(behind)]
    cells.append(_duration(words, oldest) if behind else "")
    if trends:
        cells += _trend(words, rows, behind or 0)
    return cells


def _trend(words: Words, rows: list[Row], behind: int) -> list[str]:
    known = [row.trend for row in rows if row.trend]
    if not known:
        return ["", "", ""]
    arriving = sum(one.arriving_per_second for one in known)
    handled = sum(one.handled_per_second for one in known)
    clears = ""
    if behind:
        grows = words.say("不减", "never")
        clears = _duration(words, behind / (handled - arriving)) if handled > arriving else grows
    return [f"{arriving:.1f}", f"{handled:.1f}", clears]


def _duration(words: Words, seconds: float) -> str:
    return words_for(words, timedelta(seconds=seconds)) or f"< 1 {words.say('秒', 's')}"


def _away(words: Words, part: str, reason: str) -> str:
    if part == BROKER:
        return words.say(f"连不上 Kafka:{reason}", f"Kafka cannot be reached: {reason}")
    return words.say(f"{part} 的数据库读不了:{reason}", f"the database of {part} cannot be read: {reason}")


def _lost(words: Words, row: Row) -> str:
    where = f"{row.service} ← {row.source}/{row.partition}"
    return words.say(
        f"{where}:有 {row.lost} 条在处理之前已被 Kafka 删除,见 aftersales resume",
        f"{where}: Kafka deleted {row.lost} messages before they were handled; see aftersales resume",
    )


def _parked(words: Words, row: Row) -> str:
    where = f"{row.service} ← {row.source}/{row.partition}"
    return words.say(
        f"{where}:有 {row.parked} 条无法处理,见 aftersales dlq list --service {row.service}",
        f"{where}: {row.parked} messages do not go on; see aftersales dlq list --service {row.service}",
    )
