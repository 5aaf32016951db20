"""What is on its way in a stack: asked of its databases and brokers, whatever its processes say of themselves."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import asyncpg
import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts.registry import HEARS
from services.catalogue import Assembly
from services.kernel.kafka.connection import Connection, stop
from services.kernel.kafka.relay import Relay
from services.kernel.kafka.topics import group_of, topic_of
from services.kernel.progress import TRIES_BEFORE_ALARM
from services.stack.databases import Databases

# Where a log ends, for those who follow all of it and for those who follow only what the service itself decided; how
# far each consumer came; and what waits in parking, or will not go on at all.
_LOOK: Final = """SELECT
    (SELECT coalesce(max(position), 0) FROM events) AS head,
    (SELECT coalesce(max(position), 0) FROM events WHERE source = $1) AS own_head,
    (SELECT coalesce(jsonb_object_agg(consumer || ' ' || source, position), '{}') FROM checkpoints)::text
        AS checkpoints,
    (SELECT coalesce(jsonb_agg(jsonb_build_object('tells', concat_ws(' ', topic, stream, cause, error),
            'stuck', state = 'dead' OR tries >= $2)), '[]')
        FROM parked_messages WHERE state IN ('waiting', 'dead'))::text AS parked
"""


class _Parked(msgspec.Struct, frozen=True):
    """A message that waits, or will not go on by itself."""

    tells: str
    stuck: bool


class Look(msgspec.Struct, frozen=True):
    """What was seen at one moment: where logs and topics end, which tells whether something happened since, who is
    behind or waits, and what will not go on."""

    ends: tuple[tuple[str, int], ...]
    behind: tuple[str, ...]
    stuck: tuple[str, ...]

    @property
    def quiet(self) -> bool:
        """Whether everything that happened so far was handled by everybody."""
        return not self.behind and not self.stuck


class Flow:
    """Looks at a stack: `open` it first, and `close` it in the end."""

    def __init__(self, databases: Databases, brokers: Connection, assemblies: Mapping[str, Assembly]) -> None:
        """`assemblies`: the services, for who follows whom; nothing of them is started."""
        self._databases = databases
        self._brokers = brokers
        self._followers = {
            service: {one.name: one.learned_too for one in made.followers if one.source == service}
            | {Relay.name: False}
            for service, made in assemblies.items()
        }
        self._connections: dict[str, Any] = {}
        self._consumer: AIOKafkaConsumer | None = None
        self._partitions: list[TopicPartition] = []

    def followers(self, service: str) -> list[str]:
        """Who follows a service's own log."""
        return list(self._followers[service])

    async def open(self) -> None:
        """Connect to every database and to the brokers. Raises LookupError where a topic is not there."""
        for service in self._followers:
            self._connections[service] = await asyncpg.connect(self._databases.url_of(service))
        self._consumer = await self._brokers.consumer("aftersales-flow")
        self._partitions = await self._heard()
        await self._consumer.end_offsets(self._partitions)  # the first time it has to find its way, which takes long

    async def close(self) -> None:
        """Let go of all connections."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await stop(consumer)
        while self._connections:
            _, connection = self._connections.popitem()
            await connection.close(timeout=5)

    async def look(self) -> Look:
        """See where everything stands."""
        assert self._consumer is not None
        # The logs first: what they hold was published before the topics are asked where they end, or is behind itself.
        rows = await asyncio.gather(*(self._row(service) for service in self._connections))
        topic_ends: dict[TopicPartition, int] = await self._consumer.end_offsets(self._partitions)
        ends: list[tuple[str, int]] = []
        behind: list[str] = []
        stuck: list[str] = []
        for service, row in zip(self._connections, rows, strict=True):
            checkpoints = msgspec.json.decode(row["checkpoints"], type=dict[str, int])
            ends.append((service, row["head"]))
            for name, everything in self._followers[service].items():
                position, end = checkpoints.get(f"{name} {service}", 0), row["head" if everything else "own_head"]
                if position < end:
                    behind.append(f"{service}: {name} at {position} of {end}")
            behind += self._behind_topics(service, checkpoints, topic_ends)
            for parked in msgspec.json.decode(row["parked"], type=list[_Parked]):
                (stuck if parked.stuck else behind).append(f"{service}: {parked.tells}")
        ends += [(f"{one.topic}/{one.partition}", end) for one, end in topic_ends.items()]
        return Look(tuple(ends), tuple(behind), tuple(stuck))

    async def _heard(self) -> list[TopicPartition]:
        """Every partition that a service hears. Raises LookupError where a topic is not there."""
        topics = {topic_of(source, self._brokers.prefix) for sources in HEARS.values() for source in sources}
        admin = await self._brokers.admin()
        try:
            described = await admin.describe_topics(sorted(topics))
        finally:
            await stop(admin)
        found = [(one["topic"], part["partition"]) for one in described for part in one["partitions"]]
        if missing := topics - {topic for topic, _ in found}:
            raise LookupError(f"there is no topic {', '.join(sorted(missing))}")
        return sorted(TopicPartition(*one) for one in found)

    async def _row(self, service: str) -> Any:
        return await self._connections[service].fetchrow(_LOOK, service, TRIES_BEFORE_ALARM)

    def _behind_topics(
        self, service: str, checkpoints: Mapping[str, int], ends: Mapping[TopicPartition, int]
    ) -> list[str]:
        group = group_of(service, self._brokers.prefix)
        heard = {topic_of(source, self._brokers.prefix) for source in HEARS[service]}
        behind = []
        for one, end in ends.items():
            position = checkpoints.get(f"{group} {one.topic}/{one.partition}", 0)
            if one.topic in heard and position < end:
                behind.append(f"{service}: {one.topic}/{one.partition} at {position} of {end}")
        return behind
