"""PostgreSQL and Kafka for everything that is measured, and shops on them: databases, topics, processes."""

import asyncio
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from datetime import timedelta
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Self
from urllib.error import URLError
from urllib.request import urlopen

import asyncpg

from benchmarks.stack import profiled
from benchmarks.stack.spending import Spending
from benchmarks.workload import Load, Request
from contracts.registry import decode
from services.kernel.actor import Actor
from services.kernel.clock import SystemClock
from services.kernel.http.identity import Tokens
from services.kernel.kafka.connection import Connection, stop
from services.kernel.kafka.topics import ensure, topics
from services.kernel.postgres.store import PostgresStore
from services.kernel.settings import PREFIX, Settings, load_settings
from services.stack.databases import Databases
from services.stack.kafka import KafkaCluster
from services.stack.nursery import Nursery
from services.stack.postgres import PostgresCluster, throw_away
from services.stack.processes import ServiceProcess

HOST = "127.0.0.1"
PARTITIONS = 6
#: How long a process may take until it is ready, and a consumer until it has handled everything, in seconds.
PATIENCE_SECONDS = 120.0
_POLL_SECONDS = 0.02
#: How long flushes are counted, in seconds.
_FLUSHING_SECONDS = 0.3


class Servers:
    """Each is started when it is first needed, in a folder on a real disk that is removed in the end."""

    def __init__(self, place: Path, postgres: PostgresCluster | None = None, kafka: KafkaCluster | None = None) -> None:
        """`postgres`, `kafka`: servers that run already, and go on."""
        self._place = place
        self._given_postgres, self._given_kafka = postgres, kafka
        self._numbers = count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        started = self.__dict__  # where what is cached stands
        if "launcher" in started:
            self.launcher.close()
        if "empty" in started and self._given_postgres:
            asyncio.run(self.empty.drop())
        if "kafka" in started and not self._given_kafka:
            self.kafka.close()
        if "postgres" in started and not self._given_postgres:
            self.postgres.close()
            throw_away(self.folder / "postgres")
        if "folder" in started:
            shutil.rmtree(self.folder)

    @cached_property
    def folder(self) -> Path:
        """Where the servers keep their data."""
        self._place.mkdir(exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="servers-", dir=self._place))
        folder.chmod(0o755)  # PostgreSQL may run as another user
        return folder

    @cached_property
    def postgres(self) -> PostgresCluster:
        """A database server that flushes to disk."""
        if self._given_postgres:
            return self._given_postgres
        cluster = PostgresCluster(self.folder / "postgres")
        cluster.start()
        return cluster

    @cached_property
    def kafka(self) -> KafkaCluster:
        """One broker."""
        if self._given_kafka:
            return self._given_kafka
        cluster = KafkaCluster(1, self.folder / "kafka")
        cluster.start()
        return cluster

    @cached_property
    def launcher(self) -> Nursery:
        """Starts processes that can be profiled."""
        with chdir(Path(__file__).parents[2]):  # where it finds these benchmarks
            return Nursery(profiled.__name__, [profiled.__name__])

    @cached_property
    def empty(self) -> Databases:
        """Databases that are up to date and stay empty: what those of shops are copies of."""
        databases = Databases(self.postgres.url(), "benchmark_empty_")
        asyncio.run(databases.make())
        asyncio.run(databases.migrate(self.folder))
        return databases

    def flushes_per_second(self) -> float:
        """How often a block can be written and flushed, one after another: what bounds commits that share none."""
        flushed = 0
        with (self.folder / "flushed").open("wb", buffering=0) as file:
            file.write(bytes(8192))
            began = time.perf_counter()
            while time.perf_counter() - began < _FLUSHING_SECONDS:
                os.pwrite(file.fileno(), bytes(8192), 0)
                os.fdatasync(file.fileno())
                flushed += 1
            return flushed / (time.perf_counter() - began)

    @contextmanager
    def shop(self, *, broker: bool = True, partitions: int = PARTITIONS) -> Iterator["Shop"]:
        """A shop with empty databases and topics of its own."""
        shop = Shop(self, next(self._numbers), broker, partitions)
        asyncio.run(shop.open(self.empty))
        try:
            yield shop
        finally:
            if self._given_postgres:
                asyncio.run(shop.databases.drop())


