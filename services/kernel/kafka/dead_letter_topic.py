"""Publishing dead letters, for whoever watches the brokers and not our databases."""

import asyncio

from aiokafka import AIOKafkaProducer

from services.kernel.kafka.connection import Connection, discard, stop
from services.kernel.kafka.message import Outgoing
from services.kernel.kafka.relay import partition_of


class DeadLetterTopic:
    """Sends dead letters, one at a time: they are rare. The producer is made when the first one comes, and anew after a
    fault."""

    def __init__(self, connection: Connection, client_id: str) -> None:
        self._connection = connection
        self._client_id = client_id
        self._producer: AIOKafkaProducer | None = None
        self._sending = asyncio.Lock()

    async def __call__(self, letter: Outgoing) -> None:
        """Send and wait until all replicas in sync have it. Raises BrokerAway, BrokerRefused, aiokafka's errors."""
        async with self._sending:
            producer = self._producer or await self._connection.producer(self._client_id)
            self._producer = None
            try:
                await _sent(producer, letter)
            except BaseException:
                await discard(producer)
                raise
            self._producer = producer

    async def stop(self) -> None:
        """Take leave of the broker."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await stop(producer)


async def _sent(producer: AIOKafkaProducer, letter: Outgoing) -> None:
    """As a batch of one: aiokafka's `send` refuses a message with neither key nor value, and there are such."""
    partitions = len(await producer.partitions_for(letter.topic))
    batch = producer.create_batch()
    batch.append(timestamp=None, key=letter.key, value=letter.value, headers=list(letter.headers))
    number = partition_of(letter.key, partitions) if letter.key else 0
    await (await producer.send_batch(batch, letter.topic, partition=number))
