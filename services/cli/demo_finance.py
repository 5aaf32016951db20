"""`aftersales demo finance`: a made-up year of a shop, whose books are closed month by month against planted faults."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Final

import msgspec
import typer

from contracts.policy import load_policy
from services.cli.bar import bar
from services.cli.demo_finance_sheet import Told, demonstration_sheet
from services.cli.failure import NOT_SO, Failure, file_exists, told
from services.cli.month_end import ClosedMonth, accountants, close_month, found_out
from services.cli.output import AsJson, InLanguage, paper, show_json
from services.kernel.logging import set_up
from services.kernel.long_work import Tell
from services.sample.faults import Deliveries, TooFewMovements
from services.sample.finding import Refused
from services.sample.playing import shop_at_work
from services.sample.year import SETTLED_AFTER, Month, Year, planned
from services.wording.words import Language, Words, usual_language

_FIRST: Final = Month(2026, 1)
#: One fault of each kind for so many months, at least one.
_MONTHS_A_FAULT: Final = 4


def finance(
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same shop. 随机种子。")] = 1,
    orders: Annotated[
        int, typer.Option(min=100, max=100_000, help="Orders in all; a third has a case. 订单数。")
    ] = 2_000,
    months: Annotated[int, typer.Option(min=1, max=24, help="Months from January 2026 on. 月数。")] = 12,
    to: Annotated[
        Path | None,
        typer.Option(
            help="A new folder to keep the shop's data and bills in. 保存数据与账单的新文件夹。", show_default=False
        ),
    ] = None,
    lang: Annotated[Language | None, InLanguage] = None,
    json: Annotated[bool, AsJson] = False,
) -> None:
    """Make up a year of a shop with known faults, import its bills, reconcile and close every month, and show that each
    fault is found and nothing else. 虚拟一年的店铺并埋入已知差错:导入账单、逐月对账结账,验证差错全部查出且无误报。
    """
    set_up("error")
    with told(json):
        words = Words(load_policy(), lang or usual_language(os.environ))
        year = planned(seed, orders, _FIRST, months, faults=_each(months))
        with _folder(to) as folder, _enough(orders, months):
            result = asyncio.run(_demonstrated(year, folder, _Bars(words, shown=not json)))
        result = msgspec.structs.replace(result, folder=str(to) if to else "")
        show_json(result) if json else demonstration_sheet(paper(), words, result)
    raise typer.Exit(0 if result.ok else NOT_SO)


def _each(months: int) -> int:
    return max(1, months // _MONTHS_A_FAULT)


@contextmanager
def _folder(to: Path | None) -> Iterator[Path]:
    """Where the shop is made; a folder of its own that goes again, unless one is named. Raises `Failure`."""
    if to is None:
        with TemporaryDirectory(prefix="aftersales-demo-") as folder:
            yield Path(folder)
    elif to.exists():
        raise file_exists(str(to))
    else:
        to.mkdir(parents=True)
        yield to


@contextmanager
def _enough(orders: int, months: int) -> Iterator[None]:
    """Raises `Failure` where so few orders have too few payouts to plant every fault in."""
    try:
        yield
    except TooFewMovements as few:
        raise Failure(
            "too_few_orders",
            f"--orders:{months} 个月 {orders} 张订单太少,埋不下全部差错({few})。请增加订单数。",
            f"--orders: {orders} in {months} months are too few to plant every fault in ({few}). Ask for more.",
        ) from None


class _Bars:
    """A bar for each thing that takes long."""

    def __init__(self, words: Words, *, shown: bool) -> None:
        self._words = words
        self._shown = shown

    @contextmanager
    def of(self, zh: str, en: str) -> Iterator[Tell]:
        """A bar with a title, while the block runs."""
        with bar(self._words.say(zh, en), shown=self._shown) as tell:
            yield tell


async def _demonstrated(year: Year, folder: Path, bars: _Bars) -> Told:
    closed: list[ClosedMonth] = []
    refused: list[Refused] = []
    planted = list(year.planted)
    async with shop_at_work(folder / "data", year) as shop:
        deliveries = Deliveries(year, shop.channels, _each(len(year.months)))
        for month in year.months:
            with bars.of(f"{month} 营业", f"{month} business") as tell:
                await shop.play_until(month.end + SETTLED_AFTER, tell)
            delivery = deliveries.of(month)
            planted += delivery.planted
            with bars.of(f"{month} 对账", f"{month} books") as tell:
                async with accountants(shop) as both:
                    closed.append(await close_month(both, delivery, folder / "bills", refused, tell))
        async with accountants(shop) as both:
            act = both.maker
            outcome = await found_out(act, planted, refused)
            changed = [one.month for one in closed if not (await act.get("periods", one.month, "check"))["equal"]]
            parties = await act.get("statements", "parties", month=str(year.months[-1]))
    return Told(
        ok=outcome.ok and not changed,
        seed=year.seed,
        orders=year.orders,
        cases=year.cases,
        months=closed,
        changed=changed,
        outcome=outcome,
        parties=parties,
    )
