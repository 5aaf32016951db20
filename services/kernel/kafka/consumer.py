"""Hearing other services over Kafka: one member of a consumer group, which works on the partitions that it was given.

How far a partition is handled stands in the service's own database, in the same transactions as what was done; Kafka is
told it for others to see. Whoever is given a partition claims it there first, so that what an earlier owner still does
is refused.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import CorruptRecordException, IllegalStateError, KafkaError, OffsetOutOfRangeError

from services.kernel.appender import Appender
from services.kernel.event_store import (
    Commit,
    Decode,
    EventStore,
    Fenced,
    StoreError,
    StoreUnavailable,
)
from services.kernel.kafka import parking
from services.kernel.kafka.connection import Connection, stop
from services.kernel.kafka.message import Message, Outgoing, Unreadable, dead_letter, incoming
from services.kernel.kafka.parking import DEAD, WAITING
from services.kernel.kafka.progress import Batch, PartitionProgress, Read, StreamRetry
from services.kernel.kafka.topics import dead_letters_of
from services.kernel.kafka.watchdog import Watchdog
from services.kernel.log_reader import Handler
from services.kernel.progress import RETRY_SECONDS
from services.kernel.takeover import move_to

#: Messages handled between two checkpoints, of all partitions together.
BATCH_RECORDS: Final = 500
#: How long it is waited for messages before it is looked whether something else is due, in seconds.
POLL_SECONDS: Final = 0.2
#: How long a fetch may take beyond that, in seconds: it waits while the group shares its partitions out anew.
FETCH_GRACE_SECONDS: Final = 2.0
#: How often it is looked whether somebody wants something tried again, or moved a checkpoint, in seconds.
CALLS_SECONDS: Final = 1.0
#: How often Kafka is told how far partitions are handled, and how long that may take, in seconds.
TELL_SECONDS: Final = 1.0
#: Kafka is not told again so soon after that failed, in seconds.
TELL_AGAIN_SECONDS: Final = 30.0
#: How soon a partition is claimed again after somebody else did, in seconds: the group knows by then who has it.
RECLAIM_SECONDS: Final = 1.0
#: How often silent partitions are compared with where they end, and how long the broker may take to say it, in seconds.
LOOK_SECONDS: Final = 5.0
#: A client that brings nothing for so long although there is something, or no partitions, is thrown away, in seconds.
STALL_SECONDS: Final = 45.0
#: Parked streams that are tried again before new messages of their partition are handled.
RETRIES_A_TURN: Final = 20
#: Dead messages that are read at a time to be published, and how long one may take with all that is needed for it.
DEAD_PAGE: Final = 20
PUBLISH_SECONDS: Final = 30.0

#: Sends a message and waits until it is safe; raises what went wrong.
Publish = Callable[[Outgoing], Awaitable[None]]

log = structlog.get_logger(__name__)


class Subscription(msgspec.Struct, frozen=True):
    """A topic, whose events stand on it, and who handles them."""

    topic: str
    source: str
    handle: Handler


class PartitionLag(msgspec.Struct, frozen=True):
    """How far one partition is behind.

    `seconds`: since the next message that is not handled was sent; 0 when there is none. `waiting` and `dead` messages
    are those that were left behind. `stuck` says what keeps the partition from going on, for people.
    """

    topic: str
    partition: int
    position: int
    behind: int
    seconds: float = 0.0
    waiting: int = 0
    dead: int = 0
    stuck: str = ""


class ClientStalled(Exception):
    """The client of Kafka does not do its work, and says nothing."""


class _Partition:
    """A partition that was claimed here."""

    def __init__(self, place: TopicPartition, subscription: Subscription, progress: PartitionProgress) -> None:
        self.place = place
        self.source = subscription.source
        self.handle = subscription.handle
        self.progress = progress
        #: What went wrong with it last, and when it is tried again (monotonic).
        self.failing = ""
        self.failures = 0
        self.again_at = 0.0
        #: Why nothing of it is handled until somebody did something.
        self.alarm = ""
        #: When the first message was sent that is not handled, as far as it was seen.
        self.next_sent_ms: int | None = None
        self.behind_since: float | None = None
        #: Since when the client keeps back what stands behind this offset.
        self.silent_at = -1
        self.silent_since = 0.0

    @property
    def flows(self) -> bool:
        """Whether messages are wanted."""
        return not (self.alarm or self.progress.full or time.monotonic() < self.again_at)

    @property
    def stuck(self) -> str:
        if self.alarm or self.failing:
            return f"{self.progress.name}: {self.alarm or self.failing}"
        return f"{self.progress.stuck}; it waits for them" if self.progress.full else self.progress.stuck


class KafkaConsumer:
    """Hears the events of other services as one member of a group. It never passes a message that was neither handled
    nor parked, whatever Kafka, the database or the process does."""

    def __init__(
        self,
        group: str,
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
        self.group = group
        #: Why nothing at all is heard, for people; "" while all goes well.
        self.away = ""
        self._subscriptions = {one.topic: one for one in subscriptions}
        self._store = store
        self._appender = appender
        self._connection = connection
        self._decode = decode
        self._publish = publish
        self._watchdog = watchdog
        self._retry_seconds = retry_seconds
        self._client_options = client_options or {}
        self._client: AIOKafkaConsumer | None = None
        self._assigned: frozenset[TopicPartition] | None = None
        """What the group gave us; None while it is shared out."""
        self._assigned_at = 0.0
        self._given = asyncio.Event()
        self._partitions: dict[TopicPartition, _Partition] = {}
        self._claim_after: dict[TopicPartition, float] = {}
        self._unclaimed = ""
        self._told: dict[TopicPartition, int] = {}
        self._tell_at = self._calls_at = self._look_at = 0.0
        self._answered_at = 0.0
        self._ends: dict[TopicPartition, int] = {}
        self._died = asyncio.Event()
        self._unpublished = ""
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to hear; while no broker or database is there, it is waited for."""
        if self._watchdog:
            self._watchdog.start()
        self._tasks = [
            asyncio.create_task(self._run(), name=f"kafka:{self.group}"),
            asyncio.create_task(self._publish_dead(), name=f"dead-letters:{self.group}"),
        ]

    async def stop(self) -> None:
        """Leave the group, in bounded time; what is being handled is abandoned and handled again next time."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._watchdog:
            self._watchdog.stop()

    @property
    def ready(self) -> bool:
        """Whether partitions were shared out and ours are claimed."""
        return self._assigned is not None and self._assigned <= self._partitions.keys()

    @property
    def positions(self) -> dict[TopicPartition, int]:
        """The next offset to handle of each partition that is worked on here."""
        return {place: one.progress.position for place, one in self._partitions.items()}

    @property
    def parked(self) -> list[str]:
        """Streams that do not go on, of the partitions that are worked on here."""
        return [stream for one in self._partitions.values() for stream in one.progress.parked if stream]

    @property
    def stuck(self) -> str:
        """What keeps this consumer from going on, for people."""
        stuck = [self.away, self._unclaimed, *(one.stuck for one in self._partitions.values()), self._unpublished]
        return "; ".join(filter(None, stuck))

    async def lag(self) -> list[PartitionLag]:
        """How far the partitions that were given to us are behind, as far as broker and database say it."""
        places = sorted(self._assigned or self._partitions)
        with suppress(KafkaError, TimeoutError, OSError, IllegalStateError):
            await self._look_for_ends(places)
        left: Mapping[tuple[str, int, str], int] = {}
        with suppress(StoreError):
            left = await parking.counts(self._store, self.group)
        return [await self._lag_of(place, left) for place in places]

    async def rewind(self) -> None:
        """Read all partitions that are worked on here again from their beginning. Raises StoreUnavailable."""
        for place, one in list(self._partitions.items()):
            await move_to(self._store, self.group, one.progress.name, 0)
            if self._partitions.get(place) is one:
                self._drop(one, reclaim_s=0.0)

    # -- the client and its group

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
            finally:
                self._assigned, self._partitions = None, {}
            self._beat()
            await asyncio.sleep(RETRY_SECONDS[min(failures, 3)])
            failures += 1

    async def _serve(self) -> None:
        """Work with one client until something is wrong with it."""
        self._client = client = await self._connection.consumer(
            self.group,
            **{
                "group_id": self.group,
                "auto_offset_reset": "none",
                "isolation_level": "read_committed",
                **self._client_options,
            },
        )
        self._assigned_at = self._answered_at = time.monotonic()
        self._claim_after, self._told = {}, {}
        try:
            client.subscribe(list(self._subscriptions), listener=_Listener(self, client))
            while True:
                await self._turn(client)
        finally:
            self._client = None
            await self._tell_kafka(client, self.positions)
            await stop(client)

    def assigned(self, client: AIOKafkaConsumer, places: frozenset[TopicPartition]) -> None:
        """The group gave us partitions: nothing is fetched before they are claimed."""
        if not self._is_current(client):
            return
        for place in places:
            client.pause(place)
            client.seek(place, 0)  # else the client would look for a position of its own
        self._assigned, self._assigned_at = places, time.monotonic()
        self._claim_after = {}
        self._given.set()

    async def revoked(self, client: AIOKafkaConsumer) -> None:
        """The group shares its partitions out anew. What is under way ends by itself, or is refused."""
        if not self._is_current(client):
            return
        positions = self.positions
        self._assigned, self._assigned_at, self._partitions = None, time.monotonic(), {}
        await self._tell_kafka(client, positions)

    def _is_current(self, client: AIOKafkaConsumer) -> bool:
        """Whether it is not a client that was thrown away."""
        return client is self._client

    async def _turn(self, client: AIOKafkaConsumer) -> None:
        self._beat()
        await self._claim(client)
        await self._hear_calls()
        for place, one in self._partitions.items():
            (client.resume if one.flows else client.pause)(place)
        fetched = await self._fetch(client)
        async with asyncio.TaskGroup() as tasks:
            for place, one in self._partitions.items():
                messages = fetched.get(place, [])
                if messages or one.progress.due():
                    tasks.create_task(self._work(client, one, messages))
        if self.away:
            log.info("broker_is_there", consumer=self.group)
            self.away = ""
        if time.monotonic() >= self._tell_at:
            await self._tell_kafka(client, self.positions)
        if time.monotonic() >= self._look_at:
            await self._look_after(client)

    async def _fetch(self, client: AIOKafkaConsumer) -> Mapping[TopicPartition, Sequence[ConsumerRecord]]:
        pause = min((one.progress.pause_s(POLL_SECONDS) for one in self._partitions.values()), default=POLL_SECONDS)
        if self._assigned is None:  # asking for messages would wait for the group, however long it takes
            self._given.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._given.wait()
            return {}
        try:
            async with asyncio.timeout(pause + FETCH_GRACE_SECONDS):
                fetched: Mapping[TopicPartition, Sequence[ConsumerRecord]] = await client.getmany(
                    timeout_ms=int(pause * 1000), max_records=BATCH_RECORDS
                )
        except TimeoutError:
            return {}
        except OffsetOutOfRangeError as error:
            for place, offset in error.args[0].items():
                await self._is_out_of_range(client, place, offset)
            return {}
        except (UnicodeDecodeError, CorruptRecordException) as error:
            return await self._fetch_one_by_one(client, error)
        return fetched

    async def _fetch_one_by_one(
        self, client: AIOKafkaConsumer, error: Exception
    ) -> Mapping[TopicPartition, Sequence[ConsumerRecord]]:
        """The client stumbles over a message before anybody sees it (a damaged batch, a header's name that is no text),
        and does not say where: stop that partition only. What it lost of the others is fetched again."""
        fetched: dict[TopicPartition, Sequence[ConsumerRecord]] = {}
        for place, one in list(self._partitions.items()):
            if self._partitions.get(place) is not one or not one.flows:
                continue
            for limit in (BATCH_RECORDS, 1):  # what stands before the message is handled, one by one
                client.seek(place, one.progress.position)
                try:
                    async with asyncio.timeout(FETCH_GRACE_SECONDS):
                        fetched |= await client.getmany(place, timeout_ms=1000, max_records=limit)
                    break
                except TimeoutError:
                    break
                except type(error) as unreadable:
                    if limit == 1:
                        self._stop(one, f"the client cannot read message {one.progress.position}: {unreadable!r}")
        return fetched

    def _stop(self, partition: _Partition, reason: str) -> None:
        """Handle nothing more of a partition until somebody moved its checkpoint."""
        partition.alarm = reason
        log.error("partition_stopped", consumer=self.group, partition=partition.progress.name, reason=reason)

    async def _is_out_of_range(self, client: AIOKafkaConsumer, place: TopicPartition, offset: int) -> None:
        partition = self._partitions.get(place)
        if partition is None or partition.progress.position != offset:
            return
        service = self.group.rpartition("-")[2]
        way_out = f"aftersales republish {partition.source}, then aftersales resume {service}"
        begin = end = "?"
        with suppress(KafkaError, TimeoutError, OSError):
            async with asyncio.timeout(LOOK_SECONDS):
                begin = (await client.beginning_offsets([place]))[place]
                end = (await client.end_offsets([place]))[place]
        self._stop(
            partition,
            f"handled up to {offset}, but the topic holds {begin} to {end}: retention ran past the checkpoint, or the"
            f" topic was made anew. Nothing is skipped; the way out: {way_out}",
        )

    async def _tell_kafka(self, client: AIOKafkaConsumer, positions: Mapping[TopicPartition, int]) -> None:
        """Tell Kafka how far partitions are handled. Nothing depends on it."""
        new = {place: at for place, at in positions.items() if at and self._told.get(place) != at}
        self._tell_at = time.monotonic() + TELL_SECONDS
        if not new:
            return
        try:
            async with asyncio.timeout(TELL_SECONDS):
                await client.commit(new)
        except (KafkaError, TimeoutError, OSError):
            self._tell_at = time.monotonic() + TELL_AGAIN_SECONDS
        else:
            self._told |= new

    async def _look_after(self, client: AIOKafkaConsumer) -> None:
        """Throw a client away that fell silent. Raises ClientStalled."""
        now = time.monotonic()
        self._look_at = now + LOOK_SECONDS
        if self._assigned is None:
            if now > self._assigned_at + STALL_SECONDS:
                raise ClientStalled(f"the group gave no partitions for {STALL_SECONDS:.0f} seconds")
            self._answered_at = now
            return
        flowing = {place: one for place, one in self._partitions.items() if one.flows}
        try:
            await self._look_for_ends(list(flowing))
            self._answered_at = now
        except (KafkaError, TimeoutError, OSError) as error:
            if now > self._answered_at + STALL_SECONDS:
                raise ClientStalled(f"the broker did not answer for {STALL_SECONDS:.0f} seconds") from error
            return
        for place, one in flowing.items():
            if self._partitions.get(place) is not one:
                return  # shared out anew meanwhile
            at = await client.position(place)
            if at >= self._ends[place] or at != one.silent_at:
                one.silent_at, one.silent_since = at, now
            elif now > one.silent_since + STALL_SECONDS:
                raise ClientStalled(f"{one.progress.name} ends at {self._ends[place]}, but nothing comes from {at} on")

    async def _look_for_ends(self, places: Sequence[TopicPartition]) -> None:
        if places and self._client:
            async with asyncio.timeout(LOOK_SECONDS):
                self._ends |= await self._client.end_offsets(places)

    # -- owning partitions

    async def _claim(self, client: AIOKafkaConsumer) -> None:
        """Claim what the group gave us. Without database it is tried again later; the group keeps us meanwhile."""
        assigned = self._assigned
        now = time.monotonic()
        for place in sorted((assigned or frozenset()) - self._partitions.keys()):
            if now < self._claim_after.get(place, 0.0):
                continue
            try:
                await self._claim_one(client, place, assigned)
                self._unclaimed = ""
            except Exception as error:
                self._claim_after = dict.fromkeys(assigned or (), time.monotonic() + RECLAIM_SECONDS)
                if self._unclaimed != f"partitions cannot be claimed: {error!r}":
                    self._unclaimed = f"partitions cannot be claimed: {error!r}"
                    log.warning("partition_unclaimed", consumer=self.group, partition=str(place), error=repr(error))
                return

    async def _claim_one(
        self, client: AIOKafkaConsumer, place: TopicPartition, assigned: frozenset[TopicPartition] | None
    ) -> None:
        subscription = self._subscriptions[place.topic]
        claim = await self._store.claim(self.group, f"{place.topic}/{place.partition}")
        progress = PartitionProgress(
            self.group, place.topic, place.partition, subscription.source, claim, self._retry_seconds
        )
        progress.restore(await progress.parking.heads(self._store))
        if not progress.position:
            async with asyncio.timeout(LOOK_SECONDS):
                progress.position = (await client.beginning_offsets([place]))[place]
        if self._assigned is not assigned:
            return  # shared out anew meanwhile
        client.seek(place, progress.position)
        self._partitions[place] = _Partition(place, subscription, progress)
        self._died.set()
        log.info(
            "partition_claimed",
            consumer=self.group,
            partition=progress.name,
            position=progress.position,
            epoch=claim.epoch,
            parked=len(progress.parked),
        )

    def _drop(self, partition: _Partition, reclaim_s: float = RECLAIM_SECONDS) -> None:
        """Work on a partition no more under this claim."""
        if self._partitions.get(partition.place) is partition:
            del self._partitions[partition.place]
            self._claim_after[partition.place] = time.monotonic() + reclaim_s
            if self._client:
                self._client.pause(partition.place)

    async def _hear_calls(self) -> None:
        """Look whether somebody wants parked messages tried again, or let a stopped partition begin anew."""
        if time.monotonic() < self._calls_at or not self._partitions:
            return
        self._calls_at = time.monotonic() + CALLS_SECONDS
        with suppress(StoreError):  # the database is away: it is asked again
            for topic, number, stream in await parking.called(self._store, self.group):
                if one := self._partitions.get(TopicPartition(topic, number)):
                    one.progress.call(stream)
            for one in list(self._partitions.values()):
                if one.alarm and await self._is_moved(one):
                    self._drop(one, reclaim_s=0.0)

    async def _is_moved(self, partition: _Partition) -> bool:
        return await self._store.checkpoint(self.group, partition.progress.name) != partition.progress.position

    # -- handling messages

    async def _work(self, client: AIOKafkaConsumer, partition: _Partition, records: Sequence[ConsumerRecord]) -> None:
        """Try again what is due in a partition, then handle new messages."""
        if records:
            partition.next_sent_ms = records[0].timestamp
        try:
            for stream in partition.progress.due()[:RETRIES_A_TURN]:
                await self._try_again(partition, stream)
            if records:
                await self._handle(partition, [_message(record) for record in records])
                partition.next_sent_ms = None
            partition.failing, partition.failures = "", 0
        except Fenced as taken_over:
            log.warning("partition_fenced", consumer=self.group, partition=partition.progress.name, why=str(taken_over))
            self._drop(partition)
        except Exception as error:
            self._fails(client, partition, error)

    async def _handle(self, partition: _Partition, messages: Sequence[Message]) -> None:
        progress = partition.progress
        batch = Batch(messages, self._reader(partition))
        handled: Mapping[str, int] = {}
        if batch.unreadable_streams:
            handled = await self._store.inbox(partition.source, batch.unreadable_streams)
        if passing := progress.begin(batch, handled):
            await partition.handle(passing, progress)
        else:
            await self._appender.submit(progress.noted(batch.upto))
        progress.settle()
        self._settled(partition)

    async def _try_again(self, partition: _Partition, stream: str) -> None:
        """Handle what waits in a parked stream, until it fails again or nothing waits."""
        if not stream:
            await self._try_strays(partition)
            return
        progress, store = partition.progress, self._store
        while True:
            page = await progress.parking.page(store, stream)
            handled = (await store.inbox(partition.source, [stream])).get(stream, 0)
            retry = StreamRetry(progress, stream, page, handled, self._reader(partition))
            if retry.records:
                await partition.handle(retry.records, retry)
            else:
                await self._appender.submit(retry.noted())
            retry.settle()
            self._settled(partition)
            if retry.over:
                return

    async def _try_strays(self, partition: _Partition) -> None:
        """Messages that belonged to no stream: what can be read by now belongs to one, and is tried with it."""
        progress, read = partition.progress, self._reader(partition)
        while strays := await progress.parking.called_strays(self._store):
            for row in strays:
                try:
                    statement = progress.parking.join(row.message.offset, read(row.message))
                except Unreadable as error:
                    statement = progress.parking.die(row.message.offset, error.cause, error, row.tries + 1)
                    progress.has_dead = True
                await self._appender.submit(Commit(statements=(statement,), fence=progress.fence))
        del progress.parked[""]
        self._settled(partition)

    def _reader(self, partition: _Partition) -> Read:
        return partial(incoming, source=partition.source, decode=self._decode)

    def _settled(self, partition: _Partition) -> None:
        self._beat()
        if partition.progress.has_dead:
            self._died.set()

    def _fails(self, client: AIOKafkaConsumer, partition: _Partition, error: Exception) -> None:
        """Nothing of a partition could be handled: no message's fault. All of it is tried again."""
        wait_s = RETRY_SECONDS[min(partition.failures, len(RETRY_SECONDS) - 1)]
        partition.failures += 1
        partition.again_at = time.monotonic() + wait_s
        if partition.failing != repr(error):  # told once, not at every try
            partition.failing = repr(error)
            told = None if isinstance(error, StoreUnavailable) else error
            name = partition.progress.name
            log.error("partition_stuck", consumer=self.group, partition=name, error=repr(error), exc_info=told)
        if self._partitions.get(partition.place) is partition:
            client.pause(partition.place)
            client.seek(partition.place, partition.progress.position)

    def _beat(self) -> None:
        if self._watchdog:
            self._watchdog.beat()

    # -- dead letters

    async def _publish_dead(self) -> None:
        """Publish what died; where the broker does not take it, it stays marked and is tried again."""
        failures = 0
        while True:
            await self._died.wait()
            self._died.clear()
            failed = ""
            for one in list(self._partitions.values()):
                try:
                    await self._publish_dead_of(one.progress)
                except Fenced:
                    continue  # the new owner publishes it
                except Exception as error:
                    failed = f"dead letters cannot be published: {error!r}"
            if failed:
                if not self._unpublished:
                    log.warning("dead_letters_unpublished", consumer=self.group, reason=failed)
                await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
                failures += 1
                self._died.set()
            else:
                failures = 0
            self._unpublished = failed

    async def _publish_dead_of(self, progress: PartitionProgress) -> None:
        while progress.has_dead:
            progress.has_dead = False
            try:
                rows = await progress.parking.unpublished(self._store, DEAD_PAGE)
                for row in rows:
                    letter = dead_letter(row.message, dead_letters_of(row.message.topic, self.group), row.error)
                    async with asyncio.timeout(PUBLISH_SECONDS):
                        await self._publish(letter)
                    published = progress.parking.published([row.message.offset])
                    await self._appender.submit(msgspec.structs.replace(published, fence=progress.fence))
            except BaseException:
                progress.has_dead = True
                raise
            progress.has_dead |= len(rows) == DEAD_PAGE

    # -- figures

    async def _lag_of(self, place: TopicPartition, left: Mapping[tuple[str, int, str], int]) -> PartitionLag:
        one = self._partitions.get(place)
        if one is None:
            position = 0
            with suppress(StoreError):
                position = await self._store.checkpoint(self.group, f"{place.topic}/{place.partition}")
        else:
            position = one.progress.position
            if one.next_sent_ms is None and self._client and not one.alarm:
                with suppress(KafkaError, IllegalStateError):  # what the client passed over is no event: a marker
                    position = max(position, await self._client.position(place))
        behind = max(0, self._ends.get(place, 0) - position)
        return PartitionLag(
            place.topic,
            place.partition,
            position,
            behind,
            _behind_s(one, behind) if one else 0.0,
            left.get((*place, WAITING), 0),
            left.get((*place, DEAD), 0),
            one.stuck if one else "not claimed",
        )


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Tells the consumer what its group decides. Nothing here waits for messages that are being handled: whoever gets
    their partition claims it."""

    def __init__(self, consumer: KafkaConsumer, client: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._client = client

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        await self._consumer.revoked(self._client)

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._consumer.assigned(self._client, frozenset(assigned))


def _message(record: ConsumerRecord) -> Message:
    return Message(
        record.topic, record.partition, record.offset, record.key, record.value, record.headers, record.timestamp
    )


def _behind_s(partition: _Partition, behind: int) -> float:
    """Seconds since the next message was sent; where it was not seen yet, since there is one."""
    if not behind:
        partition.behind_since = None
        return 0.0
    if partition.next_sent_ms is not None:
        return max(0.0, time.time() - partition.next_sent_ms / 1000)
    if partition.behind_since is None:
        partition.behind_since = time.monotonic()
    return time.monotonic() - partition.behind_since
