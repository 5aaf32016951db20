"""The production shape on one machine: PostgreSQL, Kafka, and every service as processes of its own, by role."""

import asyncio
import os
import secrets
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

import msgspec

from services.catalogue import SERVICES
from services.kernel.actor import Actor
from services.kernel.clock import SystemClock
from services.kernel.http.identity import Tokens
from services.kernel.kafka.connection import Connection, stop
from services.kernel.kafka.topics import ensure, topics
from services.kernel.settings import PREFIX, load_settings
from services.kernel.whole_file import put
from services.stack.databases import Databases
from services.stack.fleet import TOGETHER, Fleet, Roles
from services.stack.kafka import KafkaCluster
from services.stack.ports import free_port
from services.stack.postgres import PostgresCluster
from services.stack.postgres import throw_away as throw_databases_away
from services.stack.processes import Launcher

#: Who the token is for that a stack tells of.
OPERATOR: Final = Actor("store_manager", "stack")
TOKEN_DAYS: Final = 7
#: What a shell that read a stack's `env` knows its folder by.
STACK_VARIABLE: Final = "STACK"
#: Where its processes keep what belongs neither in a database nor among the photos.
_DATA: Final = "data"
#: What a stack keeps beside its databases.
_THROWN_AWAY: Final = (_DATA, "kafka", "logs", "media")

#: Puts the folder of `aftersales` on the path of the shell that reads it, once.
_BIN: Final = shlex.quote(str(Path(sys.executable).parent))
_PATH_LINE: Final = f'case ":$PATH:" in *:{_BIN}:*) ;; *) export PATH={_BIN}:"$PATH" ;; esac\n'

#: Hears what happens, zh and en.
Tell = Callable[[str, str], None]


class Process(msgspec.Struct, frozen=True):
    """Where a process of the stack is, and what it writes."""

    url: str
    pid: int
    log: str


class StackFile(msgspec.Struct, frozen=True):
    """What a running stack says of itself in its `stack.json`. It holds secrets: only its owner may read it."""

    services: dict[str, str]
    """Where each service takes requests; empty while it is being started again."""
    kafka_servers: str
    brokers: int
    database_url: str
    """The databases, with `{service}` for the name of the service."""
    token: str
    """A store manager's."""
    token_secret: str
    processes: dict[str, Process]
    pid: int
    console: str = ""
    """Where people work; empty where there is no console, or while it is being started again."""
    link: str = ""
    """Signs somebody in there, once, soon after its start; empty where a provider does that."""

    @classmethod
    def read(cls, file: Path) -> "StackFile":
        """Raises OSError, and msgspec.DecodeError where it is none."""
        return msgspec.json.decode(file.read_bytes(), type=cls)


class Kept(msgspec.Struct):
    """What stays over a restart, so that addresses and tokens remain good: `kept.json`."""

    token_secret: str = msgspec.field(default_factory=lambda: secrets.token_urlsafe(48))
    ports: dict[str, int] = {}

    @classmethod
    def read(cls, file: Path) -> "Kept":
        """As it was kept; new where there is none."""
        return msgspec.json.decode(file.read_bytes(), type=cls) if file.exists() else cls()


