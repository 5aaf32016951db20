"""The READMEs as scripts: every `sh` block is run in order, and a `text` block behind one shows what it printed.

`python -m tests.readme` runs both and writes the outputs anew. Blocks that install, test or measure are not run
here: they are made of the targets in `STATIC`, which must exist.
"""

import os
import re
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Final

from services.cli.environment import tokens_of
from services.kernel.actor import Actor
from services.kernel.clock import SystemClock
from services.kernel.settings import load_settings
from services.stack.stack import throw_away

ROOT: Final = Path(__file__).parent.parent
#: README and the locale that its reader has.
LANGUAGES: Final = {"README.md": "en_US.UTF-8", "README.zh.md": "zh_CN.UTF-8"}
#: Commands that a test cannot run inside itself, that take long or that change the working tree.
TARGETS: Final = (
    *("test", "check", "format", "soak", "lock", "readme", "demo-finance"),
    *("bench", "bench-stack", "bench-replay", "bench-finance", "bench-console", "screenshots"),
)
STATIC: Final = frozenset(f"make {target}" for target in TARGETS)
#: What goes on until it is stopped. The last line of what it says names this path.
SERVERS: Final = frozenset({"make run", "make stack"})
LAST_LINE: Final = "/v1/cases"
#: Stands for the lines before those that are shown.
ABOVE: Final = "…"
#: Columns of a terminal that a README has room for.
COLUMNS: Final = "110"
PATIENCE_SECONDS: Final = 60.0

_BLOCKS = re.compile(r"^```sh\n(?P<commands>.*?)^```$(?:\n\n^```text\n(?P<shown>.*?)^```$)?", re.MULTILINE | re.DOTALL)
#: A token is shown by its beginning: the rest is long, and nobody else's.
_TOKEN = re.compile(r"\b(eyJ[\w-]{9})[\w-]+\.[\w-]+\.[\w-]+")
_END = "\x04end"
#: Before each command of the shell, waits until no consumer of any service is behind.
_SETTLE: Final = """
caught_up() {{
    curl -sS -H 'Authorization: Bearer {token}' http://127.0.0.1:{port}/v1/lag | grep -q '"caught_up":true'
}}
settle() {{ until caught_up && caught_up; do sleep 0.05; done; }}
trap settle DEBUG
"""
#: What differs from run to run, and what it is compared as.
_VARYING: Final = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "<id>"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "<sha256>"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:\d\d|Z)?"), "<time>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d\b"), "<date>"),  # a time that was broken into two lines
    (re.compile(r"\b\d\d:\d\d:\d\d\b( +\d+ (s|秒|min|分)){0,2}"), "<time>"),
    (re.compile(r"(?<=\d\+)[0-9a-f]{8}\b"), "<hash>"),
    (re.compile(r"(?<=\"\d:)[\w-]{43}(?=\")"), "<lock>"),
    (re.compile(r"\b\d{8}T\d{12}Z-"), "<operation>-"),
    (re.compile(r"\bD-[0-9a-f]{16}\b"), "<discrepancy>"),
    (re.compile(r"127\.0\.0\.1:\d+"), "<address>"),
    (re.compile(r"\bpid \d+"), "pid <number>"),
    (re.compile(r"\b\d+\.\d\d(?=\s*│)"), "<seconds>"),
    (re.compile(r"─+|━+"), "─"),
    (re.compile(r"\s+"), " "),
)


@dataclass(frozen=True)
class Block:
    """Some commands, and what they are shown to print; None where nothing is shown."""

    commands: str
    shown: str | None
    start: int
    end: int

    @property
    def is_static(self) -> bool:
        return all(line.partition("#")[0].strip() in STATIC for line in self.commands.splitlines() if line.strip())

    @property
    def is_server(self) -> bool:
        return self.commands.strip() in SERVERS


def blocks(text: str) -> list[Block]:
    """The blocks of a README, in order."""
    return [Block(match["commands"], match["shown"], *match.span("shown")) for match in _BLOCKS.finditer(text)]


def normalised(text: str) -> str:
    """A text without what differs from run to run."""
    for pattern, stand_in in _VARYING:
        text = pattern.sub(stand_in, text)
    return text.strip()


def visible(shown: str, printed: str) -> str:
    """The part of what was printed that a block shows: all of it, or as many last lines."""
    lines = [line.rstrip() for line in printed.rstrip().splitlines()]
    if shown.startswith(ABOVE):
        lines = [ABOVE, *lines[-(len(shown.splitlines()) - 1) :]]
    return "\n".join(lines) + "\n"


