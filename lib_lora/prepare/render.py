"""One planned file → the bytes of its picture."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

from PIL import Image

from lib_lora.core.errors import DataError
from lib_lora.core.files import ordinary
from lib_lora.core.messages import say
from lib_lora.dataset import images
from lib_lora.hosts.base import PictureTools
from lib_lora.prepare import focus, strip
from lib_lora.prepare.config import PrepareConfig
from lib_lora.prepare.plan import FLIP, Copy
from lib_lora.prepare.shapes import Box, middle
from lib_lora.prepare.tools import resampled

RECIPES = 1  # raised when the same settings begin to give other pixels
PNG_EFFORT, JPEG_QUALITY = 3, 95


@dataclass(frozen=True)
class Rendered:
    """A picture file: its bytes, its suffix, and what was cut out of the source (left, top, right, bottom)."""

    content: bytes
    suffix: str
    box: Box


def recipe(copy: Copy, config: PrepareConfig) -> str:
    """What decides a picture's pixels beside its source, as a short hash."""
    upscaler = config.enlarge.upscaler if copy.shape.enlarges else ""
    said = [RECIPES, asdict(copy.shape), copy.face if copy.shape.follows else None, copy.bars, copy.role == FLIP, upscaler, config.files.format]
    return hashlib.sha256(json.dumps(said).encode("utf-8")).hexdigest()[:16]


def render(copy: Copy, config: PrepareConfig, tools: PictureTools, waiting: Callable[[], bool]) -> Rendered:
    """Make the picture. DataError where the source cannot be read any more, the host's errors where it cannot enlarge."""
    if not copy.made:
        kept = strip.kept(_bytes(copy), copy.source.suffix)
        if kept is not None:
            # The catalogue has read headers only: what is copied unopened is looked through here.
            flaw = images.look(copy.source).flaw
            if flaw is not None:
                raise DataError(images.unreadable(copy.key, flaw))
            return Rendered(*kept, (0, 0, *copy.size))
    image = images.open_picture(copy.source)
    if image.size != copy.size:
        raise DataError(images.unreadable(copy.key, say("the file has changed since the folder was opened")))
    shaped, box = shape(image, copy, config, tools, waiting)
    return Rendered(*encoded(shaped, config.files.format), box)


def shape(image: Image.Image, copy: Copy, config: PrepareConfig, tools: PictureTools, waiting: Callable[[], bool]) -> tuple[Image.Image, Box]:
    """Cut, enlarge or shrink, put on the canvas, mirror → the picture and what was cut out of the source."""
    form, (left, top) = copy.shape, copy.bars[:2]
    inner = image.crop(copy.inside) if any(copy.bars) else image
    face = _moved(copy.face, -left, -top) if copy.face else None
    box = focus.place(inner, form.cut, face) if form.follows else middle(inner.size, form.cut)
    found = inner if form.cut == inner.size else inner.crop(box)
    box = _moved(box, left, top)
    if form.enlarges and config.enlarge.upscaler:
        found = tools.upscale(found, config.enlarge.upscaler, form.resized, waiting).convert("RGB")
    found = resampled(found, form.resized)
    if form.canvas != form.resized:
        canvas = Image.new("RGB", form.canvas, form.colour or "black")
        canvas.paste(found, form.offset)
        found = canvas
    return (found.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if copy.role == FLIP else found), box


def encoded(image: Image.Image, format: str) -> tuple[bytes, str]:
    """The picture as a file of nothing but its pixels."""
    stream = io.BytesIO()
    if format == "jpeg":
        image.save(stream, "JPEG", quality=JPEG_QUALITY, subsampling=0, exif=b"")
        return stream.getvalue(), ".jpg"
    clean = Image.frombytes(image.mode, image.size, image.tobytes())
    clean.save(stream, "PNG", compress_level=PNG_EFFORT)
    return stream.getvalue(), ".png"


def _moved(box: Box, across: int, down: int) -> Box:
    return box[0] + across, box[1] + down, box[2] + across, box[3] + down


def _bytes(copy: Copy) -> bytes:
    try:
        return ordinary(copy.source).read_bytes()
    except OSError as error:
        raise DataError(images.unreadable(copy.key, say("the file cannot be opened ({why})", why=error.strerror or str(error)))) from error
