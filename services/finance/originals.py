"""Bills as they were delivered, kept by the hash of the file, so that an import can be repeated.

They lie beside evidence files, in `bills/`. Evidence is stored by the service that it belongs to, cleaned of everything
but the picture and held in memory meanwhile; a bill is kept to the byte, and may have a gigabyte.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from services.kernel.settings import Settings

#: Bytes that are sent to an object store at a time.
_PIECE: Final = 5 << 20
_AT_ONCE: Final = 2


class OriginalsAway(Exception):
    """The place where bills are kept cannot be reached, or does not let us in."""

    def __init__(self, place: str, error: Exception) -> None:
        self.place, self.reason = place, str(error).partition("\n")[0]
        super().__init__(f"{place}: {self.reason}")


class Originals:
    """The files of bills; each is written once and never changed."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is opened before it is needed."""
        self._place = settings.media_url or str(settings.data_dir / "files")
        self._store: ObjectStore | None = None

    async def keep(self, sha256: str, file: Path) -> None:
        """Store a file under its hash; it stays where it is. Raises `OriginalsAway`."""
        path = _path(sha256)
        try:
            if await self._size(path) == await asyncio.to_thread(os.path.getsize, file):
                return
            store = self._opened()
            await store.put_async(path, file, chunk_size=_PIECE, max_concurrency=_AT_ONCE)
            if isinstance(store, LocalStore) and store.prefix is not None:
                await asyncio.to_thread(_flush, store.prefix / path)
        except (BaseError, OSError) as error:
            raise OriginalsAway(self._place, error) from error

    async def pieces(self, sha256: str) -> AsyncIterator[bytes]:
        """What was stored under a hash, piece by piece; nothing where it is not there. Raises `OriginalsAway`."""
        try:
            found = await self._opened().get_async(_path(sha256))
            async for piece in found.stream(min_chunk_size=_PIECE):
                yield bytes(piece)
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            raise OriginalsAway(self._place, error) from error

    async def _size(self, path: str) -> int | None:
        try:
            return (await self._opened().head_async(path))["size"]
        except FileNotFoundError:
            return None

    def _opened(self) -> ObjectStore:
        if self._store is None:
            self._store = _store_at(self._place)
        return self._store


def _path(sha256: str) -> str:
    return f"bills/{sha256[:2]}/{sha256}"


def _store_at(place: str) -> ObjectStore:
    if "://" not in place:
        return LocalStore(prefix=Path(place).absolute(), mkdir=True)
    if place.startswith("file://"):
        return LocalStore.from_url(place, mkdir=True)
    return from_url(place)


def _flush(file: Path) -> None:
    """Make a file survive a power cut, name and all; the store itself does not."""
    for each in (file, file.parent):
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
