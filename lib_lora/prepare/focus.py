"""Picture without a known face → where its subject is: what differs from its surroundings, has edges and detail.

A cut that covers a picture is free along one axis only, so the search is for one number.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from lib_lora.prepare.shapes import Box, Size, around, at, middle

SEEN = 96  # px of the longer side that is looked at
EDGES, DETAIL, DISTANCE, SKIN = 0.5, 0.15, 0.6, 0.9
OUTLINE = 4
HEAD_ROOM = 0.08  # of the cut's height, above what stands out
PRESENT = 0.2  # of the strongest row: less is no part of the subject


def place(image: Image.Image, cut: Size, face: Box | None = None) -> Box:
    """Where to cut: around the face where one is known, else where the subject is."""
    size = image.size
    if face is not None:
        return around(size, cut, face)
    if cut == size:
        return middle(size, cut)
    found = interest(image)
    if found.sum() <= 0:
        return middle(size, cut)
    if cut[0] < size[0]:
        return at(size, cut, (_strongest(found.sum(axis=0), size[0], cut[0]), 0))
    return at(size, cut, (0, _headed(found.sum(axis=1), size[1], cut[1])))


def interest(image: Image.Image) -> np.ndarray:
    """How much each place of a picture stands out, 0 where it is like its edge; float (rows, columns), at most 96."""
    scale = SEEN / max(image.size)
    small = image.resize(tuple(max(2, round(side * scale)) for side in image.size), Image.Resampling.BOX) if scale < 1 else image
    pixels = np.asarray(small.convert("RGB"), dtype=np.float32) / 255
    grey = pixels @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    edges, detail = _above(_gradient(grey)), _above(_entropy(grey))
    # A figure has an outline; a background that changes softly has none, however far its colours go.
    outlined = np.minimum(1, OUTLINE * _blurred(_unit(edges), 4))
    distance = _above(_strangeness(pixels)) * outlined
    skin = _skin(pixels) * np.minimum(1, distance * 2)
    return EDGES * _unit(edges) + DETAIL * _unit(detail) * (edges > 0) + DISTANCE * _unit(distance) + SKIN * skin


def _strongest(profile: np.ndarray, length: int, cut: int) -> float:
    """The start of the window that holds most; where several hold as much, the middle of them."""
    share = cut / length * len(profile)
    sums = np.concatenate([[0], np.cumsum(profile)])
    starts = np.linspace(0, len(profile) - share, 4 * len(profile))
    ticks = np.arange(len(sums))
    held = np.interp(starts + share, ticks, sums) - np.interp(starts, ticks, sums)
    best = starts[held >= held.max() * 0.995]
    return float((best[0] + best[-1]) / 2 / len(profile) * length)


def _headed(profile: np.ndarray, length: int, cut: int) -> float:
    """The start of a window down a picture: with the subject's top in it, and room above that."""
    soft = np.convolve(profile, np.ones(3) / 3, mode="same")
    there = np.flatnonzero(soft >= PRESENT * soft.max())
    top, bottom = there[0] / len(profile) * length, (there[-1] + 1) / len(profile) * length
    if bottom - top <= cut * (1 - HEAD_ROOM):
        # All of it fits: in the middle, with the room for the head if there is more.
        return min(top - HEAD_ROOM * cut, (top + bottom - cut) / 2)
    return top - HEAD_ROOM * cut


def _rim(values: np.ndarray) -> np.ndarray:
    """The outermost places of a map, which are usually background."""
    wide = max(1, min(values.shape[:2]) // 16)
    flat = (-1, *values.shape[2:])
    return np.concatenate([values[:wide].reshape(flat), values[:, :wide].reshape(flat), values[:, -wide:].reshape(flat)])


def _strangeness(pixels: np.ndarray) -> np.ndarray:
    """How far each place's colour is from the background's, as it is left and right of it, above it, and all around.

    The nearest of these counts: a sky that darkens downwards is background everywhere. Below stands the figure itself.
    """
    wide = max(1, min(pixels.shape[:2]) // 16)
    sides = [np.median(pixels[:, :wide], axis=1)[:, None], np.median(pixels[:, -wide:], axis=1)[:, None]]
    around = [*sides, np.median(pixels[:wide], axis=0)[None], np.median(_rim(pixels), axis=0)]
    return np.min([np.linalg.norm(pixels - one, axis=2) for one in around], axis=0)


def _above(values: np.ndarray) -> np.ndarray:
    """What is more than usual at the rim: a background that is busy itself counts as nothing."""
    rim = _rim(values)
    usual = float(np.median(rim))
    return np.maximum(0, values - usual - 2.5 * float(np.median(np.abs(rim - usual))))


def _unit(values: np.ndarray) -> np.ndarray:
    highest = float(np.percentile(values, 99.5)) or float(values.max())
    return np.minimum(1, values / highest) if highest > 0 else values


def _gradient(grey: np.ndarray) -> np.ndarray:
    down, across = np.gradient(grey)
    return _blurred(np.hypot(down, across))


def _entropy(grey: np.ndarray, levels: int = 8) -> np.ndarray:
    """How many different shades lie around each place."""
    kinds = np.minimum((grey * levels).astype(int), levels - 1)
    total = np.zeros_like(grey)
    for kind in range(levels):
        share = _blurred((kinds == kind).astype(np.float32), 4)
        total -= share * np.log2(np.maximum(share, 1e-6))
    return total


def _skin(pixels: np.ndarray) -> np.ndarray:
    """How much a colour is one that skin is painted in, from pale to dark: warm, and not strongly coloured."""
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    warm, spread = (red > green) & (green >= blue - 0.04), red - blue
    return (warm & (red > 0.35) & (spread > 0.05) & (spread < 0.5) & (red - green > 0.015) & (red - green < 0.3)).astype(np.float32)


def _blurred(values: np.ndarray, reach: int = 1) -> np.ndarray:
    """The mean of the square around each place."""
    for axis in (0, 1):
        width = [(0, 0), (0, 0)]
        width[axis] = (reach + 1, reach)
        sums = np.cumsum(np.pad(values, width, mode="edge"), axis=axis)
        length = values.shape[axis]
        high, low = sums.take(range(2 * reach + 1, 2 * reach + 1 + length), axis=axis), sums.take(range(length), axis=axis)
        values = (high - low) / (2 * reach + 1)
    return values