class Shop:
    """Databases and topics, and the processes that work on them."""

    def __init__(self, servers: Servers, number: int, broker: bool, partitions: int) -> None:
        self.databases = Databases(servers.postgres.url(), f"benchmark{number}_")
        self._servers = servers
        self._broker = broker
        secret = secrets.token_urlsafe(48)
        self.token = Tokens(secret).make(Actor("agent", "小李"), SystemClock().now(), timedelta(days=1))
        self._folder = servers.folder / f"shop{number}"
        own = {
            "DATABASE_URL": self.databases.url,
            "DATA_DIR": str(self._folder),
            "HOST": HOST,
            "LOG_FORMAT": "json",
            "PORT": "0",
            "TOKEN_SECRET": secret,
        }
        if broker:
            own |= {
                "KAFKA_SERVERS": servers.kafka.servers,
                "KAFKA_PREFIX": f"benchmark{number}.",
                "KAFKA_PARTITIONS": str(partitions),
            }
        self._environment = {PREFIX + name: value for name, value in own.items()}

    @property
    def settings(self) -> Settings:
        """What the processes are told."""
        return load_settings(self._environment)

    @property
    def connection(self) -> Connection:
        """How to reach the broker."""
        return Connection.of(self.settings)

    def store(self, service: str = "cases") -> PostgresStore:
        """The event store of a service."""
        return PostgresStore(self.databases.url_of(service), decode)

    async def open(self, empty: Databases) -> None:
        """Make databases, as copies of empty ones, and topics."""
        await self.databases.make(empty)
        if self._broker:
            admin = await self.connection.admin()
            try:
                await ensure(admin, topics(self.settings))
            finally:
                await stop(admin)

    @contextmanager
    def running(self, *roles: tuple[str, str]) -> Iterator[list[ServiceProcess]]:
        """Processes of a role of a service each (`("api", "cases")`), ready; they are ended with the block."""
        processes = [
            ServiceProcess(
                f"{service}-{role}-{number}",
                (role, service, "--json"),
                profiled.environment(self._folder / f"{number}.shares") | self._environment,
                self._folder,
                self._servers.launcher,
            )
            for number, (role, service) in enumerate(roles, 1)
        ]
        try:
            for one in processes:
                one.launch()
            asyncio.run(_started(processes))
            yield processes
        finally:
            for one in processes:
                one.kill()  # what they store is thrown away

    def load(self, processes: list[ServiceProcess], clients: list[list[Request]]) -> Load:
        """What a load generator plays to these processes."""
        return Load(HOST, [int(one.url.rpartition(":")[2]) for one in processes], self.token, clients)

    def spending(self, processes: list[ServiceProcess]) -> Spending:
        """Counts what these processes and the servers spend."""
        servers = {"PostgreSQL": self._servers.postgres.pid}
        if self._broker:
            servers["Kafka"] = self._servers.kafka.pid(0)
        return Spending({one.name: one.pid for one in processes}, servers)

    async def reached(self, service: str, consumer: str, sources: str, position: int) -> None:
        """Wait until a consumer's checkpoints (of all sources that are LIKE this) add up to a position.

        Raises `TimeoutError`."""
        connection = await asyncpg.connect(self.databases.url_of(service))
        sql = "SELECT coalesce(sum(position), 0) FROM checkpoints WHERE consumer = $1 AND source LIKE $2"
        try:
            asked = await connection.prepare(sql)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while await asked.fetchval(consumer, sources) < position:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(_POLL_SECONDS / 4)
        finally:
            await connection.close()


async def _started(processes: list[ServiceProcess]) -> None:
    for one in processes:
        await one.wait_until_started()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not_ready := [one for one in processes if not _is_ready(one)]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{not_ready[0].name} is not ready: {not_ready[0].log[-2000:]}")
        await asyncio.sleep(_POLL_SECONDS)


def _is_ready(process: ServiceProcess) -> bool:
    try:
        with urlopen(f"{process.url}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (URLError, TimeoutError):
        return False
