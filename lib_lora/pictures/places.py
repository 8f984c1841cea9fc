"""Picture size → what training will make of it: its bucket, what is cut off, how much it is enlarged."""

from __future__ import annotations

from dataclasses import dataclass

from lib_lora.dataset import buckets
from lib_lora.dataset.config import BucketConfig

Size = tuple[int, int]


@dataclass(frozen=True)
class Preview:
    """Where a picture goes. `box` (left, top, right, bottom) is what is left of it, in its own pixels.

    `lost` is the share of it that is cut off, `upscale` how many times it is enlarged (below 1: shrunk).
    """

    bucket: Size
    resized: Size
    box: tuple[float, float, float, float]
    lost: float
    upscale: float


def preview(size: Size, resolution: Size | int, config: BucketConfig) -> Preview:
    """As training does it. DataError where a picture is too small for any bucket."""
    sides = (resolution, resolution) if isinstance(resolution, int) else resolution
    place = buckets.place(size, sides, config)
    across, down = place.resized[0] / size[0], place.resized[1] / size[1]
    left, top = place.crop[0] / across, place.crop[1] / down
    box = (left, top, min(size[0], left + place.bucket[0] / across), min(size[1], top + place.bucket[1] / down))
    kept = place.bucket[0] * place.bucket[1] / (place.resized[0] * place.resized[1])
    return Preview(place.bucket, place.resized, box, max(0.0, 1 - kept), max(across, down))
