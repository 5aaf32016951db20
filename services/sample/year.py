"""The plan of a shop's year, or of some months, from a seed: orders and the steps of their cases, in order of time."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from random import Random
from typing import Any, Final

import msgspec

from contracts.policy import Text
from services.kernel.shop_time import SHOP_TIME
from services.sample.steps import ERP, TICK, Step, Writer, open_at
from services.sample.stories import (
    USUAL,
    Story,
    insured_too_late,
    never_assessed,
    paid_twice,
)

#: How long after a month its events and bills are whole: what happened at its last midnight is known by then.
SETTLED_AFTER: Final = timedelta(days=2)
#: Locks by article: what a buyer pays and what one costs, in fen.
_LOCKS: Final = (("LOCK-A1", 129_900, 60_000), ("LOCK-B2", 89_900, 41_000), ("LOCK-C3", 219_900, 98_000))
_CHANNELS: Final = ("wechat", "wechat", "wechat", "alipay", "alipay")
_CARRIERS: Final = ("YTO", "YTO", "ZTO", "JD")
#: Shops sell more in some months: 618 and Double 11.
_SEASON: Final = {6: 1.6, 11: 2.0, 12: 1.2, 2: 0.6}
#: Out of so many orders one has a case, unless said.
ORDERS_PER_CASE: Final = 3
#: The hour at which the ERP hands over the orders of a day.
_EXPORTED_AT: Final = 22
#: Orders are delivered, and complained of, within so many days.
_COMPLAINED_DAYS: Final = 9

#: Faults that people make, by their kind: they are stories of their own.
FAULTY: Final[Mapping[str, tuple[Story, Text]]] = {
    "insurance_not_deducted": (
        insured_too_late,
        Text(zh="运费已返还,保险随后才赔付", en="the insurer paid after the freight was reimbursed"),
    ),
    "compensation_paid_twice": (
        paid_twice,
        Text(zh="同一笔补偿登记了两次", en="one payment of compensation was entered twice"),
    ),
    "liability_unassigned": (
        never_assessed,
        Text(zh="已付补偿,一直没有定责", en="compensation was paid, and nobody said who bears it"),
    ),
}


class Month(msgspec.Struct, frozen=True, order=True):
    """A month of the shop's."""

    year: int
    month: int

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"

    @property
    def first(self) -> datetime:
        """Its first moment."""
        return datetime(self.year, self.month, 1, tzinfo=SHOP_TIME)

    @property
    def end(self) -> datetime:
        """The first moment behind it."""
        return self.next.first

    @property
    def next(self) -> "Month":
        """The month behind it."""
        return Month(self.year + self.month // 12, self.month % 12 + 1)

    @property
    def days(self) -> Sequence[date]:
        """Its days."""
        return [self.first.date() + timedelta(days=day) for day in range((self.end - self.first).days)]


class Planted(msgspec.Struct, frozen=True, kw_only=True):
    """A fault that was planted on purpose, so that it must be found: in a case, on a bill or a whole file."""

    kind: str
    month: str
    channel: str = ""
    order_id: str = ""
    case_id: str = ""
    ref: str = ""
    """Our number of the movement, or the channel's where we have none."""
    file: str = ""
    tells: Text
    """What was done."""


class Year(msgspec.Struct, frozen=True, kw_only=True):
    """What is to happen: steps in order of time, and the faults that people make among them."""

    seed: int
    months: Sequence[Month]
    steps: Sequence[Step]
    planted: Sequence[Planted]
    orders: int
    cases: int

    @property
    def begins(self) -> datetime:
        """Its first moment."""
        return self.months[0].first

    @property
    def ends(self) -> datetime:
        """When everything of its last month is known."""
        return self.months[-1].end + SETTLED_AFTER


def planned(
    seed: int, orders: int, first: Month, months: int = 12, *, faults: int = 0, orders_per_case: int = ORDERS_PER_CASE
) -> Year:
    """A plan with so many orders, and so many faults of each kind that people make. The same seed gives the same."""
    return _Planner(seed, first, months, orders_per_case).plan(orders, faults)


class _Planner:
    def __init__(self, seed: int, first: Month, months: int, orders_per_case: int) -> None:
        self._seed = seed
        self._orders_per_case = orders_per_case
        self._rng = Random(f"year {seed}")
        self._months = [first]
        while len(self._months) < months:
            self._months.append(self._months[-1].next)
        self._steps: list[Step] = []
        self._planted: list[Planted] = []
        self._orders = self._cases = 0

    def plan(self, orders: int, faults: int) -> Year:
        usual = orders - faults * len(FAULTY)
        for place, month in enumerate(self._months):
            for _ in range(self._share(usual, place)):
                self._order(self._moment(month))
        for number, kind in enumerate(kind for kind in FAULTY for _ in range(faults)):
            # In the first days, so that it comes about within its month.
            self._faulty(kind, self._months[number % len(self._months)])
        last = self._months[-1].end + SETTLED_AFTER
        steps = [msgspec.structs.replace(step, at=self._jittered(step.at)) for step in self._steps if step.at < last]
        steps.sort(key=lambda step: (step.at, step.order_id))  # a sort keeps the order of what one does at once
        return Year(
            seed=self._seed,
            months=self._months,
            steps=steps,
            planted=self._planted,
            orders=self._orders,
            cases=self._cases,
        )

    def _share(self, orders: int, place: int) -> int:
        """How many of the orders come in a month, so that all together are as many as were asked for."""
        weights = [_SEASON.get(month.month, 1.0) for month in self._months]
        before, upto = sum(weights[:place]), sum(weights[: place + 1])
        return round(orders * upto / sum(weights)) - round(orders * before / sum(weights))

    def _moment(self, month: Month, days: int = 0) -> datetime:
        """Some moment of a month, or of its first days, at which the shop is open."""
        first = month.first + timedelta(days=self._rng.randrange(days or len(month.days)))
        return open_at(first + timedelta(hours=self._rng.uniform(9, 21.5)), self._rng)

    def _jittered(self, at: datetime) -> datetime:
        """A time of day as clocks show it, instead of half hours; what systems report at midnight stays there."""
        if at.hour == 0:
            return at
        return at + timedelta(seconds=Random(f"{self._seed} {at}").randrange(int(TICK.total_seconds()) - 60))

    def _order(self, at: datetime) -> None:
        rng = self._rng
        story: Story | None = None
        if rng.randrange(self._orders_per_case) == 0:
            story = rng.choices(list(USUAL), list(USUAL.values()))[0]
        order = self._recorded(at, has_service=rng.random() < 0.5 or story is not None)
        if story is not None:
            self._case(order, at, story, rng.uniform(2, _COMPLAINED_DAYS))

    def _faulty(self, kind: str, month: Month) -> None:
        story, tells = FAULTY[kind]
        at = self._moment(month, 4)
        order = self._recorded(at, has_service=True, insured=True)
        written = self._case(order, at, story, 1.5)
        self._planted.append(
            Planted(
                kind=kind,
                month=f"{written.steps[-1].at:%Y-%m}",
                channel=order["channel"],
                order_id=written.order_id,
                case_id=written.case_id,
                tells=tells,
            )
        )

    def _case(self, order: Mapping[str, Any], at: datetime, story: Story, days: float) -> Writer:
        opened = open_at(at + timedelta(days=days), self._rng)
        writer = Writer(Random(f"case {self._seed} {order['order_id']}"), order, 1, opened)
        story(writer)
        self._steps += writer.steps
        self._cases += 1
        return writer

    def _recorded(self, at: datetime, *, has_service: bool, insured: bool | None = None) -> Mapping[str, Any]:
        """An order, recorded in the evening."""
        rng = self._rng
        self._orders += 1
        sku, price_fen, cost_fen = rng.choice(_LOCKS)
        quantity = 2 if rng.random() < 0.08 else 1
        paid_fen = (price_fen - rng.choice((0, 0, 1_000, 3_000, 5_001))) * quantity
        lines = [_line("L1", sku, "product", quantity, paid_fen, cost_fen)]
        if has_service:
            lines.append(_line("S1", "INSTALL", "service", 1, rng.choice((9_900, 12_800)), 0))
        order: dict[str, Any] = {
            "order_id": f"TB{at:%y%m%d}{self._orders:05d}",
            "channel": rng.choice(_CHANNELS),
            "buyer_id": f"buyer-{rng.randrange(10**6):06d}",
            "ordered_at": self._jittered(at).isoformat(),
            "warranty_months": 12,
            "carrier": rng.choice(_CARRIERS),
            "people": {"customer_service": rng.choice(("小李", "小赵")), "operations": "小运"},
            "lines": lines,
        }
        if rng.random() < 0.5 if insured is None else insured:
            order["freight_insurance"] = {"payer": "merchant", "cover_fen": 2_500}
        told_at = at.replace(hour=_EXPORTED_AT, minute=0)
        step = Step(at=told_at, order_id=order["order_id"], case_id="", do="record_order", by=ERP, fields=order)
        self._steps.append(step)
        return order


def _line(line_id: str, sku: str, kind: str, quantity: int, paid_fen: int, unit_cost_fen: int) -> dict[str, Any]:
    return {
        "line_id": line_id,
        "sku": sku,
        "kind": kind,
        "quantity": quantity,
        "paid_fen": paid_fen,
        "unit_cost_fen": unit_cost_fen,
    }
