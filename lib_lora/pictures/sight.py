"""Picture file → Seen: everything that is told from its pixels, in one go."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from lib_lora.pictures import pixels
from lib_lora.pictures.bars import bars
from lib_lora.pictures.seen import GRID, Seen
from lib_lora.pictures.tone import lab, tone

SQUARE = 256
STRIP = 256
# Brightness that has to fall between neighbours for a bit: noise of JPEGs in flat areas sets none.
STEP = 1.0


def see(path: Path) -> Seen:
    """Look into a picture. DataError where it cannot be read or is too large for it."""
    return seen_in(pixels.whole(path))


def seen_in(image: Image.Image) -> Seen:
    """`see` for an upright RGB picture at hand."""
    small = image.resize((SQUARE, SQUARE), Image.Resampling.BOX)
    square = np.asarray(small)
    grey = small.convert("L")
    rough = np.asarray(grey.convert("F").resize((9, 8), Image.Resampling.BOX))
    return Seen(
        pixels=_digest(image),
        size=image.size,
        dhash=_bits(rough),
        mirrored=_bits(rough[:, ::-1]),
        blocks=_blocks(small, np.asarray(grey)),
        tone=tone(square[::2, ::2]),
        bars=bars(image, square),
        style=_style(square, np.asarray(grey, np.float32)),
    )


def _digest(image: Image.Image) -> str:
    digest = hashlib.sha256(b"%dx%d" % image.size)
    for top in range(0, image.height, STRIP):
        # In strips: the bytes of a whole picture would stand in memory twice.
        digest.update(image.crop((0, top, image.width, min(top + STRIP, image.height))).tobytes())
    return digest.hexdigest()


def _bits(rough: np.ndarray) -> int:
    return int.from_bytes(np.packbits(rough[:, :-1] > rough[:, 1:] + STEP).tobytes(), "big")


def _blocks(small: Image.Image, grey: np.ndarray) -> bytes:
    means = np.asarray(small.resize((GRID, GRID), Image.Resampling.BOX))
    light, squared = _means(grey), _means(grey.astype(np.float32) ** 2)
    spread = np.sqrt(np.maximum(squared - light * light, 0))
    return np.concatenate([means, np.rint(spread).astype(np.uint8)[..., None]], axis=2).tobytes()


def _means(values: np.ndarray) -> np.ndarray:
    image = Image.fromarray(values.astype(np.float32))
    return np.asarray(image.resize((GRID, GRID), Image.Resampling.BOX))


def _style(square: np.ndarray, grey: np.ndarray) -> tuple[float, ...]:
    """Light, colour, lines and flatness, each on a scale on which sets spread about evenly."""
    colours = lab(square[::4, ::4]).reshape(-1, 3)
    chroma = np.hypot(colours[:, 1], colours[:, 2])
    across, down = np.abs(np.diff(grey, axis=1)), np.abs(np.diff(grey, axis=0))
    palette = np.unique((square[::2, ::2] >> 4).astype(np.int32).reshape(-1, 3) @ np.array([256, 16, 1], np.int32)).size
    steps = np.concatenate([across.ravel(), down.ravel()])
    found = (
        colours[:, 0].mean(),
        colours[:, 0].std(),
        colours[:, 1].mean(),
        colours[:, 2].mean(),
        np.log1p(chroma.mean()),
        np.log1p(chroma.std()),
        np.log1p(steps.mean()),
        np.sqrt((steps > 32).mean()),
        np.sqrt((steps < 2).mean()),
        np.log2(palette),
        np.sqrt((grey < 32).mean()),
        np.sqrt((grey > 224).mean()),
    )
    return tuple(float(value) for value in found)
