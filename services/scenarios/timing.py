"""When things happen in a scenario: where its clock starts, and the time of each step."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from services.scenarios.format import Scenario

#: Where the clock starts unless the file's own times ask for something else.
USUAL_START: Final = datetime.fromisoformat("2026-10-06T09:00:00+08:00")
#: How long after the latest order the steps begin, at least.
AFTER_ORDERS: Final = timedelta(hours=1)
#: What passes between two steps (domain.md §7: "otherwise a minute passes").
A_MINUTE: Final = timedelta(minutes=1)


def start_of(scenario: Scenario) -> datetime:
    """The time before the first step.

    Late enough for all orders to be there, and early enough that time runs forward, a minute a step, to the
    first time that a step says.
    """
    latest = _latest_order(scenario)
    start = max(USUAL_START, latest + AFTER_ORDERS) if latest else USUAL_START
    for count, step in enumerate(scenario.steps, start=1):
        if step.set_time is not None:
            return min(start, step.set_time - count * A_MINUTE)
    return start


def orders_recorded_at(scenario: Scenario) -> datetime:
    """The time at which the orders are recorded: none of them may speak of the future."""
    return max(filter(None, (start_of(scenario), _latest_order(scenario))))


def step_times(scenario: Scenario) -> Iterator[datetime]:
    """The time of each step: what it says, else a minute after the one before. It may go back."""
    now = start_of(scenario)
    for step in scenario.steps:
        now = step.set_time or now + A_MINUTE
        yield now


def _latest_order(scenario: Scenario) -> datetime | None:
    return max((order.latest for order in scenario.orders if order.latest), default=None)
