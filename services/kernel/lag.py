"""How far consumers are behind, in events and in seconds: asked of readers at work, or of the databases themselves,
which works while no service runs. `services.kernel.kafka.lag` asks the broker.
"""

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from services.kernel.event_store import Reads
from services.kernel.views import BESIDE

if TYPE_CHECKING:
    from services.kernel.log_reader import LogReader

_CHECKPOINTS = "SELECT consumer, source, position FROM checkpoints WHERE consumer <> ? ORDER BY consumer, source"
_ALL = "SELECT count(*) AS n FROM events WHERE position > ?"
_OWN = f"{_ALL} AND source = ?"


class Lag(msgspec.Struct, frozen=True):
    """How far a consumer is behind what it follows.

    `stuck` says what it stumbles over; `away` says that the log cannot be read, for instance of a service that was
    never started, and `behind` is then counted to where it was last seen to end. `seconds` is the age of the oldest
    event that is not handled, 0 where there is none. `position` is how far it came in a log, 0 where that is not one.
    """

    service: str
    consumer: str
    behind: int
    stuck: str = ""
    away: str = ""
    source: str = ""
    seconds: float = 0.0
    position: int = 0


class Checkpoint(NamedTuple):
    """How far a consumer has handled a source, as its database has it: a log, or `topic/partition`."""

    consumer: str
    source: str
    position: int

    @property
    def partition(self) -> tuple[str, int] | None:
        """The topic and the number of the partition that the source is; None for a log."""
        topic, slash, number = self.source.rpartition("/")
        return (topic, int(number)) if slash and number.isdecimal() else None


class Look(msgspec.Struct, frozen=True):
    """A source as it was when somebody looked, from a consumer's position on."""

    position: int
    end: int
    """Last position of a log; of a partition, the offset that the next message gets."""
    behind: int
    oldest: datetime | None = None
    """When the first event happened that is not handled."""
    arrived: int = 0
    """Events that came since the look before."""
    lost: int = 0
    """Messages that the broker deleted before they were handled."""

    def seconds(self, now: datetime) -> float:
        """Age of the oldest event that is not handled."""
        return max(0.0, (now - self.oldest).total_seconds()) if self.oldest else 0.0


class Trend(msgspec.Struct, frozen=True):
    """What happened between two looks."""

    arriving_per_second: float
    handled_per_second: float
    clears_in_seconds: float | None
    """Until nothing is left, if it goes on like this; None where it does not get less."""


def trend(before: Look, after: Look, seconds: float) -> Trend:
    """The trend between two looks that are so many seconds apart."""
    handled = before.behind + after.arrived - after.behind
    less = before.behind - after.behind
    clears = 0.0 if not after.behind else after.behind * seconds / less if less > 0 else None
    return Trend(after.arrived / seconds, handled / seconds, clears)


async def of_reader(service: str, reader: "LogReader", now: datetime) -> Lag:
    """The lag of a reader at work."""
    behind = await reader.lag()
    oldest = await reader.oldest() if behind and not reader.away else None
    seconds = max(0.0, (now - oldest.time).total_seconds()) if oldest else 0.0
    handled = reader.progress.handled
    return Lag(service, reader.name, behind, reader.stuck, reader.away, reader.source, seconds, handled)


async def checkpoints(store: Reads) -> list[Checkpoint]:
    """Everybody who ever followed something for the service of this database, but for who builds tables beside the live
    ones: nobody waits for that. Raises `StoreUnavailable`."""
    rows = await store.query(_CHECKPOINTS, (BESIDE,))
    return [Checkpoint(row["consumer"], row["source"], row["position"]) for row in rows]


async def of_log(log: Reads, position: int, source: str | None, before: Look | None = None) -> Look:
    """Look at a log from a position on: at the events of one source, or at all. Raises `StoreUnavailable`."""
    end = await log.head_position()
    behind = await _count(log, position, source)
    arrived = await _count(log, before.end, source) if before else 0
    oldest = await log.read_log(position, 1, source, decode=False) if behind else []
    return Look(position, end, behind, oldest[0].time if oldest else None, arrived)


async def _count(log: Reads, position: int, source: str | None) -> int:
    rows = await log.query(_ALL, (position,)) if source is None else await log.query(_OWN, (position, source))
    return int(rows[0]["n"])
