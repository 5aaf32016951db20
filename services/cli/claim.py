"""Who serves what on a data folder, and where: one process for each service, since each keeps its files in memory."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, TextIO

from services.cli.failure import Failure

#: Holds where the console of the server is that is at work on the folder.
_ADDRESS: Final = "console.address"


@contextmanager
def found_at(folder: Path, url: str) -> Iterator[None]:
    """Say in the data folder where the console is reached for as long as it is there; nothing where there is none."""
    if not url:
        yield
        return
    file = folder / _ADDRESS
    file.write_text(url, encoding="utf-8")
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def address_of(folder: Path) -> str:
    """Where the console of the server on a data folder is reached, empty where it did not say."""
    try:
        return (folder / _ADDRESS).read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""


@contextmanager
def claimed(folder: Path, services: Sequence[str]) -> Iterator[None]:
    """Hold these services of a data folder for this process; `Failure` where another one holds one of them."""
    with ExitStack() as held:
        for service in services:
            file = held.enter_context((folder / f"{service}.lock").open("a+", encoding="ascii"))
            _lock(file, folder, service)
        yield


def _lock(file: TextIO, folder: Path, service: str) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "?"
        raise Failure(
            "already_served",
            f"数据目录 {folder} 的 {service} 服务已由进程 {holder} 运行。请先停止它,或换一个目录。",
            f"Process {holder} serves {service} on the data folder {folder} already."
            " Stop it first, or take another folder.",
        ) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
