"""Plays a plan on a real server with a clock set by hand: every service decides by its own rules, and channels pay."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from services.embedded import Embedded
from services.kernel.actor import Actor
from services.kernel.clock import ManualClock
from services.kernel.long_work import Tell, told_nobody
from services.kernel.settings import load_settings
from services.sample.channel import Channels
from services.sample.steps import FOLLOWING, NotAsPlanned, Step
from services.sample.year import Year
from services.scenarios.api_client import ApiClient

#: Orders that something happens to at the same time.
_AT_ONCE: Final = 16
#: The services that a shop works with day by day; its books are kept when a month is over.
_BUSINESS: Final = ("cases", "refunds", "liability")
#: Nothing may happen by the wall clock.
_NEVER_SECONDS: Final = 86_400.0
#: How long after an order at the most its payment is known.
_PAID_WITHIN: Final = timedelta(minutes=10)


class Shop:
    """A shop at work: the server, its clock, and what the channels paid."""

    def __init__(self, server: Embedded, clock: ManualClock, api: ApiClient, year: Year) -> None:
        self.server = server
        self.year = year
        self.channels = Channels(year.seed)
        self._clock = clock
        self._api = api
        self._channel_of: dict[str, str] = {}
        self._unsettled: set[str] = set()
        self._played = 0

    async def play_until(self, moment: datetime, tell: Tell = told_nobody) -> None:
        """Let everything happen that is planned before a moment, which it is then. Raises `NotAsPlanned`; `tell` is
        told the steps of the whole plan."""
        steps = self.year.steps
        end = next((place for place in range(self._played, len(steps)) if steps[place].at >= moment), len(steps))
        for at, together in groupby(steps[self._played : end], key=lambda step: step.at):
            now = list(together)
            await self._settled_before(now)
            self._clock.set(at)
            await self._play(now)
            self._played += len(now)
            await tell(self._played, len(steps))
        self._unsettled.clear()
        await self.server.set_time(moment)

    async def _settled_before(self, steps: Sequence[Step]) -> None:
        """Have everything followed what was done, where a new day begins or a step needs it: each time costs more than
        ten commands. Within a day, it may so be a little later that services follow."""
        new_day = steps[0].at.date() > self._clock.now().date()
        needed = any(step.do in FOLLOWING and step.order_id in self._unsettled for step in steps)
        if needed or (new_day and self._unsettled):
            await self.server.settle()
            self._unsettled.clear()

    async def _play(self, steps: Sequence[Step]) -> None:
        """What happens at one moment: orders side by side, the steps of each one after another."""
        busy = asyncio.Semaphore(_AT_ONCE)

        async def of_order(own: Sequence[Step]) -> None:
            async with busy:
                for step in own:
                    await self._step(step)
                if any(step.case_id for step in own):  # nothing follows from an order alone
                    self._unsettled.add(own[0].order_id)

        try:
            async with asyncio.TaskGroup() as tasks:
                for _, own in groupby(steps, key=lambda step: step.order_id):
                    tasks.create_task(of_order(list(own)))
        except ExceptionGroup as faults:
            raise faults.exceptions[0] from None

    async def _step(self, step: Step) -> None:
        if step.do == "record_order":
            self._channel_of[step.order_id] = step.fields["channel"]
            answer = await self._api.record_order(step.order_id, dict(step.fields))
        else:
            fields = {**step.fields, **self._proof(step)}
            answer = await self._api.command(Actor.parse(step.by), step.do, step.case_id, fields)
        if answer.refused:
            raise NotAsPlanned(step, answer)
        for event in answer.body["events"]:
            self._money(step, event["type"], event["data"])

    def _proof(self, step: Step) -> Mapping[str, Any]:
        """The channel's number of a payout, as it is told with its success."""
        if step.do != "confirm_payout" or step.fields["status"] != "succeeded":
            return {}
        channel = self._channel_of[step.order_id]
        ref = step.paid_as[0] if step.paid_as else step.fields["payout"]
        return {"channel_ref": self.channels.number(channel, True, step.of, ref)}

    def _money(self, step: Step, type_: str, data: Mapping[str, Any]) -> None:
        """What channels paid so that this could be recorded."""
        channel = self._channel_of[step.order_id]
        match type_:
            case "order.recorded":
                paid_fen = sum(line["paid_fen"] for line in data["order"]["lines"])
                ordered_at = datetime.fromisoformat(step.fields["ordered_at"])
                self.channels.paid_in(channel, step.order_id, paid_fen, ordered_at + _PAID_WITHIN)
            case "buyer.paid" | "deposit.collected":
                self.channels.paid_in(channel, data["payment_ref"], data["amount_fen"], step.at)
            case "compensation.paid" if data["kind"] != "voucher":
                self.channels.paid_back(channel, step.of, data["payment_ref"], data["amount_fen"], step.at)
            case "payout.succeeded" if step.paid_as:
                self.channels.paid_by_hand(channel, step.of, step.paid_as, data["amount_fen"], step.at)
            case "payout.succeeded":
                self.channels.paid_back(channel, step.of, data["payout"], data["amount_fen"], step.at)
            case _:
                pass  # no channel's money


@asynccontextmanager
async def shop_at_work(folder: Path, year: Year) -> AsyncIterator[Shop]:
    """A fresh shop with its data in a folder, at the beginning of a plan."""
    clock = ManualClock(year.begins)
    settings = load_settings({}, data_dir=folder, port=0, clock="manual", ask_every_seconds=_NEVER_SECONDS)
    server = Embedded(settings, clock=clock, only=_BUSINESS)
    await server.start()
    try:
        async with ApiClient(lambda method, path: server.base_url, server.token) as api:
            yield Shop(server, clock, api, year)
    finally:
        await server.stop()


@asynccontextmanager
async def books_at_work(shop: Shop) -> AsyncIterator[Embedded]:
    """The finance service of a shop, once it has heard all that happened so far; to be left before more happens."""
    books = Embedded(shop.server.settings, clock=shop.server.clock, only=("finance",))
    try:
        await books.start()
        await books.settle()
        yield books
        await books.settle()
    finally:
        await books.stop()
