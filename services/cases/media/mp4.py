"""Short MP4 videos (ISO 14496-12): no transcoding, but nothing stays except what playing needs.

Boxes that are not on the list of kept ones (`udta`, `meta`, `uuid`, location and maker's boxes, tracks of
neither picture nor sound) become zeroed `free` boxes of the same size, so that every offset stays valid.
Of the media data only the samples of kept tracks stay. What an encoder hid in a picture's own bit stream is
not seen here.
"""

import struct
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate

from services.cases.media.container import MAX_ELEMENTS, Element, Malformed, number
from services.cases.media.refusal import UploadRefused
from services.cases.media.stored_file import StoredFile

_FILE = b""
# What stays, by the box it is in. Only boxes named as a key here are looked into, so six levels at most.
_KEPT: dict[bytes, set[bytes]] = {
    _FILE: {b"ftyp", b"moov", b"mdat"},
    b"moov": {b"mvhd", b"trak"},
    b"trak": {b"tkhd", b"edts", b"mdia"},
    b"edts": {b"elst"},
    b"mdia": {b"mdhd", b"hdlr", b"minf"},
    b"minf": {b"vmhd", b"smhd", b"dinf", b"stbl"},
    b"dinf": {b"dref"},
    b"stbl": {
        *(b"stsd", b"stts", b"ctts", b"cslg", b"stss", b"sdtp"),
        *(b"stsz", b"stz2", b"stsc", b"stco", b"co64"),
    },
}
# Fragmented files keep their samples' places and length elsewhere; cameras do not write them.
_FRAGMENTED = {b"moof", b"mvex"}
_BRANDS = (b"iso", b"mp4", b"avc1", b"M4V", b"MSNV", b"dash", b"3gp")
_PICTURE, _SOUND = b"vide", b"soun"
_MAX_TABLE_ENTRIES = 1_000_000
# Media may run longer than what is shown of it: sound is primed, and trimming keeps what comes just before.
_UNSHOWN_MS = 2_000


def recognises(raw: bytes) -> bool:
    """Tell by the first box: an MP4 brand, not HEIC, AVIF or QuickTime, which look alike."""
    return raw[4:8] == b"ftyp" and raw[8:12].startswith(_BRANDS)


def sanitise(raw: bytes, max_duration_ms: int) -> tuple[bytes, StoredFile]:
    """Return the video with its metadata blanked and its times of creation zeroed.

    Raises UploadRefused, or Malformed for a broken file.
    """
    file = Element(_FILE, 0, 0, len(raw), _Boxes(raw).within(_FILE, 0, len(raw)))
    movie = file.one(b"moov")
    if {box.kind for box in (*file.inside, *movie.inside)} & _FRAGMENTED:
        raise UploadRefused.unsupported()
    tracks = [track for track in movie.every(b"trak") if _handler(raw, track) in (_PICTURE, _SOUND)]
    width, height = _picture_size(raw, tracks)
    duration_ms = _duration_ms(raw, movie.one(b"mvhd"))
    media_ms = max(_duration_ms(raw, track.one(b"mdia").one(b"mdhd")) for track in tracks)
    if duration_ms > max_duration_ms or media_ms > max_duration_ms + _UNSHOWN_MS:
        raise UploadRefused.too_long(max_duration_ms)

    data = bytearray(raw)
    _blank_metadata(data, file, movie, tracks)
    _zero_times(data, movie, tracks)
    _keep_samples(data, raw, file.every(b"mdat"), tracks)
    cleaned = bytes(data)
    return cleaned, StoredFile.of(cleaned, "video/mp4", width, height, duration_ms)


