"""`aftersales case show`: a case as a person would want to read it."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from services.cli.case_reading import read_case
from services.cli.case_sheet import show_case
from services.cli.environment import settings_in_force
from services.cli.failure import Failure, told
from services.cli.output import AsJson, DataDir, InLanguage, paper, show_json
from services.cli.words import Language, Words, usual_language
from services.kernel.actor import ROLES
from services.kernel.logging import set_up
from services.policy import policy_in_force

app = typer.Typer(no_args_is_help=True, help="Cases. 售后单。")


@app.callback()
def case() -> None:
    """Cases. 售后单。"""


@app.command()
def show(
    case_id: Annotated[str, typer.Argument(help="Its id, as in TB1001-1. 售后单号。")],
    url: Annotated[str, typer.Option(help="A running server; else the database is read. 服务地址。")] = "",
    token: Annotated[str, typer.Option(help="Token for --url. 令牌。", show_default=False)] = "",
    role: Annotated[str, typer.Option(help="Whose next actions are shown. 以何岗位查看。")] = "store_manager",
    data_dir: Annotated[Path | None, DataDir] = None,
    lang: Annotated[Language | None, InLanguage] = None,
    json: Annotated[bool, AsJson] = False,
) -> None:
    """Show a case: timeline, settlement, payouts, who bears what. 查看售后单:经过、结算、打款、责任。"""
    with told(json):
        if role not in ROLES:
            roles = ", ".join(ROLES)
            raise Failure("invalid", f"--role:没有岗位 {role}。可选:{roles}。", f"--role: no role {role}; {roles}.")
        set_up("error", "pretty")
        settings = settings_in_force(data_dir=data_dir)
        words = Words(policy_in_force(settings), lang or usual_language(os.environ))
        document = asyncio.run(read_case(settings, case_id, role, url, token))
        if json:
            show_json(document)
        else:
            show_case(paper(), words, document)
