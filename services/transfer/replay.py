"""Where events are sent once more, and the mark they carry then: which operation sent them.

Their ids, times and sequences are what they were, so who had them skips them.
"""

import asyncio
import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Protocol

import aiohttp
import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from standardwebhooks import Webhook

from contracts import envelope
from services.kernel.event_store import PAGE_RECORDS
from services.kernel.kafka.connection import BrokerAway, BrokerRefused, Connection, discard, is_refusal, stop
from services.kernel.kafka.message import outgoing
from services.kernel.kafka.relay import PUBLISH_SECONDS, partition_of
from services.kernel.kafka.topics import is_there
from services.kernel.log import Record

#: The CloudEvents attribute that marks them, and its Kafka header.
ATTRIBUTE: Final = "replay"
HEADER: Final = f"ce_{ATTRIBUTE}"

#: How long an endpoint may take to answer, in seconds.
ANSWER_SECONDS: Final = 10.0
#: Pauses before an endpoint is tried again that did not take an event, in seconds.
PAUSES: Final = (0.5, 1.0, 2.0, 4.0)
#: The shortest secret that Standard Webhooks allows.
SECRET_BYTES: Final = 24
#: Answers that may be others a moment later: too slow, too early, too many.
_LATER: Final = (408, 425, 429)


class NoTopic(Exception):
    """There is no such topic."""

    def __init__(self, topic: str) -> None:
        super().__init__(f"there is no topic {topic}")
        self.topic = topic


class NotTaken(Exception):
    """An endpoint did not take an event; `answer` is what it said last."""

    def __init__(self, url: str, record: Record, answer: str) -> None:
        super().__init__(f"{url} did not take {record.id}: {answer}")
        self.url, self.record, self.answer = url, record, answer


class Target(Protocol):
    """Where events are sent."""

    at_once: int
    """How many events it takes in one go: nobody can hold it up in between."""

    async def send(self, records: Sequence[Record]) -> None:
        """Send these in order; returns when all of them were taken."""

    async def close(self) -> None:
        """Take leave."""


class Topic:
    """A Kafka topic: the messages are those that the relay publishes, and marked.

    Raises `NoTopic`, `BrokerAway` and `BrokerRefused`.
    """

    at_once = PAGE_RECORDS

    def __init__(self, connection: Connection, topic: str, replay: str) -> None:
        self._connection = connection
        self._topic = topic
        self._mark = (HEADER, replay.encode())
        self._producer: AIOKafkaProducer | None = None

    async def send(self, records: Sequence[Record]) -> None:
        """Send these; those of one order keep their order."""
        producer = self._producer or await self._connected()
        self._producer = None
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                partitions = len(await producer.partitions_for(self._topic))
                await asyncio.gather(*[await self._sent(producer, record, partitions) for record in records])
        except BaseException as error:
            await discard(producer)
            if is_refusal(error):
                raise BrokerRefused(repr(error)) from error
            if isinstance(error, KafkaError | TimeoutError):
                raise BrokerAway(repr(error)) from error
            raise
        self._producer = producer

    async def _sent(self, producer: AIOKafkaProducer, record: Record, partitions: int) -> asyncio.Future[object]:
        message = outgoing(record, self._topic)
        assert message.key is not None
        sent: asyncio.Future[object] = await producer.send(
            self._topic,
            message.value,
            message.key,
            partition=partition_of(message.key, partitions),
            headers=[*message.headers, self._mark],
        )
        return sent

    async def _connected(self) -> AIOKafkaProducer:
        if not await is_there(self._connection, self._topic):
            raise NoTopic(self._topic)
        return await self._connection.producer("aftersales-resend")

    async def close(self) -> None:
        """Take leave of the broker."""
        if self._producer is not None:
            await stop(self._producer)


class Endpoint:
    """An HTTP address that takes CloudEvents as JSON, one a request, signed as Standard Webhooks has it.

    `webhook-id` is the id of the event, the same each time that it is sent. Raises `NotTaken`.
    """

    at_once = 1

    def __init__(self, url: str, secret: str, replay: str) -> None:
        """Raises `ValueError` for a secret that is not base64, or short enough to be guessed."""
        if len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) < SECRET_BYTES:
            raise ValueError("the secret is too short")
        self._url = url
        self._signer = Webhook(secret)
        self._replay = replay
        self._session: aiohttp.ClientSession | None = None

    async def send(self, records: Sequence[Record]) -> None:
        """Send these one after another; each again for a few seconds where it is not taken."""
        for record in records:
            await self._taken(record)

    async def close(self) -> None:
        """Let go of the connection."""
        if self._session is not None:
            await self._session.close()

    async def _taken(self, record: Record) -> None:
        body = msgspec.json.encode({**envelope.to_json(record), ATTRIBUTE: self._replay})
        for pause in (*PAUSES, None):
            status, answer = await self._posted(record, body)
            if 200 <= status < 300:
                return
            if pause is None or (status and status < 500 and status not in _LATER):
                raise NotTaken(self._url, record, answer)
            await asyncio.sleep(pause)

    async def _posted(self, record: Record, body: bytes) -> tuple[int, str]:
        """Status and answer in words; status 0 where there was no answer."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS))
        now = datetime.now(UTC)
        headers = {
            "content-type": "application/cloudevents+json",
            "webhook-id": record.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._signer.sign(record.id, now, body.decode()),
        }
        try:
            async with self._session.post(self._url, data=body, headers=headers, allow_redirects=False) as response:
                return response.status, f"{response.status} {response.reason}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return 0, str(error) or type(error).__name__
