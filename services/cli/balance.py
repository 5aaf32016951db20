"""`aftersales balances`: what each party was charged over all cases, now or as of a moment."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from rich import box
from rich.markup import escape
from rich.table import Table

from services.cli.as_of import AsOfPoint, show_as_of
from services.cli.bar import bar
from services.cli.case_reading import reading
from services.cli.database import on_database, opened
from services.cli.failure import Failure, told
from services.cli.look import Asked
from services.cli.options import with_options
from services.cli.output import paper, show_json
from services.kernel.clock import clock_of
from services.kernel.history import point_of, the_end
from services.kernel.long_work import Tell
from services.kernel.money import yuan
from services.kernel.refusal import Refusal
from services.kernel.settings import Settings
from services.liability.balances import Balances, balances
from services.wording.words import Words

#: Every role may read; who owns the books asks here.
ROLE: Final = "finance"

Document = Mapping[str, Any]


@with_options(Asked)
def show(asked: Asked, point: Annotated[str | None, AsOfPoint] = None) -> None:
    """What each party was charged and what was collected from it, over all cases, added up from the log of liability.
    Positions are of that log. 各责任方累计承担与已追偿,按定责日志汇总;位置指定责服务的日志。"""
    with told(asked.json):
        settings, words = asked.begin()
        if asked.url:
            found = asyncio.run(_told(settings, asked, point))
        else:
            with bar(words.say("汇总", "adding up"), shown=not asked.json) as tell:
                found = msgspec.to_builtins(asyncio.run(_added_up(settings, point, tell)))
        if asked.json:
            show_json(found)
        else:
            show_as_of(paper(), words, found)
            paper().print(_table(words, found))


async def _told(settings: Settings, asked: Asked, point: str | None) -> Document:
    """What a server says."""
    async with reading(settings, ROLE, asked.url, asked.token) as read:
        return await read("balances", **({} if point is None else {"as_of": point}))


async def _added_up(settings: Settings, asked: str | None, tell: Tell) -> Balances:
    """What the log comes to."""
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


def _table(words: Words, found: Document) -> Table:
    title = words.say("各方承担(元)", "What the parties bear (yuan)")
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(words.say("责任方", "party"))
    for label in (("承担", "charged"), ("已追偿", "recovered"), ("未追偿", "not recovered")):
        table.add_column(words.say(*label), justify="right", no_wrap=True)
    for one in found["parties"]:
        charged, recovered = one["charged_fen"], one["recovered_fen"]
        table.add_row(escape(words.party(one["party"])), yuan(charged), yuan(recovered), yuan(charged - recovered))
    table.add_row(words.say("待定(原因未判定)", "in suspense (cause not known)"), yuan(found["suspense_fen"]))
    table.add_row(f"= {words.say('净损失', 'net loss')}", yuan(found["net_fen"]), style="bold")
    return table