class Stack:
    """All that runs. `start` and `stop` may be called again and again; what is stored stays in the folder."""

    def __init__(
        self,
        folder: Path,
        *,
        brokers: int = 1,
        roles: Roles = TOGETHER,
        settings: Mapping[str, str] | None = None,
        launcher: Launcher | None = None,
        postgres: PostgresCluster | None = None,
        kafka: KafkaCluster | None = None,
        services: Sequence[str] = tuple(SERVICES),
        console: bool = False,
        tell: Tell = lambda zh, en: None,
    ) -> None:
        """`settings`: variables of every process, before those that the stack gives them; `postgres`, `kafka`: servers
        to use instead of ones in the folder. `console`: whether people work on it."""
        self._services = services
        self._with_console = console
        self.folder = folder.absolute()
        self.brokers = len(kafka) if kafka else brokers
        self._roles = dict(roles)
        self._settings = dict(settings or {})
        self._launcher = launcher
        self._postgres = postgres
        self._kafka = kafka
        self._fleet: Fleet | None = None
        self._tell = tell
        self._kept = Kept()

    # -- what there is

    @property
    def postgres(self) -> PostgresCluster:
        """The database server, once it was started."""
        assert self._postgres is not None
        return self._postgres

    @property
    def kafka(self) -> KafkaCluster:
        """The brokers, once they were started."""
        assert self._kafka is not None
        return self._kafka

    @property
    def fleet(self) -> Fleet:
        """The service processes, once they were started."""
        assert self._fleet is not None
        return self._fleet

    @property
    def databases(self) -> Databases:
        """The database of each service."""
        return Databases(self.postgres.url(), services=self._services)

    @property
    def file(self) -> Path:
        """Where a running stack says what runs where, to other programs."""
        return self.folder / "stack.json"

    @property
    def shell_file(self) -> Path:
        """What a shell reads (`. env`) to find `aftersales`, for `aftersales lag`, `dlq` and others to work on this
        stack, and for people to ask its services (`$CASES`, `$TOKEN`). It holds secrets, as `stack.json` does."""
        return self.folder / "env"

    def token(self, actor: Actor) -> str:
        """A token that every service takes."""
        return Tokens(self._kept.token_secret).make(actor, SystemClock().now(), timedelta(days=TOKEN_DAYS))

    # -- life

    async def start(self) -> None:
        """Start everything and wait until it is ready. Where that fails, all is stopped again."""
        self._take_back_files()  # those of one that was killed
        try:
            await self._start_servers()
            await self._prepare()
            await self._start_processes()
        except BaseException:
            await self.stop()
            raise
        self.write_file()

    async def stop(self) -> None:
        """Stop everything in order: requests, consumers and relays, then what they work on."""
        if self._take_back_files():
            names = self.file.name, self.shell_file.name
            self._tell(
                "移除 {} 和 {},下次启动时重新写入".format(*names),
                "removing {} and {}; the next start writes them anew".format(*names),
            )
        if self._fleet is not None:
            self._tell("停止各服务进程", "stopping the services")
            await self._fleet.stop()
        if self._kafka is not None:
            self._tell("停止 Kafka", "stopping Kafka")
            await asyncio.to_thread(self._kafka.stop)
        if self._postgres is not None and self._postgres.pid:
            self._tell("停止 PostgreSQL", "stopping PostgreSQL")
            await asyncio.to_thread(self._postgres.stop)

    async def _start_servers(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._kept = Kept.read(self._kept_file)
        self._tell("启动 PostgreSQL 和 Kafka…", "starting PostgreSQL and Kafka …")
        starts = asyncio.gather(
            asyncio.to_thread(self._start_postgres), asyncio.to_thread(self._start_kafka), return_exceptions=True
        )
        try:
            begun = await asyncio.shield(starts)
        except asyncio.CancelledError:
            await starts  # what starts in a thread cannot be called off, only be stopped afterwards
            raise
        for error in begun:
            if isinstance(error, BaseException):
                raise error
        self._keep("postgres", self.postgres.port)
        for number, port in enumerate(self.kafka.ports):
            self._keep(f"kafka-{number}", port)
        self._write_kept()
        self._tell(
            f"PostgreSQL 在 127.0.0.1:{self.postgres.port},Kafka 在 {self.kafka.servers}",
            f"PostgreSQL on 127.0.0.1:{self.postgres.port}, Kafka on {self.kafka.servers}",
        )

    def _start_postgres(self) -> None:
        if self._postgres is None:
            self._postgres = PostgresCluster(self.folder / "postgres", self._kept.ports.get("postgres", 0))
        if not self._postgres.pid:
            self._postgres.start()

    def _start_kafka(self) -> None:
        if self._kafka is None:
            kept = [port for number in range(self.brokers) if (port := self._kept.ports.get(f"kafka-{number}"))]
            self._kafka = KafkaCluster(self.brokers, self.folder / "kafka", preferred_ports=kept)
        self._kafka.start()

    async def _prepare(self) -> None:
        self._tell("建库、迁移、建主题…", "making databases and topics …")
        await self.databases.make()
        await self.databases.migrate(self.folder / _DATA)
        settings = load_settings(self._environment())
        admin = await Connection.of(settings).admin()
        try:
            await ensure(admin, topics(settings))
        finally:
            await stop(admin)

    async def _start_processes(self) -> None:
        if self._fleet is None:
            logs = self.folder / "logs"
            self._fleet = Fleet(
                self._roles,
                self._environment(),
                logs,
                self._launcher,
                self._port_of,
                self._services,
                self._with_console,
            )
            self._write_kept()
        names = ", ".join(self._fleet.processes)
        self._tell(f"启动服务进程 {names}…", f"starting {names} …")
        await self._fleet.start()

    def _port_of(self, name: str) -> int:
        """The port that the process had the last time, if it is free."""
        taken = {port for kept, port in self._kept.ports.items() if kept != name}
        preferred = [self._kept.ports[name]] if name in self._kept.ports else []
        return self._keep(name, free_port(preferred, taken))

    def _keep(self, name: str, port: int) -> int:
        """Note where something listens; whoever relies on where it did is told that it is another port now."""
        before = self._kept.ports.get(name, port)
        if port != before:
            self._tell(
                f"{name} 原来的端口 {before} 被别的程序占用,改用 {port}",
                f"{name} cannot have its port {before}, another program holds it; it takes {port}",
            )
        self._kept.ports[name] = port
        return port

    def _write_kept(self) -> None:
        put(self._kept_file, msgspec.json.encode(self._kept), private=True)

    def _environment(self) -> dict[str, str]:
        """What every process is told; what was given to the stack comes first."""
        own = {
            "DATABASE_URL": self.databases.url,
            "DATA_DIR": str(self.folder / _DATA),
            "KAFKA_REPLICATION": str(min(3, self.brokers)),
            "KAFKA_SERVERS": self.kafka.servers,
            "LOG_FORMAT": "json",
            "MEDIA_URL": str(self.folder / "media"),
            "TOKEN_SECRET": self._kept.token_secret,
        }
        return {PREFIX + name: value for name, value in own.items()} | self._settings

    # -- what it says of itself

    def described(self) -> StackFile:
        """What runs where."""
        console = self.fleet.console.said if self.fleet.console else {}
        return StackFile(
            services={service: next(iter(self.fleet.urls(service)), "") for service in self._services},
            kafka_servers=self.kafka.servers,
            brokers=self.brokers,
            database_url=self.databases.url,
            token=self.token(OPERATOR),
            token_secret=self._kept.token_secret,
            processes={
                name: Process(one.url, one.pid, str(one.log_file))
                for name, one in self.fleet.processes.items()
                if one.said
            },
            pid=os.getpid(),
            console=console.get("url", ""),
            link=console.get("console", ""),
        )

    def write_file(self) -> None:
        """Say it to other programs, and to a shell whose commands are to work on this stack."""
        described = self.described()
        put(self.file, msgspec.json.format(msgspec.json.encode(described)) + b"\n", private=True)
        urls = {service.upper(): url for service, url in described.services.items()}
        if self.fleet.console:  # `aftersales link` leads to this port
            urls |= {"CONSOLE": described.console, f"{PREFIX}PORT": self.fleet.console.settings[f"{PREFIX}PORT"]}
        variables = self._environment() | urls | {"TOKEN": described.token, STACK_VARIABLE: str(self.folder)}
        exports = [f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()]
        put(self.shell_file, "".join([*exports, _PATH_LINE]).encode(), private=True)

    def _take_back_files(self) -> bool:
        """Say no longer what does not hold; whether anything had been said."""
        said = self.shell_file.exists()
        self.file.unlink(missing_ok=True)
        self.shell_file.unlink(missing_ok=True)
        return said

    @property
    def _kept_file(self) -> Path:
        return self.folder / "kept.json"


def usual_folder(data_dir: Path, environ: Mapping[str, str]) -> Path:
    """Where a stack is unless somebody names a folder: `stack` in the data folder.

    In a shell that read a stack's `env` the data folder is that stack's own; then it is this stack that is meant.
    """
    read = environ.get(STACK_VARIABLE)
    return Path(read) if read and data_dir == Path(read, _DATA) else data_dir / "stack"


def throw_away(folder: Path) -> None:
    """Remove what a stack that does not run kept in its folder, also where PostgreSQL's data had to stand elsewhere."""
    throw_databases_away(folder / "postgres")
    for name in _THROWN_AWAY:
        shutil.rmtree(folder / name, ignore_errors=True)
