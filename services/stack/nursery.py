"""Processes in milliseconds: one that has everything imported forks the others (`python -m services.stack.nursery`).

To import the services takes more than a second of CPU, which counts where many processes live briefly. The nursery has
one thread and no event loop, so that what it forks begins as if it were new.
"""

import atexit
import gc
import os
import runpy
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

import msgspec

from contracts.policy import load_policy
from services.stack.processes import Child, ProcessFailed, die_with

#: What every service process needs, imported once.
_IMPORTED: Final = ("services.cli.main", "services.cli.role", "services.cli.serve")


class Birth(msgspec.Struct, frozen=True, tag=True):
    """Start a process: run a module with these arguments."""

    module: str
    arguments: list[str]
    environment: dict[str, str]
    output: str
    log: str


class Look(msgspec.Struct, frozen=True, tag=True):
    """Tell how a process ended, if it did; afterwards it is forgotten."""

    pid: int


class Answer(msgspec.Struct, frozen=True):
    """The process that was started or looked at, and its exit status, negative for a signal."""

    pid: int
    status: int | None = None


class Nursery:
    """A launcher whose processes all run one module: the command line, or another that stands for it."""

    def __init__(self, module: str = "services.cli", imported: Sequence[str] = ()) -> None:
        """Begin to import; `imported`: more that is to be there when a process begins."""
        self._module = module
        parent = os.getpid()
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, *_IMPORTED, *imported],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=lambda: die_with(parent),
        )
        self._turn = threading.Lock()

    def launch(self, arguments: Sequence[str], environment: Mapping[str, str], output: Path, log: Path) -> Child:
        birth = Birth(self._module, list(arguments), dict(environment), str(output), str(log))
        return _Forked(self, self.ask(birth).pid)

    def ask(self, request: Birth | Look) -> Answer:
        """Send a request and read its answer. Raises ProcessFailed where the nursery is gone."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._turn:
            try:
                self._process.stdin.write(msgspec.json.encode(request) + b"\n")
                self._process.stdin.flush()
                return msgspec.json.decode(self._process.stdout.readline(), type=Answer)
            except (OSError, ValueError, msgspec.DecodeError):
                raise ProcessFailed(f"the nursery has ended with status {self._process.poll()}") from None

    def close(self) -> None:
        """End it, and with it every process that it started."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.kill()
        self._process.wait()


class _Forked:
    """A process that the nursery started."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self.pid = pid
        self._nursery = nursery
        self._status: int | None = None

    def poll(self) -> int | None:
        if self._status is None:
            self._status = self._nursery.ask(Look(self.pid)).status
        return self._status


def _serve() -> Birth | None:
    """Do what is asked, until nobody asks any more. In a process that was born, it gives how that is to live."""
    decoder = msgspec.json.Decoder(Birth | Look)
    for line in sys.stdin.buffer:
        request: Birth | Look = decoder.decode(line)
        if isinstance(request, Look):
            answer = Answer(request.pid, _status_of(request.pid))
        elif pid := os.fork():
            answer = Answer(pid)
        else:
            return request
        sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
        sys.stdout.buffer.flush()
    return None


def _status_of(pid: int) -> int | None:
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


class _End:
    """How a process ends: with its status and at once. To take apart what was imported would copy all shared pages."""

    def __init__(self) -> None:
        self.status = 0
        atexit.register(self._leave)  # before all others, so it is called after them

    def _leave(self) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(self.status)


def _live(birth: Birth, nursery: int) -> int:
    """Be the process; gives its exit status."""
    die_with(nursery)
    os.setsid()
    gc.enable()
    _redirect(0, os.devnull, os.O_RDONLY)
    _redirect(1, birth.output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    _redirect(2, birth.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.environ.clear()
    os.environ.update(birth.environment)
    sys.argv = [birth.module, *birth.arguments]
    try:
        runpy.run_module(birth.module, run_name="__main__")
    except SystemExit as asked:
        if isinstance(asked.code, str):
            print(asked.code, file=sys.stderr)
        return asked.code if isinstance(asked.code, int) else int(asked.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _redirect(descriptor: int, path: str, flags: int) -> None:
    opened = os.open(path, flags, 0o644)
    os.dup2(opened, descriptor)
    os.close(opened)


def main() -> None:
    """Import, then serve."""
    nursery = os.getpid()
    end = _End()
    for module in sys.argv[1:]:
        import_module(module)
    load_policy()  # the package's part of it is read once in a process
    # What is there by now is never garbage; left alone by the collector, its pages stay shared.
    gc.collect()
    gc.disable()
    gc.freeze()
    if birth := _serve():
        end.status = _live(birth, nursery)


if __name__ == "__main__":
    main()
