"""Topics and groups: their names, what they must be like, and making what is missing.

Partitions are never added to a topic that exists: its keys would move, and events of one order would stand in two
partitions, where nothing keeps them in order.
"""

import asyncio
import time
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, Literal

import msgspec
import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from contracts.registry import HEARS, TOPICS
from services.kernel.kafka.connection import BrokerAway, Connection, stop
from services.kernel.settings import Settings

#: Largest message of a topic: an event (`log.MAX_DATA_BYTES`) with its headers, twice over.
MAX_MESSAGE_BYTES: Final = 2 * 1024 * 1024
#: Largest dead letter: any message, and why it is dead.
MAX_DEAD_LETTER_BYTES: Final = 3 * 1024 * 1024
#: How often it is looked whether topics are there by now, in seconds.
LOOK_SECONDS: Final = 1.0
#: How long brokers may take to tell one another of a new topic or setting, in seconds.
SETTLED_SECONDS: Final = 15.0

_DAY_MS = 24 * 60 * 60 * 1000
_SET_HERE = 1  # config_source of DescribeConfigs: set on the topic itself, not a default

State = Literal["created", "as_it_should_be", "differs", "altered", "missing"]

log = structlog.get_logger(__name__)


class TopicRefused(Exception):
    """The brokers do not make or change a topic as it was asked for."""

    def __init__(self, topic: str, reason: str) -> None:
        super().__init__(f"{topic}: {reason}")
        self.topic, self.reason = topic, reason


class Topic(msgspec.Struct, frozen=True):
    """A topic as it should be."""

    name: str
    partitions: int
    replication: int
    configs: dict[str, str]


class Difference(msgspec.Struct, frozen=True):
    """One thing that is not as it should be, and whether `--alter` mends it."""

    setting: str
    found: str
    wanted: str
    alterable: bool


class Found(msgspec.Struct, frozen=True):
    """What is there of a topic, or was done about it."""

    topic: str
    state: State
    partitions: int = 0
    replication: int = 0
    differences: tuple[Difference, ...] = ()

    @property
    def alterable(self) -> bool:
        """Whether `alter` would change it."""
        return any(one.alterable for one in self.differences)

    @property
    def usable(self) -> bool:
        """Whether every event can be published there."""
        return self.state != "missing" and not any(one.setting == "max.message.bytes" for one in self.differences)


def topic_of(source: str, prefix: str = "") -> str:
    """The topic that a service, or the upstream, publishes on."""
    return prefix + TOPICS[source]


def group_of(service: str, prefix: str = "") -> str:
    """The consumer group of a service."""
    return f"{prefix}aftersales-{service}"


def dead_letters_of(topic: str, group: str) -> str:
    """Where a group puts what it cannot handle of a topic."""
    return f"{topic}.{group}.dlq"


def topics(settings: Settings) -> list[Topic]:
    """All topics that there must be, dead letters last."""
    prefix = settings.kafka_prefix
    published = [
        _topic(topic_of(source, prefix), settings.kafka_partitions, settings, MAX_MESSAGE_BYTES) for source in TOPICS
    ]
    dead = [
        _topic(dead_letters_of(topic_of(source, prefix), group_of(service, prefix)), 1, settings, MAX_DEAD_LETTER_BYTES)
        for service, sources in HEARS.items()
        for source in sources
    ]
    return published + dead


def topics_of(service: str, settings: Settings) -> list[Topic]:
    """The topics that a service publishes on, hears and buries in."""
    prefix, group = settings.kafka_prefix, group_of(service, settings.kafka_prefix)
    heard = [topic_of(source, prefix) for source in HEARS[service]]
    names = {topic_of(service, prefix), *heard, *(dead_letters_of(topic, group) for topic in heard)}
    return [topic for topic in topics(settings) if topic.name in names]


async def ensure(
    admin: AIOKafkaAdminClient, wanted: Sequence[Topic], *, alter: bool = False, dry_run: bool = False
) -> list[Found]:
    """Make what is missing and, with `alter`, mend the settings that can be mended without moving anything.

    Raises TopicRefused and aiokafka's errors; with `dry_run` nothing is changed and what would be made stays `missing`.
    """
    found = await look(admin, wanted)
    if dry_run:
        return found
    made = [topic for topic, one in zip(wanted, found, strict=True) if one.state == "missing"]
    if made:
        await _create(admin, made)
    mended = {one.topic for one in found if alter and one.alterable}
    if mended:
        await _alter(admin, [topic for topic in wanted if topic.name in mended])
    created = {topic.name for topic in made}
    return [_done(one, created, mended) for one in await _settled(admin, wanted, mended)]


async def look(admin: AIOKafkaAdminClient, wanted: Sequence[Topic]) -> list[Found]:
    """What is there of these topics, in their order; one that was just made is missing until every broker knows it."""
    # All topics: a question by name may make brokers create it with their own defaults.
    there = {topic["topic"]: topic["partitions"] for topic in await admin.describe_topics()}
    configs = await _configs(admin, [topic for topic in wanted if topic.name in there])
    return [
        _compared(topic, there[topic.name], {name: value for name, (value, _) in configs[topic.name].items()})
        if topic.name in configs
        else Found(topic.name, "missing")
        for topic in wanted
    ]


