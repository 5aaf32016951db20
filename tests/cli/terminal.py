"""The command line as a person uses it: in this process where it ends by itself, as a real process where it serves."""

import atexit
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import msgspec
from typer.testing import CliRunner

from services.cli.main import app
from services.stack.nursery import Nursery

ROOT = Path(__file__).parent.parent.parent
PATIENCE_SECONDS = 60.0

ORDER = {
    "order_id": "TB1001",
    "channel": "taobao",
    "buyer_id": "buyer-1001",
    "ordered_at": "2025-06-01T09:00:00+08:00",
    "delivered_at": "2025-06-04T15:00:00+08:00",
    "warranty_months": 12,
    "carrier": "YTO",
    "lines": [
        {
            "line_id": "L1",
            "sku": "LOCK-A1",
            "kind": "product",
            "quantity": 1,
            "paid_fen": 129900,
            "unit_cost_fen": 60000,
        }
    ],
}


class Told:
    """What a command said and how it ended."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out = out
        self.err = err

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.out)

    def must_fail(self, status: int, *said: str) -> None:
        """It ended with this status, said so in both languages and showed no traceback."""
        assert self.status == status, (self.out, self.err)
        for words in said:
            assert words in self.err, (words, self.err)
        assert any("一" <= letter <= "鿿" for letter in self.err)
        assert "Traceback" not in self.err + self.out


def aftersales(*arguments: str, **environ: str | None) -> Told:
    """Run a command in this process; `environ` gives `AFTERSALES_` settings by their short names, or locale."""
    ours: dict[str, str | None] = {name: None for name in os.environ if name.startswith("AFTERSALES_")}
    ours |= {name if name in ("LANG", "LC_ALL") else f"AFTERSALES_{name}": value for name, value in environ.items()}
    result = CliRunner().invoke(app, list(arguments), env=ours, catch_exceptions=False)
    return Told(result.exit_code, result.stdout, result.stderr)


@cache
def _nursery() -> Nursery:
    """What forks the processes of these tests, which spares each of them its imports."""
    nursery = Nursery()
    atexit.register(nursery.close)
    return nursery


class Process:
    """A command that goes on, as a process of its own."""

    def __init__(self, arguments: Sequence[str], environ: Mapping[str, str]) -> None:
        self._folder = TemporaryDirectory(prefix="aftersales-process-")
        self._output, self._log = Path(self._folder.name) / "output", Path(self._folder.name) / "log"
        self._child = _nursery().launch(arguments, environ, self._output, self._log)
        self.pid = self._child.pid

    def first_line(self) -> str:
        """What it says first; empty where it ends before."""
        until(lambda: "\n" in self._said() or self.poll() is not None, "it says something")
        return self._said().partition("\n")[0]

    def _said(self) -> str:
        return self._output.read_text() if self._output.exists() else ""

    @property
    def logged(self) -> str:
        """What it wrote on standard error."""
        return self._log.read_text()

    def poll(self) -> int | None:
        """Its exit status, negative for a signal; None while it lives."""
        return self._child.poll()

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal; it must live."""
        assert self.poll() is None, self.logged
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Wait until it has ended; gives its exit status."""
        until(lambda: self.poll() is not None, "it ends")
        status = self.poll()
        assert status is not None
        return status

    def close(self) -> None:
        """End it, if it lives."""
        if self.poll() is None:
            self.send_signal(signal.SIGKILL)
            self.wait()
        self._folder.cleanup()


class Server:
    """`aftersales serve`, or another command that serves, as a process of its own on a free port."""

    def __init__(self, data_dir: Path, *options: str, command: Sequence[str] = (), **environ: str) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AFTERSALES_")}
        self.process = Process(
            [*(command or ("serve", "--data-dir", str(data_dir))), *("--json", "--port", "0", *options)],
            clean | {f"AFTERSALES_{name}": value for name, value in environ.items()},
        )
        self.data_dir = data_dir
        self._keys = 0
        line = self.process.first_line()
        self.told: dict[str, Any] = msgspec.json.decode(line) if line else {}
        self.url = str(self.told.get("url", ""))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.close()

    def call(self, path: str, body: object = None, role: str = "store_manager", method: str | None = None) -> Any:
        """Ask the API; returns the decoded answer, `code` in it where it refuses."""
        made = aftersales("token", "--role", role, "--name", "小李", "--data-dir", str(self.data_dir))
        self._keys += 1
        headers = {
            "Authorization": f"Bearer {made.out.strip()}",
            "Idempotency-Key": f"{self.process.pid}-{self._keys}",
            "Content-Type": "application/json",
        }
        data = None if body is None else msgspec.json.encode(body)
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
                return msgspec.json.decode(answer.read())
        except urllib.error.HTTPError as refused:
            with refused:
                return msgspec.json.decode(refused.read())

    def status(self, path: str) -> int:
        """The HTTP status of an open address; 0 where nobody listens."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=PATIENCE_SECONDS) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code
        except OSError:
            return 0

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Send it a signal; its exit status and what it logged."""
        self.process.send_signal(number)
        return self.process.wait(), self.process.logged


def until(holds: Any, what: str) -> None:
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.02)
