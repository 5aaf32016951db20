"""A stream of real commands over HTTP.

Each order lives through a plot (`plots.py`) that is drawn from a seed, whatever the others do meanwhile. It knows only
HTTP, and remembers what its senders were told (`line.py`).
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Self

from services.kernel.actor import Actor
from tests.faults.line import Addresses, Answers, Ended, Line, Refused
from tests.faults.patience import PATIENCE_SECONDS
from tests.faults.plots import PLOTS, Plot, Story


class Load:
    """Many senders at once, each living through one order's plot after another.

    `name` goes into order ids, so that several loads may follow one another on one stack. The plot of the n-th order
    depends on `seed` and n only.
    """

    def __init__(
        self,
        addresses: Addresses,
        token: Callable[[Actor], str],
        *,
        seed: int,
        name: str = "L",
        senders: int = 12,
        commands_per_second: float = 30,
        plots: Sequence[Plot] = PLOTS,
    ) -> None:
        self.answers = Answers()
        self._args = (addresses, token, self.answers, commands_per_second)
        self._seed = seed
        self._name = name
        self._senders = senders
        self._plots = plots
        self._orders = 0
        self._running: list[asyncio.Task[None]] = []
        self._line: Line | None = None

    async def __aenter__(self) -> Self:
        self._line = Line(*self._args)
        self._running = [asyncio.create_task(self._live(self._line)) for _ in range(self._senders)]
        return self

    async def __aexit__(self, *_: object) -> None:
        """End it: no new commands, and the last ones are answered or given up."""
        assert self._line
        self._line.end()
        try:
            await asyncio.gather(*self._running)
        finally:
            await self._line.close()

    @property
    def line(self) -> Line:
        """What its senders use, for one more sender; once it has begun."""
        assert self._line
        return self._line

    async def acknowledged(self, more: int, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until so many more commands were acknowledged; raises `TimeoutError`."""
        enough = len(self.answers.acknowledged) + more
        async with asyncio.timeout(seconds):
            while len(self.answers.acknowledged) < enough:
                failed = next((one for one in self._running if one.done() and one.exception()), None)
                if failed:
                    failed.result()
                await asyncio.sleep(0.02)

    async def _live(self, line: Line) -> None:
        while not line.ending.is_set():
            self._orders += 1
            chance = random.Random(f"{self._seed}/{self._name}/{self._orders}")
            plot = chance.choice(self._plots)
            story = Story(line, chance, f"{self._name}{self._orders}")
            try:
                await plot(story)
            except Ended:
                return
            except Refused as refused:
                self.answers.surprises.append(f"{story.order_id} ({plot.__name__}): {refused}")
