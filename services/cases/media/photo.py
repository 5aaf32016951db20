"""Photos: decoded in full and encoded anew, so that nothing but the picture is left."""

import io
import zlib
from typing import Literal

from PIL import Image, ImageCms
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from services.cases.media.container import Malformed
from services.cases.media.refusal import UploadRefused
from services.cases.media.stored_file import StoredFile

Kind = Literal["JPEG", "PNG", "WEBP"]

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# The chunks that make the picture, and the two that say how to read it.
_PNG_KEPT = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"iCCP"}
# APP0 (JFIF) and APP14 (Adobe) tell how the colours are coded, APP2 holds their profile.
_JPEG_KEPT_APPLICATION_SEGMENTS = {0xE0: b"JFIF\0", 0xEE: b"Adobe", 0xE2: b"ICC_PROFILE\0"}
_EXIF_HEADER = b"Exif\0\0"
_ORIENTATION_TAG = 0x0112
# Encoders write about ten; each costs a pass over the whole picture, so thousands of them would take hours.
_MAX_JPEG_SCANS = 64
# EXIF 2.32, tag 0x0112: what turns the stored picture upright; 1 is upright already.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def kind_of(raw: bytes) -> Kind | None:
    """Tell a photo by its first bytes; None when it is none that is accepted."""
    if raw.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if raw.startswith(_PNG_SIGNATURE):
        return "PNG"
    if raw[:4] == b"RIFF" and raw[8:12] == b"WEBP":
        return "WEBP"
    return None


def sanitise(raw: bytes, kind: Kind, max_pixels: int, max_side: int) -> tuple[bytes, StoredFile]:
    """Return the picture upright, in sRGB, no side above `max_side`, in its own format without metadata.

    Of an animation the first frame is kept. Raises UploadRefused, or Malformed for a broken file.
    """
    try:
        picture = _upright(raw, kind, max_pixels, max_side)
    except (UploadRefused, Malformed):
        raise
    except Image.DecompressionBombError as why:
        raise UploadRefused.too_many_pixels(max_pixels) from why
    except Exception as why:  # Pillow's decoders answer hostile bytes with nearly any exception
        raise Malformed(f"{kind}: {why}") from why
    data = _encoded(picture, kind)
    return data, StoredFile.of(data, f"image/{kind.lower()}", picture.width, picture.height)


def _upright(raw: bytes, kind: Kind, max_pixels: int, max_side: int) -> Image.Image:
    source, exif = _opened(raw, kind)
    if source.width * source.height > max_pixels:  # known from the header, before anything is unpacked
        raise UploadRefused.too_many_pixels(max_pixels)
    source.load()
    profile = source.info.get("icc_profile")
    picture = _plain(source)
    if max(picture.size) > max_side:
        picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    if profile:
        picture = _in_srgb(picture, profile)
    if picture.mode == "CMYK":
        picture = picture.convert("RGB")
    turn = _UPRIGHT.get(_orientation(exif))
    return picture if turn is None else picture.transpose(turn)


def _opened(raw: bytes, kind: Kind) -> tuple[ImageFile, bytes]:
    """Open without metadata in sight of the decoder, and hand back the EXIF block (or b"") on the side.

    The plugins are called directly: Image.open would try other formats and only warn of a decompression bomb.
    """
    if kind == "JPEG":
        jpeg, exif = _bare_jpeg(raw)
        return JpegImageFile(io.BytesIO(jpeg)), exif
    if kind == "PNG":
        png, exif = _bare_png(raw)
        return PngImageFile(io.BytesIO(png)), exif
    webp = WebPImageFile(io.BytesIO(raw))
    return webp, webp.info.get("exif", b"")


