"""`aftersales scenario run FILE...`: play scenario files and say what differs (domain.md §7)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from services.kernel.logging import set_up
from services.scenarios.format import scenario_files
from services.scenarios.instance import InstanceFactory, start_embedded
from services.scenarios.result import ScenarioResult
from services.scenarios.runner import run_files
from services.scenarios.stack_instance import Ground
from services.stack.kafka import throwaway_brokers
from services.stack.postgres import throwaway_cluster
from services.stack.stack import StackFile

app = typer.Typer(no_args_is_help=True, help="Scenario files: what must happen, played for real. 场景文件:真实演练。")


@app.callback()
def scenario() -> None:
    """Scenario files: what must happen, played for real. 场景文件:真实演练。"""


@app.command()
def run(
    files: Annotated[list[Path], typer.Argument(help="Scenario files, or folders of *.yaml. 场景文件或文件夹。")],
    stack: Annotated[
        str,
        typer.Option(
            metavar="FILE|auto",
            help="On PostgreSQL and Kafka: those of a running stack (its stack.json), or started for the run (auto)."
            " 在 PostgreSQL 和 Kafka 上演练。",
        ),
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="All results for machines. 输出 JSON。")] = False,
) -> None:
    """Play each file on a fresh instance; exit 0 only when all hold. 每个文件在全新实例上演练,全部符合才返回 0。"""
    try:
        paths = list(scenario_files(files))
    except FileNotFoundError as error:
        raise typer.BadParameter(f"没有这样的文件 / no such file: {error}") from error
    set_up("error")
    results = asyncio.run(_played(paths, stack, Console(stderr=True)))
    if json:
        typer.echo(msgspec.json.encode(_report(results)).decode())
    else:
        _show(results, Console())
    raise typer.Exit(0 if all(result.ok for result in results) else 1)


async def _played(paths: list[Path], stack: str, console: Console) -> list[ScenarioResult]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("场景 scenarios", total=len(paths))
        async with _instances(stack) as factory:
            return await run_files(paths, factory, lambda _: progress.advance(task))


@asynccontextmanager
async def _instances(stack: str) -> AsyncIterator[InstanceFactory]:
    """What scenarios are played on."""
    if not stack:
        yield start_embedded
    elif stack == "auto":
        with throwaway_cluster(flushes=False) as postgres, throwaway_brokers() as kafka:
            async with Ground(postgres.url(), kafka.servers) as ground:
                yield ground.start
    else:
        running = _running(Path(stack))
        async with Ground(running.database_url, running.kafka_servers) as ground:
            yield ground.start


def _running(file: Path) -> StackFile:
    try:
        return StackFile.read(file)
    except (OSError, msgspec.DecodeError) as error:
        raise typer.BadParameter(
            f"{file} 不是运行中的 aftersales stack 的 stack.json / is not the stack.json of a running stack: {error}"
        ) from error


def _report(results: list[ScenarioResult]) -> dict[str, object]:
    return {"ok": all(result.ok for result in results), "results": [result.summary() for result in results]}


def _show(results: list[ScenarioResult], console: Console) -> None:
    table = Table("场景 scenario", Column("标题 title", overflow="fold"), "结果 result", "秒 s")
    for result in results:
        verdict = "[green]符合 holds[/]" if result.ok else f"[red]{len(result.differences)} 处不符 differ[/]"
        table.add_row(escape(result.scenario), escape(result.title), verdict, f"{result.seconds:.2f}")
    console.print(table)
    for result in results:
        if result.ok:
            continue
        console.print(f"\n[bold]{escape(result.file or result.scenario)}[/]")
        for difference in result.differences:
            console.print(f"  [yellow]{escape(difference.where)}[/]", highlight=False)
            console.print(f"    {escape(difference.zh)}\n    {escape(difference.en)}", highlight=False)
    held = sum(result.ok for result in results)
    console.print(f"\n{held}/{len(results)} 符合 hold", highlight=False)
