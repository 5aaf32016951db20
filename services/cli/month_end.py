"""A month's end at a sample shop, over HTTP: bills are taken in, both channels reconciled, and the month is closed
by two persons."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp
import msgspec

from services.cli.acting import Act
from services.cli.failure import Failure
from services.kernel.actor import Actor
from services.kernel.long_work import Tell
from services.sample.bills import CHANNELS, Written
from services.sample.faults import Delivery
from services.sample.finding import Outcome, Refused, compared, reported_of
from services.sample.playing import Shop, books_at_work
from services.sample.year import Planted

_MAKER: Final = "finance/老钱"
_CHECKER: Final = "finance/小周"


class ClosedMonth(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a month. `report` is the hash of what was frozen."""

    month: str
    bills: int
    rows: int
    matched: int
    carried: int
    discrepancies: int
    postings: int
    report: str


class Accountants(NamedTuple):
    """Two persons of finance: who keeps the books and prepares their months, and who closes these."""

    maker: Act
    checker: Act


@asynccontextmanager
async def accountants(shop: Shop) -> AsyncIterator[Accountants]:
    """Who keep the shop's books, while nothing else happens there."""
    async with books_at_work(shop) as books:

        def as_(who: str) -> aiohttp.ClientSession:
            return aiohttp.ClientSession(headers={"Authorization": f"Bearer {books.token(Actor.parse(who))}"})

        async with as_(_MAKER) as maker, as_(_CHECKER) as checker:
            yield Accountants(Act(books.base_url, maker), Act(books.base_url, checker))


async def close_month(
    accountants: Accountants, delivery: Delivery, folder: Path, refused: list[Refused], tell: Tell
) -> ClosedMonth:
    """Take in what channels delivered of a month, reconcile it, prepare it and have it closed. What is not taken in is
    noted as `refused`. Raises `Failure`."""
    month, act = delivery.month, accountants.maker
    steps = len(delivery.files) + len(CHANNELS) + 2
    bills = rows = done = 0
    for file in delivery.files:
        taken = await _taken_in(act, file, folder, refused)
        bills, rows, done = bills + bool(taken), rows + taken, done + 1
        await tell(done, steps)
    runs = []
    for channel in CHANNELS:
        days = {"first_day": str(month.days[0]), "last_day": str(month.days[-1])}
        runs.append(await act.post("reconciliations", json={"channel": channel, **days}))
        done += 1
        await tell(done, steps)
    await act.post("periods", str(month), "prepare")
    await tell(done + 1, steps)
    closed = await accountants.checker.post("periods", str(month), "close")
    await tell(steps, steps)
    period = closed["events"][0]["data"]
    reconciled = [event["data"] for run in runs for event in run["events"] if event["type"] == "books.reconciled"]
    return ClosedMonth(
        month=str(month),
        bills=bills,
        rows=rows,
        matched=sum(one["matched"] for one in reconciled),
        carried=sum(one["carried"] for one in reconciled),
        discrepancies=sum(one["discrepancies"] for one in reconciled),
        postings=period["postings"],
        report=period["report"],
    )


async def _taken_in(act: Act, file: Written, folder: Path, refused: list[Refused]) -> int:
    """The rows of a bill that was taken in; 0 where it was refused, which is noted."""
    path = file.put(folder)
    try:
        answer = await act.upload("bills", file=path, file_name=path.name, currency=file.currency)
    except Failure as failure:
        refused.append(Refused(file.name, failure.code, [str(mistake) for mistake in failure.mistakes]))
        return 0
    rows: int = answer["events"][0]["data"]["rows"]
    return rows


async def found_out(act: Act, planted: Sequence[Planted], refused: Sequence[Refused]) -> Outcome:
    """What finance reports, beside what was planted."""
    return compared(planted, reported_of(await _discrepancies(act)), refused)


async def _discrepancies(act: Act) -> Sequence[dict[str, Any]]:
    """All of them, page by page."""
    items: list[dict[str, Any]] = []
    query = {"limit": "500"}
    while True:
        page = await act.get("discrepancies", **query, wait="true")
        items += page["items"]
        if not page["has_more"]:
            return items
        query["after"] = page["after"]
