"""What is known of a stored evidence file."""

import hashlib
from typing import Self

import msgspec


class StoredFile(msgspec.Struct, frozen=True):
    """An evidence file as stored; `sha256` (hex) is that of the cleaned bytes and is the file's name.

    Width and height are in pixels, as shown (turned upright). A photo's `duration_ms` is 0.
    """

    sha256: str
    media_type: str
    size_bytes: int
    width: int
    height: int
    duration_ms: int = 0

    @classmethod
    def of(cls, data: bytes, media_type: str, width: int, height: int, duration_ms: int = 0) -> Self:
        """Describe cleaned bytes."""
        return cls(
            sha256=hashlib.sha256(data).hexdigest(),
            media_type=media_type,
            size_bytes=len(data),
            width=width,
            height=height,
            duration_ms=duration_ms,
        )
