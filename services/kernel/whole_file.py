"""Files that are there whole or not at all, however a process ends: written beside their place, then put there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


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
def _draft(file: Path, content: bytes, private: bool) -> Iterator[Path]:
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        draft.touch(mode=0o600 if private else 0o666)
        draft.write_bytes(content)
        yield draft
    finally:
        draft.unlink(missing_ok=True)
