"""The command line, with a profiler of the event loop that signals switch on and off."""

import cProfile
import os
import signal
import time
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.processor import loop_shares
from services.cli.main import main as command_line
from services.stack.processes import ServiceProcess

_FILE = "BENCHMARK_SHARES"
_WRITTEN_SECONDS = 20.0


def environment(file: Path) -> dict[str, str]:
    """What a process is told so that it writes its profile there."""
    return {_FILE: str(file)}


def begin(process: ServiceProcess) -> None:
    """Profile a process from here."""
    process.signal(signal.SIGUSR1)


def end(process: ServiceProcess) -> dict[str, float]:
    """How its event loop spent its time since. Raises TimeoutError."""
    file = Path(process.settings[_FILE])
    process.signal(signal.SIGUSR2)
    deadline = time.monotonic() + _WRITTEN_SECONDS
    while not file.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{process.name} wrote no profile")
        time.sleep(0.01)
    found = msgspec.json.decode(file.read_bytes(), type=dict[str, float])
    file.unlink()
    return found


def main() -> None:
    """Listen to the signals, then do what the command line says."""
    profiler = cProfile.Profile()
    file = Path(os.environ.pop(_FILE))

    def write(*_: Any) -> None:
        profiler.disable()
        draft = file.with_suffix(".draft")
        draft.write_bytes(msgspec.json.encode(loop_shares(profiler)))
        draft.rename(file)

    signal.signal(signal.SIGUSR1, lambda *_: profiler.enable())
    signal.signal(signal.SIGUSR2, write)
    command_line()


if __name__ == "__main__":
    main()
