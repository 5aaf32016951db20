"""Shops that were played, and what their ledgers and logs say."""

from collections.abc import Sequence
from pathlib import Path

from contracts.policy import load_policy
from services.cli.month_end import ClosedMonth, accountants, close_month, found_out
from services.finance.ledger.accounts import external_parties
from services.finance.ledger.ledger import OrderLedger, orders
from services.histories import Logs
from services.kernel.event_store import EventStore
from services.kernel.long_work import told_nobody
from services.sample.channel import Movement
from services.sample.faults import Deliveries, Delivery
from services.sample.finding import Outcome, Refused
from services.sample.playing import Shop, shop_at_work
from services.sample.year import SETTLED_AFTER, Month, Planted, Year, planned

FIRST = Month(2026, 1)


class Played:
    """What is left of a shop once its plan was played: events by order, the ledger, movements and bills, and what
    finance found in them."""

    def __init__(self, year: Year) -> None:
        self.year = year
        self.folder = Path()
        self.events: dict[str, list[tuple[str, str, str]]] = {}
        self.ledger: list[OrderLedger] = []
        self.movements: Sequence[Movement] = []
        self.deliveries: list[Delivery] = []
        self.closed: list[ClosedMonth] = []
        self.refused: list[Refused] = []
        self.outcome = Outcome()

    @property
    def planted(self) -> Sequence[Planted]:
        """Every fault."""
        return [*self.year.planted, *(one for delivery in self.deliveries for one in delivery.planted)]


async def played(folder: Path, year: Year, each: int, *, books: bool = False) -> Played:
    """Play a plan, and have the bills written of each month when it is over; with `books`, have it closed too."""
    result = Played(year)
    result.folder = folder / "data"
    async with shop_at_work(folder / "data", year) as shop:
        deliveries = Deliveries(year, shop.channels, each)
        for month in year.months:
            await shop.play_until(month.end + SETTLED_AFTER)
            result.deliveries.append(delivery := deliveries.of(month))
            if books:
                async with accountants(shop) as both:
                    closed = await close_month(both, delivery, folder / "bills", result.refused, told_nobody)
                result.closed.append(closed)
        if books:
            async with accountants(shop) as both:
                result.outcome = await found_out(both.maker, result.planted, result.refused)
        stores = stores_of(shop)
        logs = Logs(stores["cases"], stores["refunds"], stores["liability"])
        result.ledger = [order async for order in orders(logs, external_parties(load_policy()))]
        for source, store in stores.items():
            for head in await store.streams():
                told = [
                    (record.type, record.time.isoformat(), record.actor)
                    for record in await store.read_stream(head.stream)
                    if record.source == source
                ]
                result.events[f"{source} {head.stream}"] = told
        result.movements = shop.channels.movements
    return result


def stores_of(shop: Shop) -> dict[str, EventStore]:
    """The databases of the services that make money move."""
    running = shop.server._running
    return {name: running[name].service.store for name in ("cases", "refunds", "liability")}


def a_season(seed: int = 11, orders: int = 72, months: int = 2, faults: int = 1) -> Year:
    """A plan that is quick to play, where nearly every order has a case."""
    return planned(seed, orders, FIRST, months, faults=faults, orders_per_case=1)
