"""`aftersales lag`: how far every consumer is behind, and whether it gets better."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Annotated, Final

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.catalogue import SERVICES
from services.cli.database import trouble_of, ways_out
from services.cli.environment import to_answer
from services.cli.failure import NOT_SO, Failure, reason_of, told
from services.cli.output import AsJson, DataDir, InLanguage, paper, show_json
from services.kernel.settings import Settings
from services.operations.lag_reading import BROKER, Parked, Row, Survey, Surveyor
from services.wording.words import Language, Words, plural

#: How long two looks are apart, unless said otherwise.
EVERY_SECONDS: Final = 5.0

#: Shows a look, and what to do about what was away.
Show = Callable[[Survey, Sequence[str]], None]


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
    """How far every consumer is behind; works while services are down. Ends with 1 where messages were set aside or
    lost, or something could not be asked. 各消费者落后多少(服务停着也能看);有消息搁置、丢失或读不到时退出码为 1。
    """
    with told(json):
        settings, words = to_answer(data_dir, lang)

        def show(survey: Survey, ways: Sequence[str]) -> None:
            show_json(survey) if json else _show(paper(), words, survey, ways, clear=watch)

        try:
            last = asyncio.run(_look(settings, _named(service), show, every, looks if watch else 1))
        except KeyboardInterrupt:
            raise typer.Exit(0) from None
        if last.needs_somebody:
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
    surveyor = Surveyor(settings, services, partial(_trouble, settings))
    try:
        show(survey := await surveyor.look(), _ways_out(settings, surveyor))
        done = 1
        while done != looks:
            await asyncio.sleep(every)
            show(survey := await surveyor.look(), _ways_out(settings, surveyor))
            done += 1
        return survey
    finally:
        await surveyor.close()


def _trouble(settings: Settings, part: str, error: BaseException) -> str:
    """Where something is that does not answer, and why it does not."""
    return f"{settings.kafka_servers}: {reason_of(error)}" if part == BROKER else trouble_of(settings, part, error)


def _ways_out(settings: Settings, surveyor: Surveyor) -> list[str]:
    """What to do about the databases that were away at the last look, zh / en each."""
    ways = (way for service, error in surveyor.errors.items() for way in ways_out(settings, service, error))
    return list(dict.fromkeys(ways))


def _show(console: Console, words: Words, survey: Survey, ways: Sequence[str], clear: bool) -> None:
    if clear and console.is_terminal:
        console.clear()
    if survey.consumers:
        console.print(lag_table(words, survey))
        console.print()
    for trouble in _troubles(words, survey):
        console.print(f"[red]✗[/] {escape(trouble)}".replace("\n", "\n  "), soft_wrap=True)
    for way in ways:
        console.print(f"  {escape(way)}", soft_wrap=True)
    if survey.caught_up:
        console.print(f"[green]✓[/] {words.say('全部处理完', 'everything is handled')}")


def lag_table(words: Words, survey: Survey) -> Table:
    """One that fits on 80 columns: services are headings, figures short, and only names of unusual length fold."""
    trends = any(row.trend for row in survey.consumers)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for zh, en in (("消费者", "consumer"), ("来源", "source")):
        table.add_column(words.stacked(zh, en), overflow="fold")
    figures = [("落后", "behind"), ("最早已等", "oldest")]
    if trends:
        figures += [("每秒进/出", "in/out /s"), ("清空还需", "clears in")]
    for zh, en in figures:
        table.add_column(words.stacked(zh, en), justify="right", no_wrap=True)
    order = {name: place for place, name in enumerate(SERVICES)}
    rows = sorted(survey.consumers, key=lambda row: order[row.service])
    for service, of_service in groupby(rows, lambda row: row.service):
        table.add_row(f"[bold]{service}[/]")
        for _, partitions in groupby(of_service, lambda row: (row.consumer, row.source)):
            table.add_row(*_cells(words, list(partitions), trends))
    return table


def _cells(words: Words, rows: list[Row], trends: bool) -> list[str]:
    """The partitions of a topic in one line: their events together, the oldest of all."""
    first = rows[0]
    source = first.source if first.partition is None else f"{first.source} ({len(rows)})"
    behind = None if any(row.behind is None for row in rows) else sum(row.behind or 0 for row in rows)
    oldest = max(row.seconds or 0.0 for row in rows)
    cells = [f"  {escape(first.consumer)}", escape(source), "?" if behind is None else str(behind)]
    cells.append(words.roughly(oldest) if behind else "")
    if trends:
        cells += _trend(words, rows, behind or 0)
    return cells


def _trend(words: Words, rows: list[Row], behind: int) -> list[str]:
    known = [row.trend for row in rows if row.trend]
    if not known:
        return ["", ""]
    arriving = sum(one.arriving_per_second for one in known)
    handled = sum(one.handled_per_second for one in known)
    clears = ""
    if behind:
        clears = words.roughly(behind / (handled - arriving)) if handled > arriving else "∞"
    return [f"{_rate(arriving)}/{_rate(handled)}", clears]


def _rate(per_second: float) -> str:
    return f"{per_second:.1f}" if per_second < 100 else f"{per_second:.0f}"


def _troubles(words: Words, survey: Survey) -> Iterator[str]:
    """What time alone does not mend."""
    for part, reason in survey.away.items():
        yield _away(words, part, reason)
    for row in survey.consumers:
        if row.lost:
            yield _lost(words, row)
    for service, parked in survey.parked.items():
        yield _parked(words, service, parked)


def _away(words: Words, part: str, reason: str) -> str:
    if part == BROKER:
        return words.stacked(f"连不上 Kafka {reason}", f"Kafka cannot be reached, {reason}")
    return words.stacked(f"打不开 {part} 的数据库 {reason}", f"the database of {part} cannot be read, {reason}")


def _lost(words: Words, row: Row) -> str:
    where, lost = f"{row.service} ← {row.source}/{row.partition}", plural(row.lost, "message")
    zh, en = (
        (f"aftersales republish {row.source} --by 姓名", f"aftersales republish {row.source} --by NAME")
        if row.source in SERVICES
        else ("请上游重新发送", "have the upstream system send again")
    )
    return words.stacked(
        f"{where}:有 {row.lost} 条在处理之前已被 Kafka 删除。先 {zh},再 aftersales resume {row.service} --by 姓名",
        f"{where}: Kafka deleted {lost} that nobody had handled."
        f" First {en}, then aftersales resume {row.service} --by NAME",
    )


def _parked(words: Words, service: str, parked: Parked) -> str:
    number, dead = parked.dead + parked.waiting, parked.dead
    see = f"aftersales dlq list --service {service}"
    return words.stacked(
        f"{service}:有 {number} 条消息搁置(其中死信 {dead} 条),见 {see}",
        f"{service}: {plural(number, 'message')} set aside, {dead} of them dead; see {see}",
    )
