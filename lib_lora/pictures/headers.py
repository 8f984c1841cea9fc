"""Picture file → what its first and last bytes say: size as seen, peculiarities, and whether it was cut off.

Thousands of files are opened one after the other, so that no pixel is decoded unless a file looks suspicious.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from lib_lora.core.messages import Message, say
from lib_lora.dataset import images

# Our own limit, the same whatever the program around us told Pillow; a picture of it takes half a gigabyte.
PIXELS = 178_956_970
# Larger ones are only decoded where the format can shrink while it decodes: a pixel takes eight bytes on its way.
LARGE = 40_000_000
TAIL = 1 << 16
TEXT_LIMIT = 1 << 20
XMP_TURN = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')
TURNED = (5, 6, 7, 8)


@dataclass(frozen=True)
class Peek:
    """What a file is without its pixels. `size` is (0, 0) where `flaw` says why it cannot be used."""

    size: tuple[int, int]
    animated: bool = False
    notes: tuple[Message, ...] = ()
    flaw: Message | None = None


class _Suspicious(Exception):
    """The ends of the file do not tell; the whole of it has to be read."""


class _TooLarge(Exception):
    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size


def peek(path: Path) -> Peek:
    """Look at a file's ends; one that seems cut off is read whole. Never raises on a bad file."""
    try:
        with path.open("rb") as file:
            start = file.read(16)
            if not start:
                return Peek((0, 0), flaw=say("the file is empty"))
            return _reader(start)(file)
    except _TooLarge as large:
        return Peek((0, 0), flaw=_far_too_large(large.size))
    except _Suspicious:
        return _proved(path)
    except images.DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            return Peek((0, 0), flaw=say("the file cannot be opened ({why})", why=error.strerror or str(error)))
        return _proved(path)


def is_large(size: tuple[int, int]) -> bool:
    """Whether its pixels are too many to be decoded just for looking."""
    return size[0] * size[1] > LARGE


def _far_too_large(size: tuple[int, int]) -> Message:
    return say("it has far too many pixels ({width}×{height}); shrink it", width=size[0], height=size[1])


def _reader(start: bytes) -> Callable[[BinaryIO], Peek]:
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png
    if start.startswith(b"\xff\xd8\xff"):
        return _jpeg
    return _webp if start[:4] == b"RIFF" and start[8:12] == b"WEBP" else _other


def _checked(size: tuple[int, int]) -> tuple[int, int]:
    if min(size) < 1:
        raise _Suspicious
    if size[0] * size[1] > PIXELS:
        raise _TooLarge(size)
    return size


def _peek(size: tuple[int, int], orientation: int, animated: bool, notes: tuple[Message, ...]) -> Peek:
    if animated:
        notes = (say("it is animated, its first frame is used"), *notes)
    if is_large(size):
        notes = (*notes, say("it is so large that its pixels are not looked into here; shrink it"))
    return Peek((size[1], size[0]) if orientation in TURNED else size, animated, notes)


def _png(file: BinaryIO) -> Peek:
    """The chunks of a PNG without their data: a file that was cut off anywhere has no end."""
    size, notes, orientation, animated, ended = (0, 0), [], 1, False, False
    for name, length in _chunks(file):
        if name == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", file.read(10))
            size = _checked((width, height))
            notes += [say("it holds 16 bits per colour, 8 are used")] if depth == 16 else []
            notes += [_clear()] if colour in (4, 6) else []
        elif name == b"tRNS":
            notes.append(_clear())
        elif name == b"acTL":
            (frames,) = struct.unpack(">I", file.read(4))
            animated = frames > 1
        elif name == b"eXIf":
            orientation = _turn(file.read(min(length, TEXT_LIMIT)))
        elif name in (b"iTXt", b"zTXt", b"tEXt"):
            orientation = _png_text(file.read(min(length, TEXT_LIMIT))) or orientation
        ended = ended or name == b"IEND"
    if not ended or size == (0, 0):
        raise _Suspicious
    return _peek(size, orientation, animated, tuple(notes))


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    end = file.seek(0, os.SEEK_END)
    at = 8
    while at + 12 <= end:
        file.seek(at)
        length, name = struct.unpack(">I4s", file.read(8))
        at += 12 + length
        if at > end:
            return
        yield name, length


def _png_text(content: bytes) -> int:
    if content.startswith(b"Raw profile type exif"):
        raise _Suspicious
    found = XMP_TURN.search(content) if content.startswith(b"XML:com.adobe.xmp") else None
    return int(found[1]) if found else 0


def _jpeg(file: BinaryIO) -> Peek:
    file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
    if b"\xff\xd9" not in file.read():
        raise _Suspicious
    image = _open(file)
    notes = (say("its colours are those of print (CMYK) and are brought to RGB"),) if image.mode == "CMYK" else ()
    return _peek(_checked(image.size), _orientation(image), False, notes)


def _webp(file: BinaryIO) -> Peek:
    """The chunks of a WebP; Pillow would read the whole file and make room for its frames."""
    end = file.seek(0, os.SEEK_END)
    size, flags, orientation, at = (0, 0), 0, 1, 12
    while at + 8 <= end:
        file.seek(at)
        name, length = struct.unpack("<4sI", file.read(8))
        if at + 8 + length > end:
            raise _Suspicious
        if name == b"VP8X":
            head = file.read(10)
            flags, size = head[0], (1 + int.from_bytes(head[4:7], "little"), 1 + int.from_bytes(head[7:10], "little"))
        elif name == b"VP8 " and size == (0, 0):
            width, height = struct.unpack("<6xHH", file.read(10))
            size = (width & 0x3FFF, height & 0x3FFF)
        elif name == b"VP8L" and size == (0, 0):
            bits = int.from_bytes(file.read(5)[1:], "little")
            size, flags = (1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)), 0x10 * (bits >> 28 & 1)
        elif name == b"EXIF":
            orientation = _turn(file.read(min(length, TEXT_LIMIT)))
        at += 8 + length + (length & 1)
    return _peek(_checked(size), orientation, bool(flags & 0x02), (_clear(),) if flags & 0x10 else ())


def _other(file: BinaryIO) -> Peek:
    image = _open(file)
    _checked(image.size)
    # These are rare and have no cheap sign of being whole.
    raise _Suspicious


def _open(file: BinaryIO) -> Image.Image:
    Image.init()
    file.seek(0)
    return Image.open(file, formats=[name for name in images.FORMATS if name in Image.OPEN])


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(images.ORIENTATION, 1)
    except images.DAMAGE:
        return 1
    return value if isinstance(value, int) else 1


def _turn(content: bytes) -> int:
    exif = Image.Exif()
    try:
        exif.load(content)
        value = exif.get(images.ORIENTATION, 1)
    except images.DAMAGE:
        return 1
    return value if isinstance(value, int) else 1


def _clear() -> Message:
    return say("where it is transparent, white is put behind it")


def _proved(path: Path) -> Peek:
    found = images.look(path)
    if found.flaw is not None:
        return Peek((0, 0), flaw=found.flaw)
    return _peek(found.size, 1, found.animated, ())
