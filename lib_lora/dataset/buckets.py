"""Item → Placed: which bucket a picture goes to, how it is resized and what is cut off."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lib_lora.core.errors import ConfigError, DataError
from lib_lora.core.messages import Message, say
from lib_lora.dataset.config import BucketConfig, DataConfig
from lib_lora.model import Family, SizeCond

if TYPE_CHECKING:
    from lib_lora.dataset.scan import Item

Size = tuple[int, int]

# The UNet halves latents (1/8 of the pixels) three times, SDXL's twice; every side has to survive that whole.
MULTIPLE = {Family.SD1: 64, Family.SD2: 64, Family.SDXL: 32}


@dataclass(frozen=True)
class Placement:
    """Resize to `resized`, then cut `bucket` out at `crop` (left, top); all sizes are (width, height)."""

    bucket: Size
    resized: Size
    crop: tuple[int, int]


@dataclass(frozen=True)
class Placed:
    """An item with its place. `size_cond` is what SDXL is told: the true size, what was really cut off, the bucket."""

    item: Item
    bucket: Size
    resized: Size
    crop: tuple[int, int]
    size_cond: SizeCond


def bounds(resolution: Size, config: BucketConfig) -> tuple[int, int]:
    """The shortest and longest side of buckets, as multiples of the step; ConfigError where they leave no bucket.

    As in sd-scripts the one is rounded down and the other up. 0 chooses: at most 256, and twice the longer side.
    """
    step = config.step
    low = config.min or min(256, *resolution)
    high = config.max or 2 * max(resolution)
    low, high = max(step, low // step * step), -(-high // step) * step
    problems = []
    if min(resolution) < step:
        problems.append(say("data.resolution: {resolution} is smaller than the bucket step {step}", resolution=_shown(resolution), step=step))
    elif low > min(resolution):
        problems.append(
            say("bucket.min: {value} is longer than a side of the resolution {resolution}; lower it or write 0", value=low, resolution=_shown(resolution))
        )
    if high < max(resolution):
        problems.append(
            say("bucket.max: {value} is shorter than a side of the resolution {resolution}; raise it or write 0", value=high, resolution=_shown(resolution))
        )
    if problems:
        raise ConfigError(*problems)
    return low, high


def check(resolution: Size, config: BucketConfig, family: Family | None = None) -> tuple[Message, ...]:
    """What of the resolution and bucket settings cannot be trained, for a family where it is known."""
    problems: list[Message] = []
    multiple = MULTIPLE[family] if family else 32
    if config.enabled:
        if config.step % multiple:
            problems.append(say("bucket.step: this model needs a multiple of {multiple}, not {step}", multiple=multiple, step=config.step))
        try:
            bounds(resolution, config)
        except ConfigError as error:
            problems += error.messages
    elif resolution[0] % multiple or resolution[1] % multiple:
        problems.append(
            say(
                "data.resolution: without buckets both sides must be multiples of {multiple}, not {resolution}",
                multiple=multiple,
                resolution=_shown(resolution),
            )
        )
    return tuple(problems)


@lru_cache(maxsize=64)
def make(resolution: Size, low: int, high: int, step: int) -> tuple[Size, ...]:
    """All buckets of the resolution's area with sides from `low` to `high`, sorted: sd-scripts' own list."""
    area = resolution[0] * resolution[1]
    square = int(math.sqrt(area) // step) * step
    found = {(square, square)}
    for width in range(low, high + 1, step):
        height = min(high, area // width // step * step)
        if height >= low:
            found |= {(width, height), (height, width)}
    return tuple(sorted(found))


def place(size: Size, resolution: Size, config: BucketConfig) -> Placement:
    """Where a picture of `size` goes: sd-scripts' choice. DataError where a side is under one bucket step.

    With buckets off there is one, the resolution. `no_upscale` ignores the bounds, as in sd-scripts.
    """
    if min(size) < config.step:
        raise DataError(say("{size} is too small: both sides must have at least {step} pixels (bucket.step)", size=_shown(size), step=config.step))
    if not config.enabled:
        bucket, resized = _select(size, (resolution,))
    elif config.no_upscale:
        resized = _shrunk(size, resolution[0] * resolution[1], config.step)
        bucket = (resized[0] - resized[0] % config.step, resized[1] - resized[1] % config.step)
        if 0 in bucket:
            raise DataError(
                say(
                    "{size} is too long and narrow: brought to the resolution, a side falls under one bucket step ({step})", size=_shown(size), step=config.step
                )
            )
    else:
        bucket, resized = _select(size, make(resolution, *bounds(resolution, config), config.step))
    return Placement(bucket, resized, ((resized[0] - bucket[0]) // 2, (resized[1] - bucket[1]) // 2))


def flaws(items: Iterable[Item], resolution: Size, config: BucketConfig) -> list[tuple[Item, Message]]:
    """The items that have no bucket, each with the reason."""
    found: list[tuple[Item, Message]] = []
    for item in items:
        try:
            place(item.size, resolution, config)
        except DataError as error:
            found += [(item, message) for message in error.messages]
    return found


def place_all(items: Sequence[Item], data: DataConfig, bucket: BucketConfig) -> tuple[Placed, ...]:
    """Every item with its place; one DataError that names all those which have none.

    SDXL's size conditioning tells what was done: the picture's own size, the pixels cut off left and top after the
    resize, and the bucket. sd-scripts reports other crops (the margins of the picture fitted inside the bucket), which
    may even name the other axis; generation asks for crop 0,0, so that a whole picture is what training should call 0,0.
    """
    lost = flaws(items, data.resolution, bucket)
    if lost:
        raise DataError(*(say("{file}: {problem}", file=str(item.path), problem=problem) for item, problem in lost))
    return tuple(_placed(item, place(item.size, data.resolution, bucket)) for item in items)


def buckets_report(resolution: Size, low: int, high: int, step: int, no_upscale: bool, sizes: Iterable[Size]) -> list[dict[str, Any]]:
    """Where pictures of these sizes would go: `[{"image": [w, h], "bucket": [w, h], "resized": [w, h]}]`."""
    config = BucketConfig(min=low, max=high, step=step, no_upscale=no_upscale)
    placed = [(size, place(size, resolution, config)) for size in sizes]
    return [{"image": list(size), "bucket": list(place_.bucket), "resized": list(place_.resized)} for size, place_ in placed]


def _placed(item: Item, at: Placement) -> Placed:
    return Placed(item, at.bucket, at.resized, at.crop, SizeCond(original=item.size, crop=at.crop, target=at.bucket))


def _select(size: Size, buckets: Sequence[Size]) -> tuple[Size, Size]:
    """The bucket of the nearest shape, and the size that covers it."""
    ratio = size[0] / size[1]
    bucket = size if size in buckets else min(buckets, key=lambda one: abs(one[0] / one[1] - ratio))
    scale = bucket[1] / size[1] if ratio > bucket[0] / bucket[1] else bucket[0] / size[0]
    return bucket, (_round(size[0] * scale), _round(size[1] * scale))


def _shrunk(size: Size, area: int, step: int) -> Size:
    """The size a picture has within `area`, never enlarged: one side a multiple of `step`, whichever keeps the shape better."""
    if size[0] * size[1] <= area:
        return size
    ratio = size[0] / size[1]
    width = math.sqrt(area * ratio)
    wide = _down(width, step)
    wide_high = _down(wide / ratio, step)
    high = _down(area / width, step)
    high_wide = _down(high * ratio, step)
    # sd-scripts divides by zero where a way of rounding leaves no height; the other way may still do.
    if wide_high and (not high or abs(wide / wide_high - ratio) < abs(high_wide / high - ratio)):
        return wide, _round(wide / ratio)
    return _round(high * ratio), high


def _round(value: float) -> int:
    return int(value + 0.5)


def _down(value: float, step: int) -> int:
    return _round(value) // step * step


def _shown(size: Size) -> str:
    return f"{size[0]}×{size[1]}"
