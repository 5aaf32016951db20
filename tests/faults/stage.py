"""The stage of the fault tests: three brokers, PostgreSQL, a payment provider, and the services apart, under load.

It is set up once; each test does its harm, waits until all is quiet, and has everything judged that ever happened.
"""

import asyncio
import json
import os
import secrets
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import asyncpg

from contracts.registry import TOPICS
from services.kernel.settings import PREFIX
from services.stack.fleet import APART
from services.stack.kafka import KafkaCluster
from services.stack.nursery import Nursery
from services.stack.ports import free_port
from services.stack.postgres import PostgresCluster
from services.stack.processes import Child, Interpreter, Launcher, ServiceProcess
from services.stack.stack import OPERATOR, Stack
from tests.faults.brokers import Brokers, heard_topics
from tests.faults.checker import everything_was_heard, log_consumers_caught_up, must_be_sound
from tests.faults.history import HEARS, History, read_history, read_log
from tests.faults.line import Acknowledged, Answers
from tests.faults.load import Load
from tests.faults.patience import PATIENCE_SECONDS, until
from tests.faults.plots import PLOTS, Plot
from tests.faults.points import Doom

SERVICES = tuple(HEARS)
ROOT = Path(__file__).parents[2]
PARTITIONS = 4
#: How long everything on its way may take to arrive once the fault is over, in seconds.
QUIET_SECONDS = 180.0
_LOOK_SECONDS = 0.2
_OPEN_PAYOUTS = "SELECT payout FROM payout_view WHERE status IN ('requested', 'unknown') ORDER BY payout"


class NotQuiet(AssertionError):
    """Something is still on its way, or does not go on."""


class Altered:
    """Launches processes of another module, which is told how they differ from the product's."""

    def __init__(self, nursery: Nursery, how: object) -> None:
        self._nursery = nursery
        self._how = str(how)

    def launch(self, arguments: Sequence[str], environment: Mapping[str, str], output: Path, log: Path) -> Child:
        return self._nursery.launch((self._how, "--", *arguments), environment, output, log)


