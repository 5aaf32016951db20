"""One service as a process of its own: what it does of it is its role. Several processes of a role share the work."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Final, Protocol

import structlog
from aiohttp import web

from contracts.registry import decode
from services.catalogue import SERVICES
from services.kernel.clock import Clock, ManualClock, clock_of
from services.kernel.followers import Followers
from services.kernel.freshness import WrittenElsewhere
from services.kernel.http.app import Handler, add_routes, make_app
from services.kernel.http.identity import Tokens
from services.kernel.http.listener import Listener
from services.kernel.http.operations import OPERATIONS, Problems, operations
from services.kernel.kafka.connection import Connection
from services.kernel.kafka.consumer import KafkaConsumer, Subscription
from services.kernel.kafka.dead_letter_topic import DeadLetterTopic
from services.kernel.kafka.partition_lags import PartitionLags
from services.kernel.kafka.relay import PAGE_RECORDS, Relay
from services.kernel.kafka.topics import group_of, topic_of, topics_of
from services.kernel.kafka.watchdog import Watchdog
from services.kernel.lag import Lag, of_log
from services.kernel.leadership import Leadership
from services.kernel.refusal import Refusal
from services.kernel.service import Follower, Service
from services.kernel.settings import Settings
from services.operations.http import OperationsHttp
from services.policy import policy_in_force
from services.routing import elsewhere
from services.token_secret import token_secret
from services.waiting import Waiting, migrations_of, topics_at

log = structlog.get_logger(__name__)

#: What a process of each role does: answer requests; publish the service's events; hear those of others, and what only
#: one process does at a time: keep the read tables, pay, watch the clock.
ROLES: Final[Mapping[str, frozenset[str]]] = {
    "api": frozenset({"api"}),
    "relay": frozenset({"relay"}),
    "consume": frozenset({"consume"}),
    "all": frozenset({"api", "relay", "consume"}),
}
#: What goes on while brokers are waited for.
_MEANWHILE: Final[Mapping[str, str]] = {
    "consume": "read tables are kept and payments are made; what others tell is heard later",
    "all": "requests are answered, read tables are kept and payments are made; events are published and heard later",
}
#: How long requests under way may take when the process stops, and all of it: a supervisor waits ten seconds, and it
#: has told others before (`drain_seconds`), and tells its last spans afterwards.
FINISH_SECONDS = 5.0
STOP_SECONDS = 7.0


class Activity(Protocol):
    """Something that goes on in a process."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...


class Publishing(Followers):
    """A relay at work on its service's own log. It shows no gauges: the steward's are the service's."""

    def __init__(self, service: Service[Any], relay: Relay) -> None:
        follower = Follower(relay.name, service.name, relay, batch_records=PAGE_RECORDS, decode=False)
        super().__init__(service, [follower], [], {service.name: service.store}, gauges=False)
        self._relay = relay

    async def stop(self) -> None:
        await super().stop()
        await self._relay.stop()


class Consuming:
    """A member of the service's consumer group at work."""

    def __init__(self, consumer: KafkaConsumer, letters: DeadLetterTopic) -> None:
        self._consumer = consumer
        self._letters = letters

    async def start(self) -> None:
        await self._consumer.start()

    async def stop(self) -> None:
        await self._consumer.stop()
        await self._letters.stop()

    @property
    def away(self) -> str:
        """Why nothing at all is heard; "" while all goes well."""
        return self._consumer.away

    def problems(self) -> list[str]:
        if self._consumer.ready:
            return []
        return [self.away or "no partitions are assigned and claimed yet"]


