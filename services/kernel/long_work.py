"""Work that takes long: it tells how far it is, and whoever started it may hold it up or call it off there."""

from typing import Protocol


class CalledOff(Exception):
    """Whoever started the work does not want it any more. What is done stays; nothing is half done."""


class Tell(Protocol):
    """What long work is given, to be awaited after each page of it."""

    async def __call__(self, done: int, total: int) -> None:
        """So many of so many units are done; `total` may grow. Returns when the work may go on, which may be later;
        raises `CalledOff`."""


async def told_nobody(done: int, total: int) -> None:
    """For work that nobody watches."""
