"""Where evidence files are kept: a local folder, or an object store by URL."""

import asyncio
import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from services.cases.media.stored_file import StoredFile
from services.cases.media.upload import MediaLimits, sanitise

if TYPE_CHECKING:
    from obstore.store import S3Config

_SHA256 = re.compile(r"[0-9a-f]{64}")
# A photo at the pixel limit takes hundreds of megabytes while it is encoded anew.
_AT_ONCE = 2


class UnknownFile(KeyError):
    """No file is stored under this SHA-256."""


class DamagedFile(Exception):
    """What is stored is not what was put there; uploading the original again restores it."""


class MediaAway(Exception):
    """The place where files are kept cannot be reached, or does not let us in (`reason`)."""

    def __init__(self, place: str, error: Exception) -> None:
        self.place, self.reason = place, str(error).partition("\n")[0]
        super().__init__(f"{place}: {self.reason}")


class MediaStore:
    """Evidence files by their SHA-256, each stored once and never changed.

    A file is its bytes (`ab/abcd…`) and a description beside them (`ab/abcd….json`), which is written last:
    without it, the file does not exist yet.
    """

    def __init__(
        self,
        place: str | Path,
        limits: MediaLimits | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        """Keep files in a folder (made when missing), or under a URL such as `s3://bucket/evidence`.

        `options` go to the object store as they are (`endpoint`, `region`, keys, …). OSS is reached as S3, by
        its own endpoint and `virtual_hosted_style_request`. An `http://` endpoint is taken at its word. Raises
        MediaAway for a URL that names no place.
        """
        self._limits = limits or MediaLimits()
        self._place = str(place)
        try:
            self._store = _store_at(self._place, options or {})
        except BaseError as error:
            raise MediaAway(self._place, error) from error
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def put(self, raw: bytes) -> StoredFile:
        """Clean an upload and store it; the same upload again changes nothing. Raises UploadRefused."""
        async with self._turns:
            data, file = await asyncio.to_thread(sanitise, raw, self._limits)
        if not await self._is_intact(file.sha256):
            await self._write(_bytes_path(file.sha256), data)
            await self._write(_description_path(file.sha256), msgspec.json.encode(file))
        return file

    async def open(self, sha256: str) -> tuple[StoredFile, bytes]:
        """Return a file and its bytes. Raises UnknownFile, DamagedFile when they fail the hash, or MediaAway."""
        file = await self.describe(sha256)
        if file is None:
            raise UnknownFile(sha256)
        data = await self._read(_bytes_path(sha256))
        if data is None or await asyncio.to_thread(_digest, data) != sha256:
            raise DamagedFile(sha256)
        return file, data

    async def describe(self, sha256: str) -> StoredFile | None:
        """Return what is known of a file without reading it, or None. Raises DamagedFile, MediaAway."""
        if not _SHA256.fullmatch(sha256):  # also keeps paths out
            return None
        text = await self._read(_description_path(sha256))
        if text is None:
            return None
        try:
            file = msgspec.json.decode(text, type=StoredFile)
        except msgspec.MsgspecError as why:
            raise DamagedFile(sha256) from why
        if file.sha256 != sha256:
            raise DamagedFile(sha256)
        return file

    async def exists(self, sha256: str) -> bool:
        """Tell whether a file is stored."""
        return await self.describe(sha256) is not None

    async def _is_intact(self, sha256: str) -> bool:
        try:
            await self.open(sha256)
        except (UnknownFile, DamagedFile):
            return False
        return True

    async def _read(self, path: str) -> bytes | None:
        try:
            result = await self._store.get_async(path)
            return bytes(await result.bytes_async())
        except FileNotFoundError:
            return None
        except (BaseError, OSError) as error:
            raise MediaAway(self._place, error) from error

    async def _write(self, path: str, data: bytes) -> None:
        """Write at once or not at all: the store puts the bytes aside and renames, or takes one request."""
        await self._store.put_async(path, data, use_multipart=False)
        if isinstance(self._store, LocalStore) and self._store.prefix is not None:
            await asyncio.to_thread(_flush, self._store.prefix, path)


def _store_at(place: str, options: Mapping[str, str]) -> ObjectStore:
    if "://" not in place:
        return LocalStore(prefix=Path(place).absolute(), mkdir=True)
    if place.startswith("file://"):
        return LocalStore.from_url(place, mkdir=True)
    plain_http = options.get("endpoint", "").startswith("http://")
    return from_url(place, config=cast("S3Config", dict(options)), client_options={"allow_http": plain_http})


def _flush(folder: Path, path: str) -> None:
    """Make a file of a local folder survive a power cut, name and all; the store itself does not."""
    file = folder / path
    for each in (file, file.parent, folder):
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _bytes_path(sha256: str) -> str:
    return f"{sha256[:2]}/{sha256}"


def _description_path(sha256: str) -> str:
    return f"{sha256[:2]}/{sha256}.json"
