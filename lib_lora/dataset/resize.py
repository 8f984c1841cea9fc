"""Shrinking by area: every new pixel is the mean of the rectangle it covers, as OpenCV's INTER_AREA has it."""

from __future__ import annotations

import numpy as np

# OpenCV leaves out the pixel at an edge of which less than this is covered.
SLIVER = 1e-3


def shrink(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W, C) uint8 → (h, w, C) uint8 for `size` = (w, h), neither side larger than before.

    Written out so that a picture is the same wherever it is trained: OpenCV is not in every environment, and Pillow's
    box filter weighs partly covered pixels wholly or not at all.
    """
    height, width = pixels.shape[:2]
    if width % size[0] == 0 and height % size[1] == 0:
        return _blocks(pixels, width // size[0], height // size[1])
    across = _pass(pixels, width, size[0], axis=1)
    return np.rint(_pass(across, height, size[1], axis=0)).astype(np.uint8)


def _blocks(pixels: np.ndarray, across: int, down: int) -> np.ndarray:
    height, width, channels = pixels.shape
    cells = pixels.reshape(height // down, down, width // across, across, channels)
    total = cells.sum(axis=(1, 3), dtype=np.int64)
    if across == down == 2:
        # Halves are rounded up here and to even below, as OpenCV does.
        return ((total + 2) >> 2).astype(np.uint8)
    return np.rint(total.astype(np.float32) * np.float32(1 / (across * down))).astype(np.uint8)


def _pass(values: np.ndarray, old: int, new: int, axis: int) -> np.ndarray:
    index, weight = _taps(old, new)
    shape = [1] * values.ndim
    shape[axis] = new
    total: np.ndarray | None = None
    for tap in range(index.shape[1]):
        part = values.take(index[:, tap], axis=axis) * weight[:, tap].reshape(shape)
        total = part if total is None else np.add(total, part, out=total)
    assert total is not None
    return total


def _taps(old: int, new: int) -> tuple[np.ndarray, np.ndarray]:
    """Which old pixels a new one covers, and the share of each: two arrays (new, taps)."""
    scale = old / new
    start = np.arange(new) * scale
    index = np.floor(start + SLIVER).astype(np.int64)[:, None] + np.arange(int(np.ceil(scale)) + 1)
    covered = np.minimum(index + 1, (start + scale)[:, None]) - np.maximum(index, start[:, None])
    covered = np.where(covered > SLIVER, covered, 0)
    share = covered / np.minimum(scale, old - start)[:, None]
    return np.minimum(index, old - 1), share.astype(np.float32)
