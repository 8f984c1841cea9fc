"""Picture file → upright RGB pixels, whole or small, with no file kept open and no more memory than needed."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from PIL import Image

from lib_lora.core.errors import DataError
from lib_lora.core.files import ordinary
from lib_lora.core.messages import Message, say
from lib_lora.dataset import images
from lib_lora.pictures import headers


def small(path: Path, side: int) -> Image.Image:
    """The picture as it is seen, its longer side at most `side`. DataError where it cannot be read or is too large.

    JPEGs are shrunk while they are decoded.
    """
    image = _upright(path, side)
    if max(image.size) <= side:
        return image
    # Whole blocks are averaged first: the better filter then works on few pixels.
    return image.resize(_within(image.size, side), Image.Resampling.LANCZOS, reducing_gap=1.1)


def whole(path: Path) -> Image.Image:
    """The picture as it is seen, in full size. DataError where it cannot be read or is too large to be looked into."""
    return _upright(path, None)


def _upright(path: Path, side: int | None) -> Image.Image:
    try:
        with ordinary(path).open("rb") as file:
            image = _opened(file, path, side)
            image.load()
            return images.upright(image)
    except images.DAMAGE as error:
        raise DataError(images.unreadable(path.name, _reason(error))) from error


def _opened(file: BinaryIO, path: Path, side: int | None) -> Image.Image:
    Image.init()
    image = Image.open(file, formats=[name for name in images.FORMATS if name in Image.OPEN])
    full = image.size
    if side is not None:
        image.draft("RGB", _within(full, side))
    # A progressive JPEG stands in memory whole, however small it is wanted.
    if headers.is_large(full if image.info.get("progressive") else image.size):
        raise DataError(say("{file}: it is so large that its pixels are not looked into here; shrink it", file=path.name))
    return image


def _within(size: tuple[int, int], side: int) -> tuple[int, int]:
    """The size of that shape whose longer side is `side`."""
    scale = side / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _reason(error: Exception) -> Message:
    if isinstance(error, Image.UnidentifiedImageError):
        return say("it is not a picture, or of a kind that is not supported")
    if isinstance(error, OSError) and error.errno is not None:
        return say("the file cannot be opened ({why})", why=error.strerror or str(error))
    return say("the file is damaged or cut off ({why})", why=str(error))