class _Boxes:
    """Reads the tree of boxes of one file."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.count = 0

    def within(self, parent: bytes, start: int, end: int) -> list[Element]:
        """Return the boxes that fill `start..end` exactly; raises Malformed when they do not."""
        boxes = []
        while start < end:
            box = self._box(start, end, parent)
            if box.kind in _KEPT[parent] and box.kind in _KEPT:
                box.inside = self.within(box.kind, box.body, box.end)
            boxes.append(box)
            start = box.end
        return boxes

    def _box(self, start: int, end: int, parent: bytes) -> Element:
        self.count += 1
        if self.count > MAX_ELEMENTS:
            raise Malformed("too many boxes")
        if start + 8 > end:
            raise Malformed("bytes left over after the last box")
        size, kind = struct.unpack_from(">I4s", self.raw, start)
        body = start + 8
        if size == 1 and start + 16 <= end:
            size, body = struct.unpack_from(">Q", self.raw, body)[0], start + 16
        elif size == 0 and parent == _FILE:  # to the end of the file
            size = end - start
        if not body - start <= size <= end - start:
            raise Malformed(f"{kind!r} does not fit where it is")
        return Element(kind, start, body, start + size)


def _handler(raw: bytes, track: Element) -> bytes:
    handler = track.one(b"mdia").one(b"hdlr")
    return number(raw, handler, 8, 4).to_bytes(4, "big")


def _is_long(raw: bytes, header: Element) -> bool:
    """Tell whether a header box has 64-bit times (version 1)."""
    version = number(raw, header, 0, 1)
    if version > 1:
        raise Malformed(f"{header.kind!r} has version {version}")
    return version == 1


def _picture_size(raw: bytes, tracks: list[Element]) -> tuple[int, int]:
    """Return the largest picture's width and height as shown, in pixels."""
    sizes = [_shown_size(raw, track.one(b"tkhd")) for track in tracks if _handler(raw, track) == _PICTURE]
    if not sizes:
        raise Malformed("no picture track")
    return max(sizes, key=lambda size: size[0] * size[1])


def _shown_size(raw: bytes, header: Element) -> tuple[int, int]:
    matrix = 52 if _is_long(raw, header) else 40
    width, height = number(raw, header, matrix + 36, 2), number(raw, header, matrix + 40, 2)
    lies_on_its_side = not number(raw, header, matrix, 4) and number(raw, header, matrix + 4, 4)
    return (height, width) if lies_on_its_side else (width, height)


