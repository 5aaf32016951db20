"""The books of a small shop: what happened in its orders is told event by event, and written into the real tables."""

from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

from contracts.event import CaseEvent, Event, type_of
from contracts.events import cases as c
from contracts.events import liability as li
from contracts.events import refunds as r
from contracts.events.finance import CorrectionApproved, CorrectionProposed, Leg
from contracts.events.orders import Line, Order, OrderRecorded
from contracts.policy import load_policy
from contracts.registry import EVENTS_BY_SOURCE, decode
from services import finance
from services.finance.domain.books import Books
from services.finance.domain.order import OrderBooks
from services.finance.ledger.accounts import external_parties
from services.finance.statements.scope import AsAt, Scope, scope_of
from services.finance.views import FinanceViews
from services.kernel.event_store import Checkpoint, Commit, EventStore, Statement
from services.kernel.migrations import migrate
from services.kernel.naming import order_of
from services.kernel.stores import open_store
from services.kernel.views import Projector, upsert, values
from tests.given import Told

MIGRATIONS = Path(finance.__file__).parent / "migrations"
NOW = datetime.fromisoformat("2026-12-10T12:00:00+08:00")
EXTERNAL = external_parties(load_policy())


class SmallShop:
    """Orders of a shop. `position` counts as the log of finance does."""

    def __init__(self, store: EventStore) -> None:
        self.store = store
        self.position = 0
        self._views = FinanceViews()
        self._orders: dict[str, OrderBooks] = {}
        self._books = Books()
        self._told: dict[OrderBooks | Books, dict[str, int]] = defaultdict(dict)
        self._subjects: dict[OrderBooks | Books, set[str]] = defaultdict(set)

    @classmethod
    def in_folder(cls, folder: Path) -> "SmallShop":
        """With a database of its own."""
        return cls.in_database(f"sqlite:///{folder / 'finance.db'}")

    @classmethod
    def in_database(cls, url: str) -> "SmallShop":
        """With a database that is empty."""
        migrate(url, MIGRATIONS)
        return cls(open_store(url, decode))

    def tell(self, day: str, *events: Event, by: str = "system/cases") -> None:
        """Something happened at noon of a day, or at a time with its offset."""
        for event in events:
            order_id = order_of(event.case_id) if isinstance(event, CaseEvent) else event.subject
            file = self._orders.setdefault(order_id, OrderBooks(order_id, EXTERNAL))
            self._take(file, event, day, by)

    def correct(self, day: str, *legs: Leg) -> None:
        """A correction was proposed and approved."""
        number = f"K{self.position}"
        proposed = CorrectionProposed(correction=number, reason="写错", legs=legs)
        self._take(self._books, proposed, day, "finance/甲")
        approved = CorrectionApproved(correction=number, reason="写错", legs=legs)
        self._take(self._books, approved, day, "finance/乙")

    def _take(self, file: OrderBooks | Books, event: Event, day: str, by: str) -> None:
        self.position += 1
        moment = datetime.fromisoformat(day if "T" in day else f"{day}T12:00:00+08:00")
        source = next((name for name, own in EVENTS_BY_SOURCE.items() if type_of(event) in own), "")
        fact = Told(event, moment, by, f"E{self.position:04}", source)
        file.evolve(fact)
        self._told[file][fact.id] = self.position
        self._subjects[file].add(event.subject)

    async def close_month(self, month: str) -> None:
        """A month is closed where the books stand."""
        columns = self._views.tables["period_view"]
        row = {**dict.fromkeys(columns, ""), "month": month, "position": self.position, "postings": 0, "late": 0}
        statement = Statement(upsert("period_view", columns, 1), values([row], columns))
        await self._commit(Commit(statements=(statement,)))

    async def write(self) -> None:
        """Write the rows of everything that was told."""
        statements = [
            Statement(upsert(table, self._views.tables[table], self._views.keys[table]), rows)
            for file, told in self._told.items()
            for found in (self._views.rows(file, self._subjects[file]), self._views.event_rows(file, told))
            for table, some in found.items()
            if (rows := values(some, self._views.tables[table]))
        ]
        checkpoint = Checkpoint(Projector.name, "finance", self.position)
        await self._commit(Commit(statements=tuple(statements), checkpoint=(checkpoint,)))

    async def _commit(self, commit: Commit) -> None:
        [result] = await self.store.commit([commit])
        assert not isinstance(result, Exception), result

    async def scope(self, month: str = "", now: datetime = NOW) -> Scope:
        """A month, or all time, as the books stand."""
        return await scope_of(self.store, month, AsAt(self.position, now))

    async def held(self, *accounts: str, party: str = "", condition: str = "1 = 1") -> int:
        """What accounts hold, as the ledger has it."""
        named = ", ".join(f"'{account}'" for account in accounts)
        of_party = f" AND party = '{party}'" if party else ""
        sql = f"SELECT COALESCE(SUM(amount_fen), 0) AS fen FROM postings p WHERE account IN ({named}){of_party}"
        [row] = await self.store.query(f"{sql} AND {condition}")
        return int(row["fen"])


