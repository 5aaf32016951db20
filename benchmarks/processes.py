"""Servers and load generators as processes, from the side that starts them."""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import workload
from benchmarks.server import Spent, Started
from benchmarks.workload import Load, Measured, Request

#: Clients that prepare orders and cases.
PREPARING_CLIENTS = 32


def environment() -> dict[str, str]:
    """What processes of these benchmarks need to find them, wherever they are started."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


def play(load: Load) -> Measured:
    """Play requests from a process of their own; raises `RuntimeError` when some are refused."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        input=msgspec.json.encode(load),
        capture_output=True,
        check=True,
        env=environment(),
    )
    measured = msgspec.json.decode(done.stdout, type=Measured)
    if measured.refused:
        raise RuntimeError(f"{measured.refused} of {measured.requests} requests were refused")
    return measured


def preparing(each_order: Iterable[list[Request]]) -> list[list[Request]]:
    """What is to be done about each order, shared out to `PREPARING_CLIENTS`."""
    shares = list(each_order)
    return [list(chain.from_iterable(shares[n::PREPARING_CLIENTS])) for n in range(PREPARING_CLIENTS)]


class Server:
    """A running server process."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self.started = self._read(Started)

    def _read(self, what: Any) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the server to be measured has stopped")
        return msgspec.json.decode(line, type=what)

    def _ask(self, word: str, what: Any) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(word.encode() + b"\n")
        self._process.stdin.flush()
        return self._read(what)

    def drained(self) -> None:
        """Wait until every consumer caught up."""
        self._ask("drained", str)

    def counted(self, clients: Sequence[list[Request]]) -> tuple[Measured, Spent]:
        """Play requests, and say what they cost the server."""
        self._ask("begin", str)
        measured = self.play(clients)
        spent: Spent = self._ask("end", Spent)
        return measured, spent

    def play(self, clients: Sequence[list[Request]]) -> Measured:
        """Play requests from a process of their own; raises `RuntimeError` when some are refused."""
        return play(Load(self.started.host, [self.started.port], self.started.token, list(clients)))

    def prepare(self, count: int) -> list[str]:
        """Record so many orders and open a case about each; gives their ids."""
        orders = workload.order_ids(count)
        self.play(preparing(workload.openings(orders)))
        self.drained()
        return orders


@contextmanager
def server(kind: str, data_dir: Path, *arguments: str) -> Iterator[Server]:
    """A server process, stopped at the end."""
    data_dir.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.server", kind, "--data-dir", str(data_dir), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
    )
    try:
        yield Server(process)
    finally:
        process.communicate(timeout=60)  # ends its standard input, and so the server
