"""Hearing other services over Kafka: one member of a consumer group, which works on the partitions that it was given.

How far a partition is handled stands in the service's own database, in the same transactions as what was done; Kafka
is told it for others to see.

Here is the loop. What a turn of it consists of has modules of its own: `membership` (what the group gives, and what is
claimed), `fetching` (and what cannot be fetched), `partition` (handling, trying again, backing off), `silence` (clients
that do not do their work), `dead_letter_outbox`.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

import msgspec
import structlog
from aiokafka import TopicPartition

from services.kernel.appender import Appender
from services.kernel.event_store import Decode, EventStore, Fenced, StoreError
from services.kernel.kafka import parking
from services.kernel.kafka.connection import Connection, stop
from services.kernel.kafka.dead_letter_outbox import DeadLetterOutbox, Publish
from services.kernel.kafka.fetching import Fetched, fetch
from services.kernel.kafka.membership import Membership
from services.kernel.kafka.message import Message
from services.kernel.kafka.partition import Partition
from services.kernel.kafka.progress import PartitionProgress
from services.kernel.kafka.silence import Silence
from services.kernel.kafka.topics import group_of
from services.kernel.kafka.watchdog import Watchdog
from services.kernel.log_reader import Handler
from services.kernel.metrics import PARTITIONS_STOPPED
from services.kernel.progress import RETRY_SECONDS
from services.kernel.takeover import move_to

#: How long it is waited for messages before it is looked whether something else is due, in seconds.
POLL_SECONDS: Final = 0.2
#: How often it is looked whether somebody wants something tried again, or moved a checkpoint, in seconds.
CALLS_SECONDS: Final = 1.0

log = structlog.get_logger(__name__)


class Subscription(msgspec.Struct, frozen=True):
    """A topic, whose events stand on it, and who handles them."""

    topic: str
    source: str
    handle: Handler


class KafkaConsumer:
    """Hears the events of other services as one member of a group. It never passes a message that was neither handled
    nor parked, whatever Kafka, the database or the process does."""

    def __init__(
        self,
        service: str,
        subscriptions: Sequence[Subscription],
        store: EventStore,
        appender: Appender,
        connection: Connection,
        decode: Decode,
        publish: Publish,
        *,
        watchdog: Watchdog | None = None,
        retry_seconds: Sequence[float] = RETRY_SECONDS,
        client_options: Mapping[str, Any] | None = None,
    ) -> None:
        """`publish` takes dead letters. `retry_seconds`: waits between tries of a message; after the last it is dead.
        `client_options` are aiokafka's."""
        self.service = service
        self.group = group_of(service, connection.prefix)
        #: Why nothing at all is heard, for people; "" while all goes well.
        self.away = ""
        self._subscriptions = {one.topic: one for one in subscriptions}
        self._store = store
        self._appender = appender
        self._connection = connection
        self._decode = decode
        self._watchdog = watchdog
        self._retry_seconds = retry_seconds
        self._client_options = client_options or {}
        self._outbox = DeadLetterOutbox(self.group, store, appender, publish, self._places)
        self._membership: Membership | None = None
        self._calls_at = 0.0
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to hear; while no broker or database is there, it is waited for."""
        if self._watchdog:
            self._watchdog.start()
        for one in self._subscriptions.values():
            PARTITIONS_STOPPED.labels(self.service, one.source).set_function(partial(self._stopped, one.source))
        self._tasks = [
            asyncio.create_task(self._run(), name=f"kafka:{self.group}"),
            asyncio.create_task(self._outbox.run(), name=f"dead-letters:{self.group}"),
        ]

    async def stop(self) -> None:
        """Leave the group, in bounded time; what is being handled is abandoned and handled again next time."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for one in self._subscriptions.values():
            PARTITIONS_STOPPED.remove(self.service, one.source)
        if self._watchdog:
            self._watchdog.stop()

    @property
    def ready(self) -> bool:
        """Whether partitions were shared out and ours are claimed."""
        return self._membership is not None and self._membership.complete

    @property
    def positions(self) -> dict[TopicPartition, int]:
        """The next offset to handle of each partition that is worked on here."""
        return self._membership.positions if self._membership else {}

    @property
    def parked(self) -> list[str]:
        """Streams that do not go on, of the partitions that are worked on here."""
        return [stream for one in self._places() for stream in one.parked if stream]

    @property
    def stuck(self) -> str:
        """What keeps this consumer from going on, for people."""
        unclaimed = self._membership.unclaimed if self._membership else ""
        stuck = [self.away, unclaimed, *(one.stuck for one in self._partitions), self._outbox.stuck]
        return "; ".join(filter(None, stuck))

    async def rewind(self) -> None:
        """Read all partitions that are worked on here again from their beginning. Raises StoreUnavailable."""
        if membership := self._membership:
            for place, one in list(membership.partitions.items()):
                await move_to(self._store, self.group, one.progress.name, 0)
                membership.drop(place, one, again_s=0.0)

    @property
    def _partitions(self) -> list[Partition]:
        return list(self._membership.partitions.values()) if self._membership else []

    def _places(self) -> list[PartitionProgress]:
        return [one.progress for one in self._partitions]

    def _stopped(self, source: str) -> float:
        """How many partitions of a source stand still until somebody did something."""
        return sum(bool(one.alarm) for one in self._partitions if one.source == source)

    # -- clients come and go

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                await self._serve()
            except Exception as error:
                if self.away != repr(error):  # told once, not at every try
                    self.away = repr(error)
                    log.warning("waiting_for_broker", consumer=self.group, error=self.away)
                    failures = 0
            self._beat()
            await asyncio.sleep(RETRY_SECONDS[min(failures, 3)])
            failures += 1

    async def _serve(self) -> None:
        """Work with one client until something is wrong with it."""
        options = {"group_id": self.group, "auto_offset_reset": "none", "isolation_level": "read_committed"}
        client = await self._connection.consumer(self.group, **{**options, **self._client_options})
        membership = self._membership = Membership(self.group, client, self._claimed)
        silence = Silence(membership)
        try:
            client.subscribe(list(self._subscriptions), listener=membership)
            while True:
                await self._turn(membership)
                await silence.look()
        finally:
            self._membership = None
            await membership.tell(at_once=True)
            await stop(client)

    async def _claimed(self, place: TopicPartition) -> Partition:
        """A partition as its owner, from where the database says that it is handled."""
        subscribed = self._subscriptions[place.topic]
        claim = await self._store.claim(self.group, f"{place.topic}/{place.partition}")
        progress = PartitionProgress(
            self.group, place.topic, place.partition, subscribed.source, claim, self._retry_seconds
        )
        progress.restore(await progress.parking.heads(self._store))
        return Partition(
            subscribed.source, subscribed.handle, progress, self._store, self._appender, self._decode, self._settled
        )

    # -- one turn

    async def _turn(self, membership: Membership) -> None:
        self._beat()
        if await membership.claim():
            self._outbox.look()  # earlier owners may have left something
        await self._hear_calls(membership)
        fetched = await self._fetch(membership)
        async with asyncio.TaskGroup() as tasks:
            for place, one in membership.partitions.items():
                messages = fetched.get(place, [])
                if messages or one.progress.due():
                    tasks.create_task(self._work(membership, place, one, messages))
        if self.away:
            log.info("broker_is_there", consumer=self.group)
            self.away = ""
        await membership.tell()

    async def _hear_calls(self, membership: Membership) -> None:
        """Look whether somebody wants parked messages tried again, or let a stopped partition begin anew."""
        if time.monotonic() < self._calls_at or not membership.partitions:
            return
        self._calls_at = time.monotonic() + CALLS_SECONDS
        with suppress(StoreError):  # the database is away: it is asked again
            for topic, number, stream in await parking.called(self._store, self.group):
                if one := membership.partitions.get(TopicPartition(topic, number)):
                    one.progress.call(stream)
            for place, one in list(membership.partitions.items()):
                if one.alarm and await one.is_moved():
                    membership.drop(place, one, again_s=0.0)

    async def _fetch(self, membership: Membership) -> Fetched:
        if membership.given is None:  # asking for messages would wait for the group, however long it takes
            await membership.shared_out(POLL_SECONDS)
            return {}
        for place, one in membership.partitions.items():
            (membership.client.resume if one.flows else membership.client.pause)(place)
        wait_s = min([POLL_SECONDS, *(one.progress.pause_s(POLL_SECONDS) for one in self._partitions)])
        return await fetch(membership.client, membership.partitions, self.service, wait_s)

    async def _work(
        self, membership: Membership, place: TopicPartition, partition: Partition, messages: Sequence[Message]
    ) -> None:
        try:
            await partition.work(messages)
        except Fenced as taken_over:
            log.warning("partition_fenced", consumer=self.group, partition=partition.progress.name, why=str(taken_over))
            membership.drop(place, partition)
        except Exception as error:
            partition.failed(error)
            if membership.holds(place, partition):
                membership.client.pause(place)
                membership.client.seek(place, partition.progress.position)

    def _settled(self, progress: PartitionProgress) -> None:
        self._beat()
        if progress.has_dead:
            self._outbox.look()

    def _beat(self) -> None:
        if self._watchdog:
            self._watchdog.beat()
