"""Real small evidence files for scenarios, with the metadata that a phone would write."""

import io
import random
import struct

from PIL import Image, ImageDraw
from PIL.ExifTags import GPS, IFD, Base

_FRAMES, _FRAMES_PER_SECOND = 5, 5
_WIDTH, _HEIGHT = 160, 120
# 1 January 2024 in seconds since 1904, MP4's epoch: a time of creation that a stored file must not have.
_CREATED = 3_786_912_000


def generate_photo(seed: int) -> bytes:
    """Return a JPEG that differs by seed, with EXIF that names a device, a time and a place."""
    exif = Image.Exif()
    exif[Base.Make] = "Aftersales"
    exif[Base.Model] = f"Scenario {seed}"
    exif[Base.DateTime] = "2024:01:01 08:00:00"
    exif[Base.Orientation] = 1
    exif.get_ifd(IFD.GPSInfo).update(
        {
            GPS.GPSLatitudeRef: "N",
            GPS.GPSLatitude: (30.0, 16.0, float(seed % 60)),
            GPS.GPSLongitudeRef: "E",
            GPS.GPSLongitude: (120.0, 9.0, float(seed % 60)),
        }
    )
    out = io.BytesIO()
    _picture(seed, 320, 240).save(out, "JPEG", quality=85, exif=exif, comment=f"scenario {seed}")
    return out.getvalue()


def generate_video(seed: int) -> bytes:
    """Return an MP4 of one second that differs by seed: motion JPEG, with a place and a time of creation."""
    frames = [_frame(seed * _FRAMES + index) for index in range(_FRAMES)]
    start = _box(b"ftyp", b"isom", _u32(512), b"isommp42")
    # The offset of the media data stands in `moov` in front of it, whose size does not depend on it.
    movie_size = len(_movie(frames, 0))
    return start + _movie(frames, len(start) + movie_size + 8) + _box(b"mdat", *frames)


def _picture(seed: int, width: int, height: int) -> Image.Image:
    dice = random.Random(seed)
    picture = Image.new("RGB", (width, height), _colour(dice))
    draw = ImageDraw.Draw(picture)
    for _ in range(8):
        left, top = dice.randrange(width), dice.randrange(height)
        draw.rectangle((left, top, left + width // 4, top + height // 4), fill=_colour(dice))
    return picture


def _colour(dice: random.Random) -> tuple[int, int, int]:
    return dice.randrange(256), dice.randrange(256), dice.randrange(256)


def _frame(seed: int) -> bytes:
    out = io.BytesIO()
    _picture(seed, _WIDTH, _HEIGHT).save(out, "JPEG", quality=75)
    return out.getvalue()


def _u16(value: int) -> bytes:
    return value.to_bytes(2, "big")


def _u32(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def _box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return _u32(8 + len(body)) + kind + body


def _full_box(kind: bytes, *content: bytes, flags: int = 0) -> bytes:
    return _box(kind, _u32(flags), *content)


def _movie(frames: list[bytes], media_offset: int) -> bytes:
    """Return the `moov` box (ISO 14496-12 §8.2) of one picture track; time is counted in frames."""
    duration = len(frames)
    matrix = _u32(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    movie_header = _full_box(
        b"mvhd",
        _u32(_CREATED, _CREATED, _FRAMES_PER_SECOND, duration, 0x10000),
        *(b"\x01\0", bytes(10), matrix, bytes(24), _u32(2)),
    )
    track_header = _full_box(
        b"tkhd",
        _u32(_CREATED, _CREATED, 1, 0, duration),
        *(bytes(16), matrix, _u32(_WIDTH << 16, _HEIGHT << 16)),
        flags=3,
    )
    media = _box(
        b"mdia",
        _full_box(b"mdhd", _u32(_CREATED, _CREATED, _FRAMES_PER_SECOND, duration), _u16(0x55C4), _u16(0)),
        _full_box(b"hdlr", _u32(0), b"vide", bytes(12), b"Scenario camera\0"),
        _box(
            b"minf",
            _full_box(b"vmhd", bytes(8), flags=1),
            _box(b"dinf", _full_box(b"dref", _u32(1), _full_box(b"url ", flags=1))),
            _sample_tables(frames, media_offset),
        ),
    )
    place = _box(b"\xa9xyz", _u16(18), _u16(0x15C7), b"+30.2741+120.1551/")
    return _box(b"moov", movie_header, _box(b"trak", track_header, media), _box(b"udta", place))


def _sample_tables(frames: list[bytes], media_offset: int) -> bytes:
    return _box(
        b"stbl",
        _full_box(b"stsd", _u32(1), _sample_entry()),
        _full_box(b"stts", _u32(1, len(frames), 1)),
        _full_box(b"stsc", _u32(1, 1, len(frames), 1)),
        _full_box(b"stsz", _u32(0, len(frames), *map(len, frames))),
        _full_box(b"stco", _u32(1, media_offset)),
    )


def _sample_entry() -> bytes:
    """Return the entry that says: motion JPEG (object type 0x6C of ISO 14496-1)."""
    decoder = b"\x04" + bytes([13]) + b"\x6c\x11" + bytes(3) + bytes(8)
    descriptor = b"\x03" + bytes([3 + len(decoder) + 3]) + b"\0\x01\0" + decoder + b"\x06\x01\x02"
    return _box(
        b"mp4v",
        *(bytes(6), _u16(1), bytes(16), _u16(_WIDTH), _u16(_HEIGHT), _u32(0x480000, 0x480000, 0)),
        *(_u16(1), bytes(32), _u16(24), b"\xff\xff", _full_box(b"esds", descriptor)),
    )
