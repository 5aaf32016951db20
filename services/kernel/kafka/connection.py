"""The way to the brokers: clients with settings that lose nothing, and whose every wait ends.

aiokafka's own defaults are unsafe (one acknowledgement, automatic commits, starting at the end of a topic), and a
client whose broker is away may neither send nor stop for ever: `discard` ends it all the same.
"""

import asyncio
import ssl
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)

from services.kernel.settings import Settings

#: How long one request to a broker may take, in seconds.
REQUEST_SECONDS: Final = 10.0
#: How long the brokers may take to say where partitions begin or end, in seconds.
BOUNDS_SECONDS: Final = 5.0
#: How long a client may take until it is connected, in seconds.
START_SECONDS: Final = 20.0
#: How long a client may take to send what it holds and to say goodbye, in seconds; it is broken off then.
STOP_SECONDS: Final = 5.0
#: How often a broker that is away is looked for, in seconds.
AWAY_SECONDS: Final = 1.0
#: The largest message that is sent: an event with its headers, or a dead letter that says why besides.
MAX_REQUEST_BYTES: Final = 3 * 1024 * 1024
#: How much of one partition travels together; the broker's limit for it is `topics.MAX_MESSAGE_BYTES`.
BATCH_BYTES: Final = 256 * 1024

Client: TypeAlias = AIOKafkaProducer | AIOKafkaConsumer | AIOKafkaAdminClient
C = TypeVar("C", AIOKafkaProducer, AIOKafkaConsumer, AIOKafkaAdminClient)

log = structlog.get_logger(__name__)


class BrokerAway(Exception):
    """No broker answers, or none did in time. It may be back any moment."""


class BrokerRefused(Exception):
    """A broker is there but does not let us in: wrong user, password, mechanism or certificate, or no right to it.
    Trying again is of no use."""


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """Where the brokers are and who we are there."""

    servers: str
    prefix: str = ""
    """Put before topics and groups, where several shops share a cluster."""
    security: str = "PLAINTEXT"
    mechanism: str = "PLAIN"
    username: str = ""
    password: str = ""
    ca: Path | None = None

    def __repr__(self) -> str:
        return f"Connection({self.servers!r}, prefix={self.prefix!r})"  # never the password

    @classmethod
    def of(cls, settings: Settings) -> "Connection":
        """What the settings say."""
        return cls(
            servers=settings.kafka_servers,
            prefix=settings.kafka_prefix,
            security=settings.kafka_security,
            mechanism=settings.kafka_mechanism,
            username=settings.kafka_username,
            password=settings.kafka_password.get_secret_value(),
            ca=settings.kafka_ca,
        )

    async def producer(self, client_id: str, **options: Any) -> AIOKafkaProducer:
        """A started producer: everything is acknowledged by all replicas in sync, and written once.

        Raises BrokerAway, BrokerRefused.
        """
        producer = AIOKafkaProducer(
            **self._common(client_id),
            **{
                "acks": "all",
                "enable_idempotence": True,
                "max_request_size": MAX_REQUEST_BYTES,
                "max_batch_size": BATCH_BYTES,
                "linger_ms": 0,
                **options,
            },
        )
        return await self._started(producer)

    async def consumer(self, client_id: str, **options: Any) -> AIOKafkaConsumer:
        """A started consumer that commits nothing by itself and begins at the beginning of a topic unless told
        otherwise; `options` are aiokafka's, among them `group_id`. It subscribes to nothing yet.

        Raises BrokerAway, BrokerRefused.
        """
        consumer = AIOKafkaConsumer(
            **self._common(client_id),
            **{"enable_auto_commit": False, "auto_offset_reset": "earliest", **options},
        )
        return await self._started(consumer)

    async def admin(self, client_id: str = "aftersales-admin") -> AIOKafkaAdminClient:
        """A started client that makes and describes topics. Raises BrokerAway, BrokerRefused."""
        return await self._started(AIOKafkaAdminClient(**self._common(client_id)))

    async def reachable(self) -> None:
        """Wait until a broker lets us in, told once when it has to be waited for. Raises BrokerRefused."""
        waited = False
        while True:
            try:
                await self.check()
            except BrokerAway as error:
                if not waited:
                    log.warning("waiting_for_broker", servers=self.servers, error=str(error))
                waited = True
                await asyncio.sleep(AWAY_SECONDS)
            else:
                if waited:
                    log.info("broker_is_there", servers=self.servers)
                return

    async def check(self) -> None:
        """Log in at one of the brokers. Raises BrokerRefused where none lets us in, BrokerAway where none answers."""
        errors: list[Exception] = []
        for server in self.servers.split(","):
            host, _, port = server.rpartition(":")
            try:
                common = {name: value for name, value in self._common("").items() if name in _CONNECTS}
                connection = await create_conn(host.strip("[]"), int(port), **common)
            except (OSError, KafkaError, EOFError) as error:
                errors.append(error)
            else:
                await asyncio.wait([connection.close()], timeout=STOP_SECONDS)
                return
        refused = [error for error in errors if is_refusal(error)]
        if refused:
            raise BrokerRefused(f"{self.servers}: {refused[0]!r}") from refused[0]
        raise BrokerAway(f"{self.servers}: {errors[0]!r}") from errors[0]

    def _common(self, client_id: str) -> dict[str, Any]:
        return {
            "bootstrap_servers": self.servers,
            "client_id": client_id,
            "request_timeout_ms": int(REQUEST_SECONDS * 1000),
            "metadata_max_age_ms": 60_000,
            "security_protocol": self.security,
            "ssl_context": self._trusted() if self.security.endswith("SSL") else None,
            "sasl_mechanism": self.mechanism,
            "sasl_plain_username": self.username or None,
            "sasl_plain_password": self.password or None,
        }

    def _trusted(self) -> ssl.SSLContext:
        """Whose certificates brokers may show. Raises BrokerRefused: a file without certificates mends itself no more
        than a wrong one."""
        try:
            return ssl.create_default_context(cafile=self.ca)
        except OSError as error:
            raise BrokerRefused(f"{self.ca}: {error}") from error

    async def _started(self, client: C) -> C:
        try:
            async with asyncio.timeout(START_SECONDS):
                await client.start()
        except BaseException as error:
            await discard(client, seconds=0)
            if is_refusal(error):
                raise BrokerRefused(f"{self.servers}: {error!r}") from error
            if isinstance(error, KafkaError | OSError):  # a timeout is an OSError
                await self.check()  # aiokafka says of any fault only that it could not connect
                raise BrokerAway(f"{self.servers}: {error!r}") from error
            raise
        return client


