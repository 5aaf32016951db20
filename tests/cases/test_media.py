"""Evidence files: what is accepted, what is left of it, and how it is kept."""

import asyncio
import io
import json
import resource
import struct
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms, ImageDraw, ImageOps
from PIL.PngImagePlugin import PngInfo

from services.cases.media import (
    DamagedFile,
    MediaLimits,
    MediaStore,
    StoredFile,
    UnknownFile,
    UploadRefused,
    sanitise,
)
from services.scenarios.media import generate_photo, generate_video

LIMITS = MediaLimits()
FILES = Path(__file__).parent / "files"  # written by real encoders, with title, place and time of creation
CAMERA_MP4 = (FILES / "camera.mp4").read_bytes()
CAMERA_WEBM = (FILES / "camera.webm").read_bytes()
RECORDER_WEBM = (FILES / "recorder.webm").read_bytes()  # as browsers record: sizes and length not stated
PHOTO = generate_photo(1)
VIDEO = generate_video(1)


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def decoded(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


def drawing(width: int = 60, height: int = 40) -> Image.Image:
    """Return a picture whose four corners differ, so that turning it shows."""
    picture = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, width // 2, height // 2), fill="red")
    draw.rectangle((width // 2, 0, width, height // 2), fill="blue")
    return picture


def placed() -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "SECRET-MAKER"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (30.0, 16.0, 1.0)
    return exif


def refusal(raw: bytes, limits: MediaLimits = LIMITS) -> UploadRefused:
    with pytest.raises(UploadRefused) as caught:
        sanitise(raw, limits)
    assert caught.value.detail_zh
    assert caught.value.detail_en
    return caught.value


def box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def boxes(data: bytes) -> list[tuple[bytes, bytes]]:
    found = []
    while data:
        size, kind = struct.unpack_from(">I4s", data)
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, 8)
        found.append((kind, data[8:size]))
        data = data[size:]
    return found


def boxes_of(data: bytes, kind: bytes) -> bytes:
    return dict(boxes(data))[kind]


def video_with(in_file: bytes = b"", in_movie: bytes = b"", payload: bytes = b"") -> bytes:
    """Return a video with boxes added to the file and the movie (in front of the media), and bytes to the media."""
    brand, movie, media = (box(kind, content) for kind, content in boxes(VIDEO))
    shift = len(in_file) + len(in_movie)
    movie = box(b"moov", movie[8:], in_movie)
    at = movie.index(b"stco") + 12
    (offset,) = struct.unpack_from(">I", movie, at)
    movie = movie[:at] + struct.pack(">I", offset + shift) + movie[at + 4 :]
    return brand + in_file + movie + box(b"mdat", media[8:], payload)


def replaced(data: bytes, box_kind: bytes, offset: int, value: bytes) -> bytes:
    """Return a file with bytes of the first box of a kind replaced, counted from the box's content."""
    at = data.index(box_kind) + 4 + offset
    return data[:at] + value + data[at + len(value) :]


# Photos


@pytest.mark.parametrize(("kind", "media_type"), [("JPEG", "image/jpeg"), ("PNG", "image/png"), ("WEBP", "image/webp")])
def test_photo_stays_what_it_is(kind: str, media_type: str) -> None:
    """A photo keeps its format, size and look, and is described by its cleaned bytes."""
    data, file = sanitise(encoded(drawing(), kind, quality=95), LIMITS)
    assert (file.media_type, file.width, file.height, file.duration_ms) == (media_type, 60, 40, 0)
    assert file == StoredFile.of(data, media_type, 60, 40)
    picture = decoded(data)
    assert picture.format == kind
    red, _green, blue = picture.convert("RGB").getpixel((10, 5))  # type: ignore[misc]
    assert red > 200
    assert blue < 60


def test_jpeg_metadata_is_gone() -> None:
    """Where, when, by what device and with what words a photo was taken does not survive."""
    xmp = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>SECRET-XMP</x:xmpmeta>"
    raw = encoded(drawing(), "JPEG", exif=placed(), comment=b"SECRET-COMMENT", xmp=xmp[29:], dpi=(300, 300))
    assert raw.count(b"SECRET") == 3
    data, _ = sanitise(raw, LIMITS)
    assert b"SECRET" not in data
    assert b"Exif" not in data
    assert dict(decoded(data).getexif()) == {}


def test_generated_photo_has_a_place_and_loses_it() -> None:
    """The scenarios' photo is a real one: it tells GPS when made and nothing when stored."""
    assert decoded(PHOTO).getexif().get_ifd(ExifTags.IFD.GPSInfo)
    data, _ = sanitise(PHOTO, LIMITS)
    assert not decoded(data).getexif().get_ifd(ExifTags.IFD.GPSInfo)
    assert "comment" not in decoded(data).info


def test_png_keeps_only_the_picture() -> None:
    """Text, EXIF and profile chunks of a PNG are gone, hidden ones too."""
    text = PngInfo()
    text.add_text("Title", "SECRET-TITLE")
    text.add_itxt("XML:com.adobe.xmp", "SECRET-XMP")
    text.add(b"prVt", b"SECRET-PRIVATE")
    raw = encoded(drawing(), "PNG", pnginfo=text, exif=placed(), dpi=(300, 300))
    assert raw.count(b"SECRET") == 4
    data, _ = sanitise(raw, LIMITS)
    names, at = set(), 8
    while at < len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        names.add(name)
        at += 12 + length
    assert names == {b"IHDR", b"IDAT", b"IEND"}


def test_webp_metadata_is_gone() -> None:
    """EXIF and XMP chunks of a WebP are gone."""
    raw = encoded(drawing(), "WEBP", exif=placed(), xmp=b"SECRET-XMP")
    assert raw.count(b"SECRET") == 2
    data, _ = sanitise(raw, LIMITS)
    assert b"SECRET" not in data
    assert not {"exif", "xmp", "icc_profile"} & set(decoded(data).info)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_photo_is_upright(kind: str, orientation: int) -> None:
    """A photo taken with the phone turned is seen as it was seen, although the note saying so is gone."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    raw = encoded(drawing(), kind, exif=exif, quality=95)
    expected = ImageOps.exif_transpose(decoded(raw)).convert("RGB")
    data, file = sanitise(raw, LIMITS)
    picture = decoded(data).convert("RGB")
    assert (file.width, file.height) == picture.size == expected.size
    for corner in ((5, 5), (expected.width - 6, 5), (5, expected.height - 6)):
        difference = zip(picture.getpixel(corner), expected.getpixel(corner), strict=True)  # type: ignore[arg-type]
        assert all(abs(left - right) < 40 for left, right in difference)


def test_unreadable_exif_does_not_cost_the_photo() -> None:
    """A phone's odd EXIF block is no reason to refuse a good picture."""
    data, _ = sanitise(encoded(drawing(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7fjunk"), LIMITS)
    assert decoded(data).size == (60, 40)


@pytest.mark.parametrize(
    ("mode", "kept"),
    [("1", "L"), ("L", "L"), ("LA", "LA"), ("P", "RGB"), ("RGB", "RGB"), ("RGBA", "RGBA"), ("I;16", "L")],
)
def test_every_png_mode(mode: str, kept: str) -> None:
    """Grey, paletted, transparent and 16-bit PNGs all come out as plain ones."""
    picture = Image.new("I;16", (20, 10), 40_000) if mode == "I;16" else drawing(20, 10).convert(mode)
    data, _ = sanitise(encoded(picture, "PNG"), LIMITS)
    assert decoded(data).mode == kept
    if mode == "I;16":
        assert decoded(data).getpixel((3, 3)) == 40_000 // 256


def test_paletted_transparency_stays() -> None:
    """What is transparent in a paletted PNG stays transparent."""
    picture = drawing().convert("P")
    data, _ = sanitise(encoded(picture, "PNG", transparency=picture.getpixel((5, 5))), LIMITS)
    assert decoded(data).getpixel((5, 5))[3] == 0  # type: ignore[index]


def test_printers_jpeg_becomes_rgb() -> None:
    """A CMYK JPEG, which browsers show wrongly, comes out in RGB."""
    data, _ = sanitise(encoded(drawing().convert("CMYK"), "JPEG"), LIMITS)
    assert decoded(data).mode == "RGB"


def test_other_colour_profile_is_applied_and_dropped() -> None:
    """Colours of another profile are turned into sRGB; the profile, which can name a device, is gone."""
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (lab, srgb, b"no profile at all"):
        for kind in ("JPEG", "PNG", "WEBP"):
            data, _ = sanitise(encoded(drawing(), kind, icc_profile=profile), LIMITS)
            assert "icc_profile" not in decoded(data).info


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_animation_becomes_its_first_frame(kind: str) -> None:
    """Of an animation one still picture is kept: the first."""
    others = [Image.new("RGB", (60, 40), "green")] * 2
    raw = encoded(drawing(), kind, save_all=True, append_images=others, duration=100)
    assert getattr(decoded(raw), "n_frames", 1) > 1
    picture = decoded(sanitise(raw, LIMITS)[0])
    assert getattr(picture, "n_frames", 1) == 1
    assert picture.convert("RGB").getpixel((10, 5))[0] > 200  # type: ignore[index]


def test_large_photo_is_scaled_down() -> None:
    """A photo above the longest side allowed is kept smaller, not refused."""
    data, file = sanitise(encoded(drawing(900, 300), "JPEG"), MediaLimits(max_side=300))
    assert decoded(data).size == (file.width, file.height) == (300, 100)


@pytest.mark.parametrize("raw", [PHOTO, VIDEO, encoded(drawing(), "PNG"), encoded(drawing(), "WEBP")])
def test_same_upload_same_hash(raw: bytes) -> None:
    """Cleaning is deterministic, so the same upload is one file."""
    assert sanitise(raw, LIMITS) == sanitise(raw, LIMITS)


def test_tail_of_a_polyglot_is_dropped() -> None:
    """An archive behind a picture, or a second file in front of its end, is not stored with it."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("evil.html", "<script>")
    for kind in ("JPEG", "PNG", "WEBP"):
        data, _ = sanitise(encoded(drawing(), kind) + archive.getvalue(), LIMITS)
        assert not zipfile.is_zipfile(io.BytesIO(data))


# Refusals


@pytest.mark.parametrize(
    "raw",
    [
        encoded(Image.new("P", (4, 4)), "GIF"),
        encoded(Image.new("RGB", (4, 4)), "BMP"),
        encoded(Image.new("RGB", (4, 4)), "TIFF"),
        encoded(Image.new("RGB", (4, 4)), "PDF"),
        b"GIF89a" + PHOTO,
        b"<html><script>alert(1)</script></html>",
        b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        b"PK\x03\x04" + bytes(100),
        b"RIFF\x24\0\0\0WAVEfmt " + bytes(20),
        b"MZ" + bytes(200),
        bytes(1000),
        b"x",
        box(b"ftyp", b"heic", bytes(4), b"mif1heic") + box(b"meta", bytes(20)),
        box(b"ftyp", b"qt  ", bytes(4), b"qt  "),
        CAMERA_WEBM.replace(b"webm", b"mkv\0", 1),
    ],
)
def test_other_kinds_are_unsupported(raw: bytes) -> None:
    """What is no accepted photo or video is refused by its content, however it is named."""
    assert refusal(raw).code == "upload_unsupported"


def test_too_large_files() -> None:
    """Each kind has its limit in bytes, and the text names it."""
    assert refusal(PHOTO, MediaLimits(max_image_bytes=len(PHOTO) - 1)).code == "upload_too_large"
    assert sanitise(PHOTO, MediaLimits(max_image_bytes=len(PHOTO)))
    for video in (VIDEO, CAMERA_WEBM):
        assert refusal(video, MediaLimits(max_video_bytes=len(video) - 1)).code == "upload_too_large"
        assert sanitise(video, MediaLimits(max_video_bytes=len(video), max_image_bytes=10))
    assert refusal(bytes(LIMITS.max_video_bytes + 1)).code == "upload_too_large"
    assert "15 MB" in refusal(PHOTO + bytes(LIMITS.max_image_bytes)).detail_zh


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_too_many_pixels(kind: str) -> None:
    """A picture is refused by the size it would unfold to, before it is unfolded."""
    raw = encoded(Image.new("L", (200, 100)), kind)
    assert refusal(raw, MediaLimits(max_pixels=19_999)).code == "upload_too_large"
    assert sanitise(raw, MediaLimits(max_pixels=20_000))


def test_decompression_bombs() -> None:
    """Tiny files that claim hundreds of millions of pixels are refused at once."""
    png = encoded(Image.new("1", (20_000, 20_000)), "PNG")
    canvas = struct.pack("<I", 16_383)[:3]
    extended = b"VP8X" + struct.pack("<I", 10) + bytes(4) + canvas + canvas
    webp = b"RIFF" + struct.pack("<I", 4 + len(extended)) + b"WEBP" + extended
    for raw in (png, webp):
        assert len(raw) < 100_000
        assert refusal(raw).code == "upload_too_large"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_truncated_photo_is_broken(kind: str) -> None:
    """A photo whose upload broke off is refused wherever it broke off, not stored half grey."""
    raw = encoded(drawing(), kind, quality=90)
    for length in range(16, len(raw)):
        assert refusal(raw[:length]).code == "upload_broken"


def test_damaged_photo_is_broken() -> None:
    """Damage that checksums show, missing segments and an empty file are refused."""
    png = bytearray(encoded(drawing(), "PNG"))
    png[60] ^= 0x40
    for raw in (bytes(png), b"", b"\xff\xd8\xff\xe0", b"\xff\xd8\xff\xd9", b"\x89PNG\r\n\x1a\n"):
        assert refusal(raw).code == "upload_broken"


def test_jpeg_with_endless_scans_is_broken() -> None:
    """A JPEG that repeats one scan over and over would keep the decoder busy, and is refused."""
    raw = encoded(drawing(), "JPEG", progressive=True)
    last = raw[raw.rfind(b"\xff\xda") : -2]
    assert refusal(raw[:-2] + last * 100 + b"\xff\xd9").code == "upload_broken"


# Videos


@pytest.mark.parametrize(
    ("raw", "media_type", "size", "duration_ms"),
    [
        (CAMERA_MP4, "video/mp4", (64, 48), range(1000, 1030)),
        (CAMERA_WEBM, "video/webm", (64, 48), range(1000, 1030)),
        (RECORDER_WEBM, "video/webm", (64, 48), range(800, 801)),
        (VIDEO, "video/mp4", (160, 120), range(1000, 1001)),
    ],
)
def test_video_is_described_and_cleaned(raw: bytes, media_type: str, size: tuple[int, int], duration_ms: range) -> None:
    """Real encoders' videos are accepted, keep their length in bytes, lose words and place, and stay stable."""
    data, file = sanitise(raw, LIMITS)
    assert (file.media_type, (file.width, file.height)) == (media_type, size)
    assert file.duration_ms in duration_ms
    assert len(data) == len(raw) == file.size_bytes
    for secret in (b"SECRET", b"+30.2", b"udta", b"\xa9xyz", b"Lavf", b"VideoHandler", b"2024-01-01"):
        assert secret not in data
    assert sanitise(data, LIMITS) == (data, file)


def test_pictures_of_a_video_are_untouched() -> None:
    """Every sample of a cleaned MP4 is byte for byte what it was, at the same place."""
    data, _ = sanitise(VIDEO, LIMITS)
    assert boxes_of(data, b"mdat") == boxes_of(VIDEO, b"mdat")
    first_frame = data.index(b"\xff\xd8\xff")
    assert decoded(data[first_frame:]).size == (160, 120)
    for name in (CAMERA_MP4, CAMERA_WEBM):
        kept = sanitise(name, LIMITS)[0]
        assert sum(left != right for left, right in zip(kept, name, strict=True)) < 1200


def test_mp4_metadata_boxes_become_free_boxes() -> None:
    """Metadata of any kind and place is zeroed where it is, so that offsets stay valid."""
    secret = b"SECRET" * 5
    kinds = (b"udta", b"meta", b"uuid", b"XMP_", b"free", b"loci", b"zzzz")
    extra = b"".join(box(kind, secret) for kind in kinds)
    long_box = struct.pack(">I4sQ", 1, b"uuid", 16 + len(secret)) + secret
    raw = video_with(in_file=extra + long_box, in_movie=extra)
    data, _ = sanitise(raw, LIMITS)
    assert b"SECRET" not in data
    assert len(data) == len(raw)
    kinds_left = [kind for kind, _ in boxes(data)[: len(kinds) + 1]]
    assert kinds_left == [b"ftyp", *[b"free"] * len(kinds)]
    assert boxes_of(data, b"mdat") == boxes_of(raw, b"mdat")


def test_mp4_times_of_creation_are_zeroed() -> None:
    """When a video was taken does not survive in any of its headers, short or long."""
    created = struct.pack(">I", 3_786_912_000)
    assert VIDEO.count(created) == 6
    assert created not in sanitise(VIDEO, LIMITS)[0]
    header = VIDEO[VIDEO.index(b"mvhd") + 4 :][:100]
    scale, duration = header[12:16], header[16:20]
    long = b"\x01" + header[1:4] + (bytes(4) + created) * 2 + scale + bytes(4) + duration + header[20:]
    start, movie, media = boxes(VIDEO)
    tracks = movie[1][108:]
    raw = box(*start) + box(b"moov", box(b"mvhd", long), tracks.replace(b"stco", b"free")) + box(*media)
    data, file = sanitise(raw.replace(b"minf", b"free"), LIMITS)
    assert created not in data
    assert file.duration_ms == 1000


def test_mp4_data_track_is_erased_with_its_samples() -> None:
    """Positions that a camera records along with the picture are gone: the track and what it points to."""
    track = boxes(boxes_of(VIDEO, b"moov"))[1][1].replace(b"vide", b"meta")
    raw = video_with(in_movie=box(b"trak", track), payload=b"SECRET-POSITIONS")
    data, _ = sanitise(raw, LIMITS)
    assert b"SECRET" not in data
    assert data.count(b"trak") == raw.count(b"trak") - 1


def test_turned_video_has_its_shown_size() -> None:
    """A video filmed upright is described as high, not wide."""
    quarter_turn = struct.pack(">9i", 0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000)
    _, file = sanitise(replaced(VIDEO, b"tkhd", 40, quarter_turn), LIMITS)
    assert (file.width, file.height) == (120, 160)


@pytest.mark.parametrize("raw", [VIDEO, CAMERA_MP4, CAMERA_WEBM])
def test_truncated_video_is_broken(raw: bytes) -> None:
    """A video whose upload broke off is refused wherever it broke off."""
    for length in range(12, len(raw), 7):
        assert refusal(raw[:length]).code == "upload_broken"


@pytest.mark.parametrize("raw", [VIDEO, CAMERA_MP4, CAMERA_WEBM])
@pytest.mark.parametrize("tail", [b"PK\x05\x06" + bytes(18), b"x", b"<html>evil</html>"])
def test_garbage_behind_a_video_is_broken(raw: bytes, tail: bytes) -> None:
    """A video is refused when something else is stuck to its end."""
    assert refusal(raw + tail).code == "upload_broken"


def test_long_videos() -> None:
    """A video over the limit is refused by the length its headers state, the movie's or a track's."""
    assert refusal(replaced(VIDEO, b"mvhd", 16, struct.pack(">I", 301))).code == "upload_too_large"
    assert sanitise(replaced(VIDEO, b"mvhd", 16, struct.pack(">I", 300)), LIMITS)[1].duration_ms == 60_000
    assert refusal(replaced(VIDEO, b"mdhd", 16, struct.pack(">I", 400))).code == "upload_too_large"
    for raw in (CAMERA_WEBM, RECORDER_WEBM):
        assert refusal(raw, MediaLimits(max_duration_ms=500)).code == "upload_too_large"


@pytest.mark.parametrize(
    ("kind", "offset", "value"),
    [
        (b"mvhd", 12, bytes(4)),  # no time scale
        (b"mvhd", 16, bytes(4)),  # no length
        (b"mvhd", 0, b"\x07"),  # a version that does not exist
        (b"hdlr", 8, b"soun"),  # no picture
        (b"moov", -4, b"zzzz"),  # no movie
        (b"tkhd", -4, b"zzzz"),  # no track header
        (b"trak", -8, struct.pack(">I", 9999)),  # out of its parent
        (b"trak", -8, struct.pack(">I", 0)),  # only at the end of the file
        (b"trak", -8, struct.pack(">I", 7)),  # smaller than its header
        (b"stsz", 8, struct.pack(">I", 6)),  # more sizes than room
        (b"stsz", 8, struct.pack(">I", 4)),  # fewer samples than the chunk holds
        (b"stsz", 12, struct.pack(">I", 10**6)),  # a sample that ends behind the media
        (b"stco", 8, struct.pack(">I", 8)),  # samples outside the media
        (b"stsc", 8, struct.pack(">I", 0)),  # runs out of order
    ],
)
def test_broken_mp4(kind: bytes, offset: int, value: bytes) -> None:
    """An MP4 whose boxes contradict themselves or one another is refused."""
    assert refusal(replaced(VIDEO, kind, offset, value)).code == "upload_broken"


def test_mp4_that_cannot_be_checked_is_unsupported() -> None:
    """Fragments, and media that a player would fetch from elsewhere, are refused."""
    fragmented = VIDEO + box(b"moof", bytes(8))
    elsewhere = VIDEO.replace(b"url \0\0\0\x01", b"url \0\0\0\0")
    for raw in (fragmented, elsewhere):
        assert refusal(raw).code == "upload_unsupported"


def test_overlapping_chunks_end() -> None:
    """Tables that name the same bytes over and over are refused instead of copied over and over."""
    sizes = box(b"stsz", bytes(4), struct.pack(">II", 1000, 500_000))
    runs = box(b"stsc", bytes(4), struct.pack(">IIII", 1, 1, 1, 1))
    start, movie, media = boxes(VIDEO)
    count = 500_000

    def with_offset(offset: int) -> bytes:
        offsets = box(b"stco", bytes(4), struct.pack(">I", count), struct.pack(">I", offset) * count)
        content = movie[1]
        for name, table in ((b"stsz", sizes), (b"stsc", runs), (b"stco", offsets)):
            content = with_box(content, name, table)
        return box(*start) + box(b"moov", content) + box(*media)

    raw = with_offset(0)
    assert refusal(with_offset(raw.index(b"mdat") + 4)).code == "upload_broken"


def with_box(content: bytes, name: bytes, new: bytes) -> bytes:
    """Return boxes with the named one, however deep, replaced by another."""
    parts = []
    for kind, inner in boxes(content):
        if kind == name:
            parts.append(new)
        elif kind in (b"trak", b"mdia", b"minf", b"stbl"):
            parts.append(box(kind, with_box(inner, name, new)))
        else:
            parts.append(box(kind, inner))
    return b"".join(parts)


def test_sample_tables_of_every_form() -> None:
    """Samples stay whether their sizes are uniform, compact or listed, and their offsets short or long."""
    start, movie, media = boxes(VIDEO)
    size = len(media[1]) // 5
    uniform = box(b"stsz", bytes(4), struct.pack(">II", size, 5))
    compact = box(b"stz2", bytes(4), struct.pack(">II5H", 16, 5, *[size] * 5))
    for sizes in (uniform, compact):
        content = with_box(movie[1], b"stsz", sizes)
        content = with_box(content, b"stco", box(b"co64", bytes(4), struct.pack(">IQ", 1, 0)))
        offset = 8 + len(start[1]) + 8 + len(content) + 8
        content = with_box(content, b"co64", box(b"co64", bytes(4), struct.pack(">IQ", 1, offset)))
        raw = box(*start) + box(b"moov", content) + box(*media)
        data, _ = sanitise(raw, LIMITS)
        assert boxes_of(data, b"mdat")[: size * 5] == media[1][: size * 5]


def element(kind: str, *content: bytes) -> bytes:
    body = b"".join(content)
    return bytes.fromhex(kind) + (len(body) | 1 << 28).to_bytes(4, "big") + body


def webm(
    *,
    info: bytes = element("2AD7B1", b"\x0f\x42\x40") + element("4489", struct.pack(">d", 2000.0)),
    track: bytes = element("83", b"\x01") + element("E0", element("B0", b"\x40"), element("BA", b"\x30")),
    rest: bytes = b"",
) -> bytes:
    """Return a small WebM: 64 × 48, two seconds, with a picture block at its start."""
    header = element("1A45DFA3", element("4282", b"webm"))
    tracks = element("1654AE6B", element("AE", element("D7", b"\x01"), track))
    cluster = element("1F43B675", element("E7", b"\0"), element("A3", b"\x81\0\0\x80PICTURE"))
    return header + element("18538067", element("1549A966", info), tracks, cluster, rest)


def test_webm_metadata_becomes_void() -> None:
    """Tags, attachments, chapters, names and dates of a WebM are zeroed where they are."""
    secret = b"SECRET"
    info = element("2AD7B1", b"\x0f\x42\x40") + element("4489", struct.pack(">f", 2000.0))
    for kind in ("7BA9", "4D80", "5741", "4461", "73A4"):
        info += element(kind, secret)
    track = element("83", b"\x01") + element("E0", element("B0", b"\x40"), element("BA", b"\x30"))
    track += element("536E", secret) + b"\xbf\x80"
    rest = b"".join(element(kind, secret * 30) for kind in ("1254C367", "1941A469", "1043A770", "EC", "4FFF"))
    raw = webm(info=info, track=track, rest=rest)
    data, file = sanitise(raw, LIMITS)
    assert (file.width, file.height, file.duration_ms) == (64, 48, 2000)
    assert b"SECRET" not in data
    assert b"PICTURE" in data
    assert len(data) == len(raw)
    assert sanitise(data, LIMITS)[0] == data


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (webm(info=b""), "upload_broken"),  # no length
        (webm(info=element("4489", struct.pack(">d", float("nan")))), "upload_broken"),
        (webm(info=element("4489", struct.pack(">d", 1e308))), "upload_broken"),
        (webm(info=element("4489", b"abc")), "upload_broken"),
        (webm(info=element("2AD7B1", b"\0") + element("4489", struct.pack(">d", 1.0))), "upload_broken"),
        (webm(info=element("2AD7B1", bytes(9))), "upload_broken"),
        (webm(info=element("4489", struct.pack(">d", 60_001.0))), "upload_too_large"),
        (webm(track=element("83", b"\x02")), "upload_broken"),  # sound only
        (webm(track=element("83", b"\x11")), "upload_unsupported"),  # subtitles
        (webm(track=element("83", b"\x01")), "upload_broken"),  # a picture without size
        (webm(rest=element("1549A966")), "upload_broken"),  # a second Info
        (webm(rest=b"\x12\x54\xc3\x67\xff"), "upload_broken"),  # tags of unknown size
        (webm(rest=b"\0\0\0\0"), "upload_broken"),
        (webm(rest=element("1F43B675", element("E7", b"\0"), element("A3", b"\x81"))), "upload_broken"),
        (webm(rest=element("1F43B675", element("E7", b"\0"), element("A3"))), "upload_broken"),
        (webm(rest=element("1F43B675", element("E7", b"\x0f\xff\xff"))), None),
        (
            webm(rest=element("1F43B675", element("E7", b"\x0f\xff\xff"), element("A3", b"\x81\0\0\0"))),
            "upload_too_large",  # the length stated is a lie
        ),
        (webm(rest=element("1F43B675", element("E7", b"\0"), element("A0", element("FB", b"\x01")))), "upload_broken"),
    ],
)
def test_webm_that_is_wrong(raw: bytes, code: str | None) -> None:
    """A WebM whose elements are missing, doubled, endless or untrue is refused."""
    if code is None:
        assert sanitise(raw, LIMITS)
    else:
        assert refusal(raw).code == code


@pytest.mark.parametrize(
    "raw",
    [
        VIDEO + box(b"free") * 200_000,
        box(b"ftyp", b"isom") + b"".join(struct.pack(">I4s", 800_000 - 8 * n, b"moov") for n in range(100_000)),
        bytes.fromhex("1A45DFA301000000000F4240") + b"\xec\x80" * 500_000,
        bytes.fromhex("1A45DFA380") + bytes.fromhex("18538067FF1F43B675FF") * 100_000,
    ],
)
def test_many_or_deep_boxes_are_broken(raw: bytes) -> None:
    """Files made of countless or endlessly nested boxes are refused soon, without exhausting the stack."""
    assert refusal(raw).code == "upload_broken"


# Any bytes

SAMPLES = [
    PHOTO[:2] + PHOTO[PHOTO.index(b"\xff\xdb") :],
    encoded(drawing(), "JPEG", exif=placed(), progressive=True),
    encoded(drawing(), "PNG", exif=placed()),
    encoded(drawing().convert("P"), "PNG"),
    encoded(drawing(), "WEBP", exif=placed()),
    encoded(drawing(), "WEBP", lossless=True),
    VIDEO,
    CAMERA_MP4,
    CAMERA_WEBM,
    RECORDER_WEBM,
    webm(rest=element("1254C367", b"tags")),
]
STARTS = [
    b"",
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"RIFF\x20\0\0\0WEBPVP8 ",
    b"\0\0\0\x14ftypisom",
    b"\x1a\x45\xdf\xa3",
]
TIGHT = MediaLimits(max_pixels=1_000_000)


def refused_or_clean(raw: bytes) -> None:
    try:
        data, file = sanitise(raw, TIGHT)
    except UploadRefused:
        return
    assert file.size_bytes == len(data)


@given(start=st.sampled_from(STARTS), rest=st.binary(max_size=400))
@settings(max_examples=400, deadline=None)
def test_random_bytes_are_refused_or_clean(start: bytes, rest: bytes) -> None:
    """Whatever is uploaded, the answer is a clean file or a clear refusal, never a crash."""
    refused_or_clean(start + rest)


@given(data=st.data())
@settings(max_examples=800, deadline=None, suppress_health_check=[HealthCheck.data_too_large, HealthCheck.too_slow])
def test_mutated_files_are_refused_or_clean(data: st.DataObject) -> None:
    """Valid files with bytes changed, cut out, doubled or put in never crash the reader."""
    raw = bytearray(data.draw(st.sampled_from(SAMPLES)))
    for _ in range(data.draw(st.integers(1, 4))):
        # Structure is mostly at the start.
        at = data.draw(st.one_of(st.integers(0, min(len(raw), 700)), st.integers(0, len(raw))))
        length = data.draw(st.integers(0, 12))
        raw[at : at + length] = data.draw(st.binary(max_size=12) | st.just(bytes(raw[at : at + length]) * 2))
    refused_or_clean(bytes(raw))


# Storing


def written(folder: Path) -> dict[Path, int]:
    """Return each file of a folder with the time when it was last changed."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


async def test_file_is_stored_once(tmp_path: Path) -> None:
    """The same upload again, at the same time or later, adds and changes nothing."""
    store = MediaStore(tmp_path)
    first, second = await asyncio.gather(store.put(PHOTO), store.put(PHOTO))
    before = written(tmp_path)
    third = await store.put(PHOTO)
    assert first == second == third
    assert written(tmp_path) == before
    assert len(before) == 2


async def test_file_survives_a_restart(tmp_path: Path) -> None:
    """A store opened anew on the same folder knows the file, its description and its bytes."""
    place = tmp_path / "new" / "evidence"
    photo = await MediaStore(str(place)).put(PHOTO)
    video = await MediaStore(place.as_uri()).put(VIDEO)
    store = MediaStore(place)
    for file, raw in ((photo, PHOTO), (video, VIDEO)):
        assert await store.describe(file.sha256) == file
        assert await store.exists(file.sha256)
        assert await store.open(file.sha256) == (file, sanitise(raw, LIMITS)[0])


@pytest.mark.parametrize("name", ["0" * 64, "", "../../etc/passwd", "A" * 64, "0" * 64 + "\n"])
async def test_unknown_file(tmp_path: Path, name: str) -> None:
    """What is not stored is unknown, and a name that is no hash never becomes a path."""
    store = MediaStore(tmp_path)
    assert await store.describe(name) is None
    assert not await store.exists(name)
    with pytest.raises(UnknownFile):
        await store.open(name)
    assert issubclass(UnknownFile, KeyError)


async def test_tampering_is_detected_and_healed_by_the_original(tmp_path: Path) -> None:
    """A stored file that was changed or lost is never handed out; the original upload restores it."""
    store = MediaStore(tmp_path)
    file = await store.put(PHOTO)
    path = tmp_path / file.sha256[:2] / file.sha256
    good = path.read_bytes()
    for damage in (good[:-1] + b"x", good[:100], b""):
        path.write_bytes(damage)
        with pytest.raises(DamagedFile):
            await store.open(file.sha256)
    path.unlink()
    with pytest.raises(DamagedFile):
        await store.open(file.sha256)
    assert await store.put(PHOTO) == file
    assert await store.open(file.sha256) == (file, good)


@pytest.mark.parametrize("other", [b"{", b'{"sha256": 1}', None])
async def test_damaged_description_is_detected(tmp_path: Path, other: bytes | None) -> None:
    """A description that cannot be read, or is another file's, is not believed."""
    store = MediaStore(tmp_path)
    file = await store.put(PHOTO)
    path = tmp_path / file.sha256[:2] / f"{file.sha256}.json"
    path.write_bytes(
        json.dumps({**json.loads(path.read_bytes()), "sha256": "0" * 64}).encode() if other is None else other
    )
    with pytest.raises(DamagedFile):
        await store.describe(file.sha256)
    await store.put(PHOTO)
    assert await store.describe(file.sha256) == file


@contextmanager
def disk_full_after(size: int) -> Iterator[None]:
    """Let the system refuse to write files beyond a size, as it does when the disk is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_failed_write_leaves_no_half_file(tmp_path: Path) -> None:
    """When the disk is full in the middle, nothing is visible under the hash, and the next try works."""
    store = MediaStore(tmp_path)
    sha256 = sanitise(PHOTO, LIMITS)[1].sha256
    with disk_full_after(1000), pytest.raises(Exception, match=r"(?i)too large|write"):
        await store.put(PHOTO)
    assert not (tmp_path / sha256[:2] / sha256).exists()
    assert await store.describe(sha256) is None
    await store.put(PHOTO)
    assert await store.exists(sha256)


async def test_bytes_without_description_do_not_exist_yet(tmp_path: Path) -> None:
    """A stop between the two writes leaves a file that does not exist, and that the next upload completes."""
    store = MediaStore(tmp_path)
    file = await store.put(PHOTO)
    (tmp_path / file.sha256[:2] / f"{file.sha256}.json").unlink()
    assert not await store.exists(file.sha256)
    await store.put(PHOTO)
    assert await store.exists(file.sha256)


async def test_refused_upload_stores_nothing(tmp_path: Path) -> None:
    """What is refused leaves no trace."""
    with pytest.raises(UploadRefused):
        await MediaStore(tmp_path, MediaLimits(max_image_bytes=10)).put(PHOTO)
    assert written(tmp_path) == {}


@pytest.fixture
async def bucket() -> AsyncIterator[tuple[str, dict[str, bytes]]]:
    """A server that speaks the few S3 requests needed: its address, and what it holds by path."""
    objects: dict[str, bytes] = {}

    async def put(request: web.Request) -> web.Response:
        objects[request.path] = await request.read()
        return web.Response(headers={"ETag": '"1"'})

    async def get(request: web.Request) -> web.Response:
        if request.path not in objects:
            return web.Response(status=404)
        headers = {"ETag": '"1"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
        return web.Response(body=objects[request.path], headers=headers)

    app = web.Application(client_max_size=2**26)
    app.add_routes([web.put("/{path:.*}", put), web.get("/{path:.*}", get)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield site.name.replace("://127.0.0.1:0", f"://127.0.0.1:{runner.addresses[0][1]}"), objects
    await runner.cleanup()


async def test_object_store_by_url(bucket: tuple[str, dict[str, bytes]]) -> None:
    """The same store works against S3: same names, read back whole, tampering detected."""
    endpoint, objects = bucket
    options = {
        "endpoint": endpoint,
        "region": "test",
        "access_key_id": "key",
        "secret_access_key": "secret",
    }
    store = MediaStore("s3://evidence/files", options=options)
    file = await store.put(PHOTO)
    path = f"/evidence/files/{file.sha256[:2]}/{file.sha256}"
    assert set(objects) == {path, f"{path}.json"}
    assert (await store.open(file.sha256))[0] == file
    objects[path] += b"x"
    with pytest.raises(DamagedFile):
        await store.open(file.sha256)
    assert await store.describe("0" * 64) is None


async def test_memory_store() -> None:
    """A store by `memory:///` keeps files as long as it lives."""
    store = MediaStore("memory:///")
    file = await store.put(VIDEO)
    assert (await store.open(file.sha256))[0] == file


def test_generated_files_differ_by_seed() -> None:
    """Scenario files are the same for a seed and different for another."""
    for generate in (generate_photo, generate_video):
        assert generate(7) == generate(7)
        assert len({sanitise(generate(seed), LIMITS)[1].sha256 for seed in range(5)}) == 5
