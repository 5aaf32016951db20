"""Every statement of a reconciliation is the same on SQLite and on PostgreSQL, and so is the result."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from contracts.events import cases as c
from contracts.events.finance import BillImported
from contracts.policy import load_policy
from contracts.registry import HEARS
from services.finance.bill_rows import STORE, values
from services.finance.bills.rows import Row
from services.finance.discrepancy_document import bills_say, books_say
from services.finance.domain.books import BOOKS
from services.finance.domain.domain import FinanceDomain
from services.finance.reconciliation import Reconciler, Request
from services.finance.reconciliation_totals import totals_of
from services.finance.views import FinanceViews
from services.finance.views.bills import BILLS
from services.kernel.actor import Actor
from services.kernel.clock import ManualClock
from services.kernel.event_store import Commit, Statement
from services.kernel.files import Origin
from services.kernel.service import Part, Service
from services.kernel.views import upsert
from services.stack.postgres import PostgresCluster
from tests.finance.bills.shop import wechat_payment, wechat_refund
from tests.finance.reconciling.office import at
from tests.finance.statements.shop import MIGRATIONS, SmallShop, opened, order, recorded, recovered
from tests.given import compensated

REQUEST = Request(channel="wechat", first_day="2026-10-04", last_day="2026-10-06")
TRADE = "a" * 64
YTO = "courier/YTO"


def _paid(number: int, fen: int) -> c.CompensationPaid:
    return msgspec.structs.replace(compensated(fen, "cash", f"TB{number}-1", f"P{number}"), payment_ref=f"HB{number}")


def _rows() -> list[Row]:
    """A refund of ours, one of another amount, one that nobody knows, and a payment of a sale."""
    return [
        wechat_refund(1, 500, refund_ref="HB1", occurred_at=at("2026-10-05"), key="wechat-trade:refund:1"),
        wechat_refund(2, 400, refund_ref="HB2", occurred_at=at("2026-10-05"), key="wechat-trade:refund:2"),
        wechat_refund(9, 300, refund_ref="TB9-1:refund:F1", occurred_at=at("2026-10-05"), key="wechat-trade:refund:9"),
        wechat_payment(4, 9_000, occurred_at=at("2026-10-02"), key="wechat-trade:payment:4"),
    ]


async def _reconciled(shop: SmallShop, url: str) -> Sequence[Any]:
    """All that is told and noted of a shop whose money moved on one day."""
    for number in (1, 2):
        shop.tell("2026-10-04", order(f"TB{number}", on="2026-10-04", channel="taobao"), opened(f"TB{number}-1"))
        shop.tell("2026-10-05", _paid(number, 500), recorded(f"TB{number}-1", 500), by="agent/小李")
    await shop.write()
    service = _service(url)
    await _import(service, "wechat", "wechat-trade", _rows())
    reconciler = Reconciler(service)
    made = await reconciler.make(REQUEST)
    assert made == await reconciler.look(REQUEST), "to look changes nothing"
    assert made == await reconciler.make(REQUEST), "nor does a second run"
    told: list[Any] = [made, await service.store.query("SELECT * FROM matched_row ORDER BY row_key")]
    told.append(await totals_of(service.store, "wechat", "2026-10-01", "2026-10-07"))
    for one in made.found:
        billed = await bills_say(service.store, one.channel, one.rows)
        told += [billed, await books_say(service.store, one.order_id, one.events, [row.refund_ref for row in billed])]
    await service.close()
    await shop.store.close()
    return told


def _service(url: str) -> Service[Any]:
    part = Part(FinanceDomain(load_policy()), FinanceViews(), MIGRATIONS, HEARS["finance"])
    return Service(part, url, ManualClock(datetime.fromisoformat("2026-10-12T10:00:00+08:00")))


async def _import(service: Service[Any], channel: str, kind: str, rows: Sequence[Row]) -> None:
    """A bill of the first week, as if it had been taken in."""
    told = BillImported(
        bill=TRADE,
        file_name="trade.csv",
        kind=kind,
        channel=channel,
        merchant="",
        currency="CNY",
        first_day="2026-10-01",
        last_day="2026-10-07",
        rows=len(rows),
        in_fen=sum(max(row.amount_fen, 0) for row in rows),
        out_fen=-sum(min(row.amount_fen, 0) for row in rows),
    )
    await service.files.record(BOOKS, lambda _, __: [told], Origin(Actor("finance", "老钱"), ""))
    said: Mapping[str, Any] = {
        **msgspec.structs.asdict(told),
        "row_count": told.rows,
        "imported_at": "2026-10-08T00:00:00.000000+00:00",
        "imported_by": "finance/老钱",
    }
    statements = (
        Statement(upsert("bill_view", BILLS, 1), [tuple(said[name] for name in BILLS)]),
        Statement(STORE, [values(TRADE, row) for row in rows]),
    )
    await service.appender.submit(Commit(statements=statements))


def test_both_databases_come_to_the_same(tmp_path: Path, postgres: PostgresCluster) -> None:
    """To the byte: what is told, what is noted, the totals of days, and both sides of each discrepancy."""
    postgres.create_database("reconciling")
    url = postgres.url("reconciling")
    on_server = asyncio.run(_reconciled(SmallShop.in_database(url), url))
    here = asyncio.run(_reconciled(SmallShop.in_folder(tmp_path), f"sqlite:///{tmp_path / 'finance.db'}"))
    assert msgspec.json.encode(here) == msgspec.json.encode(on_server)
    made = here[0]
    assert [(one.kind, one.order_id, one.expected_fen, one.found_fen) for one in made.found] == [
        ("amount", "TB2", -500, -400),
        ("missing_with_us", "TB9", 0, -300),
        ("liability_unassigned", "TB1", 0, 500),
        ("liability_unassigned", "TB2", 0, 500),
    ]


def test_statement_of_a_carrier_is_compared_with_what_was_collected(tmp_path: Path) -> None:
    """What YTO says that it paid is beside what was collected from it; no channel's money is in question."""

    async def reconciled() -> Any:
        shop = SmallShop.in_folder(tmp_path)
        shop.tell("2026-10-04", order("TB1", on="2026-10-04"), opened("TB1-1"), recovered("TB1-1", 3_000))
        shop.tell("2026-10-05", _paid(1, 500))
        await shop.write()
        service = _service(f"sqlite:///{tmp_path / 'finance.db'}")
        [said] = await service.store.query("SELECT item FROM postings WHERE account = 'recoverable'")
        row = wechat_payment(
            1, 2_900, channel=YTO, order_ref=said["item"], occurred_at=at("2026-10-04"), key="mapped:1"
        )
        await _import(service, YTO, "mapped", [row])
        done = await Reconciler(service).look(msgspec.structs.replace(REQUEST, channel=YTO))
        await service.close()
        await shop.store.close()
        return done

    done = asyncio.run(reconciled())
    assert [(one.kind, one.expected_fen, one.found_fen, one.case_id) for one in done.found] == [
        ("amount", 3_000, 2_900, "TB1-1")
    ]