def _bare_jpeg(raw: bytes) -> tuple[bytes, bytes]:
    """Drop application segments and comments in front of the scan; return the rest and the EXIF block."""
    kept, exif, at = [raw[:2]], b"", 2
    while raw[at : at + 2] != b"\xff\xda":
        if at + 4 > len(raw) or raw[at] != 0xFF:
            raise Malformed("JPEG: no segment where one should be")
        marker = raw[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        end = at + 2 + int.from_bytes(raw[at + 2 : at + 4], "big")
        content = raw[at + 4 : end]
        if marker == 0xE1 and content.startswith(_EXIF_HEADER):
            exif = exif or content
        prefix = _JPEG_KEPT_APPLICATION_SEGMENTS.get(marker)
        is_metadata = 0xE0 <= marker <= 0xEF or marker == 0xFE
        if not is_metadata or (prefix is not None and content.startswith(prefix)):
            kept.append(raw[at:end])
        at = end
    scans = raw[at:]
    if b"\xff\xd9" not in scans:  # the decoder would forgive a missing end
        raise Malformed("JPEG: no end of image")
    if scans.count(b"\xff\xda") > _MAX_JPEG_SCANS:
        raise Malformed("JPEG: too many scans")
    return b"".join([*kept, scans]), exif


def _bare_png(raw: bytes) -> tuple[bytes, bytes]:
    """Drop all chunks but the picture's own, checking every checksum; return the rest and the EXIF block.

    What follows the end chunk is dropped with them.
    """
    kept, exif, at = [_PNG_SIGNATURE], b"", len(_PNG_SIGNATURE)
    while True:
        length, name = int.from_bytes(raw[at : at + 4], "big"), raw[at + 4 : at + 8]
        end = at + 12 + length
        if end > len(raw):
            raise Malformed("PNG: cut off")
        if zlib.crc32(memoryview(raw)[at + 4 : end - 4]) != int.from_bytes(raw[end - 4 : end], "big"):
            raise Malformed(f"PNG: checksum of {name!r}")
        if name == b"eXIf":
            exif = raw[at + 8 : end - 4]
        if name in _PNG_KEPT:
            kept.append(raw[at:end])
        if name == b"IEND":
            return b"".join(kept), exif
        at = end


def _orientation(exif: bytes) -> int:
    """Return the orientation an EXIF block tells (1–8); 1 when it tells none or cannot be read."""
    tiff = exif.removeprefix(_EXIF_HEADER)
    order: Literal["little", "big"] = "little" if tiff[:2] == b"II" else "big"

    def short(at: int) -> int:
        return int.from_bytes(tiff[at : at + 2], order)

    directory = int.from_bytes(tiff[4:8], order)
    for entry in range(directory + 2, directory + 2 + 12 * short(directory), 12):
        if short(entry) == _ORIENTATION_TAG:
            return short(entry + 8)
    return 1


def _plain(source: Image.Image) -> Image.Image:
    """Return the pixels in one of the modes L, LA, RGB, RGBA and CMYK, free of the file they came from."""
    if source.mode.startswith("I"):  # 16 bits of grey
        return source.convert("I").point(lambda grey: grey / 256).convert("L")
    if "transparency" in source.info:
        return source.convert("RGBA")
    return source.convert({"1": "L", "P": "RGB"}.get(source.mode, source.mode))


def _in_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    """Turn colours of another profile (a phone's wide gamut) into sRGB, as the profile itself is not kept."""
    mode = "RGB" if picture.mode == "CMYK" else picture.mode
    try:
        return (
            ImageCms.profileToProfile(picture, io.BytesIO(profile), ImageCms.createProfile("sRGB"), outputMode=mode)
            or picture
        )
    except (ImageCms.PyCMSError, OSError):  # a profile that does not fit says nothing about the picture
        return picture


def _encoded(picture: Image.Image, kind: Kind) -> bytes:
    picture.info.clear()  # encoders write comment, profile and resolution from here
    out = io.BytesIO()
    if kind == "PNG":
        picture.save(out, "PNG")
    else:
        picture.save(out, kind, quality=90)
    return out.getvalue()
