"""Sending events of a log once more, at a rate that whoever gets them can bear."""

import asyncio
import time
from typing import Final

import msgspec

from contracts.registry import TOPICS
from services.kernel.event_store import PAGE_RECORDS, EventStore
from services.kernel.kafka.relay import Relay
from services.kernel.kafka.topics import topic_of
from services.kernel.log import Record
from services.kernel.long_work import Tell, told_nobody
from services.kernel.proof import prove_stream
from services.kernel.proof.positions import first_hole
from services.transfer.exporting import LogDamaged
from services.transfer.replay import Target
from services.transfer.selection import Selection, bounds, pages

#: How often events leave, in seconds: what is sent at a time is so many seconds' worth.
BEAT_SECONDS: Final = 0.1


class LiveTopic(Exception):
    """The topic is one that services publish on and hear, and nobody said that it is meant."""

    def __init__(self, topic: str) -> None:
        super().__init__(f"{topic} is a live topic")
        self.topic = topic


class ForeignTopic(Exception):
    """The topic belongs to another source: whoever hears it takes nothing of this service there."""

    def __init__(self, topic: str, source: str, service: str) -> None:
        super().__init__(f"{topic} is the topic of {source}, not of {service}")
        self.topic, self.source, self.service = topic, source, service


class NotPublishedYet(Exception):
    """The live topic does not hold the event yet that is to be sent once more: the relay stands at `published`."""

    def __init__(self, last: int, published: int) -> None:
        super().__init__(f"position {last} is not published yet, the relay stands at {published}")
        self.last, self.published = last, published


class Interrupted(Exception):
    """Not all of it was sent. Everything before `position` was; the cause says why that was not."""

    def __init__(self, sent: "Sent", position: int) -> None:
        super().__init__(f"{sent.events} events were sent, up to before position {position}")
        self.sent, self.position = sent, position


class Sent(msgspec.Struct):
    """What was sent, or would be."""

    events: int = 0
    first: Record | None = None
    last: Record | None = None

    def add(self, records: list[Record]) -> None:
        """These as well."""
        if records:
            self.events += len(records)
            self.first = self.first or records[0]
            self.last = records[-1]


async def may_send_to(
    topic: str, store: EventStore, service: str, selection: Selection, prefix: str, into_live: bool
) -> None:
    """Whether events of a service may be sent to a topic. Raises `LiveTopic`, `ForeignTopic`, `NotPublishedYet`, and
    `NoSuchRange`."""
    source = next((source for source in TOPICS if topic_of(source, prefix) == topic), None)
    if source is None:
        return
    if source != service:
        raise ForeignTopic(topic, source, service)
    if not into_live:
        raise LiveTopic(topic)
    _, last = await bounds(store, selection)
    published = await store.checkpoint(Relay.name, service)
    if last > published:
        raise NotPublishedYet(last, published)


async def resend(
    store: EventStore,
    service: str,
    selection: Selection,
    target: Target | None,
    rate: float = 0,
    tell: Tell = told_nobody,
) -> Sent:
    """Send the own events that are chosen, in the order of the log, at most `rate` a second (0: as fast as they are
    taken); without `target`, only count them. What is committed meanwhile is left out.

    Raises `NoSuchRange`, `LogDamaged` before anything is sent where events are missing, and `Interrupted` where the
    target takes no more.
    """
    await _must_be_whole(store, service, selection)
    own = msgspec.structs.replace(selection, learned=False)
    sent = Sent()
    pace = _Pace(rate)
    async for page in pages(store, service, own):
        for records in pace.portions(page.records) if target else (page.records,):
            if target:
                await _send(target, records, pace, sent)
            sent.add(records)
        await tell(page.done, page.total)
    return sent


async def _must_be_whole(store: EventStore, service: str, selection: Selection) -> None:
    """Whoever hears what is sent once more takes it for all that there is."""
    if selection.stream:
        broken = (await prove_stream(store, selection.stream)).broken
    else:
        broken = await first_hole(store, *await bounds(store, selection))
    if broken:
        raise LogDamaged(service, broken.stream, broken.version, broken.position or 0, broken.zh, broken.en)


async def _send(target: Target, records: list[Record], pace: "_Pace", sent: Sent) -> None:
    await pace.wait(len(records))
    try:
        await target.send(records)
    except Exception as error:
        raise Interrupted(sent, records[0].position) from error


class _Pace:
    """So many a second. After a pause it goes on as before, it does not catch up."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._due = 0.0

    def portions(self, records: list[Record]) -> list[list[Record]]:
        """What is sent at a time."""
        size = max(1, int(self._rate * BEAT_SECONDS)) if self._rate else PAGE_RECORDS
        return [records[start : start + size] for start in range(0, len(records), size)]

    async def wait(self, number: int) -> None:
        """Until it is time for so many more."""
        if self._rate:
            now = time.monotonic()
            await asyncio.sleep(max(0.0, self._due - now))
            self._due = max(now, self._due) + number / self._rate
