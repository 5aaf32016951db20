"""`aftersales stack`: everything runs as told, comes back when it dies, keeps its data, and leaves nothing behind."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urljoin
from urllib.request import HTTPCookieProcessor, Request, build_opener, urlopen
from uuid import uuid4

import pytest

from services.catalogue import SERVICES
from services.kernel.kafka.connection import Connection, stop
from services.stack.stack import StackFile, throw_away, usual_folder

COMMAND = (sys.executable, "-m", "services.cli")
PATIENCE_SECONDS = 120.0
AN_ORDER = {
    "channel": "taobao",
    "buyer_id": "b1",
    "ordered_at": "2026-10-02T09:00:00+08:00",
    "lines": [
        {"line_id": "L1", "sku": "LOCK", "kind": "product", "quantity": 1, "paid_fen": 129_900, "unit_cost_fen": 60_000}
    ],
}
A_SCENARIO = Path(__file__).parents[2] / "services/scenarios/library/01-installation-help.yaml"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Where the stack keeps its data over its runs."""
    place = Path(tempfile.mkdtemp(prefix="aftersales-test-stack-"))
    yield place
    throw_away(place)
    shutil.rmtree(place)


class Running:
    """A stack that runs: what it said of itself, and what it told since."""

    def __init__(self, process: "subprocess.Popen[str]", said: dict[str, Any], told: Path) -> None:
        self.process = process
        self.said = said
        self._told = told

    @property
    def told(self) -> str:
        return self._told.read_text()

    def ask(self, method: str, service: str, path: str, body: Any = None) -> tuple[int, Any]:
        """A request as anybody makes it."""
        headers = {"Authorization": f"Bearer {self.said['token']}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = Request(
            self.said["services"][service] + path,
            data,
            {**headers, "Idempotency-Key": uuid4().hex},
            method=method,
        )
        try:
            with urlopen(request, timeout=20) as answer:
                return answer.status, json.load(answer)
        except HTTPError as refusal:
            with refusal:
                return refusal.code, json.load(refusal)


