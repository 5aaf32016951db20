"""A service process as a child of this one: started, watched, frozen, stopped or killed; it never outlives us."""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from services.kernel.settings import PREFIX

#: How long a process may take until it says where it listens, in seconds.
START_SECONDS: Final = 60.0
#: How long a process may take to stop before it is killed, in seconds: longer than it gives its own requests.
STOP_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.01
_SET_DEATH_SIGNAL: Final = 1  # PR_SET_PDEATHSIG


class ProcessFailed(Exception):
    """A process did not start; the message holds the end of its log."""


class Child(Protocol):
    """A process that was started."""

    pid: int

    def poll(self) -> int | None:
        """The exit status, negative for a signal; None while it lives."""


class Launcher(Protocol):
    """Starts processes that do not outlive this one. Only to be used by a thread that lives as long as they."""

    def launch(self, arguments: Sequence[str], environment: Mapping[str, str], output: Path, log: Path) -> Child:
        """Start with these arguments and this environment; standard output and standard error go to files."""


class Interpreter:
    """Starts each process by running Python anew: the command line, or another module that stands for it."""

    def __init__(self, module: str = "services.cli", python: str = sys.executable) -> None:
        """`python`: whose installation of the services runs, for old and new versions side by side."""
        self._command = (python, "-m", module)

    def launch(self, arguments: Sequence[str], environment: Mapping[str, str], output: Path, log: Path) -> Child:
        parent = os.getpid()
        with output.open("wb") as said, log.open("ab") as logged:
            return subprocess.Popen(
                [*self._command, *arguments],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=logged,
                start_new_session=True,  # Ctrl-C is for the parent, which stops the processes in order
                preexec_fn=lambda: die_with(parent),
            )


class ServiceProcess:
    """One service process, started and stopped as often as one likes."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        settings: Mapping[str, str],
        logs: Path,
        launcher: Launcher | None = None,
    ) -> None:
        """`settings`: its `AFTERSALES_…` variables, and others that it should see; it inherits none of ours."""
        self.name = name
        self.settings = dict(settings)
        self.log_file = logs / f"{name}.log"
        self._said_file = logs / f"{name}.json"
        self._arguments = tuple(arguments)
        self._launcher = launcher or Interpreter()
        self._child: Child | None = None
        self.said: dict[str, Any] = {}
        """What it said of itself when it had started: its `url`, among others."""

    @property
    def pid(self) -> int:
        """Its number. Raises RuntimeError before it was launched."""
        if self._child is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._child.pid

    @property
    def url(self) -> str:
        """Where it listens."""
        return str(self.said["url"])

    @property
    def alive(self) -> bool:
        """Whether it runs, frozen or not."""
        return self._child is not None and self._child.poll() is None

    @property
    def exit_status(self) -> int | None:
        """How it ended, negative for a signal; None while it runs or before it ever did."""
        return None if self._child is None else self._child.poll()

    @property
    def log(self) -> str:
        """What it logged so far, over all its starts."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def launch(self) -> None:
        """Start, and do not wait until it is there."""
        if self.alive:
            raise RuntimeError(f"{self.name} runs already")
        self.said = {}
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        self._said_file.unlink(missing_ok=True)
        ours = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        environment = {**ours, **self.settings}
        self._child = self._launcher.launch(self._arguments, environment, self._said_file, self.log_file)

    async def start(self, seconds: float = START_SECONDS) -> None:
        """Start, and wait until it says where it listens. Raises ProcessFailed, and leaves nothing running then."""
        self.launch()
        await self.wait_until_started(seconds)

    async def wait_until_started(self, seconds: float = START_SECONDS) -> None:
        """Wait until it says where it listens. Raises ProcessFailed, and leaves nothing running then."""
        deadline = time.monotonic() + seconds
        while not self._has_said():
            if not self.alive or time.monotonic() > deadline:
                status = self.exit_status
                self.kill()
                ended = "did not start in time" if status is None else f"ended with status {status}"
                said = self._said_file.read_text(errors="replace") if self._said_file.exists() else ""
                raise ProcessFailed(f"{self.name} {ended}; {self.log_file}: {said}{self.log[-3000:]}")
            await asyncio.sleep(_POLL_SECONDS)

    async def stop(self, seconds: float = STOP_SECONDS) -> bool:
        """Ask it to stop, and kill it if it does not in time; whether it stopped by itself."""
        self.thaw()
        self.signal(signal.SIGTERM)
        if await self.wait(seconds):
            return True
        self.kill()
        return False

    async def wait(self, seconds: float) -> bool:
        """Wait until it has ended; False if it lives on."""
        deadline = time.monotonic() + seconds
        while self.alive:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_POLL_SECONDS)
        return True

    def kill(self) -> None:
        """End it at once (`kill -9`)."""
        self.signal(signal.SIGKILL)
        while self.alive:
            time.sleep(_POLL_SECONDS / 10)

    def freeze(self) -> None:
        """Let it hang: its connections stay open, nothing goes on (SIGSTOP)."""
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.signal(signal.SIGCONT)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it runs."""
        if self.alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _has_said(self) -> bool:
        first, newline, _ = self._said_file.read_bytes().partition(b"\n") if self._said_file.exists() else (b"",) * 3
        if newline:
            with suppress(msgspec.DecodeError):
                self.said = msgspec.json.decode(first, type=dict[str, Any])
        return "url" in self.said


_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with(parent: int) -> None:
    """Let the system kill this process when `parent`, which started it, ends in any way."""
    if _libc is not None:
        _libc.prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:  # it was quicker
        os._exit(1)
