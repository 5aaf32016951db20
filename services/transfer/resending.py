"""Sending events of a log once more, at a rate that whoever gets them can bear."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Final

import msgspec

from contracts.registry import TOPICS
from services.kernel.event_store import EventStore
from services.kernel.kafka.relay import Relay
from services.kernel.kafka.topics import topic_of
from services.kernel.log import Record
from services.kernel.long_work import Tell, told_nobody
from services.kernel.proof import prove_stream
from services.kernel.proof.positions import first_hole
from services.kernel.refusal import Refusal
from services.transfer.exporting import LogDamaged
from services.transfer.replay import Target
from services.transfer.selection import Selection, bounds, pages

#: How often events leave, in seconds: what is sent at a time is so many seconds' worth.
BEAT_SECONDS: Final = 0.1
#: How long nobody is asked at most, while it is not time for the next events, whether they are still wanted.
HEED_SECONDS: Final = 0.5


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


async def must_be_known(store: EventStore, service: str, selection: Selection) -> None:
    """Raises `Refusal` `unknown_order` or `unknown_case` where the log holds nothing of what is named."""
    order, case = selection.order, selection.case
    if order and await store.head(order) is None:
        raise Refusal("unknown_order", order_id=order)
    if case and not await _holds(store, service, Selection(case=case)):
        raise Refusal("unknown_case", case_id=case)


async def _holds(store: EventStore, service: str, selection: Selection) -> bool:
    async for page in pages(store, service, selection):
        if page.records:
            return True
    return False


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

    `tell` is awaited before each go, and twice a second between two: what it is told was sent. Places of the log are
    counted, those of one order in its stream; where it raises, all that it was told was sent and nothing more.

    Raises `NoSuchRange`, `LogDamaged` before anything is sent where events are missing, and `Interrupted` where the
    target takes no more.
    """
    await _must_be_whole(store, service, selection)
    own = msgspec.structs.replace(selection, learned=False)
    sent, done = Sent(), 0
    pace = _Pace(rate, target.at_once if target else 0)
    async for page in pages(store, service, own):
        for records in pace.portions(page.records) if target else (page.records,):
            if target:
                await pace.wait(len(records), partial(tell, done, page.total))
                await _send(target, records, sent)
                done = _place(selection, records[-1])
            sent.add(records)
        done = page.done
        await tell(done, page.total)
    return sent


def _place(selection: Selection, record: Record) -> int:
    """How many places of what is read a record and those before it take."""
    return record.version if selection.stream else record.position - selection.first + 1


async def _must_be_whole(store: EventStore, service: str, selection: Selection) -> None:
    """Whoever hears what is sent once more takes it for all that there is."""
    if selection.stream:
        broken = (await prove_stream(store, selection.stream)).broken
    else:
        broken = await first_hole(store, *await bounds(store, selection))
    if broken:
        raise LogDamaged(service, broken.stream, broken.version, broken.position or 0, broken.zh, broken.en)


async def _send(target: Target, records: list[Record], sent: Sent) -> None:
    try:
        await target.send(records)
    except Exception as error:
        raise Interrupted(sent, records[0].position) from error


class _Pace:
    """So many a second. After a pause it goes on as before, it does not catch up."""

    def __init__(self, rate: float, at_once: int) -> None:
        self._rate = rate
        self._size = min(at_once, max(1, int(rate * BEAT_SECONDS))) if rate else at_once
        self._due = 0.0

    def portions(self, records: list[Record]) -> Iterator[list[Record]]:
        """What is sent at a time."""
        return (records[start : start + self._size] for start in range(0, len(records), self._size))

    async def wait(self, number: int, heed: Callable[[], Awaitable[None]]) -> None:
        """Until it is time for so many more, and whoever is to be heeded lets it go on."""
        await heed()
        while self._rate and (seconds := self._due - time.monotonic()) > 0:
            await asyncio.sleep(min(seconds, HEED_SECONDS))
            await heed()
        if self._rate:
            now = time.monotonic()
            # a sleep that took a little longer is made up for, or small portions would fall behind the rate
            self._due = (self._due if now - self._due < BEAT_SECONDS else now) + number / self._rate