class Provider:
    """The payment provider, a process of its own with books that it keeps."""

    def __init__(self, folder: Path) -> None:
        self.secret = "whsec_" + b64encode(secrets.token_bytes(32)).decode()
        self.token = secrets.token_urlsafe()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, callback_url: str) -> None:
        """Start, and wait until it serves."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for name, text in (("secret", self.secret), ("token", self.token)):
            (self._folder / name).write_text(text)
        command = [sys.executable, "-m", "services.sandbox", "--port", str(self.port), "--callback-url", callback_url]
        command += ["--journal", str(self._folder / "journal")]
        command += ["--secret-file", str(self._folder / "secret"), "--token-file", str(self._folder / "token")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        assert self._process.stdout
        assert self._process.stdout.readline(), "the provider did not start"

    def close(self) -> None:
        if self._process is not None and self._process.stdout:
            self._process.terminate()
            self._process.wait(PATIENCE_SECONDS)
            self._process.stdout.close()

    async def behaves(self, *outcomes: str) -> None:
        """How it treats the next attempts, one after the other; all others are paid at once."""
        headers = {"Authorization": f"Bearer {self.token}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(f"{self.url}/v1/outcomes", json={"outcomes": outcomes}) as answer,
        ):
            answer.raise_for_status()


class Stage:
    """Everything that runs, what its clients were told, and what tests put on the topics themselves."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.seed = seed
        self.folder = folder
        self.answers: list[Answers] = []
        self.made_up: set[str] = set()
        self.provider = Provider(folder / "provider")
        self._nursery = Nursery()
        self._doomed_nursery = Nursery("tests.faults.doomed")
        self._faulty_nursery = Nursery("tests.faults.faulty")
        self._added: dict[str, ServiceProcess] = {}
        self._doomed: set[str] = set()
        self._loads = 0
        self._opened = False
        settings = {
            "GATEWAY": "sandbox",
            "GATEWAY_URL": self.provider.url,
            "GATEWAY_SECRET": self.provider.secret,
            "GATEWAY_TIMEOUT_SECONDS": "2",
            "ASK_EVERY_SECONDS": "1",
            "DRAIN_SECONDS": "0",
            "KAFKA_PARTITIONS": str(PARTITIONS),
        }
        self.stack = Stack(
            folder / "stack",
            postgres=PostgresCluster(),
            kafka=KafkaCluster(3),
            roles=APART,
            settings={PREFIX + name: value for name, value in settings.items()},
            launcher=self._nursery,
            services=SERVICES,
        )

    # -- life

    async def open(self) -> None:
        """Start everything."""
        await self.stack.start()
        self._opened = True
        self.provider.start(f"{self.urls('refunds')[0]}/v1/gateway/callbacks")

    async def close(self) -> None:
        """Stop everything."""
        try:
            for process in self._added.values():
                await process.stop()
            if self._opened:  # else there may be no fleet yet, and the stack has stopped what there was
                await self.stack.fleet.stop()
        finally:
            self.stack.kafka.close()
            self.stack.postgres.close()
            self.provider.close()
            self._nursery.close()
            self._doomed_nursery.close()
            self._faulty_nursery.close()

    # -- load

    def load(
        self, commands_per_second: float = 30, senders: int = 10, plots: Sequence[Plot] = PLOTS, name: str = ""
    ) -> Load:
        """A stream of commands of its own; use it as a context, harm goes inside. The same `name` plays the same
        plots."""
        self._loads += 1
        load = Load(
            self.urls,
            self.stack.token,
            seed=self.seed,
            name=name or f"L{self._loads}x",
            senders=senders,
            commands_per_second=commands_per_second,
            plots=plots,
        )
        self.answers.append(load.answers)
        return load

    @property
    def acknowledged(self) -> list[Acknowledged]:
        return [one for answers in self.answers for one in answers.acknowledged]

    # -- harm

    def process(self, name: str) -> ServiceProcess:
        """A process by its name: `cases-api`, `refunds-consume`, `cases-api-2`, …"""
        return self._added.get(name) or self.stack.fleet.processes[name]

    def urls(self, service: str) -> list[str]:
        """Where a service takes commands now; who is doomed is not told of to others."""
        processes = {**self.stack.fleet.processes, **self._added}
        names = [name for name in processes if name.startswith(f"{service}-api") and name not in self._doomed]
        return [processes[name].url for name in names if processes[name].said]

    async def begin(
        self,
        name: str,
        fate: Doom | None = None,
        *,
        faulty_for: str = "",
        tree: Path | None = None,
        **settings: str,
    ) -> ServiceProcess:
        """Start a process in the place of one of this name, which must have ended, or one more (`cases-api-2`).

        `fate`: how it ends; `faulty_for`: the stream that it fails on; `tree`: where its source is, if it is another
        version; `settings`: what it is told differently.
        """
        service, role = name.split("-")[:2]
        pattern = self.stack.fleet.processes[f"{service}-{role}"]
        told = pattern.settings | {PREFIX + key: value for key, value in settings.items()}
        if name != pattern.name:
            told[f"{PREFIX}PORT"] = str(free_port())
        launcher: Launcher = self._nursery
        if fate:
            launcher = Altered(self._doomed_nursery, fate)
        elif faulty_for:
            launcher = Altered(self._faulty_nursery, faulty_for)
        elif tree:
            launcher = Interpreter()
            told |= {"PYTHONPATH": str(tree), "PYTHONSAFEPATH": "1"}
        logs = self.folder / "stack" / "logs"
        process = ServiceProcess(name, (role, service, "--json"), told, logs, launcher)
        self._doomed.discard(name)
        if fate:
            self._doomed.add(name)
        self._added[name] = process
        await process.start()
        return process

    async def end(self, name: str) -> None:
        """Stop one that was begun here; where it stood in for one of the stack, that one starts again."""
        await self._added.pop(name).stop()
        if name in self.stack.fleet.processes:
            await self.stack.fleet.processes[name].start()

    # -- judgement

    async def quiet(self, seconds: float = QUIET_SECONDS) -> None:
        """Wait until everything that was decided has gone through every service; raises `NotQuiet`."""
        deadline = time.monotonic() + seconds
        seen: Any = None
        while True:
            ends, left = await self._left()
            if not left and ends == seen:
                return
            seen = ends
            if time.monotonic() > deadline:
                raise NotQuiet("; ".join(left[:5]) or "events keep coming")
            await asyncio.sleep(_LOOK_SECONDS)

    async def _left(self) -> tuple[Any, list[str]]:
        """Where the logs end, and what is still on its way. Topics are asked first, so they end no later than that."""
        ends = await self.brokers.ends(heard_topics())
        logs = await asyncio.gather(
            *(read_log(service, self.database(service), ends_only=True) for service in SERVICES)
        )
        history = History({log.service: log for log in logs}, {}, made_up=frozenset(self.made_up))
        left = [*everything_was_heard(history), *log_consumers_caught_up(history)]
        left += [
            f"{log.service} has read {topic}/{number} up to {read} of {end}"
            for log in logs
            for (topic, number), end in ends.items()
            if topic in {TOPICS[source] for source in HEARS[log.service]}
            and (read := log.checkpoints.get((f"aftersales-{log.service}", f"{topic}/{number}"), 0)) < end
        ]
        left += [f"{row['payout']} is open" for row in await self.rows("refunds", _OPEN_PAYOUTS)]
        return [log.events[-1].position if log.events else 0 for log in logs], left

    async def history(self) -> History:
        """All that happened so far."""
        history = await read_history(
            {service: self.database(service) for service in SERVICES},
            self.stack.kafka.servers,
            desk=(self.provider.url, self.provider.token),
            acknowledged=self.acknowledged,
        )
        history.made_up = frozenset(self.made_up)
        return history

    async def must_be_sound(self, seconds: float = QUIET_SECONDS) -> History:
        """Wait until all is quiet and judge everything; raises `NotQuiet` and `Unsound`."""
        await self.quiet(seconds)
        history = await self.history()
        must_be_sound(history)
        surprises = [one for answers in self.answers for one in answers.surprises]
        assert not surprises, surprises[:3]
        unknown = [one for answers in self.answers for one in answers.unknown]
        assert not unknown, unknown[:3]
        assert all(one.retryable for answers in self.answers for one in answers.unavailable)
        return history

    # -- looking

    @property
    def brokers(self) -> Brokers:
        """The brokers, seen from outside."""
        return Brokers(self.stack.kafka.servers)

    async def command(self, *words: str, may_fail: bool = False) -> Any:
        """Have an operator give a command of the command line; gives its JSON."""
        environment = {**os.environ, **self.stack.fleet.processes["cases-api"].settings}
        with TemporaryDirectory(dir=self.folder) as folder:
            said, complained = Path(folder) / "said", Path(folder) / "complained"
            child = self._nursery.launch(words, environment, said, complained)
            await until(lambda: child.poll() is not None)
            assert may_fail or child.poll() == 0, (words, said.read_text(), complained.read_text())
            return json.loads(said.read_text() or "null")

    async def said(self, name: str, path: str) -> str:
        """What a process tells of itself: `/readyz`, `/metrics`."""
        headers = {"Authorization": f"Bearer {self.stack.token(OPERATOR)}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(self.process(name).url + path) as answer,
        ):
            return await answer.text()

    def database(self, service: str) -> str:
        """Where a service's database is."""
        return self.stack.databases.url_of(service)

    async def rows(self, service: str, sql: str, *values: Any) -> list[Mapping[str, Any]]:
        """Rows of a service's database."""
        connection = await asyncpg.connect(self.database(service), timeout=PATIENCE_SECONDS)
        try:
            return list(await connection.fetch(sql, *values))
        finally:
            await connection.close()
