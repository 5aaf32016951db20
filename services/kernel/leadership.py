"""What only one process of a service does at a time: whoever holds the lease does it, until it is lost or given back.

The lease decides who works, it does not keep anybody else from writing: that is what claims do (`EventStore.claim`). A
process that believes to lead while another does already is refused at its first commit.
"""

import asyncio
import os
import socket
import time
import uuid
from collections.abc import Awaitable
from contextlib import suppress
from typing import Protocol

import structlog

from services.kernel.event_store import EventStore, StoreError
from services.kernel.metrics import LEADER

#: How long a lease is good for, by the database's clock. Whoever dies is missed for so long.
LEASE_SECONDS = 5.0
#: How often the leader prolongs its lease, and the others ask for it.
RENEW_SECONDS = 1.0
#: How long the database may take to answer; a leader that hears nothing stops when its lease has run out.
ANSWER_SECONDS = 2.0

log = structlog.get_logger(__name__)


class Duty(Protocol):
    """What the leader does."""

    async def start(self) -> None:
        """Claim what is worked on, and begin; raises `StoreError`, then `stop` is due."""

    async def stop(self) -> None:
        """End what was begun; what is half done is abandoned."""

    async def overtaken(self) -> bool:
        """Whether somebody else claimed what is worked on; raises `StoreError`."""


class Led(Protocol):
    """The service that is led."""

    @property
    def name(self) -> str: ...
    @property
    def store(self) -> EventStore: ...


class Leadership:
    """Tries to lead, and does the duty as long as it does."""

    def __init__(self, lease: str, service: Led, duty: Duty, holder: str = "") -> None:
        self.holder = holder or f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:12]}"
        #: Whether the duty is being done here.
        self.leading = False
        self._lease = lease
        self._store = service.store
        self._gauge = LEADER.labels(service.name, lease)
        self._duty = duty
        self._good_until = 0.0
        self._gauge.set(False)
        self._trouble = ""
        self._task: asyncio.Task[None] | None = None

    @property
    def held(self) -> bool:
        """Whether the lease is this process's, for all that it knows. A clock that goes on while the process is frozen
        tells: counted from before the database was asked, it runs out here no later than there.
        """
        return time.monotonic() < self._good_until

    async def start(self) -> None:
        """Begin to try."""
        self._task = asyncio.create_task(self._lead(), name=f"leadership:{self._lease}")

    async def stop(self) -> None:
        """End the duty and give the lease back, so that another takes over at once."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.wait([task])
        self._lead_is(False)
        await self._duty.stop()
        if self.held:
            self._good_until = 0.0
            with suppress(StoreError, TimeoutError):
                async with asyncio.timeout(ANSWER_SECONDS):
                    await self._store.let_go(self._lease, self.holder)

    async def _lead(self) -> None:
        while True:
            try:
                await self._step()
                self._trouble = ""
            except Exception as error:
                if self._trouble != repr(error):  # told once, not at every try
                    self._trouble = repr(error)
                    log.warning("leadership_uncertain", lease=self._lease, error=repr(error))
            await asyncio.sleep(min(RENEW_SECONDS, self._left_s()) if self.leading else RENEW_SECONDS)

    async def _step(self) -> None:
        if self.leading and not self.held:  # frozen, or out of the database's reach: before anything else
            await self._end("the lease ran out")
        if not await self._renewed():
            await self._end("another process leads")
        elif self.leading and await self._answered(self._duty.overtaken()):
            await self._end("another process took over")
        if self.held and not self.leading:
            await self._begin()

    async def _renewed(self) -> bool:
        asked = time.monotonic()
        held = await self._answered(self._store.hold(self._lease, self.holder, LEASE_SECONDS))
        self._good_until = asked + LEASE_SECONDS if held else 0.0
        return self.held

    async def _begin(self) -> None:
        try:
            async with asyncio.timeout(self._left_s()):
                await self._duty.start()
        except BaseException:
            await self._duty.stop()
            raise
        self._lead_is(True)
        log.info("leading", lease=self._lease, holder=self.holder)

    async def _end(self, reason: str) -> None:
        if self.leading:
            self._lead_is(False)
            log.warning("leading_no_more", lease=self._lease, holder=self.holder, reason=reason)
            await self._duty.stop()

    def _lead_is(self, here: bool) -> None:
        self.leading = here
        self._gauge.set(here)

    async def _answered(self, answer: Awaitable[bool]) -> bool:
        """What the database answers; raises `TimeoutError` at the latest when the lease runs out."""
        async with asyncio.timeout(min(ANSWER_SECONDS, self._left_s()) if self.leading else ANSWER_SECONDS):
            return await answer

    def _left_s(self) -> float:
        return max(0.0, self._good_until - time.monotonic())
