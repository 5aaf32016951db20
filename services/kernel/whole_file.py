"""Files that are there whole or not at all, however a process ends: written beside their place, then put there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


def put(file: Path, content: bytes, *, private: bool = False) -> None:
    """Put a file in its place, instead of the one that may be there. `private`: for its owner alone. Raises OSError."""
    with _draft(file, content, private) as draft:
        draft.replace(file)


def put_first(file: Path, content: bytes, *, private: bool = False) -> None:
    """Put a file where none is yet, and make its folder: of several processes that begin at once, the first one's
    counts. `private`: for its owner alone. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with _draft(file, content, private) as draft, suppress(FileExistsError):
        os.link(draft, file)


@contextmanager
def filled(file: Path) -> Iterator[BinaryIO]:
    """A file that is written piece by piece and put in its place, instead of the one that may be there, where the
    block ends well. Raises OSError."""
    draft = _beside(file)
    try:
        with draft.open("w+b") as opened:
            yield opened
            opened.flush()
            os.fsync(opened.fileno())
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def _draft(file: Path, content: bytes, private: bool) -> Iterator[Path]:
    draft = _beside(file)
    try:
        draft.touch(mode=0o600 if private else 0o666)
        draft.write_bytes(content)
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def _beside(file: Path) -> Path:
    return file.with_name(f".{file.name}.{os.getpid()}")
