"""Picture file → upright RGB pixels of a bucket's size, or the reason why not."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile

from lib_lora.core.errors import DataError
from lib_lora.core.files import ordinary
from lib_lora.core.messages import Message, say
from lib_lora.dataset.resize import shrink

# Kinds of content we open, whatever the name says; without a list Pillow would hand EPS files to Ghostscript.
FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "BMP", "AVIF", "GIF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp")
OTHER_SUFFIXES = (".avif", ".gif", ".heic", ".heif", ".jxl", ".psd", ".tga", ".tif", ".tiff")
ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow's readers raise on damaged files.
DAMAGE = (OSError, SyntaxError, ValueError, TypeError, EOFError, LookupError, ArithmeticError, struct.error, zlib.error, Image.DecompressionBombError)


@dataclass(frozen=True)
class Look:
    """What a picture file is: its size as it is seen, the hash of its bytes, and why it cannot be used, if so."""

    size: tuple[int, int]
    stamp: str
    animated: bool = False
    flaw: Message | None = None


def content_hash(path: Path) -> str:
    """The hash of a file's bytes, 32 hex digits: it changes with the file and not with its name or date."""
    return _digest(_bytes(path))


def look(path: Path) -> Look:
    """Read a file through and say what it is; never raises on a bad file.

    All data is decompressed, so that a file cut off anywhere is noticed, but pixels are made only where the format has
    no cheaper way to prove itself: thousands of files take seconds.
    """
    try:
        content = ordinary(path).read_bytes()
    except OSError as error:
        return Look((0, 0), "", flaw=_closed(error))
    stamp = _digest(content)
    try:
        size, animated = _prove(content)
    except _Flaw as flaw:
        return Look((0, 0), stamp, flaw=flaw.message)
    return Look(size, stamp, animated)


def open_picture(path: Path) -> Image.Image:
    """The picture as it is seen: turned as its EXIF says, transparency on white, RGB. DataError where it is damaged."""
    content = _bytes(path)
    try:
        return _open_upright(content)
    except _Flaw as flaw:
        raise DataError(unreadable(str(path), flaw.message)) from flaw


def upright(image: Image.Image) -> Image.Image:
    """A decoded picture as it is seen: turned as its EXIF says, transparency on white, RGB."""
    turn = TURNS.get(_orientation(image))
    flat = _flat(image)
    return flat.transpose(turn) if turn is not None else flat


def unreadable(name: str, reason: Message) -> Message:
    """The sentence about a picture that cannot be used."""
    return say("{file}: this picture cannot be read: {reason}. Replace or remove it.", file=name, reason=reason)


def fit(image: Image.Image, resized: tuple[int, int], crop: tuple[int, int], bucket: tuple[int, int]) -> np.ndarray:
    """Resize to `resized`, cut `bucket` out at `crop` (left, top) → uint8 (H, W, 3).

    The filter is sd-scripts': area where both sides shrink, else Lanczos.
    """
    if image.size == resized:
        pixels = np.asarray(image)
    elif image.width >= resized[0] and image.height >= resized[1]:
        pixels = shrink(np.asarray(image), resized)
    else:
        pixels = np.asarray(image.resize(resized, Image.Resampling.LANCZOS))
    left, top = crop
    return np.ascontiguousarray(pixels[top : top + bucket[1], left : left + bucket[0]])


class _Flaw(Exception):
    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


def _bytes(path: Path) -> bytes:
    try:
        return ordinary(path).read_bytes()
    except OSError as error:
        raise DataError(unreadable(str(path), _closed(error))) from error


def _closed(error: OSError) -> Message:
    return say("the file cannot be opened ({why})", why=error.strerror or str(error))


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _open(content: bytes) -> Image.Image:
    if not content:
        raise _Flaw(say("the file is empty"))
    Image.init()
    try:
        return Image.open(io.BytesIO(content), formats=[name for name in FORMATS if name in Image.OPEN])
    except Image.UnidentifiedImageError as error:
        raise _Flaw(say("it is not a picture, or of a kind that is not supported")) from error
    except Image.DecompressionBombError as error:
        raise _Flaw(say("it has far too many pixels")) from error
    except DAMAGE as error:
        raise _damaged(error) from error


def _damaged(error: Exception | str) -> _Flaw:
    return _Flaw(say("the file is damaged or cut off ({why})", why=str(error)))


def _open_upright(content: bytes) -> Image.Image:
    _check_ends(content)
    image = _open(content)
    try:
        image.load()
        return upright(image)
    except DAMAGE as error:
        raise _damaged(error) from error


def _prove(content: bytes) -> tuple[tuple[int, int], bool]:
    _check_ends(content)
    image = _open(content)
    width, height = image.size
    try:
        if image.format == "PNG":
            orientation = _prove_png(content, image)
        else:
            orientation = _orientation(image)
            # A JPEG's whole data is parsed at any scale, the rest of the work shrinks with it.
            image.draft("L", (1, 1))
            image.load()
    except DAMAGE as error:
        raise _damaged(error) from error
    animated = image.format in ("PNG", "WEBP", "GIF") and bool(getattr(image, "is_animated", False))
    return ((height, width) if orientation in (5, 6, 7, 8) else (width, height)), animated


def _check_ends(content: bytes) -> None:
    # A program around us may have told Pillow to fill truncated JPEGs with grey; then the end marker has to be looked for.
    if ImageFile.LOAD_TRUNCATED_IMAGES and content.startswith(b"\xff\xd8") and content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda"):
        raise _damaged("no end of image")
    # Pillow's PNG reader is content when the last row is there; without its end the file was cut off.
    if content.startswith(b"\x89PNG"):
        try:
            Image.open(io.BytesIO(content), formats=["PNG"]).verify()
        except Image.DecompressionBombError as error:
            raise _Flaw(say("it has far too many pixels")) from error
        except DAMAGE as error:
            raise _damaged("PNG") from error


def _prove_png(content: bytes, image: Image.Image) -> int:
    inflate = zlib.decompressobj()
    turned = False
    for name, data in _chunks(content):
        if name == b"IDAT" and not inflate.eof:
            inflate.decompress(data)
        turned = turned or name == b"eXIf" or data.startswith((b"Raw profile type exif", b"XML:com.adobe.xmp"))
    if not inflate.eof:
        raise ValueError("not enough image data")
    # Asking for EXIF makes Pillow load all pixels of a PNG, so only where some is there.
    return _orientation(image) if turned else 1


def _chunks(content: bytes) -> Iterator[tuple[bytes, memoryview | bytes]]:
    at = 8
    while at + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, at)
        yield content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        at += 12 + length


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except DAMAGE:
        # Cameras and editors write broken EXIF; viewers show such pictures as they are stored, and so do we.
        return 1
    return value if isinstance(value, int) else 1


def _flat(image: Image.Image) -> Image.Image:
    if image.mode == "I" or image.mode.startswith("I;16"):
        deep = np.asarray(image.convert("I"))
        return Image.fromarray(((np.clip(deep, 0, 65535) + 128) // 257).astype(np.uint8)).convert("RGB")
    if "A" in image.getbands() or "transparency" in image.info:
        clear = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")
    return image.convert("RGB")
