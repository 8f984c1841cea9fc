"""Size of a picture → what is cut out of it, how large that becomes, and the canvas it is put on."""

from __future__ import annotations

from dataclasses import dataclass

from lib_lora.prepare.config import SIDE, PrepareConfig, ShapeConfig

Size = tuple[int, int]
Box = tuple[int, int, int, int]
LETTERBOXED, PILLARBOXED = "letterboxed", "pillarboxed"
MOST = 8  # an upscaler makes nothing believable of less than an eighth


@dataclass(frozen=True)
class Shape:
    """Cut `cut` (a size) out, bring it to `resized`, put that in the middle of `canvas`.

    `follows`: the place of the cut is where the picture's subject is; else its middle. `tag` is what bars are called.
    """

    cut: Size
    resized: Size
    canvas: Size
    follows: bool = False
    colour: str = ""
    tag: str = ""

    @property
    def enlarges(self) -> bool:
        """Whether pixels have to be made up."""
        return self.resized[0] > self.cut[0] or self.resized[1] > self.cut[1]

    @property
    def offset(self) -> tuple[int, int]:
        """Where the picture lies on the canvas."""
        return (self.canvas[0] - self.resized[0]) // 2, (self.canvas[1] - self.resized[1]) // 2

    def changes(self, size: Size) -> bool:
        """Whether a picture of `size` becomes another one."""
        return not self.cut == self.resized == self.canvas == size


def shape(size: Size, config: PrepareConfig) -> Shape | None:
    """The shape a picture of `size` gets; None where auto finds no size for it."""
    chosen = config.shape
    if chosen.kind == "pad":
        return padded(size, chosen.side, chosen.colour)
    if chosen.kind == "auto":
        found = auto_size(size, chosen)
        return cover(size, found) if found else None
    if chosen.kind in ("centre", "focal"):
        return cover(size, chosen.size, follows=chosen.kind == "focal")
    return kept(size, config.enlarge.below if config.enlarge.upscaler else 0)


def auto_size(size: Size, config: ShapeConfig) -> Size | None:
    """The size of an automatic crop: sides from `low` to `high` in steps of 64, within the area and the tolerance."""

    def error(width: int, height: int) -> float:
        ratio = size[0] / size[1] / (width / height)
        return 1 - min(ratio, 1 / ratio)

    sides = range(config.low, config.high + 1, SIDE)
    found = [
        (width, height)
        for width in sides
        for height in sides
        if config.area_low**2 <= width * height <= config.area_high**2 and error(width, height) <= config.tolerance
    ]
    if config.prefer == "area":
        return max(found, key=lambda one: (one[0] * one[1], -error(*one)), default=None)
    return min(found, key=lambda one: (error(*one), -one[0] * one[1]), default=None)


def cover(size: Size, wanted: Size, follows: bool = False) -> Shape:
    """The largest cut of the wanted shape; the picture fills it wholly, so there are never bars."""
    scale = max(wanted[0] / size[0], wanted[1] / size[1])
    cut = (_whole(wanted[0] / scale, size[0]), _whole(wanted[1] / scale, size[1]))
    return Shape(cut, wanted, wanted, follows)


def padded(size: Size, side: int, colour: str) -> Shape:
    """The whole picture in the middle of a square."""
    side = max(SIDE, side // SIDE * SIDE)
    scale = side / max(size)
    resized = (_whole(size[0] * scale, side), _whole(size[1] * scale, side))
    tag = "" if resized[0] == resized[1] else LETTERBOXED if resized[0] > resized[1] else PILLARBOXED
    return Shape(size, resized, (side, side), colour=colour, tag=tag)


def kept(size: Size, below: int) -> Shape:
    """The whole picture, enlarged where its short side is under `below` and that is at most eightfold."""
    short = min(size)
    if not short < below <= short * MOST:
        return Shape(size, size, size)
    resized = (round(size[0] * below / short), round(size[1] * below / short))
    return Shape(size, resized, resized)


def middle(size: Size, cut: Size) -> Box:
    """The cut in the middle of a picture."""
    return at(size, cut, ((size[0] - cut[0]) // 2, (size[1] - cut[1]) // 2))


def at(size: Size, cut: Size, corner: tuple[float, float]) -> Box:
    """The cut with its left upper corner there, or as near as it stays inside."""
    left, top = (min(max(0, round(corner[axis])), size[axis] - cut[axis]) for axis in (0, 1))
    return left, top, left + cut[0], top + cut[1]


def around(size: Size, cut: Size, face: Box) -> Box:
    """The cut around a face: the box whole inside wherever it fits, room for hair above it, the face in the upper part."""
    left, top, right, bottom = face
    height = bottom - top
    x = (left + right - cut[0]) / 2
    y = min((top + bottom) / 2 - 0.38 * cut[1], top - 0.5 * height)
    return at(size, cut, (_between(x, right - cut[0], left), _between(y, bottom - cut[1], top)))


def _between(value: float, low: float, high: float) -> float:
    # Where the face is larger than the cut its middle counts.
    return (low + high) / 2 if low > high else min(max(value, low), high)


def _whole(value: float, most: int) -> int:
    return min(most, max(1, round(value)))
