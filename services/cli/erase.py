"""`aftersales erase`: what people wrote about an order, or about all orders of a buyer, nobody can read any more."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from services.cases.erasure import Written, orders_of, written_about
from services.cli.acting import acting
from services.cli.bar import bar
from services.cli.by_name import By, DryRun, Reason, must_be_told
from services.cli.database import opened
from services.cli.failure import NOT_SO, Failure, told
from services.cli.look import Asked
from services.cli.options import with_options
from services.cli.output import paper, show_json
from services.kernel.settings import Settings
from services.wording.words import Words

_ROLE: Final = "store_manager"


@with_options(Asked)
def erase(
    asked: Asked,
    order: Annotated[str, typer.Option(help="About this order. 按订单。", show_default=False)] = "",
    buyer: Annotated[str, typer.Option(help="About all orders of this buyer. 按买家。", show_default=False)] = "",
    by: By = "",
    reason: Reason = "",
    dry_run: DryRun = False,
) -> None:
    """Destroy the keys of what people wrote about an order (descriptions, notes, reasons): nobody can read it any more.
    Events, amounts and evidence files stay, and the proof holds. It cannot be undone. Beside a running server, name it
    with --url. 销毁订单文字内容(描述、备注、原因等)的密钥:从此无人能读;事件、金额与凭证保留,校验仍成立;不可撤销。
    """
    with told(asked.json):
        if bool(order) == bool(buyer):
            raise Failure("invalid", "--order 与 --buyer 须选一个。", "Say --order or --buyer, one of the two.")
        must_be_told(by, reason, dry_run=dry_run)
        settings, words = asked.begin()
        found = asyncio.run(_found(settings, order, buyer, shown=not asked.json))
        erased = [] if dry_run else asyncio.run(_erased(settings, asked, found, by, reason))
        if asked.json:
            orders = [{**msgspec.structs.asdict(one), "changed": one.order_id in erased} for one in found]
            show_json({"dry_run": dry_run, "orders": orders})
        else:
            _show(words, found, erased, dry_run=dry_run, apart=bool(settings.database_url.get_secret_value()))


async def _found(settings: Settings, order: str, buyer: str, *, shown: bool) -> list[Written]:
    """What there is to erase, as it stands before. Raises `Failure` where there is no such order or buyer."""
    async with opened(settings, "cases") as log:
        with bar("erase", shown=shown and bool(buyer)) as tell:
            names = [order] if order else await orders_of(log, buyer, tell)
        found = [one for name in names if (one := await written_about(log, name))]
    if not found:
        raise Failure(
            "unknown_order" if order else "unknown_buyer",
            f"没有订单 {order}。" if order else f"没有买家 {buyer} 的订单。",
            f"There is no order {order}." if order else f"There is no order of a buyer {buyer}.",
            status=NOT_SO,
        )
    return found


async def _erased(settings: Settings, asked: Asked, found: Sequence[Written], by: str, reason: str) -> list[str]:
    """Have each order's texts erased; gives those where there was something to erase."""
    erased = []
    async with acting(settings, _ROLE, by, asked.url, asked.token, at_work=()) as act:
        for one in found:
            answer = await act.post("orders", one.order_id, "erasure", json={"reason": reason})
            if answer["events"]:
                erased.append(one.order_id)
    return erased


def _show(words: Words, found: Sequence[Written], erased: Sequence[str], *, dry_run: bool, apart: bool) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(words.say("订单", "order"))
    for label in (
        ("将抹除的文字", "texts to be erased") if dry_run else ("已抹除的文字", "texts erased now"),
        ("早已抹除的", "erased before"),
        ("未封存的", "never sealed"),
    ):
        table.add_column(words.say(*label), justify="right")
    for one in found:
        table.add_row(escape(one.order_id), str(one.readable), str(one.erased), str(one.plain))
    console = paper()
    console.print(table)
    if any(one.plain for one in found):
        console.print(
            words.stacked(
                "“未封存”的文字写于封存启用之前,仍在日志里,抹除不了。",
                "What was never sealed was written before texts were: it stays in the log and cannot be erased.",
            )
        )
    if dry_run:
        console.print(words.stacked("未作改动(--dry-run)。", "Nothing was changed (--dry-run)."))
        return
    if not erased:
        console.print(words.stacked("没有可抹除的,未作改动。", "There was nothing left to erase; nothing was changed."))
        return
    console.print(
        words.stacked(
            "旧备份里仍有被销毁的密钥,请一并删除抹除之前的备份。",
            "Backups from before still hold the keys that were destroyed: delete those too.",
        )
    )
    if apart:
        console.print(
            words.stacked(
                "PostgreSQL 还须执行 VACUUM text_keys,并等 WAL 归档过期。",
                "On PostgreSQL, VACUUM text_keys as well, and let archived WAL expire.",
            )
        )
