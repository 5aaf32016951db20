"""`aftersales doctor`: whether logs, topics, checkpoints, read tables, payouts and sums agree, and what mends them."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.catalogue import SERVICES
from services.cli.bar import bar
from services.cli.database import on_database, place_of
from services.cli.environment import settings_in_force
from services.cli.failure import NOT_SO, Failure, told
from services.cli.output import AsJson, DataDir, InLanguage, paper, show_json
from services.cli.serving import named
from services.cli.words import Language, Words, plural, usual_language
from services.doctor.checks import CHECKS, Check
from services.doctor.examination import TOLD_MOST, examine, shop_of
from services.doctor.finding import Finding, Report
from services.kernel.clock import Clock, SystemClock, clock_of
from services.kernel.event_store import CommitFailed, StoreUnavailable
from services.kernel.logging import set_up
from services.kernel.migrations import pending
from services.kernel.settings import Settings
from services.policy import policy_in_force

Some = Annotated[list[str] | None, typer.Option("--check", help="Only this one; may be repeated. 只做此项,可重复。")]
Of = Annotated[list[str] | None, typer.Option("--service", help="Only this one; may be repeated. 只看此服务,可重复。")]


def doctor(
    check: Some = None,
    service: Of = None,
    show_checks: Annotated[bool, typer.Option("--list", help="Show the checks, make none. 只列出检查项。")] = False,
    data_dir: Annotated[Path | None, DataDir] = None,
    lang: Annotated[Language | None, InLanguage] = None,
    json: Annotated[bool, AsJson] = False,
) -> None:
    """Whether logs, topics, checkpoints, read tables, payouts and sums agree, at rest or while all runs, and which
    command mends what does not; changes nothing. Ends with 1 where something is wrong.
    核对日志、主题、进度、查询表、打款与各项合计(运行中、停机时均可),指出错处与修复命令;有错时退出码为 1。
    """
    with told(json):
        set_up("error", "pretty")
        settings = settings_in_force(data_dir=data_dir)
        words = Words(policy_in_force(settings), lang or usual_language(os.environ))
        checks, services = _chosen(check), named(service or list(SERVICES))
        if show_checks:
            show_json({"checks": [_row(one) for one in checks]}) if json else paper().print(_table(words, checks))
            return
        for name in SERVICES:  # each is compared with the others
            with on_database(settings, name):
                _must_be_there(settings, name)
        report = asyncio.run(_examined(settings, checks, services, words, shown=not json))
        show_json(report) if json else _show(paper(), words, report)
        if not report.sound:
            raise typer.Exit(NOT_SO)


def _chosen(names: Sequence[str] | None) -> list[Check]:
    known = {check.name: check for check in CHECKS}
    for name in names or ():
        if name not in known:
            raise Failure(
                "unknown_check",
                f"--check:没有 {name} 这项检查。可选:{', '.join(known)}。",
                f"--check: there is no check {name}. There are: {', '.join(known)}.",
            )
    return [check for check in CHECKS if not names or check.name in names]


async def _examined(
    settings: Settings, checks: Sequence[Check], services: Sequence[str], words: Words, *, shown: bool
) -> Report:
    async with shop_of(settings, policy_in_force(settings), _clock(settings)) as shop:
        with bar(words.say("检查", "checking"), shown=shown) as tell:
            return await examine(shop, checks, services, tell)


def _must_be_there(settings: Settings, service: str) -> None:
    """Before anything is made beside a database that is not there. Raises `StoreUnavailable`, `CommitFailed`."""
    if not settings.database_url.get_secret_value() and not Path(place_of(settings, service)).is_file():
        raise StoreUnavailable("not there")
    migrations = Path(__file__).parents[1] / service / "migrations"
    if pending(settings.database_of(service), migrations):
        raise CommitFailed("migrations pending")


def _clock(settings: Settings) -> Clock:
    """The shop's time; where it is set by hand in another process, the machine's."""
    shared = settings.clock_file is not None and settings.clock_file.exists()
    return clock_of(settings) if shared else SystemClock()


# -- on paper


def _row(check: Check) -> dict[str, object]:
    return {"name": check.name, "compares": check.compares, "mend": check.mend, "services": check.services}


def _table(words: Words, checks: Sequence[Check]) -> Table:
    """What is checked, and what usually mends it."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for zh, en in (("检查", "check"), ("比较什么", "compares"), ("修复命令", "mended by")):
        table.add_column(words.stacked(zh, en), overflow="fold")
    for check in checks:
        table.add_row(check.name, words.stacked(check.compares.zh, check.compares.en), escape(check.mend))
    return table


def _show(console: Console, words: Words, report: Report) -> None:
    for note in report.not_compared:
        console.print(escape(f"· {note.check} {note.service} {note.where}: {words.text(note.what)}"), soft_wrap=True)
    for finding in report.findings:
        _show_finding(console, words, finding)
    for outcome in report.outcomes:
        if (more := outcome.findings - TOLD_MOST) > 0:
            text = words.say(f"还有 {more} 处", f"and {more} more")
            console.print(f"  {outcome.check} {outcome.service}: {text}")
    number = sum(outcome.findings for outcome in report.outcomes)
    made = len(report.outcomes)
    if report.sound:
        text = words.say(f"{made} 项检查,全部一致", f"{plural(made, 'check')}, everything agrees")
        console.print(f"[green]✓[/] {text}")
    else:
        text = words.say(f"{made} 项检查,{number} 处有误", f"{plural(made, 'check')}, {number} wrong")
        console.print(f"[red]✗[/] {text}")


def _show_finding(console: Console, words: Words, finding: Finding) -> None:
    what = escape(f"{finding.service} {finding.where}: {words.text(finding.what)}")
    console.print(f"[red]✗[/] [bold]{finding.check}[/] {what}", soft_wrap=True)
    if finding.expected:
        console.print(escape(f"  {words.say('应为', 'expected')}: {finding.expected}"), soft_wrap=True)
    if finding.found:
        console.print(escape(f"  {words.say('实为', 'found')}: {finding.found}"), soft_wrap=True)
    console.print(escape(f"  → {words.text(finding.way_out)}"), soft_wrap=True)
