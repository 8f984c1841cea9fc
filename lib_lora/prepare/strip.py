"""A picture file without what it says beside its pixels: camera, place, prompt. The pixels' own data stay byte for byte."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

from PIL import Image

from lib_lora.dataset import images

# What decides how pixels look; all else is told about them.
PNG_KEPT = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"pHYs"}
PNG_EXIF = (b"eXIf", b"Raw profile type", b"XML:com.adobe.xmp")
JFIF, ICC, ADOBE, COMMENT, SCAN = 0xE0, 0xE2, 0xEE, 0xFE, 0xDA
RIFF_TOLD = (b"EXIF", b"XMP ")
EXIF_AND_XMP = 0x08 | 0x04  # flags of WebP's extended header
SUFFIXES = {"PNG": (".png",), "JPEG": (".jpg", ".jpeg"), "WEBP": (".webp",), "BMP": (".bmp",)}
MODES = ("RGB", "L", "P")
BIT_DEPTH = 24  # place in a PNG of the bits of a sample


def kept(content: bytes, suffix: str) -> tuple[bytes, str] | None:
    """The file with its pixels as they are and nothing else → (bytes, suffix); None where its pixels have to be written anew.

    That is where it lies on its side, is transparent, has deeper or other colours, or moves.
    """
    Image.init()
    try:
        with Image.open(io.BytesIO(content), formats=[name for name in SUFFIXES if name in Image.OPEN]) as image:
            kind, mode = image.format or "", image.mode
            plain = mode in MODES and "transparency" not in image.info and not getattr(image, "is_animated", False)
            if not plain or (kind == "PNG" and content[BIT_DEPTH] > 8):
                return None
            # Asking a PNG for EXIF decodes all of it, so only where some may be there.
            if (kind != "PNG" or any(word in content for word in PNG_EXIF)) and image.getexif().get(images.ORIENTATION, 1) != 1:
                return None
        found = {"PNG": _png, "JPEG": _jpeg, "WEBP": _webp}.get(kind, bytes)(content)
    except images.DAMAGE:
        return None
    return found, suffix.lower() if suffix.lower() in SUFFIXES[kind] else SUFFIXES[kind][0]


def _png(content: bytes) -> bytes:
    parts, at = [content[:8]], 8
    while at + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, at)
        if content[at + 4 : at + 8] in PNG_KEPT:
            parts.append(content[at : at + 12 + length])
        at += 12 + length
    return b"".join(parts)


def _jpeg(content: bytes) -> bytes:
    parts = [content[:2]]
    at = 2
    for marker, start, end in _segments(content):
        segment = content[start:end]
        colours = marker == ICC and segment[4:].startswith(b"ICC_PROFILE\0")
        if colours or marker in (JFIF, ADOBE) or not (JFIF <= marker <= 0xEF or marker == COMMENT):
            parts.append(segment)
        at = end
    finish = content.rfind(b"\xff\xd9")
    # Behind the picture's end lie previews and depth maps of telephones.
    return b"".join([*parts, content[at : finish + 2] if finish > at else content[at:]])


def _segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """The segments before the first scan: (marker, start, end)."""
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:  # filling
            at += 1
            continue
        if marker == SCAN:
            return
        (length,) = struct.unpack_from(">H", content, at + 2)
        yield marker, at, at + 2 + length
        at += 2 + length


def _webp(content: bytes) -> bytes:
    parts, at = [], 12
    while at + 8 <= len(content):
        name, (length,) = content[at : at + 4], struct.unpack_from("<I", content, at + 4)
        chunk = content[at : at + 8 + length + length % 2]
        if name == b"VP8X":
            chunk = chunk[:8] + bytes([chunk[8] & ~EXIF_AND_XMP & 0xFF]) + chunk[9:]
        parts += [chunk] if name not in RIFF_TOLD else []
        at += len(chunk) or 8
    body = b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body