def order(order_id: str, *skus: str, on: str = "2026-10-01", carrier: str = "YTO", channel: str = "taobao") -> Event:
    """An order of one lock for 1 299 yuan of each article."""
    lines = tuple(
        Line(line_id=f"L{place}", sku=sku, kind="product", quantity=1, paid_fen=129_900, unit_cost_fen=60_000)
        for place, sku in enumerate(skus or ("LOCK-A1",), start=1)
    )
    placed = datetime.fromisoformat(f"{on}T09:00:00+08:00")
    return OrderRecorded(
        order=Order(order_id=order_id, channel=channel, buyer_id="b1", ordered_at=placed, lines=lines, carrier=carrier)
    )


def opened(case_id: str, problem: str = "logistics_delay", lines: int = 1) -> c.CaseOpened:
    """A case about the first lines of an order."""
    return c.CaseOpened(
        case_id=case_id,
        order_id=order_of(case_id),
        problem=problem,
        lines=tuple(c.LineQuantity(line_id=f"L{place}", quantity=1) for place in range(1, lines + 1)),
        description="sealed:…",
    )


def assessed(case_id: str, cause: str = "transit_damage", party: str = "courier/YTO") -> c.CauseAssessed:
    """Why it happened."""
    return c.CauseAssessed(
        case_id=case_id,
        cause=cause,
        party=party,
        freight_borne_by="merchant",
        in_warranty=True,
        human_caused=False,
        affects_use=False,
    )


def paid(case_id: str, amount_fen: int, kind: str = "cash", by: str = "agent/小李") -> tuple[Event, Event]:
    """Compensation that somebody proposed, and that was paid."""
    given: dict[str, Any] = {
        "case_id": case_id,
        "proposal": "P1",
        "kind": kind,
        "amount_fen": amount_fen,
        "allocation": (),
    }
    return c.CompensationProposed(**given, proposed_by=by), c.CompensationPaid(**given, payment_ref="ALI-1")


def recorded(case_id: str, amount_fen: int, entry: str = "cash") -> li.LossRecorded:
    """A loss."""
    return li.LossRecorded(case_id=case_id, entry=entry, amount_fen=amount_fen, cause_id="E0001")


def charged(case_id: str, amount_fen: int, party: str = "courier/YTO") -> li.LossCharged:
    """A party bears more."""
    return li.LossCharged(case_id=case_id, party=party, amount_fen=amount_fen)


def reversed_(case_id: str, amount_fen: int, party: str = "courier/YTO") -> li.LossReversed:
    """A party bears less."""
    return li.LossReversed(case_id=case_id, party=party, amount_fen=amount_fen)


def recovered(case_id: str, amount_fen: int, party: str = "courier/YTO") -> li.LossRecovered:
    """A party paid."""
    return li.LossRecovered(case_id=case_id, party=party, amount_fen=amount_fen, payment_ref="CLAIM-1")


def settled(case_id: str, *lines: str, deducted_fen: int = 0) -> r.RefundSettled:
    """The whole of some lines was refunded; compensation is taken back from the first."""
    told = tuple(
        r.RefundedLine(
            line_id=line,
            quantity=1,
            kind="product",
            unit_cost_fen=60_000,
            goods_fen=129_900,
            compensation_deducted_fen=0 if place else deducted_fen,
            price_difference_deducted_fen=0,
            refund_fen=129_900 - (0 if place else deducted_fen),
        )
        for place, line in enumerate(lines)
    )
    deductions = (
        [r.Deduction(case_id=case_id, proposal="P1", line_id=lines[0], kind="cash", amount_fen=deducted_fen)]
        if deducted_fen
        else []
    )
    refund_fen = sum(line.refund_fen for line in told)
    return r.RefundSettled(
        case_id=case_id, refund="F1", refund_fen=refund_fen, lines=told, deductions=tuple(deductions)
    )
