"""Loads a shop in the middle of its work into an empty installation, over its HTTP API and with its own clock."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import count
from typing import Any, Final

import aiohttp
import msgspec
from yarl import URL

from services.kernel.actor import Actor
from services.kernel.long_work import Tell, told_nobody
from services.sample.channel import Channels
from services.sample.first_day import SOLD_OUT, first_day
from services.sample.steps import ERP, FOLLOWING, NotAsPlanned, Step
from services.scenarios.api_client import Answer, ApiClient

#: Who looks whether there are orders.
_LOOKS: Final = Actor("store_manager", "sample")
#: Orders that something happens to at the same time.
_AT_ONCE: Final = 4
#: How long, and how often, a step is tried that other services have to follow first.
FOLLOWED_SECONDS: Final = 30.0
_PAUSE_SECONDS: Final = 0.1


class AlreadyInUse(Exception):
    """The installation has orders: made-up ones are not mixed with them."""


class Loaded(msgspec.Struct, frozen=True):
    """What was loaded."""

    orders: int
    cases: int
    steps: int


async def load(
    base_url: str,
    token_of: Callable[[Actor], str],
    now: datetime,
    *,
    seed: int = 1,
    person: str = "",
    progress: Tell = told_nobody,
) -> Loaded:
    """Play the first day. `now` is the server's time, `person` who is to have some of the cases.

    Steps that other services have to follow are tried until they did. Raises `AlreadyInUse` before anything is done,
    `NotAsPlanned` where the rules in force refuse a step (what was played stays), and what `progress` raises to call
    it off.
    """
    if await has_orders(base_url, token_of):
        raise AlreadyInUse
    orders = first_day(now, seed=seed, person=person)
    told = _Told(progress, sum(len(one.steps) for one in orders))
    busy = asyncio.Semaphore(_AT_ONCE)
    async with ApiClient(lambda *_: base_url, token_of) as api:
        await api.command(Actor.parse(ERP), "report_stock", "", {"sku": SOLD_OUT, "quantity": 0})

        async def of_order(steps: Sequence[Step]) -> None:
            async with busy:
                for step in steps:
                    await _take(api, step, steps[0].fields["channel"], Channels(seed))
                    await told.one()

        try:
            async with asyncio.TaskGroup() as tasks:
                for one in orders:
                    tasks.create_task(of_order(one.steps))
        except ExceptionGroup as faults:
            raise faults.exceptions[0] from None
    return Loaded(len(orders), sum(one.scene is not None for one in orders), told.done)


async def has_orders(base_url: str, token_of: Callable[[Actor], str]) -> bool:
    """Whether the installation knows any order. Raises `aiohttp.ClientError` where it does not answer."""
    headers = {"Authorization": f"Bearer {token_of(_LOOKS)}"}
    url = URL(base_url).joinpath("v1", "events", "cases").with_query(type="order.recorded", limit="1")
    async with (
        aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=30)) as session,
        session.get(url, raise_for_status=True) as response,
    ):
        page = msgspec.json.decode(await response.read())
    return bool(page["items"])


class _Told:
    """How many steps are done, of how many."""

    def __init__(self, tell: Tell, total: int) -> None:
        self._tell = tell
        self._total = total
        self.done = 0

    async def one(self) -> None:
        """One more."""
        self.done += 1
        await self._tell(self.done, self._total)


async def _take(api: ApiClient, step: Step, channel: str, channels: Channels) -> None:
    """Take a step, once whatever it needs has come about."""
    if step.do == "record_order":
        _must(step, await api.record_order(step.order_id, dict(step.fields)))
        return
    fields = {**step.fields, **_proof(step, channel, channels)}
    tries = int(FOLLOWED_SECONDS / _PAUSE_SECONDS) if step.do in FOLLOWING else 1
    for tried in count(1):
        answer = await api.command(Actor.parse(step.by), step.do, step.case_id, fields)
        if not answer.refused or tried == tries:
            break
        await asyncio.sleep(_PAUSE_SECONDS)
    _must(step, answer)


def _must(step: Step, answer: Answer) -> None:
    if answer.refused:
        raise NotAsPlanned(step, answer)


def _proof(step: Step, channel: str, channels: Channels) -> Mapping[str, Any]:
    """The channel's number of a payout that succeeded."""
    if step.do != "confirm_payout" or step.fields["status"] != "succeeded":
        return {}
    ref = step.paid_as[0] if step.paid_as else step.fields["payout"]
    return {"channel_ref": channels.number(channel, True, step.of, ref)}
