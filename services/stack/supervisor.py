"""Starts again whatever of a stack ends by itself, as a supervisor of a real installation does."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, NamedTuple

from services.stack.kafka import BrokerFailed
from services.stack.postgres import ServerFailed
from services.stack.processes import ProcessFailed, ServiceProcess
from services.stack.stack import Stack, Tell

#: Pauses before something is started again, in seconds; the last one is repeated.
PAUSES_SECONDS: Final = (0.5, 1.0, 2.0, 5.0, 15.0)
#: What has run for so long gets the first pause again, in seconds.
STEADY_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.2


class Watched(NamedTuple):
    """Something that runs: its name, whether it still does, how it ended, and how it is started again."""

    name: str
    alive: Callable[[], bool]
    ended: Callable[[], str]
    start: Callable[[], Awaitable[None]]


class Supervisor:
    """Watches every process of a stack that has started."""

    def __init__(self, stack: Stack, tell: Tell) -> None:
        self._stack = stack
        self._tell = tell

    async def run(self) -> None:
        """Watch, for ever."""
        async with asyncio.TaskGroup() as tasks:
            for one in self._watched():
                tasks.create_task(self._watch(one))

    def _watched(self) -> list[Watched]:
        stack, postgres, kafka = self._stack, self._stack.postgres, self._stack.kafka
        return [
            Watched(
                "PostgreSQL", lambda: postgres.pid is not None, lambda: "", partial(asyncio.to_thread, postgres.start)
            ),
            *(
                Watched(
                    f"Kafka {broker}",
                    partial(lambda broker: kafka.pid(broker) is not None, broker),
                    lambda: "",
                    partial(asyncio.to_thread, kafka.restart, broker),
                )
                for broker in range(len(kafka))
            ),
            *(
                Watched(name, partial(_lives, one), partial(_ended, one), partial(self._started, one))
                for name, one in stack.fleet.processes.items()
            ),
        ]

    async def _started(self, process: ServiceProcess) -> None:
        await process.start()
        self._stack.write_file()

    async def _watch(self, one: Watched) -> None:
        failures, since = 0, time.monotonic()
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if one.alive():
                continue
            ended = one.ended()
            self._tell(f"{one.name} 已退出{ended},正在重新启动", f"{one.name} died{ended}, starting again")
            failures = 1 if time.monotonic() - since > STEADY_SECONDS else failures + 1
            failures = await self._start_again(one, failures)
            since = time.monotonic()

    async def _start_again(self, one: Watched, failures: int) -> int:
        """Try until it runs; gives the failures in a row by then."""
        while not one.alive():
            await asyncio.sleep(_pause(failures))
            try:
                await one.start()
            except (ProcessFailed, ServerFailed, BrokerFailed) as error:
                failures += 1
                pause = f"{_pause(failures):g}"
                self._tell(
                    f"{one.name} 没能重新启动,{pause} 秒后再试:{error}",
                    f"{one.name} did not start again; next try in {pause} s: {error}",
                )
            else:
                break  # if it has died again by now, that is another death
        return failures


def _pause(failures: int) -> float:
    """How long it is waited before that many starts in a row, in seconds."""
    return PAUSES_SECONDS[min(failures, len(PAUSES_SECONDS)) - 1]


def _lives(process: ServiceProcess) -> bool:
    return process.alive


def _ended(process: ServiceProcess) -> str:
    return f" ({process.exit_status}, {process.log_file})"
