"""Rows 1 to 3 of `faults.md`: one of three brokers dies or hangs, whatever it was in charge of."""

from contextlib import AsyncExitStack
from functools import partial

import pytest

from tests.faults import harm
from tests.faults.patience import until
from tests.faults.stage import Stage

CASES = "aftersales.cases.v1"


@pytest.mark.parametrize("what", ["leader", "coordinator"])
async def test_killed_broker_loses_nothing(stage: Stage, what: str) -> None:
    """A broker dies that leads a partition, or that coordinates a consumer group: relays and consumers go on by
    themselves with the other two."""
    if what == "leader":
        victim = await stage.brokers.leader(CASES, 0)
    else:
        victim = await stage.brokers.coordinator("aftersales-liability")
    async with AsyncExitStack() as mended:
        async with stage.load() as load:
            await load.acknowledged(20)
            await mended.enter_async_context(harm.broker_killed(stage, victim))
            await load.acknowledged(60)
        await stage.quiet()  # while it is still gone
    await stage.must_be_sound()


async def test_order_is_kept_when_the_leader_moves(stage: Stage) -> None:
    """A partition's leader hangs, another broker takes over, and the old one comes back: every key keeps its order."""
    old = await stage.brokers.leader(CASES, 0)
    async with stage.load() as load:
        await load.acknowledged(20)
        async with harm.broker_frozen(stage, old):
            await until(partial(_moved, stage, old))
            await load.acknowledged(40)
        await load.acknowledged(30)
    await stage.must_be_sound()


async def _moved(stage: Stage, old: int) -> bool:
    return await stage.brokers.leader(CASES, 0) != old
