"""Whether messages could be given up, before any is."""

from collections import defaultdict

from contracts.policy import Text
from services.kernel.event_store import Reads
from services.kernel.kafka import dead_letters
from services.kernel.kafka.parking import ParkedMessage
from services.operations.way_out import way_out


class GivenUp:
    """What would have been given up so far: the next of an order could then be given up too."""

    def __init__(self, store: Reads, service: str) -> None:
        self._store = store
        self._service = service
        self._upto: dict[tuple[str, str], int] = defaultdict(int)

    async def would_be(self, message: ParkedMessage) -> tuple[str, Text | None]:
        """`would_be_discarded`, or `refused` and what to do first."""
        stream = (message.source, message.stream)
        handled = max(self._upto[stream], await dead_letters.handled_of(self._store, message))
        found = await dead_letters.next_of(self._store, message, handled)
        if found and found.sequence < message.sequence:
            return "refused", way_out(self._service, found)
        self._upto[stream] = max(handled, message.sequence)
        return "would_be_discarded", None
