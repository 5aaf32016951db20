"""Work that takes long: it tells how far it is, and whoever started it may hold it up or call it off there."""

import os
from typing import Protocol

NICENESS = 10
"""How far processes of long work stand back. Measured on two cores with 16 clients on SQLite: a service kept six tenths
of its commands a second beside a rebuild that stood on its rights, and nearly all beside one that did not."""


class CalledOff(Exception):
    """Whoever started the work does not want it any more. What is done stays; nothing is half done."""


class Tell(Protocol):
    """What long work is given, to be awaited after each page of it."""

    async def __call__(self, done: int, total: int) -> None:
        """So many of so many units are done; `total` may grow. Returns when the work may go on, which may be later;
        raises `CalledOff`."""


async def told_nobody(done: int, total: int) -> None:
    """For work that nobody watches."""


def give_way() -> None:
    """Have this process, and those that it begins from now on, leave the processors to others who want them."""
    os.setpriority(os.PRIO_PROCESS, 0, max(NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))
