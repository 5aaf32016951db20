"""What is behind, looked up in the databases and at the brokers themselves: so it works while services are down."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from time import monotonic
from typing import Final, NamedTuple

import msgspec
from aiokafka import TopicPartition

from contracts.registry import HEARS, TOPICS, decode
from services.catalogue import SERVICES
from services.kernel.clock import SystemClock, clock_of
from services.kernel.event_store import EventStore, StoreError
from services.kernel.gauges import RELAY
from services.kernel.kafka import parking
from services.kernel.kafka.connection import BrokerAway, BrokerRefused, Connection
from services.kernel.kafka.lag import Looker
from services.kernel.kafka.topics import group_of, topic_of
from services.kernel.lag import Checkpoint, Look, Trend, checkpoints, of_log, trend
from services.kernel.settings import Settings
from services.kernel.stores import DATABASE_ERRORS, open_store
from services.kernel.views import Projector

#: How long a database may take to answer.
DATABASE_SECONDS: Final = 5.0
BROKER: Final = "kafka"

#: Says why something does not answer: a database, by its service, or `BROKER`.
Say = Callable[[str, BaseException], str]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One consumer and one source: a log, or a partition of a topic. What could not be found out is null."""

    service: str
    consumer: str
    source: str
    partition: int | None = None
    position: int
    end: int | None = None
    behind: int | None = None
    seconds: float | None = None
    """Age of the oldest event that is not handled."""
    lost: int = 0
    """Messages that the broker deleted before they were handled."""
    parked: int = 0
    """Messages that could not be handled: they wait, or are dead (`aftersales dlq`)."""
    handled: int = 0
    """Events that were handled since the first look."""
    arrived: int = 0
    """Events that came since the first look."""
    trend: Trend | None = None


class Parked(msgspec.Struct, frozen=True):
    """Messages of a service that do not go on: `aftersales dlq list` shows them."""

    dead: int = 0
    waiting: int = 0


#: A consumer of a service, by the log or the partition that it follows.
_Key = tuple[str, Checkpoint | TopicPartition]


class _Held(NamedTuple):
    """What a service's database says of the partitions that it hears."""

    positions: dict[TopicPartition, int] = {}
    parked: dict[TopicPartition, int] = {}
    states: Parked = Parked()


class Survey(msgspec.Struct, frozen=True):
    """One look at everything."""

    time: datetime
    caught_up: bool
    consumers: list[Row]
    away: dict[str, str]
    """What could not be asked, and why: a database by its service, or `kafka`."""
    parked: dict[str, Parked] = {}
    """By service, where there are any."""

    @property
    def needs_somebody(self) -> bool:
        """Whether there is something that time alone does not mend, or something could not be seen."""
        return bool(self.away or self.parked or any(row.lost for row in self.consumers))


