"""The event loop that everything that serves runs on."""

from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run it to its end, as `asyncio.run` does. uvloop spares a command about an eighth of the processor time that it
    takes on asyncio's own loop.
    """
    return uvloop.run(main)
