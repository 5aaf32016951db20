"""A month's report is the same on SQLite and on PostgreSQL."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec

from contracts.events.finance import Leg
from services.finance.closing import draft_of, open_months, report_of
from services.finance.periods import calendar
from services.stack.postgres import PostgresCluster
from tests.finance.statements.shop import SmallShop, charged, order, paid, recorded, recovered

MONTHS = ("2026-08", "2026-09", "2026-10", "2026-11")


async def reports(shop: SmallShop) -> Sequence[bytes]:
    """The report of each month of a shop, one of which was closed before all of it was heard."""
    shop.tell("2026-09-03", order("TB1"), order("TB2", channel="tmall"), *paid("TB1-1", 900), recorded("TB1-1", 900))
    await shop.write()
    await shop.close_month("2026-09")
    shop.tell("2026-09-30", *paid("TB2-1", 70), charged("TB1-1", 900))
    shop.tell("2026-11-02", *paid("TB3-1", 5), recovered("TB1-1", 400))
    shop.correct("2026-11-03", Leg(account="channel", party="tmall", amount_fen=-9), Leg(account="bank", amount_fen=9))
    await shop.write()
    store, closed = shop.store, [("2026-09", 5)]
    told = [(await report_of(store, await calendar(store), month, shop.position)).lines() for month in MONTHS]
    draft = await draft_of(store, closed, "2026-11", shop.position)
    assert (draft.first_month, draft.unheard) == ("2026-09", 1)
    told.append(msgspec.json.encode([await open_months(store, closed), await open_months(store, [])]))
    await store.close()
    return told


def test_both_databases_say_the_same(tmp_path: Path, postgres: PostgresCluster) -> None:
    """To the byte, so that a month closed on one can be recomputed on the other."""
    postgres.create_database("periods")
    on_server = asyncio.run(reports(SmallShop.in_database(postgres.url("periods"))))
    assert asyncio.run(reports(SmallShop.in_folder(tmp_path))) == on_server
    assert [b'"late":%d' % late in lines for late, lines in zip((0, 0, 6, 0), on_server, strict=False)] == [True] * 4
