"""Waiting for what must happen in time."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import ParamSpec, TypeVar

from aiokafka.errors import KafkaError

#: How long what must happen may take, in seconds. It ends a test that hangs, and is not to be met by one that is slow:
#: what happens is waited for no longer than it takes.
PATIENCE_SECONDS = 120.0

_LOOK_SECONDS = 0.05

P = ParamSpec("P")
T = TypeVar("T")


def patient(ask: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """Ask brokers again for a while where one does not answer: who is gone is still named by the others for seconds."""

    @wraps(ask)
    async def asked(*given: P.args, **named: P.kwargs) -> T:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return await ask(*given, **named)
            except (KafkaError, OSError):
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(_LOOK_SECONDS)

    return asked


async def until(happened: Callable[[], bool | Awaitable[bool]], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until it has happened; raises `TimeoutError` naming what did not."""
    deadline = time.monotonic() + seconds
    while True:
        found = happened()
        if await found if inspect.isawaitable(found) else found:
            return
        if time.monotonic() > deadline:
            what = happened if isinstance(happened, partial) else inspect.getsource(happened).strip()
            raise TimeoutError(f"this did not happen within {seconds:.0f} s: {what}")
        await asyncio.sleep(_LOOK_SECONDS)
