"""What a process waits for before it begins: its database, the migrations, the broker, the topics."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import structlog

from services.kernel.event_store import StoreRefused, StoreUnavailable
from services.kernel.kafka.connection import BrokerAway, Connection, stop
from services.kernel.kafka.topics import Topic, missing
from services.kernel.service import Service

#: How often it is looked, and how often it is told what is waited for.
LOOK_SECONDS = 1.0
TELL_SECONDS = 60.0

log = structlog.get_logger(__name__)


class Obstacle(msgspec.Struct, frozen=True):
    """What stands in the way, and what to do about it where waiting alone does not help."""

    what: str
    reason: str
    do: str = ""

    def __str__(self) -> str:
        return f"waiting for {self.what}: {self.reason}" + (f"; run `{self.do}`" if self.do else "")


#: Finds what stands in the way; raises what waiting cannot mend.
Look = Callable[[], Awaitable[Obstacle | None]]


class Waiting:
    """Waits, and says for what."""

    def __init__(self) -> None:
        self.obstacle: Obstacle | None = None
        #: Set once anything stood in the way.
        self.met = asyncio.Event()

    async def until_clear(self, look: Look, *, meanwhile: str = "") -> None:
        """Wait until nothing stands in the way, told when it begins, once a minute, and when it is over; `meanwhile`:
        what goes on all the same."""
        told, told_at = "", 0.0
        while obstacle := await look():
            self.obstacle = obstacle
            self.met.set()
            if obstacle.what != told or time.monotonic() - told_at >= TELL_SECONDS:
                told, told_at = obstacle.what, time.monotonic()
                more = {name: text for name, text in (("do", obstacle.do), ("meanwhile", meanwhile)) if text}
                log.warning("waiting", what=obstacle.what, reason=obstacle.reason, **more)
            await asyncio.sleep(LOOK_SECONDS)
        if told:
            log.info("waited_for", what=told)
        self.obstacle = None


def database_of(service: Service[Any]) -> Look:
    """Whether the database lets us in. Raises `StoreRefused`."""

    async def look() -> Obstacle | None:
        try:
            await service.store.query("SELECT 1")
        except StoreRefused:
            raise
        except StoreUnavailable as error:
            return Obstacle("database", str(error))
        return None

    return look


def migrations_of(service: Service[Any]) -> Look:
    """Whether the database is up to date. Raises `StoreRefused`."""
    reachable = database_of(service)

    async def look() -> Obstacle | None:
        if away := await reachable():
            return away
        try:
            behind = await service.is_behind()
        except (OSError, StoreUnavailable) as error:  # lost since
            return Obstacle("database", str(error))
        return (
            Obstacle("migrations", "the database is not up to date", f"aftersales migrate {service.name}")
            if behind
            else None
        )

    return look


def topics_at(connection: Connection, wanted: Sequence[Topic]) -> Look:
    """Whether a broker lets us in and has these topics. Raises `BrokerRefused`."""

    async def look() -> Obstacle | None:
        try:
            admin = await connection.admin()
            try:
                lacking = await missing(admin, wanted)
            finally:
                await stop(admin)
        except BrokerAway as error:
            return Obstacle("broker", str(error))
        names = ", ".join(one.topic for one in lacking)
        return Obstacle("topics", f"missing: {names}", "aftersales topics ensure") if lacking else None

    return look
