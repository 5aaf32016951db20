"""A Kafka cluster of one's own without Docker: one broker, or three that replicate, as processes on free ports.

Each is broker and controller at once (KRaft). The jars come by Maven once and are kept in the user's cache.
"""

import fcntl
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from services.stack.ports import free_port

START_SECONDS: Final = 120.0
"""How long a broker may take until it serves."""
STOP_SECONDS: Final = 30.0
"""How long a broker may take to hand its partitions over and end; it is killed then."""
FETCH_SECONDS: Final = 600.0
"""How long Maven may take to fetch the jars."""

_INSTALL = ("apt-get", "install", "--yes", "--no-install-recommends")
_PACKAGES = {"java": "openjdk-17-jre-headless", "mvn": "maven"}
_READY = b"Kafka Server started"
_POLL_SECONDS = 0.05
#: For a quick start with little memory; a peak of speed is not what these brokers are for.
_JAVA_OPTIONS = (
    "-Xmx320m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.net.preferIPv4Stack=true",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
)
#: Ends a broker whose parent is gone: then nobody holds the other end of its standard input.
_GUARD = 'read -r _; kill -9 "$1"'

log = structlog.get_logger(__name__)


class KafkaMissing(Exception):
    """Kafka cannot be run on this machine. It needs Java 17 and, to fetch it, Maven and a Maven repository:
    `apt-get install --yes openjdk-17-jre-headless maven`."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{' '.join((self.__doc__ or '').split())} {reason}".strip())


class BrokerFailed(Exception):
    """A broker did not do what it was told to; the message holds the end of its log."""


class Login(NamedTuple):
    """Who may connect, by SASL/PLAIN."""

    username: str
    password: str


class KafkaCluster:
    """Brokers with their data folders. `start` and `stop` may be called again and again; brokers count from 0."""

    def __init__(
        self,
        brokers: int = 1,
        folder: Path | None = None,
        *,
        login: Login | None = None,
        certificate: Path | None = None,
        advertised_ports: Sequence[int] = (),
        preferred_ports: Sequence[int] = (),
    ) -> None:
        """`folder` keeps the data over `close` (None: a temporary one, thrown away with all in it); `login`: clients
        must name themselves; `certificate`: a PEM file with the brokers' private key (PKCS #8) and certificate, with
        which they speak TLS to clients; `advertised_ports`: where clients are sent to instead, one for each broker,
        when something stands between (see `ports`); `preferred_ports`: where each broker takes clients if that is free.
        Raises KafkaMissing, NoFreePort."""
        jars, java = kafka_jars(), _program("java")
        self._temporary = folder is None
        self._folder = folder.resolve() if folder else Path(tempfile.mkdtemp(prefix="aftersales-kafka-"))
        ports = _free_ports(brokers, preferred_ports)
        voters = ",".join(f"{node}@127.0.0.1:{ports[3 * node + 2]}" for node in range(brokers))
        self._brokers = [
            _Broker(
                self._folder / f"broker-{node}",
                _properties(
                    node, brokers, ports[3 * node :], voters, login, certificate, advertised_ports, self._folder
                ),
                (*_java(java, jars), f"-XX:SharedArchiveFile={_archive(java, jars)}"),
            )
            for node in range(brokers)
        ]
        self.ports = tuple(ports[::3])
        """Where each broker takes clients, on 127.0.0.1; the same after each restart."""
        self.servers = ",".join(f"127.0.0.1:{port}" for port in advertised_ports or self.ports)
        """What to connect to."""

    def __len__(self) -> int:
        return len(self._brokers)

    def start(self) -> None:
        """Start all that do not run and wait until they serve. Raises BrokerFailed."""
        _formatted(self._brokers)
        for broker in self._brokers:
            broker.launch()
        for broker in self._brokers:
            broker.wait_until_ready()

    def stop(self) -> None:
        """End all cleanly."""
        self.thaw_all()
        for broker in self._brokers:
            broker.signal(signal.SIGTERM)
        for broker in self._brokers:
            broker.wait_until_gone()

    def kill(self, broker: int) -> None:
        """End a broker at once (`kill -9`)."""
        self._brokers[broker].signal(signal.SIGKILL)
        self._brokers[broker].wait_until_gone()

    def restart(self, broker: int) -> None:
        """Start a broker again and wait until it serves; ends it cleanly before if it runs. Raises BrokerFailed."""
        one = self._brokers[broker]
        one.signal(signal.SIGCONT)
        one.signal(signal.SIGTERM)
        one.wait_until_gone()
        one.launch()
        one.wait_until_ready()

    def freeze(self, broker: int) -> None:
        """Let a broker hang: its connections stay open, nothing is answered (SIGSTOP)."""
        self._brokers[broker].signal(signal.SIGSTOP)

    def thaw(self, broker: int) -> None:
        """Let a frozen broker go on."""
        self._brokers[broker].signal(signal.SIGCONT)

    def thaw_all(self) -> None:
        """Let all frozen brokers go on."""
        for broker in range(len(self)):
            self.thaw(broker)

    def pid(self, broker: int) -> int | None:
        """The process of a broker; None while it does not run."""
        return self._brokers[broker].pid

    def log(self, broker: int) -> str:
        """What a broker wrote about itself so far."""
        return self._brokers[broker].log.read_text(errors="replace")

    def close(self) -> None:
        """End all; what is in a temporary folder is thrown away."""
        if not self._temporary:
            self.stop()
            return
        for broker in range(len(self)):
            self.kill(broker)
        shutil.rmtree(self._folder)


class _Broker:
    """One process and its folder."""

    def __init__(self, folder: Path, properties: dict[str, str | int], java: Sequence[str]) -> None:
        """`java`: how programs of Kafka are run, up to their name."""
        self.log = folder / "log"
        self._folder = folder
        self._properties = folder / "server.properties"
        self._java = java
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._read_from = 0
        folder.mkdir(parents=True, exist_ok=True)
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        self._properties.chmod(0o600)  # it may hold a password

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.poll() is None else None

    def format(self, identity: str) -> "subprocess.Popen[str] | None":
        """Make the data folder, if there is none yet."""
        if (self._folder / "data" / "meta.properties").exists():
            return None
        tool = ("kafka.tools.StorageTool", "format", f"--cluster-id={identity}", "-c", str(self._properties))
        return subprocess.Popen(
            [*self._java, *tool], text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def launch(self) -> None:
        if self.pid:
            return
        with self.log.open("ab") as output:
            self._read_from = output.tell()
            self._process = subprocess.Popen(
                [*self._java, "kafka.Kafka", str(self._properties)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                start_new_session=True,  # Ctrl-C is for the parent, which ends the brokers in order
            )
        self._guard = subprocess.Popen(
            ["sh", "-c", _GUARD, "guard", str(self._process.pid)], stdin=subprocess.PIPE, start_new_session=True
        )

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while _READY not in (said := self._said()):
            if not self.pid or time.monotonic() > deadline:
                raise BrokerFailed(f"the broker did not start; {self.log}: {said[-3000:].decode(errors='replace')}")
            time.sleep(_POLL_SECONDS)

    def signal(self, number: signal.Signals) -> None:
        if self.pid and self._process:
            self._process.send_signal(number)

    def wait_until_gone(self) -> None:
        process, guard = self._process, self._guard
        self._process = self._guard = None
        if process is None or guard is None or guard.stdin is None:
            return
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
        guard.kill()  # before the broker's number is free for another process
        guard.stdin.close()
        guard.wait()
        process.wait()

    def _said(self) -> bytes:
        with self.log.open("rb") as output:
            output.seek(self._read_from)
            return output.read()


@contextmanager
def throwaway_brokers(
    brokers: int = 1, *, login: Login | None = None, certificate: Path | None = None
) -> Iterator[KafkaCluster]:
    """Running brokers for the length of a block."""
    cluster = KafkaCluster(brokers, login=login, certificate=certificate)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


def kafka_jars() -> Path:
    """The folder of Kafka's jars; Maven fetches them the first time. Safe with several processes at once.

    Raises KafkaMissing.
    """
    pom = resources.files("services.stack").joinpath("pom.xml").read_text(encoding="utf-8")
    version = re.findall(r"<kafka\.version>(.+)</kafka\.version>", pom)[0]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aftersales"
    jars = cache / f"kafka-{version}"
    if jars.is_dir():
        return jars
    _program("java")
    maven = _program("mvn")
    cache.mkdir(parents=True, exist_ok=True)
    log.info("fetching_kafka", version=version, folder=str(jars))
    with tempfile.TemporaryDirectory(prefix=".kafka-", dir=cache) as folder:
        fetched = Path(folder) / "jars"
        (Path(folder) / "pom.xml").write_text(pom, encoding="utf-8")
        _run((maven, "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={fetched}"), folder)
        try:
            fetched.rename(jars)
        except OSError:
            if not jars.is_dir():  # else another process was quicker
                raise
    return jars


def _java(java: str, jars: Path) -> tuple[str, ...]:
    return (java, *_JAVA_OPTIONS, "-cp", f"{jars}/*")


def _archive(java: str, jars: Path) -> Path:
    """Kafka's classes as this Java keeps them at hand, in a file beside the jars: brokers start in half the time.

    A broker that ends at once writes it, the first time. Safe with several processes at once. Raises BrokerFailed.
    """
    archive = jars.with_name(f"{jars.name}-{Path(java).resolve().stat().st_mtime_ns}.jsa")
    lock = os.open(jars, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not archive.exists():
            log.info("preparing_kafka", file=str(archive))
            with tempfile.TemporaryDirectory(prefix=".kafka-", dir=jars.parent) as folder:
                made = Path(folder) / archive.name
                _live_once(_java(java, jars), f"-XX:ArchiveClassesAtExit={made}", Path(folder))
                made.rename(archive)
    finally:
        os.close(lock)
    return archive


def _live_once(java: Sequence[str], option: str, folder: Path) -> None:
    """Start a broker with a further option of Java, and end it. Raises BrokerFailed."""
    ports = _free_ports(1, ())
    properties = _properties(0, 1, ports, f"0@127.0.0.1:{ports[2]}", None, None, (), folder)
    place = folder / "broker-0"
    _formatted([_Broker(place, properties, java)])
    broker = _Broker(place, properties, (*java, option))
    broker.launch()
    try:
        broker.wait_until_ready()
    finally:
        broker.signal(signal.SIGTERM)
        broker.wait_until_gone()


def _formatted(brokers: Iterable[_Broker]) -> None:
    """Make the data folders that are not there yet. Raises BrokerFailed."""
    identity = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    for format in [format for broker in brokers if (format := broker.format(identity))]:
        said = format.communicate()[0]
        if format.returncode:
            raise BrokerFailed(f"the folder could not be made: {said}")


def _run(command: Sequence[str], folder: str) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=FETCH_SECONDS)
    except subprocess.TimeoutExpired:
        raise KafkaMissing(f"Maven did not end in {FETCH_SECONDS:.0f} seconds.") from None
    if done.returncode:
        raise KafkaMissing((done.stdout + done.stderr)[-3000:])


def _program(name: str) -> str:
    """The path of Java or Maven; installs it where Debian lets us. Raises KafkaMissing."""
    if found := shutil.which(name):
        return found
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise KafkaMissing(f"There is no {name}.")
    command = (*_INSTALL, _PACKAGES[name])
    log.warning("installing_for_kafka", command=" ".join(command))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if found := shutil.which(name):
        return found
    raise KafkaMissing(done.stderr)


def _properties(
    node: int,
    brokers: int,
    ports: Sequence[int],
    voters: str,
    login: Login | None,
    certificate: Path | None,
    advertised_ports: Sequence[int],
    folder: Path,
) -> dict[str, str | int]:
    """Settings of one broker. Clients have a listener of their own, so that they can log in or be cut off."""
    clients, peers, controller = ports[:3]
    replicas = min(3, brokers)
    in_sync = max(1, replicas - 1)
    advertised = advertised_ports[node] if advertised_ports else clients
    protocol = ("SASL_" if login else "") + ("SSL" if certificate else "PLAINTEXT")
    listener = "listener.name.clients"
    properties: dict[str, str | int] = {
        "process.roles": "broker,controller",
        "node.id": node,
        "log.dirs": str(folder / f"broker-{node}" / "data"),
        "listeners": f"CLIENTS://127.0.0.1:{clients},PEERS://127.0.0.1:{peers},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"CLIENTS://127.0.0.1:{advertised},PEERS://127.0.0.1:{peers}",
        "listener.security.protocol.map": f"CLIENTS:{protocol},PEERS:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PEERS",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.voters": voters,
        "auto.create.topics.enable": "false",
        "default.replication.factor": replicas,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": replicas,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync,
        "transaction.state.log.num.partitions": 1,
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": in_sync,
        "share.coordinator.state.topic.num.partitions": 1,
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1_000,
        # A dead broker is noticed sooner than after the usual nine seconds.
        "broker.session.timeout.ms": 4_000,
        "broker.heartbeat.interval.ms": 1_000,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "background.threads": 2,
        "log.cleaner.dedupe.buffer.size": 4 * 1024 * 1024,
    }
    if login:
        module = "org.apache.kafka.common.security.plain.PlainLoginModule"
        properties["sasl.enabled.mechanisms"] = "PLAIN"
        properties[f"{listener}.plain.sasl.jaas.config"] = (
            f'{module} required user_{login.username}="{login.password}";'
        )
    if certificate:
        properties[f"{listener}.ssl.keystore.type"] = "PEM"
        properties[f"{listener}.ssl.keystore.location"] = str(certificate.resolve())
    return properties


def _free_ports(brokers: int, preferred: Sequence[int]) -> list[int]:
    """For each broker one for clients, if it may be the preferred one, one for its peers, one for the controllers."""
    wanted = dict(zip(range(0, 3 * brokers, 3), preferred, strict=False))
    ports: list[int] = []
    for place in range(3 * brokers):
        mine = [wanted[place]] if place in wanted else []
        ports.append(free_port(mine, {*ports, *preferred} - {*mine}))
    return ports