class Surveyor:
    """Looks again and again; from the second look on it tells how things go. `close` it."""

    def __init__(
        self, settings: Settings, services: Sequence[str], say: Say = lambda part, error: type(error).__name__
    ) -> None:
        """`say`: what is told of what does not answer; unless it is given, no address is."""
        #: Why databases were away at the last look, by their services.
        self.errors: dict[str, Exception] = {}
        self._settings = settings
        self._services = services
        self._say = say
        self._brokers = Connection.of(settings) if settings.kafka_servers else None
        self._looker = Looker(self._brokers) if self._brokers else None
        self._stores: dict[str, EventStore] = {
            name: open_store(settings.database_of(name), decode, readers=1) for name in SERVICES
        }
        self._before: dict[_Key, tuple[float, Look]] = {}
        self._sums: dict[_Key, tuple[int, int]] = {}
        """Events that were handled, and that came, since the first look."""

    async def look(self) -> Survey:
        """Look at all databases at once, then at the brokers; what does not answer in time is `away`."""
        away: dict[str, str] = {}
        self.errors = {}
        found = await asyncio.gather(*(self._service(name, away) for name in self._services))
        rows = [row for own, _ in found for row in own]
        held = dict(zip(self._services, (foreign for _, foreign in found), strict=True))
        parked = {name: one.states for name, one in held.items() if one.states != Parked()}
        if self._brokers and self._looker:
            there = {name: held[name] for name in held if name not in away}
            rows += await self._partitions(self._brokers, self._looker, there, away)
        caught_up = not away and not parked and not any(row.behind or row.lost for row in rows)
        return Survey(self._now(), caught_up, rows, away, parked)

    async def close(self) -> None:
        """Let go of the databases and the brokers."""
        if self._looker:
            await self._looker.close()
        for store in self._stores.values():
            await store.close()

    def _now(self) -> datetime:
        shared = self._settings.clock_file is not None and self._settings.clock_file.exists()
        return clock_of(self._settings).now() if shared else SystemClock().now()

    # -- logs

    async def _service(self, service: str, away: dict[str, str]) -> tuple[list[Row], _Held]:
        """What follows logs for a service, and how far it has handled partitions."""
        group, store = self._group(service), self._stores[service]
        try:
            async with asyncio.timeout(DATABASE_SECONDS):
                known = await checkpoints(store)
                rows = [await self._log(service, one) for one in self._followers(service, known)]
                left = await parking.counts(store, group)
        except (StoreError, OSError, *DATABASE_ERRORS) as error:  # a timeout is an OSError
            self.errors[service] = error
            away[service] = self._say(service, error)
            return [], _Held()
        partitions = [one for one in known if one.partition and one.consumer == group]
        parked: Counter[TopicPartition] = Counter()
        states: Counter[str] = Counter()
        for (topic, number, state), messages in left.items():
            parked[TopicPartition(topic, number)] += messages
            states[state] += messages
        positions = {TopicPartition(*one.partition): one.position for one in partitions if one.partition}
        return rows, _Held(positions, dict(parked), Parked(states[parking.DEAD], states[parking.WAITING]))

    def _followers(self, service: str, known: Iterable[Checkpoint]) -> list[Checkpoint]:
        """Who follows logs as things are set up now; a database may know others from before."""
        if self._brokers is None:
            return [one for one in known if one.partition is None and one.consumer != RELAY]
        own = [one for one in known if one.source == service]
        if not any(one.consumer == RELAY for one in own):
            own.append(Checkpoint(RELAY, service, 0))
        return own

    async def _log(self, service: str, one: Checkpoint) -> Row:
        everything = one.consumer == Projector.name
        key = (service, one._replace(position=0))
        before = self._before.get(key)
        source = None if everything else one.source
        look = await of_log(self._stores[one.source], one.position, source, before[1] if before else None)
        trend = self._trend(key, look)
        handled, arrived = self._sums[key]
        return Row(
            service=service,
            consumer=one.consumer,
            source=one.source,
            position=one.position,
            end=look.end,
            behind=look.behind,
            seconds=look.seconds(self._now()),
            handled=handled,
            arrived=arrived,
            trend=trend,
        )

    # -- partitions

    async def _partitions(
        self, brokers: Connection, looker: Looker, held: Mapping[str, _Held], away: dict[str, str]
    ) -> list[Row]:
        rows: list[Row] = []
        if not held:
            await self._check(brokers, away)
        for service, (positions, parked, _) in held.items():
            wanted = {topic_of(source, brokers.prefix) for source in HEARS[service]}
            known = {one: position for one, position in positions.items() if one.topic in wanted}
            before = {one: self._before[service, one][1] for one in known if (service, one) in self._before}
            try:
                looks = {} if BROKER in away else await looker.look(wanted, known, before)
            except (BrokerAway, BrokerRefused) as error:
                away[BROKER] = self._say(BROKER, error)
                looks = {}
            rows += [
                self._partition(service, one, known.get(one, 0), parked.get(one, 0), looks.get(one))
                for one in sorted({*known, *looks})
            ]
        return rows

    async def _check(self, brokers: Connection, away: dict[str, str]) -> None:
        """Nobody's position is known, but whether the brokers are there can be told."""
        try:
            await brokers.check()
        except (BrokerAway, BrokerRefused) as error:
            away[BROKER] = self._say(BROKER, error)

    def _partition(self, service: str, one: TopicPartition, position: int, parked: int, look: Look | None) -> Row:
        source = next(source for source in TOPICS if topic_of(source, self._settings.kafka_prefix) == one.topic)
        trend = self._trend((service, one), look) if look else None
        handled, arrived = self._sums.get((service, one), (0, 0))
        return Row(
            service=service,
            consumer=self._group(service),
            source=source,
            partition=one.partition,
            position=position,
            end=look.end if look else None,
            behind=look.behind if look else None,
            seconds=look.seconds(SystemClock().now()) if look else None,  # sent at the machine's time
            lost=look.lost if look else 0,
            parked=parked,
            handled=handled,
            arrived=arrived,
            trend=trend,
        )

    def _group(self, service: str) -> str:
        return group_of(service, self._settings.kafka_prefix)

    def _trend(self, key: _Key, look: Look) -> Trend | None:
        """How it went since the look before, which this one is for the next."""
        now, before = monotonic(), self._before.get(key)
        self._before[key] = (now, look)
        handled, arrived = self._sums.get(key, (0, 0))
        if before:
            handled += before[1].behind + look.arrived - look.behind
        self._sums[key] = (handled, arrived + look.arrived)
        return trend(before[1], look, now - before[0]) if before else None