async def is_there(connection: Connection, topic: str) -> bool:
    """Whether a topic exists. Raises BrokerAway, BrokerRefused.

    A producer cannot tell: it calls a topic unknown as well when the broker hangs.
    """
    admin = await connection.admin()
    try:
        return topic in await admin.list_topics()
    except (KafkaError, TimeoutError) as error:
        raise BrokerAway(repr(error)) from error
    finally:
        await stop(admin)


async def missing(admin: AIOKafkaAdminClient, wanted: Sequence[Topic]) -> list[Found]:
    """Those that are not there, or take only smaller messages than ours may be."""
    return [one for one in await look(admin, wanted) if not one.usable]


async def present(connection: Connection, wanted: Sequence[Topic]) -> None:
    """Wait until the topics are there, told once when they have to be waited for.

    Raises BrokerRefused, and BrokerAway when the broker is lost meanwhile.
    """
    admin = await connection.admin()
    try:
        told: list[Found] = []
        while lacking := await missing(admin, wanted):
            if lacking != told:
                log.warning("waiting_for_topics", topics=[one.topic for one in lacking], do="aftersales topics ensure")
            told = lacking
            await asyncio.sleep(LOOK_SECONDS)
    except (KafkaError, TimeoutError) as error:
        raise BrokerAway(repr(error)) from error
    finally:
        await stop(admin)


def _topic(name: str, partitions: int, settings: Settings, max_message_bytes: int) -> Topic:
    days, replication = settings.kafka_retention_days, settings.kafka_replication
    configs = {
        "cleanup.policy": "delete",
        "retention.ms": str(days * _DAY_MS if days > 0 else -1),
        "max.message.bytes": str(max_message_bytes),
        "min.insync.replicas": str(2 if replication > 2 else 1),
    }
    return Topic(name, partitions, replication, configs)


def _compared(topic: Topic, partitions: list[dict[str, Any]], configs: dict[str, str]) -> Found:
    replication = min(len(partition["replicas"]) for partition in partitions)
    differences = [
        Difference(setting, configs[setting], value, alterable=True)
        for setting, value in topic.configs.items()
        if not _suffices(setting, configs[setting], value)
    ]
    if len(partitions) < topic.partitions:
        differences.append(Difference("partitions", str(len(partitions)), str(topic.partitions), alterable=False))
    if replication < topic.replication:
        differences.append(Difference("replication", str(replication), str(topic.replication), alterable=False))
    state: State = "differs" if differences else "as_it_should_be"
    return Found(topic.name, state, len(partitions), replication, tuple(differences))


def _suffices(setting: str, found: str, wanted: str) -> bool:
    return int(found) >= int(wanted) if setting == "max.message.bytes" else found == wanted


def _done(one: Found, created: Collection[str], altered: Collection[str]) -> Found:
    if one.state == "as_it_should_be" and one.topic in created:
        return msgspec.structs.replace(one, state="created")
    if one.state == "as_it_should_be" and one.topic in altered:
        return msgspec.structs.replace(one, state="altered")
    return one


async def _create(admin: AIOKafkaAdminClient, wanted: Sequence[Topic]) -> None:
    new = [NewTopic(topic.name, topic.partitions, topic.replication, topic_configs=topic.configs) for topic in wanted]
    answer = await admin.create_topics(new)
    for topic, code, reason in answer.topic_errors:
        if code not in (0, TopicAlreadyExistsError.errno):
            raise TopicRefused(topic, reason or for_code(code).__name__)


async def _settled(admin: AIOKafkaAdminClient, wanted: Sequence[Topic], mended: Collection[str]) -> list[Found]:
    """What is there, once the brokers have told one another of what was made or mended, or at last as it is."""
    deadline = time.monotonic() + SETTLED_SECONDS
    while True:
        found = await look(admin, wanted)
        unsettled = (one.state == "missing" or (one.topic in mended and one.alterable) for one in found)
        if not any(unsettled) or time.monotonic() > deadline:
            return found
        await asyncio.sleep(LOOK_SECONDS / 10)


async def _alter(admin: AIOKafkaAdminClient, wanted: Sequence[Topic]) -> None:
    """Set what differs. The request replaces all settings of a topic, so those that others made are sent along."""
    present = await _configs(admin, wanted)
    resources = []
    for topic in wanted:
        if topic.name not in present:
            raise TopicRefused(topic.name, UnknownTopicOrPartitionError.__name__)
        kept = {name: value for name, (value, source) in present[topic.name].items() if source == _SET_HERE}
        resources.append(ConfigResource(ConfigResourceType.TOPIC, topic.name, configs={**kept, **topic.configs}))
    for answer in await admin.alter_configs(resources):
        for code, reason, _, name in answer.resources:
            if code:
                raise TopicRefused(name, reason or for_code(code).__name__)


async def _configs(admin: AIOKafkaAdminClient, wanted: Iterable[Topic]) -> dict[str, dict[str, tuple[str, int]]]:
    """Setting → its value and where that comes from, by topic; without those that the broker asked does not know."""
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic.name) for topic in wanted]
    found: dict[str, dict[str, tuple[str, int]]] = {}
    for answer in await admin.describe_configs(resources) if resources else ():
        for code, reason, _, name, entries in answer.resources:
            if code == UnknownTopicOrPartitionError.errno:
                continue
            if code:
                raise for_code(code)(reason)
            found[name] = {setting: (value, source) for setting, value, _, source, *_ in entries}
    return found
