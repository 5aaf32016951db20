"""The stockroom: what is on the shelf, what is reserved, and who waits for what (`domain.md` §3 Stock)."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from contracts.event import Event
from contracts.events import cases as c
from services.kernel.decider import Fact

#: The one stream of the stockroom, beside the streams of orders: no order may have such an id.
STOCK = "~stock"


@dataclass(slots=True, frozen=True)
class Waiting:
    """A reshipment on the tracking list."""

    order_id: str
    case_id: str
    reshipment: str
    items: tuple[c.SkuQuantity, ...]
    ordered_at: datetime


class StockFile:
    """Stock by SKU. An article that nobody ever reported is not tracked: there is plenty of it."""

    def __init__(self) -> None:
        self.available: Counter[str] = Counter()
        self.tracked: set[str] = set()
        self.reserved: dict[tuple[str, str], tuple[c.SkuQuantity, ...]] = {}
        self.waiting: dict[tuple[str, str], Waiting] = {}

    def fits(self, items: tuple[c.SkuQuantity, ...]) -> bool:
        """Whether all of it can be reserved now."""
        return all(item.sku not in self.tracked or self.available[item.sku] >= item.quantity for item in items)

    def knows(self, case_id: str, reshipment: str) -> bool:
        """Whether the reshipment holds stock or waits for it."""
        return (case_id, reshipment) in self.reserved or (case_id, reshipment) in self.waiting

    def counted(self, items: tuple[c.SkuQuantity, ...]) -> tuple[c.SkuQuantity, ...]:
        """The part of it that is kept count of."""
        return tuple(item for item in items if item.sku in self.tracked)

    def evolve(self, fact: Fact) -> None:
        event = fact.event
        if isinstance(event, c.StockReported):
            self.tracked.add(event.sku)
            self.available[event.sku] += event.quantity
        elif isinstance(event, c.StockReserved):
            self.waiting.pop((event.case_id, event.reshipment), None)
            self.reserved[event.case_id, event.reshipment] = event.items
            self._move(event.items, -1)
        elif isinstance(event, c.StockAwaited):
            self.waiting[event.case_id, event.reshipment] = Waiting(
                event.order_id, event.case_id, event.reshipment, event.items, event.ordered_at
            )
        elif isinstance(event, c.StockFreed):
            self.waiting.pop((event.case_id, event.reshipment), None)
            self._move(self.reserved.pop((event.case_id, event.reshipment), ()), +1)

    def _move(self, items: tuple[c.SkuQuantity, ...], sign: int) -> None:
        for item in items:
            self.available[item.sku] += sign * item.quantity

    def next_release(self) -> list[Event]:
        """The first ordered reshipment that fits now; one that does not fit holds nobody up."""
        for one in sorted(self.waiting.values(), key=lambda one: one.ordered_at):
            if self.fits(one.items):
                return [
                    c.StockReserved(
                        case_id=one.case_id,
                        order_id=one.order_id,
                        reshipment=one.reshipment,
                        items=self.counted(one.items),
                    )
                ]
        return []


def needed(items: tuple[c.ReshipmentItem, ...]) -> tuple[c.SkuQuantity, ...]:
    """What a reshipment takes from the shelf, by SKU."""
    units: Counter[str] = Counter()
    for item in items:
        units[item.sku] += item.quantity
    return tuple(c.SkuQuantity(sku=sku, quantity=quantity) for sku, quantity in units.items())
