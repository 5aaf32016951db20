"""`aftersales demo`: a set of cases, played on fresh instances, and what came of them."""

import asyncio
import os
from importlib import resources
from pathlib import Path
from typing import Annotated, Final

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from contracts.policy import load_policy
from services.cli.case_sheet import show_case
from services.cli.demo_finance import finance
from services.cli.money_sheet import borne
from services.cli.output import AsJson, InLanguage, paper, show_json
from services.kernel.logging import set_up
from services.scenarios.instance import start_embedded
from services.scenarios.result import ScenarioResult
from services.scenarios.runner import run_files
from services.wording.facts import money
from services.wording.words import Language, Words, usual_language

#: Scenarios of `services/scenarios/library` that show much of the system in few steps.
PLAYED: Final = (
    "02-installer-no-show",
    "09-wrong-product-return",
    "33-one-claim-two-returns",
    "38-deposit-forfeited",
    "42-gateway-times-out",
    "47-liability-reassigned",
)


app = typer.Typer(invoke_without_command=True)
app.command()(finance)


@app.callback()
def demo(
    context: typer.Context,
    lang: Annotated[Language | None, InLanguage] = None,
    json: Annotated[bool, AsJson] = False,
) -> None:
    """Play a few cases on fresh instances and show what happened and who bore what. 演示几个完整的售后单。"""
    if context.invoked_subcommand is not None:
        return
    set_up("error")
    results = asyncio.run(run_files(_files(), start_embedded))
    if json:
        show_json({"ok": all(result.ok for result in results), "results": [result.summary() for result in results]})
    else:
        _show(results, Words(load_policy(), lang or usual_language(os.environ)), paper())
    raise typer.Exit(0 if all(result.ok for result in results) else 1)


def _files() -> list[Path]:
    library = Path(str(resources.files("services.scenarios"))) / "library"
    return [library / f"{name}.yaml" for name in PLAYED]


def _show(results: list[ScenarioResult], words: Words, console: Console) -> None:
    for result in results:
        console.rule(f"[bold]{escape(result.scenario)}[/] {escape(result.title)}", align="left")
        for case in result.read.cases.values():
            show_case(console, words, case)
        for difference in result.differences:
            console.print(f"[red]✗[/] {escape(difference.where)}: {escape(difference.zh)} / {escape(difference.en)}")
        console.print()
    console.print(_overview(results, words))


def _overview(results: list[ScenarioResult], words: Words) -> Table:
    table = Table(title=words.say("一览", "Overview"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for zh, en in (("售后单", "case"), ("问题", "problem"), ("状态", "status")):
        table.add_column(words.say(zh, en), overflow="fold")
    table.add_column(words.say("买家实得", "net to the buyer"), justify="right")
    table.add_column(words.say("谁承担了什么", "who bore what"))
    for result in results:
        for case in result.read.cases.values():
            net = money(words, case["settlement"]["net_fen"])
            status = words.term(case["status"])
            table.add_row(case["case_id"], words.problem(case["problem"]), status, net, borne(words, case) or "—")
    return table
