"""Fetching messages, and what becomes of a partition whose next message the client cannot bring."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, TypeAlias

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import CorruptRecordException, KafkaError, OffsetOutOfRangeError

from services.kernel.kafka.connection import BOUNDS_SECONDS
from services.kernel.kafka.message import Message
from services.kernel.kafka.partition import Partition

#: Messages handled between two checkpoints, of all partitions together.
BATCH_RECORDS: Final = 500
#: How long a fetch may take beyond its wait, in seconds: it waits while the group shares its partitions out anew.
GRACE_SECONDS: Final = 2.0

Fetched: TypeAlias = dict[TopicPartition, list[Message]]


async def fetch(
    client: AIOKafkaConsumer, partitions: Mapping[TopicPartition, Partition], service: str, wait_s: float
) -> Fetched:
    """The next messages, waited for that long; none where the client is busy with its group.

    A partition whose next message is not there any more, or cannot be read by the client, is stopped.
    """
    try:
        async with asyncio.timeout(wait_s + GRACE_SECONDS):
            return _messages(await client.getmany(timeout_ms=int(wait_s * 1000), max_records=BATCH_RECORDS))
    except TimeoutError:
        return {}
    except OffsetOutOfRangeError as error:
        for place, offset in error.args[0].items():
            one = partitions.get(place)
            if one is not None and one.progress.position == offset:
                one.stop(await _out_of_range(client, place, one, service))
        return {}
    except (UnicodeDecodeError, CorruptRecordException) as error:
        return await _one_by_one(client, partitions, error)


async def _out_of_range(client: AIOKafkaConsumer, place: TopicPartition, partition: Partition, service: str) -> str:
    """What is wrong with a partition where Kafka does not hold what comes next."""
    begin = end = "?"
    with suppress(KafkaError, TimeoutError, OSError):
        async with asyncio.timeout(BOUNDS_SECONDS):
            begin = (await client.beginning_offsets([place]))[place]
            end = (await client.end_offsets([place]))[place]
    return (
        f"handled up to {partition.progress.position}, but the topic holds {begin} to {end}: retention ran past the"
        " checkpoint, or the topic was made anew. Nothing is skipped; the way out:"
        f" aftersales republish {partition.source} --by NAME, then aftersales resume {service} --by NAME"
    )


async def _one_by_one(
    client: AIOKafkaConsumer, partitions: Mapping[TopicPartition, Partition], error: Exception
) -> Fetched:
    """The client stumbles over a message before anybody sees it (a damaged batch, a header's name that is no text),
    and does not say where: stop that partition only. What it lost of the others is fetched again."""
    fetched: Fetched = {}
    for place, one in list(partitions.items()):
        if partitions.get(place) is not one or not one.flows:
            continue
        for limit in (BATCH_RECORDS, 1):  # what stands before the message is handled, one by one
            client.seek(place, one.progress.position)
            try:
                async with asyncio.timeout(GRACE_SECONDS):
                    fetched |= _messages(await client.getmany(place, timeout_ms=1000, max_records=limit))
                break
            except TimeoutError:
                break
            except type(error) as unreadable:
                if limit == 1:
                    one.stop(f"the client cannot read message {one.progress.position}: {unreadable!r}")
    return fetched


def _messages(records: Mapping[TopicPartition, Sequence[ConsumerRecord]]) -> Fetched:
    return {place: [_message(one) for one in some] for place, some in records.items()}


def _message(one: ConsumerRecord) -> Message:
    return Message(one.topic, one.partition, one.offset, one.key, one.value, one.headers, one.timestamp)
