"""`aftersales doctor`: whether logs, topics, checkpoints, read tables, payouts and sums agree, and what mends them."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.catalogue import SERVICES
from services.cli.by_name import By, Reason
from services.cli.database import must_be_there, on_database
from services.cli.environment import to_answer
from services.cli.failure import NOT_SO, Failure, told
from services.cli.operated import operated
from services.cli.output import AsJson, DataDir, InLanguage, paper, show_json
from services.cli.serving import named
from services.doctor.checks import CHECKS, Check
from services.doctor.examination import TOLD_MOST, examine, shop_of
from services.doctor.finding import Finding, Report
from services.doctor.look import Shop
from services.kernel.clock import clock_seen
from services.kernel.event_store import CommitFailed
from services.kernel.migrations import pending
from services.kernel.settings import Settings
from services.operations.examining import outcome_of
from services.policy import policy_in_force
from services.wording.words import Language, Words, plural

Some = Annotated[list[str] | None, typer.Option("--check", help="Only this one; may be repeated. 只做此项,可重复。")]
Of = Annotated[list[str] | None, typer.Option("--service", help="Only this one; may be repeated. 只看此服务,可重复。")]


def doctor(
    check: Some = None,
    service: Of = None,
    show_checks: Annotated[bool, typer.Option("--list", help="Show the checks, make none. 只列出检查项。")] = False,
    by: By = "",
    reason: Reason = "",
    data_dir: Annotated[Path | None, DataDir] = None,
    lang: Annotated[Language | None, InLanguage] = None,
    json: Annotated[bool, AsJson] = False,
) -> None:
    """Whether logs, topics, checkpoints, read tables, payouts and sums agree, at rest or while all runs, and which
    command mends what does not; changes nothing. Ends with 1 where something is wrong.
    核对日志、主题、进度、查询表、打款与各项合计(运行中、停机时均可),指出错处与修复命令;有错时退出码为 1。
    """
    with told(json):
        settings, words = to_answer(data_dir, lang)
        checks, services = _chosen(check), named(service or list(SERVICES))
        if show_checks:
            show_json({"checks": [_row(one) for one in checks]}) if json else paper().print(_table(words, checks))
            return
        for name in SERVICES:  # each is compared with the others
            must_be_there(settings, name)
        asked = Asked(checks, services, [*(check or ())], by, reason)
        report = asyncio.run(_examined(settings, asked, words, shown=not json))
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


class Asked(NamedTuple):
    """Which checks in which services (`named`: by name, none for all), and who wants them."""

    checks: Sequence[Check]
    services: Sequence[str]
    named: Sequence[str]
    by: str
    reason: str


async def _examined(settings: Settings, asked: Asked, words: Words, *, shown: bool) -> Report:
    """Told of, where somebody puts a name to it, in the log of the first service that is examined."""
    async with shop_of(settings, policy_in_force(settings), clock_seen(settings)) as shop:
        await _must_be_up_to_date(shop)
        given = {"checks": asked.named, "services": asked.services}
        async with operated(
            settings,
            asked.services[0],
            "doctor",
            by=asked.by,
            reason=asked.reason,
            options={name: one for name, one in given.items() if one},
            title=words.say("检查", "checking"),
            shown=shown,
        ) as work:
            report = await examine(shop, asked.checks, asked.services, work)
            work.outcome = outcome_of(report)
        return report


async def _must_be_up_to_date(shop: Shop) -> None:
    """Raises `Failure` for a database of an earlier release."""
    for name, part in shop.parts.items():
        with on_database(shop.settings, name):
            if await asyncio.to_thread(pending, shop.settings.database_of(name), part.migrations):
                raise CommitFailed("migrations pending")


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
