"""Publishing a service's own events, in the order of its log and each at least once."""

import asyncio
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.partitioner import murmur2

from services.kernel import tracing
from services.kernel.appender import Appender
from services.kernel.kafka.connection import BrokerAway, BrokerRefused, Connection, discard, is_refusal, stop
from services.kernel.kafka.message import outgoing
from services.kernel.kafka.topics import is_there, topic_of
from services.kernel.log import Record
from services.kernel.metrics import PUBLISHED
from services.kernel.progress import Progress

#: Records published between two checkpoints; what a page costs besides its messages is paid once.
PAGE_RECORDS: Final = 2_000
#: How long a page may take until all of it is acknowledged, in seconds; a new leader is elected well within.
PUBLISH_SECONDS: Final = 30.0


class LeadershipRanOut(Exception):
    """Another process may be publishing by now: nothing is published until it is known who leads."""


class TopicMissing(Exception):
    """The topic to publish on is not there."""

    def __init__(self, topic: str) -> None:
        super().__init__(f"there is no topic {topic}: run `aftersales topics ensure`")


class EventTooLarge(Exception):
    """The topic takes no message as large as an event may be. It is not skipped: the topic must be mended."""

    def __init__(self, topic: str, largest: Record) -> None:
        super().__init__(
            f"topic {topic} does not take event {largest.id} of {largest.stream}, {len(largest.data)} bytes:"
            " run `aftersales topics ensure --alter` (max.message.bytes)"
        )


class Relay:
    """Publishes what it is given, waits until it is acknowledged by all replicas in sync, and notes how far it came.

    One producer lives long; after any fault, and when the time is up, it is discarded, and everything behind the
    checkpoint is published again from the log by the next one. What arrived before is then in the topic twice, but the
    first occurrences of a key stay in order: whoever publishes, publishes all of the log from some point on, and every
    point from which one may begin was published before. That holds for two relays at once as well.
    """

    name = "relay"

    def __init__(
        self, source: str, connection: Connection, appender: Appender, may_publish: Callable[[], bool] = lambda: True
    ) -> None:
        """`may_publish` tells, without asking anybody, whether this process may still believe that it leads."""
        #: Events acknowledged since this process began.
        self.published = 0
        #: The first event that was read but is not acknowledged yet; None where there is none.
        self.oldest_unpublished: Record | None = None
        self._source = source
        self._acknowledged = PUBLISHED.labels(source)
        self._topic = topic_of(source, connection.prefix)
        self._client_id = f"aftersales-{source}-relay"
        self._connection = connection
        self._appender = appender
        self._may_publish = may_publish
        self._producer: AIOKafkaProducer | None = None
        self._failed = False

    async def __call__(self, records: list[Record], progress: Progress) -> None:
        """Publish these records and note that.

        Raises LeadershipRanOut, BrokerAway, BrokerRefused, TopicMissing, EventTooLarge and what a commit raises: the
        same records are then to be given again.
        """
        self.oldest_unpublished = records[0]
        if not self._may_publish():
            raise LeadershipRanOut("the lease ran out")
        with tracing.publishing(self._source, self._topic, records):
            await self._publish(records)
        self._acknowledged.inc(len(records))
        await self._appender.submit(progress.noted(records[-1].position))
        self.oldest_unpublished = None
        self.published += len(records)

    async def stop(self) -> None:
        """Take leave of the broker."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await stop(producer)

    async def _publish(self, records: Sequence[Record]) -> None:
        producer = self._producer or await self._connected()
        self._producer = None
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                await self._send(producer, records)
        except BaseException as error:
            self._failed = True
            await discard(producer)
            if explained := self._explained(error, records):
                raise explained from error
            raise
        self._producer = producer

    async def _connected(self) -> AIOKafkaProducer:
        if self._failed:  # that was told; now the broker says when to go on, and no longer and longer pause
            await self._connection.reachable()
        self._failed = True
        if not await is_there(self._connection, self._topic):
            raise TopicMissing(self._topic)
        producer = await self._connection.producer(self._client_id)
        self._failed = False
        return producer

    async def _send(self, producer: AIOKafkaProducer, records: Sequence[Record]) -> None:
        """Batches are put together here: a future for each message would cost more than the message."""
        topic = self._topic
        partitions = len(await producer.partitions_for(topic))
        batches = [producer.create_batch() for _ in range(partitions)]
        sent: dict[int, asyncio.Future[object]] = {}

        async def hand_over(partition: int) -> None:
            if earlier := sent.get(partition):
                await earlier  # were it refused, the broker might take the next one all the same
            sent[partition] = await producer.send_batch(batches[partition], topic, partition=partition)

        for record in records:
            message = outgoing(record, topic)
            partition = partition_of(message.key, partitions)
            content = {"timestamp": None, "key": message.key, "value": message.value, "headers": message.headers}
            if batches[partition].append(**content) is None:  # it is full
                await hand_over(partition)
                batches[partition] = producer.create_batch()
                batches[partition].append(**content)
        for partition, batch in enumerate(batches):
            if batch.record_count():
                await hand_over(partition)
        await asyncio.gather(*sent.values())

    def _explained(self, error: BaseException, records: Sequence[Record]) -> Exception | None:
        if isinstance(error, MessageSizeTooLargeError):
            return EventTooLarge(self._topic, max(records, key=lambda record: len(record.data)))
        if is_refusal(error):
            return BrokerRefused(repr(error))
        if isinstance(error, TimeoutError):
            return BrokerAway(f"{len(records)} events were not acknowledged within {PUBLISH_SECONDS:.0f} s")
        if isinstance(error, KafkaError):
            return BrokerAway(repr(error))
        return None


@lru_cache(maxsize=16_384)
def partition_of(key: bytes, partitions: int) -> int:
    """Where a key belongs: what Kafka's own clients choose (murmur2), so that all who publish agree."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions
