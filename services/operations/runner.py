"""Operations in the background of a process that answers requests: each in a process of its own.

Walking a long log takes a processor for itself. In a thread it would share the interpreter with the event loop that
answers requests, and every answer would wait for its turn; what a child process does nobody waits for. It takes about a
second to begin, and it can be killed, by the system too, without anything but the operation being interrupted.
"""

import asyncio
import multiprocessing
import os
import signal
import threading
import time
from contextlib import suppress
from multiprocessing.process import BaseProcess
from typing import Final

import structlog

from services.kernel.event_store import StoreError
from services.kernel.logging import set_up
from services.kernel.long_work import give_way
from services.kernel.operations import Desk, Ticket
from services.kernel.settings import Settings
from services.operations.work import work

#: How long a child process may take to end when it is told to.
END_SECONDS: Final = 3.0

log = structlog.get_logger(__name__)


class Runner:
    """The operations that this process runs."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._running: dict[asyncio.Task[None], BaseProcess] = {}
        self._stopping = False

    def start(self, desk: Desk, ticket: Ticket, by: str) -> None:
        """Have somebody at work on an operation; one that comes when this process ends already is interrupted."""
        if self._stopping:
            return
        spawn = multiprocessing.get_context("spawn")  # nothing of an event loop or a connection is copied
        child = spawn.Process(target=_child, args=(self._settings, desk.service, ticket, by), name=ticket.operation)
        child.start()
        task = asyncio.create_task(self._seen_to_its_end(child, desk, ticket), name=ticket.operation)
        self._running[task] = child
        task.add_done_callback(lambda task: self._running.pop(task, None))

    async def stop(self) -> None:
        """End what runs. It is interrupted then, and can be resumed."""
        self._stopping = True
        running = dict(self._running)
        for child in running.values():
            child.terminate()
        if running:
            _, late = await asyncio.wait(running, timeout=END_SECONDS)
            for task in late:
                running[task].kill()
            await asyncio.wait(running)

    async def _seen_to_its_end(self, child: BaseProcess, desk: Desk, ticket: Ticket) -> None:
        await _ended(child)
        if child.exitcode:
            log.warning("operation_interrupted", operation=ticket.operation, exit_status=child.exitcode)
        child.close()
        with suppress(StoreError, TimeoutError):  # whoever was killed could not
            await desk.let_go(ticket)


async def _ended(child: BaseProcess) -> None:
    """Wait until a process is over. Not in a thread: there are few, and it may take hours."""
    over, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(child.sentinel, over.set)
    try:
        await over.wait()
    finally:
        loop.remove_reader(child.sentinel)
    child.join()


# From here on everything runs in the child process.


def _child(settings: Settings, service: str, ticket: Ticket, by: str) -> None:
    give_way()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; whoever started us decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    set_up(settings.log_level, settings.log_format, service=service, role="operation")
    with suppress(asyncio.CancelledError):
        asyncio.run(_until_told(settings, service, ticket, by))


async def _until_told(settings: Settings, service: str, ticket: Ticket, by: str) -> None:
    task = asyncio.current_task()
    assert task
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await work(settings, service, ticket, by)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(END_SECONDS)
        os._exit(1)