class Process:
    """`listen`, `begin`, and in the end `leave` and `stop`."""

    def __init__(self, settings: Settings, service: str, role: str, *, clock: Clock | None = None) -> None:
        self.settings = settings
        self.role = role
        self.clock = clock or clock_of(settings)
        self.policy = policy_in_force(settings)
        self.tokens = Tokens(token_secret(settings))
        self._does = ROLES[role]
        self._assembly = SERVICES[service](settings, self.policy, self.clock)
        self.service = self._assembly.service
        self.service.freshness = WrittenElsewhere(self.service.store, self.service.projector.name, service)
        self._connection = connection = Connection.of(settings)
        #: Where others publish what this service hears.
        self._topics = {
            source: topic_of(source, connection.prefix) for source in self.service.part.hears_from if source != service
        }
        sources = {topic: source for source, topic in self._topics.items()}
        group = group_of(service, connection.prefix)
        self._partition_lags = PartitionLags(service, group, sources, self.service.store, connection)
        self._waiting = Waiting()
        #: Whether requests are answered; whether all is at work; whether it ever was ready.
        self._answers = self._begun = self._was_ready = False
        self._leaving = False
        self._activities: list[Activity] = []
        self._consuming: Consuming | None = None
        self._operations = OperationsHttp(settings, self.policy, self.clock)
        self._listener = Listener(self._app(), settings.host, settings.port)

    @property
    def base_url(self) -> str:
        """Where it listens."""
        return self._listener.base_url

    # -- life

    async def listen(self) -> None:
        """Say that it is alive; raises `OSError` where it cannot listen."""
        await self._listener.start()

    async def hesitates(self) -> None:
        """Wait until it has to wait for something."""
        await self._waiting.met.wait()

    async def begin(self) -> None:
        """Wait for what it needs, then work: with its database at once, with the brokers when they are there. Raises
        `StoreRefused` and `BrokerRefused`, which waiting cannot mend."""
        await self._waiting.until_clear(migrations_of(self.service))
        self._answers = True
        if "consume" in self._does:
            await self._start(self._steward())
        if self._does & {"relay", "consume"}:
            topics = topics_at(self._connection, topics_of(self.service.name, self.settings))
            await self._waiting.until_clear(topics, meanwhile=_MEANWHILE.get(self.role, ""))
        if "relay" in self._does:
            await self._start(self._relay())
        if "consume" in self._does:
            self._consuming = self._consumer()
            await self._start(self._consuming)
        self._begun = True
        log.info("started", service=self.service.name, role=self.role, url=self.base_url, policy=self.policy.version)

    async def _start(self, activity: Activity) -> None:
        self._activities.append(activity)
        await activity.start()

    async def leave(self) -> None:
        """Say that it is not ready, for as long as those who send requests need to notice."""
        self._leaving = True
        await asyncio.sleep(self.settings.drain_seconds)

    async def stop(self) -> None:
        """Take no more requests, finish those under way, then end the work; in bounded time whatever is away."""
        deadline = asyncio.get_running_loop().time() + STOP_SECONDS
        ending = (activity.stop for activity in self._activities)
        await asyncio.gather(*(_within(deadline, step) for step in (self._finish, self._operations.stop, *ending)))
        for step in (self._listener.stop, self._partition_lags.close, self.service.close, self._assembly.closed):
            await _within(deadline, step)
        self._activities.clear()
        log.info("stopped", service=self.service.name, role=self.role)

    async def _finish(self) -> None:
        await self._listener.finish(FINISH_SECONDS)

    # -- what it does

    def _relay(self) -> Activity:
        relay = Relay(self.service.name, self._connection, self.service.appender, lambda: leadership.held)
        duty = Publishing(self.service, relay)
        leadership = Leadership(relay.name, self.service, duty)
        return leadership

    def _consumer(self) -> Consuming:
        group = group_of(self.service.name, self._connection.prefix)
        letters = DeadLetterTopic(self._connection, f"{group}-dead-letters")
        subscriptions = [
            Subscription(topic, one.source, one.handle)
            for one in self._assembly.followers
            if (topic := self._topics.get(one.source))
        ]
        service = self.service
        consumer = KafkaConsumer(
            service.name,
            subscriptions,
            service.store,
            service.appender,
            self._connection,
            decode,
            letters,
            watchdog=Watchdog(),
        )
        return Consuming(consumer, letters)

    def _steward(self) -> Activity:
        """Who follows the service's own log, and its timers."""
        own = {self.service.name: self.service.store}
        followers = Followers(
            self.service, self._assembly.followers, self._assembly.timers, own, elsewhere=self._lags_elsewhere
        )
        return Leadership("steward", self.service, followers)

    async def _lags_elsewhere(self) -> list[Lag]:
        """How far the relay is, and the consumers of other services' events, in whatever process."""
        service, name = self.service, self.service.name
        look = await of_log(service.store, await service.store.checkpoint(Relay.name, name), name)
        relay = Lag(name, Relay.name, look.behind, source=name, seconds=look.seconds(service.clock.now()))
        return [relay, *await self._partition_lags()]

    # -- requests

    def _app(self) -> web.Application:
        app = make_app(self.policy, self.tokens, self.clock, self.service.texts, self.service.name, elsewhere)
        app.middlewares.append(self._wait)
        if "api" in self._does:
            add_routes(app, self.service.name, self._assembly.routes())
            if self.service.name == "cases":
                add_routes(app, "cases", self._operations.routes())
        app.add_routes(operations(self._problems, self._set_time, self._waits))
        return app

    @web.middleware
    async def _wait(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Until its database is there nobody can answer."""
        if not self._answers and request.path not in OPERATIONS:
            raise Refusal("unavailable")
        return await handler(request)

    async def _problems(self) -> Problems:
        return {self.service.name: await self._found()}

    async def _found(self) -> list[str]:
        if self._leaving:
            return ["stopping"]
        if not self._answers:
            return [str(self._waiting.obstacle or "starting")]
        # Who stands by is ready, and so is who left an order behind: gauges and the log tell of that.
        problems = await self.service.problems()
        if not self._goes_without_brokers():
            problems = [*problems, *self._lacks()]
        self._was_ready |= not problems
        return problems

    def _waits(self) -> Problems:
        lacks = self._lacks() if self._goes_without_brokers() and not self._leaving else []
        return {self.service.name: lacks} if lacks else {}

    def _goes_without_brokers(self) -> bool:
        """Whoever answers requests must not be sent none while brokers are away: the log keeps what is to be
        published."""
        away = self._waiting.obstacle or (self._consuming and self._consuming.away)
        return "api" in self._does and self._answers and (self._was_ready or bool(away))

    def _lacks(self) -> list[str]:
        """What it cannot do yet, or at the moment, of what needs brokers."""
        if not self._begun:
            return [str(self._waiting.obstacle or "starting")]
        return self._consuming.problems() if self._consuming else []

    async def _set_time(self, now: datetime) -> None:
        if "api" not in self._does or not isinstance(self.clock, ManualClock):
            raise Refusal("not_found")
        await self.service.views_caught_up()
        self.clock.set(now)
        await self._assembly.let_pass(now)
        await self.service.views_caught_up()


async def _within(deadline: float, step: Callable[[], Awaitable[None]]) -> None:
    """One step of the end: what does not end in time, or fails, keeps no other from ending."""
    try:
        async with asyncio.timeout_at(deadline):
            await step()
    except TimeoutError:
        log.warning("not_ended_in_time", step=step.__qualname__)
    except Exception:
        log.exception("not_ended", step=step.__qualname__)
