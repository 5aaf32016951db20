"""`aftersales balances`: what each party was charged over all cases, now or as of a moment."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import msgspec
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.cli.as_of import AsOfPoint, as_of
from services.cli.bar import bar
from services.cli.database import on_database, opened
from services.cli.environment import settings_in_force
from services.cli.failure import Failure, told
from services.cli.output import AsJson, DataDir, InLanguage, paper, show_json
from services.cli.words import Language, Words, usual_language
from services.kernel.clock import clock_of
from services.kernel.history import point_of, the_end
from services.kernel.logging import set_up
from services.kernel.long_work import Tell
from services.kernel.money import yuan
from services.kernel.refusal import Refusal
from services.kernel.settings import Settings
from services.liability.balances import Balances, balances
from services.policy import policy_in_force


def show(
    point: Annotated[str | None, AsOfPoint] = None,
    data_dir: Annotated[Path | None, DataDir] = None,
    lang: Annotated[Language | None, InLanguage] = None,
    json: Annotated[bool, AsJson] = False,
) -> None:
    """What each party was charged and what was collected from it, over all cases, added up from the log of liability.
    Positions are of that log. 各责任方累计承担与已追偿,按定责日志汇总;位置指定责服务的日志。"""
    with told(json):
        set_up("error", "pretty")
        settings = settings_in_force(data_dir=data_dir)
        words = Words(policy_in_force(settings), lang or usual_language(os.environ))
        with bar(words.say("汇总", "adding up"), shown=not json) as tell:
            found = asyncio.run(_read(settings, point, tell))
        if json:
            show_json(found)
        else:
            _show(paper(), words, found)


async def _read(settings: Settings, asked: str | None, tell: Tell) -> Balances:
    async with opened(settings, "liability") as log:
        with on_database(settings, "liability"):
            if asked is None:
                return await balances(log, await the_end(log), tell)
            try:
                point = await point_of(asked, "--as-of", log, clock_of(settings).now())
            except Refusal as refusal:
                error = refusal.errors[0]
                raise Failure("invalid", f"--as-of:{error['zh']}。", f"--as-of: {error['en']}.") from None
            return await balances(log, point, tell)


def _show(console: Console, words: Words, found: Balances) -> None:
    if found.as_of is not None:
        told_of = as_of(words, msgspec.to_builtins(found.as_of))
        console.print(f"{words.say('截至', 'as of')} {told_of}", markup=False)
    console.print(_table(words, found))


def _table(words: Words, found: Balances) -> Table:
    title = words.say("各方承担(元)", "What the parties bear (yuan)")
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(words.say("责任方", "party"))
    for label in (("承担", "charged"), ("已追偿", "recovered"), ("未追偿", "not recovered")):
        table.add_column(words.say(*label), justify="right", no_wrap=True)
    for one in found.parties:
        amounts = one.charged_fen, one.recovered_fen, one.charged_fen - one.recovered_fen
        table.add_row(escape(words.party(one.party)), *(yuan(fen) for fen in amounts))
    table.add_row(words.say("待定(原因未判定)", "in suspense (cause not known)"), yuan(found.suspense_fen))
    table.add_row(f"= {words.say('净损失', 'net loss')}", yuan(found.net_fen), style="bold")
    return table
