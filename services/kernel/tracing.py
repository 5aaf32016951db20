"""Traces across services: one from a request to everything that follows from it (W3C Trace Context).

Every record carries the `traceparent` of the step that made it, so its trace goes on wherever it is handled, whatever
lies between. Where a collector is named, each step is told to it as a span (`services.kernel.collector`); where none
is, a step only hands the trace on, and nothing of OpenTelemetry is even loaded.
"""

import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from random import getrandbits
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from services.kernel.log import Record

if TYPE_CHECKING:
    from services.kernel.collector import Collector

Kind = Literal["internal", "server", "client", "producer", "consumer"]
Attributes = Mapping[str, Any]

#: How long telling the collector the last spans may hold up the end of the process.
FLUSH_SECONDS: Final = 2.0
#: Neither id may be all zeros, and there is no version ff.
TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")

_collector: "Collector | None" = None


class Span:
    """A step of work. Leaving it by an error notes that error."""

    __slots__ = ("traceparent",)

    #: Whether what is told of it gets anywhere: for what costs something to find out.
    recording = False

    def __init__(self, traceparent: str) -> None:
        self.traceparent = traceparent
        """What records and messages of this step carry."""

    @property
    def trace_id(self) -> str:
        """The trace that it belongs to."""
        return self.traceparent[3:35]

    def tell(self, attributes: Attributes) -> None:
        """Add what became known."""

    def failed(self, reason: str) -> None:
        """Mark it as an error of ours."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The step is over."""


def span(
    service: str, name: str, kind: Kind = "internal", parent: str = "", attributes: Attributes | None = None
) -> Span:
    """A step of a service in the trace of `parent` (a traceparent), or in a new one where that is empty."""
    if _collector is not None:
        return _collector.span(service, name, kind, parent, attributes)
    return Span(parent or new_traceparent())


@contextmanager
def publishing(service: str, topic: str, records: Iterable[Record]) -> Iterator[None]:
    """Hand records to the broker: in the trace of each, and only told where there is a collector.

    The messages carry the records' own traceparents all the same: what is published once more is the same message.
    """
    with ExitStack() as spans:
        if _collector is not None:
            for record in records:
                attributes = {"messaging.destination.name": topic, **about(record)}
                spans.enter_context(
                    _collector.span(service, f"publish {topic}", "producer", record.traceparent, attributes)
                )
        yield


def about(record: Record) -> dict[str, Any]:
    """What a span that concerns a record tells of it."""
    return {
        "messaging.message.id": record.id,
        "aftersales.event": record.type,
        "aftersales.source": record.source,
        "aftersales.order_id": record.stream,
        "aftersales.subject": record.subject,
    }


def new_traceparent() -> str:
    """The beginning of a trace that nobody records: its flag says so to those who come later."""
    # Not a secret, so not from the system's source: that is a system call, and took 2 % of a command.
    return f"00-{getrandbits(128) or 1:032x}-{getrandbits(64) or 1:016x}-00"


@asynccontextmanager
async def traced(endpoint: str) -> AsyncIterator[None]:
    """Tell the collector at `endpoint` of this process's steps; empty: tell nobody. The last ones are sent at the end,
    in bounded time."""
    set_up(endpoint)
    try:
        yield
    finally:
        await shut_down()


def set_up(endpoint: str) -> None:
    """Begin to tell a collector; empty: nobody."""
    global _collector
    if endpoint:
        from services.kernel.collector import Collector

        _collector = Collector(endpoint)


async def shut_down(seconds: float = FLUSH_SECONDS) -> None:
    """Tell the last spans, if that takes no longer than `seconds`, and then nobody any more."""
    global _collector
    collector, _collector = _collector, None
    if collector is not None:
        await collector.shut_down(seconds)
