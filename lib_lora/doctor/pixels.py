"""Picture file → what its bytes say when all of them are read: whole or damaged, and stored in which way."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from lib_lora.core.errors import DataError
from lib_lora.core.messages import Message, say
from lib_lora.dataset import buckets, images
from lib_lora.dataset.config import BucketConfig
from lib_lora.doctor.problem import Problem
from lib_lora.pictures.picture import Picture

HUGE = 32_000_000  # pixels; training needs a fiftieth of them
AT_ONCE = 32  # pictures between two words of how far it is
SLIGHT = 1.25  # up to this an enlarged picture is hard to tell from one that was not
DEEP = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")

Tell = Callable[[int, int], bool]


@dataclass(frozen=True)
class Body:
    """What a file's bytes say of it: why it cannot be used, or how large it is and how its pixels are stored."""

    flaw: Message | None
    size: tuple[int, int]
    animated: bool
    mode: str
    clear: bool


@dataclass
class Memory:
    """What was read of files; holds while a file's size and date stay. A look that is repeated is then quick."""

    known: dict[Path, tuple[tuple[int, int], Body]] = field(default_factory=dict)

    def of(self, picture: Picture) -> Body:
        """What a picture's file says, from memory where it has not been touched since."""
        found = self.known.get(picture.path)
        if found is None or found[0] != picture.mark:
            found = self.known[picture.path] = (picture.mark, _body(picture.path))
        return found[1]


def read_all(pictures: Iterable[Picture], tell: Tell, memory: Memory) -> dict[str, Body]:
    """Every picture's file read through, on all cores. `tell(done, total)` returns False to end it early."""
    wanted = list(pictures)
    found: dict[str, Body] = {}
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        for at in range(0, len(wanted), AT_ONCE):
            if not tell(at, len(wanted)):
                break
            part = wanted[at : at + AT_ONCE]
            found.update(zip((one.key for one in part), pool.map(memory.of, part), strict=True))
    return found


def _body(path: Path) -> Body:
    seen = images.look(path)
    mode, clear = ("", False) if seen.flaw is not None else _stored(path)
    return Body(seen.flaw, seen.size, seen.animated, mode, clear)


def _stored(path: Path) -> tuple[str, bool]:
    """How the pixels are stored, and whether some of them can be seen through."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=[name for name in images.FORMATS if name in Image.OPEN]) as image:
                mode = image.mode
                if "A" not in image.getbands() and "transparency" not in image.info:
                    return mode, False
                return mode, image.convert("RGBA").getchannel("A").getextrema()[0] < 255
    except images.DAMAGE:
        return "", False


def problems(picture: Picture, body: Body, resolution: tuple[int, int], config: BucketConfig) -> list[Problem]:
    """What is wrong with a picture that training reads, but for its caption."""
    if body.flaw is not None:
        return [Problem("unreadable", "error", picture.key, say("cannot be read: {reason}", reason=body.flaw))]
    found = []
    if body.animated:
        found.append(Problem("animated", "warning", picture.key, say("is animated; only its first frame is trained")))
    if body.mode == "CMYK":
        found.append(Problem("colours", "hint", picture.key, say("its colours are those of print (CMYK); they are turned into RGB and may look different")))
    if body.mode in DEEP:
        found.append(Problem("colours", "hint", picture.key, say("holds more than 8 bits per colour; 8 are used")))
    if body.clear:
        found.append(Problem("transparent", "hint", picture.key, say("is transparent in places; training puts white behind it")))
    if body.size[0] * body.size[1] > HUGE:
        what = say("has {width}×{height} pixels, far more than training uses", width=body.size[0], height=body.size[1])
        found.append(Problem("huge", "hint", picture.key, what))
    return found + _size(picture.key, body.size, resolution, config)


def _size(key: str, size: tuple[int, int], resolution: tuple[int, int], config: BucketConfig) -> list[Problem]:
    try:
        resized = buckets.place(size, resolution, config).resized
    except DataError as error:
        return [Problem("too_small", "error", key, error.messages[0])]
    scale = max(resized[0] / size[0], resized[1] / size[1])
    if scale < 1.005:
        return []
    what = say("{width}×{height} is smaller than the resolution: training enlarges it {factor} times", width=size[0], height=size[1], factor=f"{scale:.2f}")
    return [Problem("upscale", "hint" if scale <= SLIGHT else "warning", key, what)]