@contextmanager
def stack(folder: Path, *options: str) -> Iterator[Running]:
    """A stack from the command line, asked to stop at the end."""
    told = folder / "told"
    with (
        told.open("w") as errors,
        subprocess.Popen(
            [*COMMAND, "stack", "--folder", str(folder), "--json", *options],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line, told.read_text()
            yield Running(process, json.loads(line), told)
        finally:
            process.terminate()
            time.sleep(0.05)
            process.terminate()  # as under `make`, which passes on what its whole group got
            assert process.wait(PATIENCE_SECONDS) == 0, told.read_text()


def shown(link: str, path: str) -> str:
    """What a person reads on a page of the console after signing in by a link."""
    browser = build_opener(HTTPCookieProcessor(CookieJar()))
    browser.open(link, timeout=20).close()
    with browser.open(urljoin(link, path), timeout=20) as page:
        return str(page.read().decode())


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        with suppress(URLError, ConnectionError):
            if holds():
                return
        assert time.monotonic() < deadline
        time.sleep(0.05)


def commands() -> Iterator[str]:
    """What runs on this machine."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(FileNotFoundError, ProcessLookupError):
            yield file.read_bytes().replace(b"\0", b" ").decode(errors="replace")


def lives(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def pids_in(folder: Path) -> list[int]:
    """The service processes that a stack says it has."""
    return [one.pid for one in StackFile.read(folder / "stack.json").processes.values()]


def server_of(folder: Path) -> int:
    """The process of the PostgreSQL server of a stack, wherever its data had to stand."""
    note = folder / "postgres" / "elsewhere"
    data = (Path(note.read_text()) if note.exists() else folder / "postgres") / "data"
    return int((data / "postmaster.pid").read_text().split()[0])


async def at_brokers(servers: str) -> tuple[set[str], list[str]]:
    """The groups and topics that brokers know."""
    admin = await Connection(servers=servers).admin()
    try:
        return {str(group) for group, _ in await admin.list_consumer_groups()}, await admin.list_topics()
    finally:
        await stop(admin)


def taken(folder: Path, name: str, somebody: socket.socket) -> Path:
    """The folder of a stack, after somebody took the port where one of its processes was the last time."""
    somebody.bind(("127.0.0.1", 0))
    somebody.listen()
    kept = json.loads((folder / "kept.json").read_bytes())
    kept["ports"][name] = somebody.getsockname()[1]
    (folder / "kept.json").write_text(json.dumps(kept))
    return folder


def in_a_shell(folder: Path, command: str) -> str:
    """What a command prints in a shell that read the stack's `env` and knows nothing else."""
    script = f". {folder}/env && . {folder}/env && {command}"
    return subprocess.run(
        ["sh", "-c", script], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True
    ).stdout


def test_stack_runs_recovers_keeps_and_ends(folder: Path) -> None:
    """An order recorded before a crash and a restart is there afterwards, tokens and addresses are still good, and who
    has to listen elsewhere says so."""
    with stack(folder) as first:
        assert first.said == json.loads((folder / "stack.json").read_bytes())
        assert StackFile.read(folder / "stack.json").services == first.said["services"]
        for secret in ("stack.json", "env"):
            assert (folder / secret).stat().st_mode & 0o077 == 0
        assert set(first.said["processes"]) == {*(f"{service}-all" for service in SERVICES), "console"}
        assert first.ask("PUT", "cases", "/v1/orders/T1", AN_ORDER)[0] == 201
        assert first.ask("GET", "liability", "/v1/charges")[0] == 200
        assert "LOCK" in shown(first.said["link"], "/console/orders/T1")
        assert in_a_shell(folder, "aftersales link").startswith(f"{first.said['console']}/console/")

        assert '"consumers"' in in_a_shell(folder, "aftersales lag --json")
        assert '"items"' in in_a_shell(folder, 'curl -sS -H "Authorization: Bearer $TOKEN" $CASES/v1/cases')
        assert '"already_served"' in in_a_shell(folder, "timeout 60 aftersales stack --json || true")
        assert in_a_shell(folder, "echo $PATH").count(str(Path(sys.executable).parent)) == 1

        pid = first.said["processes"]["cases-all"]["pid"]
        os.kill(pid, signal.SIGKILL)
        until(lambda: "cases-all died (-9" in first.told)
        assert first.told.count("cases-all died") == 1
        until(lambda: first.ask("GET", "cases", "/v1/orders/T1")[0] == 200)
        until(lambda: pid not in pids_in(folder))
        pids = pids_in(folder)

        os.kill(server_of(folder), signal.SIGKILL)
        until(lambda: "PostgreSQL died, starting again" in first.told)
        assert first.told.count("PostgreSQL died") == 1
        assert "pg_ctl" not in first.told
        until(lambda: first.ask("GET", "cases", "/v1/orders/T1")[0] == 200)
    assert not any(map(lives, pids))
    assert not (folder / "stack.json").exists()
    assert not (folder / "env").exists()
    assert "removing stack.json and env" in first.told

    with socket.socket() as somebody, stack(taken(folder, "cases-api", somebody), "--apart") as second:
        assert len(second.said["processes"]) == 3 * len(SERVICES) + 1
        assert second.said["console"] == first.said["console"]
        for stays in ("token_secret", "database_url", "kafka_servers"):
            assert second.said[stays] == first.said[stays]
        assert second.told.count("another program holds it") == 1
        assert f"cases-api cannot have its port {somebody.getsockname()[1]}" in second.told
        assert second.ask("GET", "cases", "/v1/orders/T1")[0] == 200
        refused = subprocess.run([*COMMAND, "stack", "--folder", str(folder), "--json"], capture_output=True, text=True)
        assert refused.returncode == 2
        assert json.loads(refused.stdout)["error"]["code"] == "already_served"

        played = subprocess.run(
            [*COMMAND, "scenario", "run", "--stack", str(folder / "stack.json"), "--json", str(A_SCENARIO)],
            capture_output=True,
            text=True,
        )
        assert json.loads(played.stdout)["ok"], played.stdout + played.stderr
        assert second.ask("GET", "cases", "/v1/cases")[1]["items"] == []  # it was played beside the shop, not in it
        groups, topics = asyncio.run(at_brokers(second.said["kafka_servers"]))
        assert groups == {f"aftersales-{service}" for service in SERVICES}
        assert not any("scenario" in topic for topic in topics)


def test_stack_of_a_shell(tmp_path: Path) -> None:
    """Whoever read the `env` of a stack means this stack, whoever names a data folder means the one in it."""
    own = {"STACK": str(tmp_path / "shop")}
    assert usual_folder(tmp_path / "shop" / "data", own) == tmp_path / "shop"
    assert usual_folder(tmp_path / "other", own) == tmp_path / "other" / "stack"
    assert usual_folder(Path("data"), {}) == Path("data/stack")


def test_stack_is_called_off_while_it_starts(folder: Path) -> None:
    """Ctrl-C is taken at any time, and what had begun by then is ended; `--fresh` throws away what was kept.
    What a killed stack said of itself is taken back before anything starts."""
    said_before = [folder / "stack.json", folder / "env"]
    for file in said_before:
        file.touch()
    (kept := folder / "media" / "kept").parent.mkdir(exist_ok=True)
    kept.touch()
    with subprocess.Popen(
        [*COMMAND, "stack", "--folder", str(folder), "--fresh"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert "PostgreSQL" in process.stdout.readline()
        assert not any(file.exists() for file in said_before)
        process.send_signal(signal.SIGINT)
        said = process.stdout.read()
        assert process.wait(PATIENCE_SECONDS) == 0
    assert "stopping PostgreSQL" in said
    assert not kept.exists()
    assert not any(str(folder) in command for command in commands())


def test_scenarios_need_a_running_stack(tmp_path: Path) -> None:
    """A file that is none, or of a stack that has stopped, is told and nothing is played."""
    command = [*COMMAND, "scenario", "run", "--stack", str(tmp_path / "stack.json"), str(A_SCENARIO)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "stack.json" in done.stderr