#: What of the settings of a client is one connection's.
_CONNECTS = (
    "request_timeout_ms",
    "ssl_context",
    "security_protocol",
    "sasl_mechanism",
    "sasl_plain_username",
    "sasl_plain_password",
)
_REFUSALS = (
    AuthenticationFailedError,
    SaslAuthenticationFailed,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    IllegalSaslStateError,
    UnsupportedSaslMechanismError,
    ssl.SSLCertVerificationError,
)


def is_refusal(error: BaseException) -> bool:
    """Whether the broker said no, so that trying again is of no use."""
    return isinstance(error, _REFUSALS)


async def stop(client: Client) -> None:
    """Have a client send what it holds and say goodbye; if it cannot in time, it is broken off."""
    await discard(client, seconds=STOP_SECONDS)


async def discard(client: Client, *, seconds: float = 0) -> None:
    """End a client for good, whatever state it is in; what it did not send in these seconds is not sent any more.

    aiokafka's own way to stop waits for a broker that may never come back, and if that is cancelled, the client's tasks
    go on sending behind our back. They are found by the object that they work for.
    """
    closing = client.close() if isinstance(client, AIOKafkaAdminClient) else client.stop()
    if await _ends(closing, seconds):
        return
    parts = [part for part in (client, *vars(client).values()) if type(part).__module__.startswith("aiokafka.")]
    tasks = [task for task in asyncio.all_tasks() if any(_works_for(task) is part for part in parts)]
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=STOP_SECONDS)
    for part in parts:
        if isinstance(part, AIOKafkaClient):
            await _ends(part.close(), STOP_SECONDS)


async def _ends(work: Coroutine[Any, Any, None], seconds: float) -> bool:
    """Whether something ends without a fault in so many seconds; it is cancelled then, but has begun."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task], timeout=seconds)
    finally:
        task.cancel()
    return task.done() and not task.cancelled() and task.exception() is None


def _works_for(task: "asyncio.Task[Any]") -> object:
    frame = getattr(task.get_coro(), "cr_frame", None)
    return frame.f_locals.get("self") if frame else None
