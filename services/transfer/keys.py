"""The keys of free texts, taken along apart from the history that they open: whoever has both can read everything.

A file of keys is one JSON object a line, and only its owner may read it. Each line is a key, or says that it was
destroyed: that holds wherever the file is brought.
"""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from services.kernel.event_store import PAGE_RECORDS, Commit, EventStore, KeyRow
from services.kernel.sealing import key_rows

_ONLY_OWNER: Final = 0o600
_decode = msgspec.json.Decoder(KeyRow).decode


class KeysUnreadable(Exception):
    """A line of the file is no key."""

    def __init__(self, file: Path, line: int) -> None:
        super().__init__(f"{file}, line {line}: not a key")
        self.file, self.line = file, line


async def export_keys(store: EventStore, file: Path) -> int:
    """Write all keys of a service to a new file; gives how many. Raises `FileExistsError`."""
    number, after = 0, ("", 0)
    opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _ONLY_OWNER)
    with os.fdopen(opened, "wb") as lines:
        while page := await key_rows(store, after, PAGE_RECORDS):
            lines.writelines(msgspec.json.encode(row) + b"\n" for row in page)
            number += len(page)
            after = (page[-1].order_id, page[-1].number)
        lines.flush()
        os.fsync(lines.fileno())
    return number


def check_keys(file: Path) -> int:
    """How many keys a file holds. Raises `KeysUnreadable`, `FileNotFoundError`."""
    return sum(1 for _ in _rows(file))


async def import_keys(store: EventStore, file: Path) -> int:
    """Add the keys of a file; gives how many are new. What was destroyed, here or where the file comes from, stays so.

    Raises `KeysUnreadable` before anything is written.
    """
    check_keys(file)
    rows, added = _rows(file), 0
    while page := list(islice(rows, PAGE_RECORDS)):
        new = [row for row in page if await _is_news(store, row)]
        [done] = await store.commit([Commit(keys=tuple(new))])
        if isinstance(done, Exception):
            raise done
        added += len(new)
    return added


async def _is_news(store: EventStore, row: KeyRow) -> bool:
    found = await store.query(
        "SELECT secret FROM text_keys WHERE order_id = ? AND number = ?", (row.order_id, row.number)
    )
    return not found or (row.secret is None and found[0]["secret"] is not None)


def _rows(file: Path) -> Iterator[KeyRow]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield _decode(line)
            except msgspec.MsgspecError:
                raise KeysUnreadable(file, number) from None
