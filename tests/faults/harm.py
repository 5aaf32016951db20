"""Harm that is done to a stage, each kind for a while: on leaving the block it is mended."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.faults.points import Doom
from tests.faults.stage import Stage


@asynccontextmanager
async def broker_killed(stage: Stage, broker: int) -> AsyncIterator[None]:
    """A broker is gone (`kill -9`)."""
    await asyncio.to_thread(stage.stack.kafka.kill, broker)
    try:
        yield
    finally:
        await asyncio.to_thread(stage.stack.kafka.restart, broker)
        await stage.brokers.in_step()


@asynccontextmanager
async def broker_frozen(stage: Stage, broker: int) -> AsyncIterator[None]:
    """A broker hangs; its connections stay open."""
    stage.stack.kafka.freeze(broker)
    try:
        yield
    finally:
        stage.stack.kafka.thaw(broker)
        await stage.brokers.in_step()


@asynccontextmanager
async def database_killed(stage: Stage) -> AsyncIterator[None]:
    """The database server is gone (`kill -9`)."""
    await asyncio.to_thread(stage.stack.postgres.kill)
    try:
        yield
    finally:
        await asyncio.to_thread(stage.stack.postgres.start)


@asynccontextmanager
async def process_killed(stage: Stage, name: str) -> AsyncIterator[None]:
    """A process is gone (`kill -9`)."""
    stage.process(name).kill()
    try:
        yield
    finally:
        await stage.process(name).start()


@asynccontextmanager
async def process_frozen(stage: Stage, name: str) -> AsyncIterator[None]:
    """A process hangs; its connections stay open."""
    stage.process(name).freeze()
    try:
        yield
    finally:
        stage.process(name).thaw()


@asynccontextmanager
async def process_doomed(stage: Stage, name: str, fate: Doom) -> AsyncIterator[None]:
    """A process ends at a point, as soon as it gets there."""
    await stage.process(name).stop()
    doomed = await stage.begin(name, fate)
    try:
        yield
    finally:
        assert doomed.alive or doomed.exit_status == -signal.SIGKILL, doomed.log[-3000:]
        await stage.end(name)


@asynccontextmanager
async def one_more(stage: Stage, name: str) -> AsyncIterator[None]:
    """There is one more process of a kind."""
    await stage.begin(f"{name}-2")
    try:
        yield
    finally:
        await stage.end(f"{name}-2")