class Tour:
    """A newcomer at a terminal: one shell, one server, one data folder."""

    def __init__(self, folder: Path, locale: str) -> None:
        self._folder = folder
        self._log = folder / "server.log"
        self._port = _free_port()
        bin_folder = Path(sys.executable).parent
        self._environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AFTERSALES_")},
            "LANG": locale,
            "LC_ALL": locale,
            "COLUMNS": COLUMNS,
            "PYTHONUNBUFFERED": "1",
            "PYTHONUTF8": "1",
            "PATH": f"{bin_folder}:{os.environ['PATH']}",
            "MAKEFLAGS": f"--no-print-directory -o .venv/.ready BIN={bin_folder}",
            "AFTERSALES_DATA_DIR": str(folder / "var"),
            "AFTERSALES_PORT": str(self._port),
        }
        self._shell = self._process(["bash", "--noprofile", "--norc"], subprocess.PIPE, subprocess.STDOUT)
        self._servers: list[subprocess.Popen[str]] = []

    def _process(self, command: list[str], stdin: int, stderr: int | IO[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=self._environ,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            process_group=0,
        )

    def play(self, block: Block) -> str:
        """Run a block; returns what it printed. Raises `AssertionError` where a command fails."""
        if block.is_server:
            return self._start_server(block.commands.split())
        return self._there(self._run(self._here(block.commands)))

    def _run(self, commands: str) -> str:
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"{commands}\nprintf '{_END} %s\\n' $?\n")
        self._shell.stdin.flush()
        printed, status = _until_end(self._shell.stdout)
        assert status == 0, f"{commands}\nended with {status}:\n{printed}"
        return printed

    def _here(self, commands: str) -> str:
        commands = commands.replace(". .venv/bin/activate", ":").replace("/tmp/", f"{self._folder}/")
        commands = commands.replace("var/stack", f"{self._folder}/var/stack")
        return commands.replace("127.0.0.1:8080", f"127.0.0.1:{self._port}")

    def _there(self, printed: str) -> str:
        printed = printed.replace(f"127.0.0.1:{self._port}", "127.0.0.1:8080").replace(f"{self._folder}/var", "var")
        return _TOKEN.sub(r"\1…", printed.replace(f"{self._folder}/", "/tmp/"))

    def _start_server(self, command: list[str]) -> str:
        with self._log.open("w") as log:
            server = self._process(command, subprocess.DEVNULL, log)
        self._servers.append(server)
        assert server.stdout is not None
        printed = ""
        for line in server.stdout:
            printed += line
            if LAST_LINE in line:
                self._wait_between_commands()
                return self._there(printed)
        raise AssertionError(printed + self._log.read_text())

    def _wait_between_commands(self) -> None:
        """Let what was done flow through all services before the next command: people are slower than the services."""
        tokens = tokens_of(load_settings({}, data_dir=self._folder / "var"))
        token = tokens.make(Actor("service", "tour"), SystemClock().now(), timedelta(hours=1))
        self._run(_SETTLE.format(token=token, port=self._port))

    def close(self) -> None:
        """End the shell and the server."""
        for process in (self._shell, *self._servers):
            os.killpg(process.pid, signal.SIGTERM)
        for process in (self._shell, *self._servers):
            process.communicate(timeout=PATIENCE_SECONDS)
        throw_away(self._folder / "var" / "stack")


def play_all(readme: str) -> dict[Block, str]:
    """What each block of a README prints that can be run, in order, in a fresh place."""
    with TemporaryDirectory(prefix="aftersales-tour-") as folder:
        tour = Tour(Path(folder), LANGUAGES[readme])
        try:
            text = (ROOT / readme).read_text(encoding="utf-8")
            return {block: tour.play(block) for block in blocks(text) if not block.is_static}
        finally:
            tour.close()


def rewrite(readme: str) -> None:
    """Write into a README what its blocks print now."""
    played = play_all(readme)
    text = (ROOT / readme).read_text(encoding="utf-8")
    for block, printed in reversed(played.items()):
        if block.shown is not None:
            text = text[: block.start] + visible(block.shown, printed) + text[block.end :]
    (ROOT / readme).write_text(text, encoding="utf-8")


def _until_end(stream: IO[str]) -> tuple[str, int]:
    printed = ""
    for line in stream:
        before, end, status = line.partition(_END)
        printed += before
        if end:
            return printed, int(status)
    raise AssertionError(f"the shell ended:\n{printed}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    for name in LANGUAGES:
        rewrite(name)