def _duration_ms(raw: bytes, header: Element) -> int:
    """Return the length that the movie's or a track's media header states, rounded up."""
    if _is_long(raw, header):
        timescale, duration = number(raw, header, 20, 4), number(raw, header, 24, 8)
    else:
        timescale, duration = number(raw, header, 12, 4), number(raw, header, 16, 4)
    if timescale == 0 or duration == 0:
        raise Malformed(f"{header.kind!r} tells no length")
    return -(-duration * 1000 // timescale)


def _blank_metadata(data: bytearray, parent: Element, movie: Element, tracks: list[Element]) -> None:
    for box in parent.inside:
        is_dropped_track = parent is movie and box.kind == b"trak" and box not in tracks
        if box.kind not in _KEPT[parent.kind] or is_dropped_track:
            data[box.start + 4 : box.start + 8] = b"free"
            data[box.body : box.end] = bytes(box.end - box.body)
        elif box.kind in _KEPT:
            _blank_metadata(data, box, movie, tracks)


def _zero_times(data: bytearray, movie: Element, tracks: list[Element]) -> None:
    """Zero the times of creation and change, and the handlers' names, which tell the device."""
    headers = [movie.one(b"mvhd")]
    for track in tracks:
        headers += [track.one(b"tkhd"), track.one(b"mdia").one(b"mdhd")]
        handler = track.one(b"mdia").one(b"hdlr")
        name = min(handler.body + 24, handler.end)
        data[name : handler.end] = bytes(handler.end - name)
    for header in headers:
        times = 16 if data[header.body] else 8
        data[header.body + 4 : header.body + 4 + times] = bytes(times)


def _keep_samples(data: bytearray, raw: bytes, payloads: list[Element], tracks: list[Element]) -> None:
    """Zero the media data and put back the samples of the kept tracks."""
    for payload in payloads:
        data[payload.body : payload.end] = bytes(payload.end - payload.body)
    starts = [payload.body for payload in payloads]
    budget = len(raw)  # chunks that overlap over and over would cost without end
    for track in tracks:
        for start, end in _chunks(raw, track):
            index = bisect_right(starts, start) - 1
            if index < 0 or end > payloads[index].end:
                raise Malformed("samples outside the media data")
            budget -= end - start
            if budget < 0:
                raise Malformed("more samples than bytes")
            data[start:end] = raw[start:end]


def _chunks(raw: bytes, track: Element) -> Iterator[tuple[int, int]]:
    """Yield where each chunk of a track's samples starts and ends; none when it has no sample tables."""
    information = track.one(b"mdia").maybe(b"minf")
    tables = information and information.maybe(b"stbl")
    if information is None or tables is None:
        return
    _refuse_outside_data(raw, information)
    offsets = _chunk_offsets(raw, tables)
    if not offsets:
        return
    sizes = _Sizes(raw, tables)
    per_chunk = _samples_per_chunk(raw, tables.one(b"stsc"))
    first_of_run, samples, sample = next(per_chunk, (1, 0)), 0, 0
    for chunk, start in enumerate(offsets, 1):
        while chunk >= first_of_run[0]:
            samples, first_of_run = first_of_run[1], next(per_chunk, (len(offsets) + 1, 0))
        yield start, start + sizes.total(sample, sample + samples)
        sample += samples


def _refuse_outside_data(raw: bytes, information: Element) -> None:
    """Refuse a data reference that would make a player fetch something from elsewhere."""
    data = information.maybe(b"dinf")
    references = data and data.maybe(b"dref")
    if references is None:
        return
    for at in range(references.body + 8, references.end, 12):
        if raw[at : at + 12] != b"\0\0\0\x0curl \0\0\0\x01":
            raise UploadRefused.unsupported()


def _table(raw: bytes, box: Element, header_size: int, entry: str) -> list[tuple[int, ...]]:
    """Return the entries of a table box; their number stands in the last four bytes of its header."""
    count = number(raw, box, header_size - 4, 4)
    size = struct.calcsize(entry) * count
    if count > _MAX_TABLE_ENTRIES or box.body + header_size + size > box.end:
        raise Malformed(f"{box.kind!r} has more entries than room")
    start = box.body + header_size
    return list(struct.iter_unpack(entry, raw[start : start + size]))


def _chunk_offsets(raw: bytes, tables: Element) -> list[int]:
    if wide := tables.maybe(b"co64"):
        return [offset for (offset,) in _table(raw, wide, 8, ">Q")]
    return [offset for (offset,) in _table(raw, tables.one(b"stco"), 8, ">I")]


def _samples_per_chunk(raw: bytes, box: Element) -> Iterator[tuple[int, int]]:
    """Yield the first chunk of each run and the number of samples in each of the run's chunks."""
    previous = 0
    for first, samples, _description in _table(raw, box, 8, ">III"):
        if first <= previous:
            raise Malformed("stsc is out of order")
        previous = first
        yield first, samples


class _Sizes:
    """The sizes of a track's samples (`stsz` or `stz2`), summed."""

    def __init__(self, raw: bytes, tables: Element) -> None:
        box = tables.maybe(b"stsz") or tables.one(b"stz2")
        self.uniform = number(raw, box, 4, 4) if box.kind == b"stsz" else 0
        self.count = number(raw, box, 8, 4)
        self.sums = [0]
        if not self.uniform:
            self.sums = list(accumulate(self._each(raw, box), initial=0))

    def total(self, first: int, after: int) -> int:
        """Return the bytes of the samples `first..after`."""
        if after > self.count:
            raise Malformed("chunks hold more samples than there are")
        if self.uniform:
            return (after - first) * self.uniform
        return self.sums[after] - self.sums[first]

    def _each(self, raw: bytes, box: Element) -> list[int]:
        if box.kind == b"stsz":
            return [size for (size,) in _table(raw, box, 12, ">I")]
        bits = number(raw, box, 7, 1)
        if bits == 16:
            return [size for (size,) in _table(raw, box, 12, ">H")]
        if bits == 8:
            return [size for (size,) in _table(raw, box, 12, ">B")]
        raise Malformed(f"sample sizes of {bits} bits")
