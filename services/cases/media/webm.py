"""Short WebM videos (EBML, RFC 8794; Matroska, RFC 9559): no transcoding, but only what playing needs stays.

Elements that are not on the list of kept ones (tags, attachments, chapters, title, writing application, date,
names) become zeroed Void elements of the same size, so every offset stays valid.
"""

import math
import struct

from services.cases.media.container import MAX_ELEMENTS, Element, Malformed, number
from services.cases.media.refusal import UploadRefused
from services.cases.media.stored_file import StoredFile


def _ids(text: str) -> set[bytes]:
    return {bytes.fromhex(each) for each in text.split()}


_FILE = b""
_HEADER, _SEGMENT = bytes.fromhex("1A45DFA3"), bytes.fromhex("18538067")
_DOC_TYPE = bytes.fromhex("4282")
_INFO, _TIMECODE_SCALE, _DURATION = (bytes.fromhex(each) for each in ("1549A966", "2AD7B1", "4489"))
_TRACKS, _TRACK, _TRACK_TYPE = (bytes.fromhex(each) for each in ("1654AE6B", "AE", "83"))
_VIDEO, _PIXEL_WIDTH, _PIXEL_HEIGHT = (bytes.fromhex(each) for each in ("E0", "B0", "BA"))
_CLUSTER, _TIMECODE, _SIMPLE_BLOCK, _BLOCK_GROUP, _BLOCK = (
    bytes.fromhex(each) for each in ("1F43B675", "E7", "A3", "A0", "A1")
)
# What stays, by the element it is in. Only those named as a key here are looked into: five deep at most.
_KEPT: dict[bytes, set[bytes]] = {
    _FILE: {_HEADER, _SEGMENT},
    # versions, longest id and size, document type
    _HEADER: {_DOC_TYPE, *_ids("4286 42F7 42F2 42F3 4287 4285")},
    # SeekHead, Cues
    _SEGMENT: {_INFO, _TRACKS, _CLUSTER, *_ids("114D9B74 1C53BB6B")},
    bytes.fromhex("114D9B74"): _ids("4DBB"),
    bytes.fromhex("4DBB"): _ids("53AB 53AC"),
    bytes.fromhex("1C53BB6B"): _ids("BB"),
    bytes.fromhex("BB"): _ids("B3 B7"),
    bytes.fromhex("B7"): _ids("F7 F1 F0 B2 5378"),
    _INFO: {_TIMECODE_SCALE, _DURATION},
    _TRACKS: {_TRACK},
    # number, uid, flags, default duration, codec and its private data, delays, Audio
    _TRACK: {_TRACK_TYPE, _VIDEO, *_ids("D7 73C5 B9 88 55AA 9C 23E383 86 63A2 56AA 56BB E1")},
    # interlacing, stereo, cropping, display size, colour
    _VIDEO: {_PIXEL_WIDTH, _PIXEL_HEIGHT, *_ids("9A 9D 53B8 54AA 54BB 54CC 54DD 54B0 54BA 54B2 55B0")},
    bytes.fromhex("E1"): _ids("B5 78B5 9F 6264"),
    # position, previous size
    _CLUSTER: {_TIMECODE, _SIMPLE_BLOCK, _BLOCK_GROUP, *_ids("A7 AB")},
    # duration, reference, padding
    _BLOCK_GROUP: {_BLOCK, *_ids("9B FB 75A2")},
}
# What ends a cluster of unknown size: anything that can only stand beside it (RFC 9559 §5.1).
_BESIDE_CLUSTERS = {_INFO, _TRACKS, _CLUSTER, *_ids("114D9B74 1C53BB6B 1254C367 1941A469 1043A770")}
_VIDEO_TRACK, _AUDIO_TRACK = 1, 2
_VOID = 0xEC


def recognises(raw: bytes) -> bool:
    """Tell by the EBML header; whether its document type is WebM is seen while parsing."""
    return raw.startswith(_HEADER)


def sanitise(raw: bytes, max_duration_ms: int) -> tuple[bytes, StoredFile]:
    """Return the video with its metadata voided.

    Raises UploadRefused, or Malformed for a broken file.
    """
    file = Element(_FILE, 0, 0, len(raw), _Elements(raw).within(_FILE, 0, len(raw), sized=True))
    doc_type = file.one(_HEADER).one(_DOC_TYPE)
    if raw[doc_type.body : doc_type.end].rstrip(b"\0") != b"webm":
        raise UploadRefused.unsupported()
    segment = file.one(_SEGMENT)
    width, height = _picture_size(raw, segment.one(_TRACKS))
    duration_ms = _duration_ms(raw, segment)
    if duration_ms > max_duration_ms:
        raise UploadRefused.too_long(max_duration_ms)

    data = bytearray(raw)
    _void_metadata(data, file)
    cleaned = bytes(data)
    return cleaned, StoredFile.of(cleaned, "video/webm", width, height, duration_ms)


