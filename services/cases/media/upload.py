"""From bytes as uploaded to bytes fit to be stored; the kind is told by content, never by name."""

import msgspec

from services.cases.media import mp4, photo, webm
from services.cases.media.container import Malformed
from services.cases.media.refusal import UploadRefused
from services.cases.media.stored_file import StoredFile

_MIB = 1024 * 1024


class MediaLimits(msgspec.Struct, frozen=True):
    """How large evidence may be. A photo with a side above `max_side` pixels is scaled down, not refused."""

    max_image_bytes: int = 15 * _MIB
    max_video_bytes: int = 50 * _MIB
    max_pixels: int = 50_000_000
    max_side: int = 4096
    max_duration_ms: int = 60_000


def sanitise(raw: bytes, limits: MediaLimits) -> tuple[bytes, StoredFile]:
    """Check an upload and return it without metadata, described.

    Pure, deterministic and CPU-bound (run it in a thread). Raises UploadRefused.
    """
    if not raw:
        raise UploadRefused.broken()
    try:
        if kind := photo.kind_of(raw):
            _check_size(raw, limits.max_image_bytes)
            return photo.sanitise(raw, kind, limits.max_pixels, limits.max_side)
        _check_size(raw, limits.max_video_bytes)
        if mp4.recognises(raw):
            return mp4.sanitise(raw, limits.max_duration_ms)
        if webm.recognises(raw):
            return webm.sanitise(raw, limits.max_duration_ms)
    except Malformed as why:
        raise UploadRefused.broken() from why
    raise UploadRefused.unsupported()


def _check_size(raw: bytes, limit_bytes: int) -> None:
    if len(raw) > limit_bytes:
        raise UploadRefused.too_heavy(limit_bytes)
