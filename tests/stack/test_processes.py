"""Processes are started, frozen, stopped and killed as they are told, and never outlive who started them."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.stack.nursery import Nursery
from services.stack.processes import Interpreter, Launcher, ProcessFailed, ServiceProcess

CHILD = "tests.stack.child"
#: A program that starts a child, says its number and waits.
PARENT = """
import asyncio, sys, time
from pathlib import Path
from services.stack.nursery import Nursery
from services.stack.processes import Interpreter, ServiceProcess
folder = Path(sys.argv[1])
launcher = {"Interpreter": Interpreter, "Nursery": Nursery}[sys.argv[2]]("tests.stack.child")
process = ServiceProcess("child", ("run", str(folder)), {}, folder, launcher)
asyncio.run(process.start())
print(process.pid, flush=True)
time.sleep(60)
"""

Make = Callable[..., ServiceProcess]


@pytest.fixture(scope="module", params=["Interpreter", "Nursery"])
def launcher(request: pytest.FixtureRequest) -> Iterator[Launcher]:
    """Both ways to start a process."""
    if request.param == "Interpreter":
        yield Interpreter(CHILD)
        return
    nursery = Nursery(CHILD)
    yield nursery
    nursery.close()


@pytest.fixture
def make(launcher: Launcher, tmp_path: Path) -> Iterator[Make]:
    """Makes a process that does what it is told; none is left behind."""
    made: list[ServiceProcess] = []

    def make(what: str = "run", **settings: str) -> ServiceProcess:
        made.append(ServiceProcess(f"child-{len(made)}", (what, str(tmp_path)), settings, tmp_path / "logs", launcher))
        return made[-1]

    yield make
    for process in made:
        process.kill()


async def beats(folder: Path, seconds: float = 10) -> bool:
    """Whether the child shows within this time that it is alive."""
    before, deadline = (folder / "beat").read_text(), time.monotonic() + seconds
    while time.monotonic() < deadline:
        await asyncio.sleep(0.01)
        if (folder / "beat").read_text() not in (before, ""):
            return True
    return False


async def test_process_says_what_it_is_and_ends_when_asked(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for until it says where it listens, sees the settings given and none of ours, and can start anew."""
    monkeypatch.setenv("AFTERSALES_LOG_LEVEL", "debug")
    process = make(AFTERSALES_PORT="0")
    assert not process.alive
    await process.start()
    assert process.alive
    assert process.url == "http://127.0.0.1:1"
    assert process.said["environment"] == {"AFTERSALES_PORT": "0"}
    assert await process.stop()
    assert (process.alive, process.exit_status) == (False, 0)
    await process.start()
    assert await process.stop()
    assert process.log.count("told to run") == 2


async def test_process_that_does_not_start_is_told_with_its_log(make: Make) -> None:
    """Whoever started it reads why it ended, and what it had logged."""
    with pytest.raises(ProcessFailed, match=r"status 3(.|\n)*told to die"):
        await make("die").start()


async def test_process_that_does_not_stop_is_killed(make: Make) -> None:
    """Asking it to stop is bounded in time, and says that it had to be killed."""
    process = make("stay")
    await process.start()
    assert not await process.stop(seconds=0.2)
    assert process.exit_status == -signal.SIGKILL


async def test_frozen_process_goes_on_when_it_is_thawed(make: Make, tmp_path: Path) -> None:
    """A frozen process lives and does nothing; it may also be stopped or killed."""
    process = make()
    await process.start()
    assert await beats(tmp_path)
    process.freeze()
    await asyncio.sleep(0.05)
    assert process.alive
    assert not await beats(tmp_path, seconds=0.3)
    process.thaw()
    assert await beats(tmp_path)
    process.freeze()
    process.kill()
    assert process.exit_status == -signal.SIGKILL


async def test_processes_draw_different_ids(make: Make) -> None:
    """What was imported before a process was forked makes no two of them draw the same."""
    first, second = make(), make()
    await asyncio.gather(first.start(), second.start())
    assert first.said["drawn"] != second.said["drawn"]


@pytest.mark.parametrize("launcher_name", ["Interpreter", "Nursery"])
def test_killed_parent_takes_its_processes_along(tmp_path: Path, launcher_name: str) -> None:
    """A test run that is killed leaves nothing running."""
    command = [sys.executable, "-c", PARENT, str(tmp_path), launcher_name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        os.kill(child, 0)
        parent.kill()
    deadline = time.monotonic() + 5
    while is_alive(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether there is such a process, other than as an exit status that nobody asked for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False
