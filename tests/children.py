"""Processes of a test module, which runs as a program in them: forked by one that has everything imported."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from services.stack.nursery import Nursery
from services.stack.processes import Child

_PATIENCE_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.005


class Children:
    """Runs a module again and again, with other arguments each time."""

    def __init__(self, nursery: Nursery, folder: Path) -> None:
        self._nursery = nursery
        self._folder = folder

    def run(self, *arguments: str) -> tuple[int, list[str]]:
        """Run the module until it ends; gives its exit status, negative for a signal, and the words that it got out.

        It must say what is wrong with it on standard output, or end by a signal. Raises TimeoutError.
        """
        output, log = self._folder / "output", self._folder / "log"
        child = self._nursery.launch(arguments, os.environ, output, log)
        status = _ended(child)
        assert status <= 0, log.read_text()
        return status, output.read_text().split()


@contextmanager
def children_of(module: str, folder: Path) -> Iterator[Children]:
    """Runs a module as a program; what it says is kept in the folder."""
    nursery = Nursery(module, imported=[module])
    try:
        yield Children(nursery, folder)
    finally:
        nursery.close()


def _ended(child: Child) -> int:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (status := child.poll()) is None:
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(_POLL_SECONDS)
    return status
