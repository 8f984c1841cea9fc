"""Pixels → the black or white bars that are already in a picture, above and below or left and right."""

from __future__ import annotations

import numpy as np
from PIL import Image

BLACK, WHITE = 24, 231  # a bar's pixels are at most, at least that
CLEAR = 16  # and what follows it differs by so much more
PURE = 0.995  # of a row that is a bar
CUT = 0.5  # of the first rows after a bar that are no bar: a picture is cut off there, a figure on white paper is not
FOLLOWING = 4
THINNEST, SHARE = 4, 0.015
UNEVEN = 0.5
Bars = tuple[int, int, int, int]


def bars(image: Image.Image, square: np.ndarray) -> Bars:
    """(left, top, right, bottom) in pixels, 0 where there is none. `square` is the picture shrunk to a square.

    Bars come in pairs of about the same width: one dark floor is none.
    """
    top, bottom = _pair(image, square)
    inner = image.crop((0, top, image.width, image.height - bottom)) if top else image
    turned = inner.transpose(Image.Transpose.TRANSPOSE) if _may(square.transpose(1, 0, 2), image.width) else None
    left, right = _pair(turned, square.transpose(1, 0, 2)) if turned is not None else (0, 0)
    return left, top, right, bottom


def _pair(image: Image.Image, square: np.ndarray) -> tuple[int, int]:
    if not _may(square, image.height):
        return 0, 0
    half = image.height // 2
    first = np.asarray(image.crop((0, 0, image.width, half)))
    last = np.asarray(image.crop((0, image.height - half, image.width, image.height)))[::-1]
    for low in (True, False):
        above, below = _run(first, low), _run(last, low)
        if min(above, below) >= max(THINNEST, SHARE * image.height, UNEVEN * max(above, below)) and above + below < 0.8 * image.height:
            return above, below
    return 0, 0


def _may(square: np.ndarray, side: int) -> bool:
    """Whether the outermost rows of the shrunk picture look like bars; spares nearly every picture the rest."""
    if side < 2 * THINNEST + FOLLOWING:
        return False
    rows = max(1, int(SHARE * len(square)) - 1)
    ends = np.concatenate([square[:rows], square[-rows:]])
    return _share(ends, True).min() >= PURE - 0.01 or _share(ends, False).min() >= PURE - 0.01


def _share(rows: np.ndarray, low: bool) -> np.ndarray:
    return _inside(rows, low, BLACK if low else WHITE).mean(axis=1)


def _inside(rows: np.ndarray, low: bool, limit: int) -> np.ndarray:
    held = rows <= limit if low else rows >= limit
    return held[..., 0] & held[..., 1] & held[..., 2]


def _run(rows: np.ndarray, low: bool) -> int:
    """How many rows from the first are bar, 0 where no picture begins behind it."""
    pure = _share(rows, low) >= PURE
    count = len(pure) if pure.all() else int(np.argmin(pure))
    following = rows[count : count + FOLLOWING]
    if count < THINNEST or not len(following):
        return 0
    off = ~_inside(following, low, BLACK + CLEAR if low else WHITE - CLEAR)
    return count if off.mean() >= CUT else 0
