"""Every statement is the same on SQLite and on PostgreSQL."""

import asyncio
import random
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import msgspec

from contracts.events import cases as c
from contracts.events.finance import Leg
from services.finance.statements.deposits import deposits
from services.finance.statements.indicators import DefectRules, indicators
from services.finance.statements.losses import GROUPINGS as LOSS_GROUPINGS
from services.finance.statements.losses import Asked, Place, loss_cases, losses
from services.finance.statements.months import months_of
from services.finance.statements.party import parties, party_statement
from services.finance.statements.recoveries import recoveries
from services.finance.statements.refunds import GROUPINGS, refunds
from services.finance.statements.scope import AsAt
from services.finance.statements.suspense import suspense
from services.stack.postgres import PostgresCluster
from tests.finance.statements.shop import (
    EXTERNAL,
    NOW,
    SmallShop,
    assessed,
    charged,
    opened,
    order,
    paid,
    recorded,
    recovered,
    reversed_,
    settled,
)

YTO = "courier/YTO"


async def happens(shop: SmallShop) -> None:
    """Three months of forty orders, the first of them closed before everything was heard."""
    draw, first = random.Random(11), date(2026, 9, 20)
    for number in range(40):
        if number == 20:
            await shop.close_month("2026-09")
        day = (first + timedelta(days=draw.randrange(75))).isoformat()
        case_id, fen = f"TB{number}-1", draw.randrange(100, 9_000)
        shop.tell(day, order(f"TB{number}", on=day, channel=draw.choice(["taobao", "tmall"])), opened(case_id))
        shop.tell(day, *paid(case_id, fen), recorded(case_id, fen), by="agent/小李")
        if number % 3:
            shop.tell(day, assessed(case_id), charged(case_id, fen), reversed_(case_id, fen // 7))
        if number % 5 == 1:
            shop.tell("2026-11-30", recovered(case_id, fen // 2))
        if number % 2:
            shop.tell(day, settled(case_id, "L1"), c.CaseRated(case_id=case_id, score=draw.randrange(1, 6)))
        shop.tell(day, c.DepositCollected(case_id=case_id, deposit="D1", amount_fen=fen, payment_ref=f"WX-{number}"))
    legs = [Leg(account="recoverable", party=YTO, amount_fen=-5), Leg(account="bank", amount_fen=5)]
    shop.correct("2026-11-30", *legs)
    await shop.write()


async def statements(shop: SmallShop) -> Sequence[bytes]:
    """Every statement, of all time, of a closed month and of open ones."""
    await happens(shop)
    told: list[msgspec.Struct] = []
    for month in ("", "2026-09", "2026-10", "2026-11"):
        scope = await shop.scope(month)
        told += [await parties(shop.store, scope), await party_statement(shop.store, scope, YTO)]
        told += [await deposits(shop.store, scope), await suspense(shop.store, scope)]
        told += [await refunds(shop.store, scope, by) for by in GROUPINGS]
        told += [await indicators(shop.store, scope, DefectRules(cases=2, days=60))]
        told += [await recoveries(shop.store, scope, EXTERNAL)]
    as_at = AsAt(shop.position, NOW)
    months = await months_of(shop.store, "2026-09", "2026-11", as_at)
    for by in LOSS_GROUPINGS:
        found = await losses(shop.store, months, as_at, Asked(by, {"party": "courier", "sku": "LOCK-A1"}))
        told += [found, await losses(shop.store, months, as_at, Asked(by, {}))]
        asked = months, as_at, Asked(by, {}), found.rows[0].key, 3
        told += [await loss_cases(shop.store, *asked, after) for after in (None, Place(500, "TB2-1"))]
    await shop.store.close()
    return [msgspec.json.encode(one) for one in told]


def test_both_databases_say_the_same(tmp_path: Path, postgres: PostgresCluster) -> None:
    """To the byte, whatever the month."""
    postgres.create_database("statements")
    on_server = asyncio.run(statements(SmallShop.in_database(postgres.url("statements"))))
    assert asyncio.run(statements(SmallShop.in_folder(tmp_path))) == on_server
