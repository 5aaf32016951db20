"""How far a consumer came in a log, and which streams it had to leave behind."""

import time
from collections.abc import Sequence
from typing import Protocol

import msgspec
import structlog

from services.kernel.event_store import Checkpoint, Commit, DeliveryGap, Fence
from services.kernel.log import Record

#: Waits between tries of what could not be handled, in seconds; the last one is repeated.
RETRY_SECONDS = (0.05, 0.2, 1.0, 5.0, 15.0)
#: So many tries may fail before a stream counts as stuck: what heals at once alarms nobody.
TRIES_BEFORE_ALARM = 3
#: Streams left behind at the same time. With more, the fault is not the streams' own, and the consumer waits.
MAX_PARKED = 1_000

log = structlog.get_logger(__name__)


class Progress(Protocol):
    """What a handler of events tells its consumer: what does not go on, and how far it came."""

    @property
    def fence(self) -> Fence | None:
        """What every commit of the handler must carry, so that it counts only while the consumer is the owner."""

    def park(self, records: Sequence[Record], error: Exception) -> None:
        """Leave a stream behind from the first of these records on, or once more after another try."""

    def noted(self, position: int) -> Commit:
        """What to write once everything up to `position` is handled or parked."""


class Parked(msgspec.Struct):
    """A stream left behind: from which record on, and why. The records themselves are read again from the log."""

    version: int
    position: int
    reason: str
    gap: bool
    tries: int
    due: float


class LogProgress:
    """The place of one consumer in the log of one source.

    A stream that cannot go on is parked: whatever follows in it waits behind the record that failed, the others pass.
    The checkpoint stays before the first parked record, so that a restart comes back to it.
    """

    def __init__(self, consumer: str, source: str, position: int = 0, epoch: int = 0) -> None:
        self.consumer = consumer
        self.source = source
        self.position = position
        self.fence = Fence(consumer, source, epoch) if epoch else None
        self.parked: dict[str, Parked] = {}

    @property
    def handled(self) -> int:
        """The position up to which everything is handled."""
        return self._before_parked(self.position)

    @property
    def full(self) -> bool:
        """No more streams may be left behind."""
        return len(self.parked) >= MAX_PARKED

    @property
    def stuck(self) -> str:
        """What does not go on although it was tried repeatedly, for people."""
        stuck = [(stream, one) for stream, one in self.parked.items() if one.tries >= TRIES_BEFORE_ALARM]
        if not stuck:
            return ""
        stream, first = stuck[0]
        return f"{len(stuck)} parked, {stream} from version {first.version}: {first.reason}"

    def noted(self, position: int) -> Commit:
        """What to write once everything up to `position` is handled or parked."""
        handled = self._before_parked(max(position, self.position))
        return Commit(checkpoint=(Checkpoint(self.consumer, self.source, handled),), fence=self.fence)

    def passing(self, records: Sequence[Record]) -> list[Record]:
        """The records that need not wait; one that waits may be the missing one, so a gap is looked at again."""
        if not self.parked:
            return list(records)
        for record in records:
            if (parked := self.parked.get(record.stream)) and parked.gap:
                parked.due = 0
        return [record for record in records if record.stream not in self.parked]

    def park(self, records: Sequence[Record], error: Exception) -> None:
        """Leave a stream behind from the first of these records on, or once more after another try."""
        stream, reason = records[0].stream, repr(error)
        before = self.parked.get(stream)
        tries = before.tries + 1 if before else 1
        self.parked[stream] = Parked(
            version=min(record.version for record in records),
            position=min(record.position for record in records),
            reason=reason,
            gap=isinstance(error, DeliveryGap),
            tries=tries,
            due=time.monotonic() + RETRY_SECONDS[min(tries, len(RETRY_SECONDS)) - 1],
        )
        if before is None or before.reason != reason:  # told once, not at every try
            log.error(
                "stream_parked",
                consumer=self.consumer,
                source=self.source,
                stream=stream,
                version=self.parked[stream].version,
                exc_info=error,
            )

    def release(self, stream: str) -> None:
        """The stream goes on."""
        parked = self.parked.pop(stream)
        log.info("stream_resumed", consumer=self.consumer, source=self.source, stream=stream, tries=parked.tries)

    def due(self) -> list[str]:
        """Parked streams that are to be tried again now."""
        now = time.monotonic()
        return [stream for stream, one in self.parked.items() if one.due <= now]

    def pause(self, longest_s: float) -> float:
        """Seconds to wait for new records before the next parked stream is due."""
        if not self.parked:
            return longest_s
        return min(longest_s, max(0.0, min(one.due for one in self.parked.values()) - time.monotonic()))

    def _before_parked(self, position: int) -> int:
        return min([position, *(one.position - 1 for one in self.parked.values())])
