"""What happens in a shop, step by step: who does what in a case, and when."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final

import msgspec

from services.scenarios.api_client import Answer

#: People and systems of the shop, by what they do.
AGENTS: Final = ("agent/小李", "agent/小赵", "agent/小孙")
LEAD: Final = "team_lead/老陈"
MANAGER: Final = "store_manager/王店长"
WAREHOUSE: Final = "warehouse/西仓"
CASHIER: Final = "finance/老钱"
ERP: Final = "service/erp"
INSURER: Final = "service/insurer"
LOGISTICS: Final = "service/logistics"
GATEWAY: Final = "service/gateway"

#: What people do only once other services, or stock, have followed what was done before.
FOLLOWING: Final = frozenset({"confirm_payout", "retry_payout", "close_case", "record_recovery", "ship_reshipment"})

#: Things happen at so many minutes' distance at least, while the shop is open.
TICK: Final = timedelta(minutes=30)
_OPENS, _CLOSES = 9, 22


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One command. `of` is our number of the payment that its money belongs to, where it moves any.

    `paid_as`: the numbers under which somebody paid it at the channel by hand, where they are not ours: several for
    one payout that was split, and the same for several payouts that were paid in one.
    """

    at: datetime
    order_id: str
    case_id: str
    do: str
    by: str
    fields: Mapping[str, Any] = {}
    of: str = ""
    paid_as: Sequence[str] = ()


class NotAsPlanned(Exception):
    """The server refused what the plan says that people do: plan and rules do not fit."""

    def __init__(self, step: Step, answer: Answer) -> None:
        super().__init__(f"{step.at} {step.case_id or step.order_id} {step.do}: {answer.refused} {answer.said('en')}")
        self.step = step


class Writer:
    """Writes down the steps of one case, one after another, as time goes on."""

    def __init__(self, rng: Random, order: Mapping[str, Any], number: int, now: datetime) -> None:
        self.rng = rng
        self.order = order
        self.order_id = str(order["order_id"])
        self.case_id = f"{self.order_id}-{number}"
        self.agent = rng.choice(AGENTS)
        self.now = now
        self.steps: list[Step] = []

    def after(self, shortest_hours: float, longest_hours: float) -> None:
        """Let time pass, to a moment at which the shop is open."""
        hours = self.rng.uniform(shortest_hours, longest_hours)
        self.now = open_at(self.now + timedelta(hours=hours), self.rng)

    def at_midnight(self) -> None:
        """Let time pass until some minutes behind midnight, when systems report what happened before it."""
        day = self.now.replace(hour=0, minute=0, second=0) + timedelta(days=1)
        self.now = day + timedelta(minutes=4)

    def do(self, name: str, by: str = "", *, of: str = "", paid_as: Sequence[str] = (), **fields: Any) -> None:
        """The next step, now."""
        step = Step(
            at=self.now,
            order_id=self.order_id,
            case_id=self.case_id,
            do=name,
            by=by or self.agent,
            fields=fields,
            of=of,
            paid_as=paid_as,
        )
        self.steps.append(step)

    def number(self, prefix: str) -> str:
        """A number of a parcel or payment that no other has."""
        return f"{prefix}{self.case_id.replace('-', '')}{len(self.steps):02d}"


def open_at(moment: datetime, rng: Random) -> datetime:
    """The first tick from a moment on at which the shop is open; some time behind the opening where it was closed."""
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    ticks = -((day - moment) // TICK)
    if ticks < _OPENS * 2:
        ticks = _OPENS * 2 + rng.randrange(4)
    elif ticks >= _CLOSES * 2:
        ticks = (_OPENS + 24) * 2 + rng.randrange(4)
    return day + ticks * TICK
