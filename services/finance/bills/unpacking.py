"""The bytes of a bill as the channel sent them: plain, gzipped, or a zip of several files; within limits, streaming."""

import gzip
import struct
import zipfile
import zlib
from collections.abc import Iterator
from io import BufferedReader
from typing import IO, Final, cast

from services.finance.bills.mistakes import Unreadable

#: What a bill may unpack to: more is no bill of a day or a month, whatever it says.
MAX_BYTES: Final = 2 * 1024**3
#: How much larger than its archive a bill may be, once it is larger than `RATIO_FROM`: real ones stay under 30.
MAX_RATIO: Final = 200
RATIO_FROM: Final = 1024**2
#: How many files an archive may hold.
MAX_FILES: Final = 16
#: The longest line that is read.
MAX_LINE_BYTES: Final = 64 * 1024

_GZIP: Final = b"\x1f\x8b"
_ZIP: Final = b"PK"
#: Flags of a file in a zip.
_LOCKED: Final = 0x1
_UTF8_NAME: Final = 0x800
#: What unpacking raises where an archive is damaged; damaged sizes and places make it seek and read where nothing is.
_BROKEN: Final = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError, IndexError, OSError)


class Part:
    """One file of a bill: its lines as bytes. `name` is empty where the bill is no archive."""

    def __init__(self, name: str, stream: IO[bytes], packed_bytes: int) -> None:
        self.name = name
        self._stream = stream
        self._packed = packed_bytes > 0
        self._most = MAX_BYTES if not packed_bytes else min(MAX_BYTES, max(RATIO_FROM, MAX_RATIO * packed_bytes))
        self._read = 0

    def line(self) -> bytes:
        """The next line with its end; nothing at the end. Raises `Unreadable`."""
        try:
            line = self._stream.readline(MAX_LINE_BYTES + 1)
        except _BROKEN as error:
            if not self._packed:
                raise
            raise _broken(error) from None
        self._read += len(line)
        if self._read > self._most:
            raise Unreadable("too_large", found=f"{self._most} bytes")
        if len(line) > MAX_LINE_BYTES:
            raise Unreadable("line_too_long", found=MAX_LINE_BYTES)
        return line


def parts_of(file: BufferedReader, size: int) -> Iterator[Part]:
    """The files of a bill, one after the other: each is read before the next. Raises `Unreadable`."""
    begins = file.peek(2)[:2]
    if begins == _ZIP:
        yield from _zipped(file)
    elif begins == _GZIP:
        yield Part("", cast(IO[bytes], gzip.GzipFile(fileobj=file)), size)
    else:
        yield Part("", file, 0)


def _zipped(file: BufferedReader) -> Iterator[Part]:
    try:
        archive = zipfile.ZipFile(file)
        members = [member for member in archive.infolist() if not member.is_dir()]
    except _BROKEN as error:
        raise _broken(error) from None
    with archive:
        if len(members) > MAX_FILES:
            raise Unreadable("too_large", found=f"{len(members)} files")
        if sum(member.file_size for member in members) > MAX_BYTES:
            raise Unreadable("too_large", found=f"{MAX_BYTES} bytes")
        for member in members:
            name = name_of(member)
            if member.flag_bits & _LOCKED:
                raise Unreadable("archive_locked", found=name)
            try:
                stream = archive.open(member)
            except _BROKEN as error:
                raise _broken(error) from None
            with stream:
                yield Part(name, stream, member.compress_size or 1)


def _broken(error: Exception) -> Unreadable:
    return Unreadable("archive_broken", found=str(error) or type(error).__name__)


def name_of(member: zipfile.ZipInfo) -> str:
    """The name of a file in an archive. Alipay writes Chinese names in GBK and does not say so."""
    if member.flag_bits & _UTF8_NAME:
        return member.filename
    try:
        return member.filename.encode("cp437").decode("gbk")
    except UnicodeError:
        return member.filename