class _Elements:
    """Reads the tree of elements of one file."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.count = 0

    def within(self, parent: bytes, start: int, end: int, *, sized: bool) -> list[Element]:
        """Return the elements that fill `start..end` exactly; raises Malformed when they do not.

        Those of a cluster that is not `sized` end where something begins that stands beside clusters.
        """
        elements = []
        while start < end:
            self.count += 1
            if self.count > MAX_ELEMENTS:
                raise Malformed("too many elements")
            kind = self._kind(start, end)
            if not sized and parent == _CLUSTER and kind in _BESIDE_CLUSTERS:
                break
            element = self._element(parent, kind, start, end)
            elements.append(element)
            start = element.end
        return elements

    def _element(self, parent: bytes, kind: bytes, start: int, end: int) -> Element:
        size, body = self._size(start + len(kind), end)
        is_kept = kind in _KEPT[parent]
        sized = size is not None
        if not sized and not (is_kept and kind in (_SEGMENT, _CLUSTER)):
            raise Malformed(f"{kind.hex()} has no size")
        stop = end if size is None else body + size
        if stop > end:
            raise Malformed(f"{kind.hex()} does not fit where it is")
        element = Element(kind, start, body, stop)
        if is_kept and kind in _KEPT:
            element.inside = self.within(kind, body, stop, sized=sized)
            if not sized:
                element.end = element.inside[-1].end if element.inside else body
        return element

    def _kind(self, start: int, end: int) -> bytes:
        """Return an element's id: one to four bytes, as many as the first has leading zero bits and one."""
        length = 9 - self.raw[start].bit_length()
        if length > 4 or start + length > end:
            raise Malformed("no element where one should be")
        return self.raw[start : start + length]

    def _size(self, start: int, end: int) -> tuple[int | None, int]:
        """Return a content's size (None when unknown: all bits one) and where the content starts."""
        length = 9 - self.raw[start].bit_length() if start < end else 9
        if length > 8 or start + length > end:
            raise Malformed("no size where one should be")
        ones = (1 << 7 * length) - 1
        size = int.from_bytes(self.raw[start : start + length], "big") & ones
        return (None if size == ones else size), start + length


def _uint(raw: bytes, element: Element) -> int:
    size = element.end - element.body
    if size > 8:
        raise Malformed(f"{element.kind.hex()} is too long for a number")
    return number(raw, element, 0, size)


def _picture_size(raw: bytes, tracks: Element) -> tuple[int, int]:
    """Return the largest picture's width and height in pixels; refuse tracks of neither picture nor sound."""
    sizes = []
    for track in tracks.every(_TRACK):
        kind = _uint(raw, track.one(_TRACK_TYPE))
        if kind == _VIDEO_TRACK:
            picture = track.one(_VIDEO)
            sizes.append((_uint(raw, picture.one(_PIXEL_WIDTH)), _uint(raw, picture.one(_PIXEL_HEIGHT))))
        elif kind != _AUDIO_TRACK:
            raise UploadRefused.unsupported()
    if not sizes:
        raise Malformed("no picture track")
    return max(sizes, key=lambda size: size[0] * size[1])


def _duration_ms(raw: bytes, segment: Element) -> int:
    """Return the stated length or the start of the last block, whichever is later, rounded up.

    Browsers record without stating a length.
    """
    info = segment.one(_INFO)
    scale = info.maybe(_TIMECODE_SCALE)
    scale_ns = 1_000_000 if scale is None else _uint(raw, scale)
    if scale_ns == 0:
        raise Malformed("no time scale")
    stated = info.maybe(_DURATION)
    ticks = max(0.0 if stated is None else _float(raw, stated), _last_block(raw, segment))
    if ticks <= 0:
        raise Malformed("no length")
    duration_ms = ticks * scale_ns / 1_000_000
    if not math.isfinite(duration_ms):
        raise Malformed("no finite length")
    return math.ceil(duration_ms)


def _float(raw: bytes, element: Element) -> float:
    content = raw[element.body : element.end]
    if len(content) not in (4, 8):
        raise Malformed(f"{element.kind.hex()} is no floating-point number")
    value: float = struct.unpack(">f" if len(content) == 4 else ">d", content)[0]
    if not math.isfinite(value):
        raise Malformed(f"{element.kind.hex()} is not finite")
    return value


def _last_block(raw: bytes, segment: Element) -> int:
    """Return when the last block starts, in ticks."""
    last = 0
    for cluster in segment.every(_CLUSTER):
        timecode = _uint(raw, cluster.one(_TIMECODE))
        blocks = cluster.every(_SIMPLE_BLOCK)
        blocks += [group.one(_BLOCK) for group in cluster.every(_BLOCK_GROUP)]
        for block in blocks:
            last = max(last, timecode + _relative_time(raw, block))
    return last


def _relative_time(raw: bytes, block: Element) -> int:
    """Return a block's time relative to its cluster: signed, after the track number."""
    track_length = 9 - number(raw, block, 0, 1).bit_length()
    time = number(raw, block, track_length, 2)
    return time - 0x10000 if time & 0x8000 else time


def _void_metadata(data: bytearray, parent: Element) -> None:
    for element in parent.inside:
        if element.kind not in _KEPT[parent.kind]:
            _void(data, element.start, element.end)
        elif element.kind in _KEPT:
            _void_metadata(data, element)


def _void(data: bytearray, start: int, end: int) -> None:
    """Write a Void element over `start..end`, which is two bytes long at least."""
    size_length = 8 if end - start >= 9 else 1
    content = end - start - 1 - size_length
    data[start] = _VOID
    data[start + 1 : start + 1 + size_length] = (content | 1 << 7 * size_length).to_bytes(size_length, "big")
    data[start + 1 + size_length : end] = bytes(content)
