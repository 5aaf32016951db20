"""Exports are the same on SQLite and on PostgreSQL."""

import asyncio
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from services.finance.exports.catalogue import TABLES
from services.finance.exports.making import JOURNAL, make, order_of
from services.stack.postgres import PostgresCluster
from tests.finance.insurance.test_claims import INSURED, RETURNED, paid
from tests.finance.statements.shop import NOW, SmallShop
from tests.finance.statements.test_databases import happens


async def exports(shop: SmallShop) -> Sequence[bytes]:
    """Every table, and the journal, of all time, of a closed month and of an open one."""
    shop.tell("2026-10-09", INSURED, *RETURNED, paid())
    await happens(shop)
    told = []
    for name, format in (*((name, "jsonl") for name in TABLES), (JOURNAL, "beancount")):
        for month in ("", "2026-09", "2026-10"):
            file = BytesIO()
            await make(shop.store, order_of(name, format, month, "both"), NOW, file)
            told.append(file.getvalue())
    await shop.store.close()
    return told


def test_both_databases_give_the_same_files(tmp_path: Path, postgres: PostgresCluster) -> None:
    """To the byte, whatever the table and the month."""
    postgres.create_database("exports")
    on_server = asyncio.run(exports(SmallShop.in_database(postgres.url("exports"))))
    assert asyncio.run(exports(SmallShop.in_folder(tmp_path))) == on_server
    assert sum(map(bool, on_server)) > 12
